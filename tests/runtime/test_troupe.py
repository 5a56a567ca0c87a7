"""The troupe, told by hand what the zygote and an actor say, in every order in which it may hear them."""

import asyncio
import contextlib
import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.child import Mailbox
from runtime import troupe as module
from runtime.callers import Callers
from runtime.letters import Letters
from runtime.memory.seal import allocated
from runtime.plan import Program
from runtime.process.order import Launch as Order
from runtime.process.order import Ready, ready_line
from runtime.reporter import Reporter
from runtime.supervision import event
from runtime.supervision.action import Launch
from runtime.supervision.spec import WorkerSpec
from runtime.troupe import Troupe
from runtime.vault import Vault

pytestmark = pytest.mark.process


class Zygote:
    """Stands in for the launcher: keeps its orders, and reports when it is told to."""

    def __init__(self, *_: object) -> None:
        self.orders: list[Order] = []
        self.pid = 0

    def open(self) -> None:
        """There is nothing to fork."""

    def keep_spares(self, count: int) -> None:
        """There are none to keep."""

    def launch(self, order: Order, _fds: list[int]) -> None:
        self.orders.append(order)


class NoActor:
    """Nothing is ever played here."""

    def play(self, *_: object) -> int:
        raise AssertionError

    def prepare(self, *_: object) -> None:
        raise AssertionError

    def warm_up(self, *_: object) -> None:
        raise AssertionError


@pytest.fixture
def play(runtime_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], bool]]:
    """Launch an actor whose "ready" is heard before or after its pid; whether it has started once, and has that pid."""
    monkeypatch.setattr(module, "Launcher", Zygote)

    async def played(pid: int, is_ready_first: bool) -> bool:
        happened: list[tuple[event.Event, int]] = []
        vault = Vault()
        (runtime_directory / "children").mkdir(parents=True)
        root = str(runtime_directory)
        troupe = Troupe(
            root,
            "test",
            callers=Callers(root, vault),
            vault=vault,
            reporter=Reporter(),
            letters=Letters(vault, lambda _: None, lambda _: None),
            main=NoActor(),
            happened=lambda what: happened.append((what, pid_of(troupe))),
            decide=lambda: None,
            died=lambda _: None,
        )
        troupe.open()
        program = Program("A", allocated("understudy-test", 8), Mailbox(), None, "finish", 0)
        troupe.launch(Launch("a", 1, WorkerSpec("a", payload=program)))
        zygote = troupe._launcher
        assert isinstance(zygote, Zygote)
        order = zygote.orders[0]
        steps: list[Callable[[], object]] = [
            lambda: os.write(order.events, ready_line(Ready("a", 1, False))),
            lambda: troupe.launched(order.token, pid),
        ]
        for step in steps if is_ready_first else reversed(steps):
            step()
            troupe._on_events()
        return happened == [(event.Started("a", 1), pid)]

    opened_before = set(os.listdir("/proc/self/fd"))
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        yield lambda is_ready_first: asyncio.run(played(sleeper.pid, is_ready_first))
        sleeper.kill()
    gc.collect()  # a program closes its payload
    for fd in set(os.listdir("/proc/self/fd")) - opened_before:  # a troupe's own end is its process's
        with contextlib.suppress(OSError):
            os.close(int(fd))


def pid_of(troupe: Troupe) -> int:
    worker = troupe.get("a")
    return worker.pid if worker is not None else 0


@pytest.mark.parametrize("is_ready_first", [True, False])
def test_an_actor_has_started_once_it_is_ready_and_its_pid_is_known(
    play: Callable[[bool], bool], is_ready_first: bool
) -> None:
    assert play(is_ready_first)
