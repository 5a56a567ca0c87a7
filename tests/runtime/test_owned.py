"""A system whose start is interrupted, at any moment, ends: nothing is left, and nobody waits for it for ever."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from actors import Actor, BootFailed, child
from runtime import Supervisor
from runtime.owned import OwnedWarden
from runtime.testing import processes_of, wait_until

pytestmark = pytest.mark.process

MOMENTS = [0.001, 0.03, 0.08, 0.13, 0.18, 0.25, 0.5]  # a start takes 0.2 s, and 30 s where its child is slow


class Slow(Actor):
    """Its start takes so long."""

    def __init__(self, seconds: float) -> None:
        time.sleep(seconds)


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_start_that_is_interrupted_at_any_moment_leaves_nothing_and_can_be_repeated(
    nothing_left: Path, moment: float
) -> None:
    system = Supervisor("interrupted", children={"slow": child(Slow, 30.0).options(shutdown=0.2)})
    with pytest.raises(KeyboardInterrupt), interrupted_after(moment):
        system.open()

    system.close()  # as whoever cleans up does

    assert wait_until(lambda: not processes_of(nothing_left))
    with Supervisor("interrupted", children={"slow": child(Slow, 0.0)}) as again:
        assert again.count()["active"] == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_start_that_is_cancelled_in_an_event_loop_leaves_nothing_and_can_be_repeated(
    nothing_left: Path, moment: float
) -> None:
    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(moment),
                Supervisor("cancelled", children={"slow": child(Slow, 30.0).options(shutdown=0.2)}),
            ):
                raise AssertionError("it has started")
        assert await asyncio.to_thread(wait_until, lambda: not processes_of(nothing_left))
        async with Supervisor("cancelled", children={"slow": child(Slow, 0.0)}) as again:
            return (await again.count())["active"]

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("moment", MOMENTS[:-2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_while_it_starts_ends(
    nothing_left: Path, tmp_path: Path, moment: float, number: int
) -> None:
    (tmp_path / "slow_start.py").write_text("from actors import Actor\nclass Plain(Actor): ...\n")
    (tmp_path / "system.toml").write_text('[children.plain]\nactor = "slow_start:Plain"\n')
    command = [sys.executable, "-m", "runtime.cli", "run", "system.toml"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert wait_until(lambda: len(processes_of(nothing_left)) > 1)  # the warden is there
        time.sleep(moment)
        process.send_signal(number)

        assert process.wait(10) == 128 + number


def test_an_interrupt_while_it_ends_ends_it_all_the_same(nothing_left: Path) -> None:
    system = Supervisor("interrupted", children={"slow": child(Slow, 0.0).options(shutdown="infinity")}).open()
    [status] = system.children()
    assert status.pid
    os.kill(status.pid, signal.SIGSTOP)  # its stop would take for ever

    with pytest.raises(KeyboardInterrupt), interrupted_after(0.1):
        system.close()

    assert wait_until(lambda: not processes_of(nothing_left))
    system.close()


def test_a_frozen_program_is_refused_before_it_starts_itself(
    nothing_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it started something"))

    with pytest.raises(BootFailed, match="expected a Python interpreter, got a frozen program"):
        Supervisor("frozen").open()


def test_a_warden_that_was_let_go_before_its_start_is_not_started() -> None:
    warden = OwnedWarden()
    warden.let_go()

    with pytest.raises(BootFailed, match="called off"):
        warden.start([sys.executable, "-c", "raise AssertionError"], [])
    warden.wait()
