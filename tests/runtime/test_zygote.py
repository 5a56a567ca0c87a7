"""The zygote when it hangs or dies: where, what becomes of its launches, and that nothing is run twice for it."""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, StartFailed, child, message
from runtime import Supervisor, client
from runtime.process.exit import children_of
from runtime.testing import wait_until
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process

HANGING = """
import threading
from pathlib import Path
from actors import Actor

def wait_at_import():
    Path(__file__).with_suffix(".begun").touch()
    threading.Event().wait()

if Path("/proc/self/comm").read_text().startswith("understudy-zyg"):
    wait_at_import()

class Late(Actor):
    pass
"""

# its import lasts until a file is there, and ends the zygote where another is
SLOW = """
import os, time
from pathlib import Path
from actors import Actor, message

HERE = Path(__file__).parent
if Path("/proc/self/comm").read_text().startswith("understudy-zyg"):
    with (HERE / "imports").open("a") as file:
        file.write(f"{os.getpid()} ")
    while not (HERE / "go").exists():
        time.sleep(0.002)
    if (HERE / "die").exists():
        os._exit(0)

class Slow(Actor):
    @message
    def pid(self) -> int:
        return os.getpid()
"""

# its import takes more than half of its limit, and so does its constructor
BOTH = """
import time
from actors import Actor, message
time.sleep(1.2)
class Both(Actor):
    def __init__(self):
        time.sleep(1.2)
    @message
    def hello(self) -> str:
        return "hello"
"""

# the zygote of that supervisor stops itself when it has forked "victim" for the second time, before it says so
STOPPING = """
import os, signal
from runtime.process.zygote import Zygote
report = Zygote._report
def stopping(self, launch, **what):
    if what.get("pid") and launch.path == "victim" and launch.incarnation == 2:
        os.kill(os.getpid(), signal.SIGSTOP)
    report(self, launch, **what)
Zygote._report = stopping
"""

# the second zygote of that supervisor gets a SIGTERM while it still has everything of the supervisor's
TERMINATED = """
import os, signal
from runtime.process.launch import Launcher
open_next, made = Launcher.open, []
def opening(self):
    made.append(self)
    open_next(self)
def forked():
    if len(made) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
Launcher.open = opening
os.register_at_fork(after_in_child=forked)
"""


class Victim(Actor):
    """Notes each run of a message in a file, and does not come back from it."""

    @message
    def note(self, path: str) -> None:
        with Path(path).open("a") as file:
            file.write(f"{self.context.incarnation} ")
        signal.pause()

    @message
    def pid(self) -> int:
        return os.getpid()


def test_an_import_that_hangs_fails_the_start_with_the_stack_of_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: Path
) -> None:
    (tmp_path / "hanging.py").write_text(HANGING)
    monkeypatch.syspath_prepend(tmp_path)
    late = __import__("hanging").Late

    with Supervisor("late") as supervisor:
        with pytest.raises(StartFailed, match="did not return in time") as caught:
            supervisor.start(child(late), name="late", ready=0.5)
        assert supervisor.start(child(Counter), name="counter").add(1) == 1

    certificate = caught.value.certificate
    assert certificate is not None
    assert (certificate.phase, certificate.cause) == ("start", "launch")
    assert "in wait_at_import" in certificate.native_stack


def test_a_start_that_was_called_off_while_it_was_launched_blames_no_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: Path
) -> None:
    (tmp_path / "calledoff.py").write_text(HANGING)
    monkeypatch.syspath_prepend(tmp_path)
    late = __import__("calledoff").Late
    with Supervisor("late") as system, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(system.start, child(late), name="late", ready=60.0, shutdown="kill")
        assert wait_until((tmp_path / "calledoff.begun").exists)
        system.stop("late")

        with pytest.raises(StartFailed, match="stopped while it was starting"):
            starting.result()
        certificate = system.why("late")

    assert certificate is not None
    assert certificate.reason == "it was stopped before it had a process"
    assert certificate.native_stack == ""


def test_what_a_process_took_that_nobody_was_told_of_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: Path
) -> None:
    before_main = f"exec({STOPPING!r}); main()"
    monkeypatch.setattr(client, "_WARDEN", client._WARDEN.replace("main()", before_main))
    runs = tmp_path / "runs"

    with Supervisor("late", max_restarts=10) as supervisor:
        victim = supervisor.start(child(Victim), name="victim", ready=1.0)
        os.kill(victim.pid(), signal.SIGKILL)
        noted = victim.note.ask(str(runs))
        assert wait_until(runs.exists)  # by the second process, which nobody knows
        with pytest.raises(ActorDied) as caught:
            noted.result(timeout=10)
        assert wait_until(lambda: supervisor.children()[0].state == "running")
        assert victim.pid() == supervisor.children()[0].pid

    assert caught.value.delivered == "started"
    assert runs.read_text() == "2 "


def test_a_signal_to_a_zygote_that_is_just_being_forked_is_not_taken_for_the_supervisors(
    nothing_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_WARDEN", client._WARDEN.replace("main()", f"exec({TERMINATED!r}); main()"))
    with Supervisor("terminated") as supervisor:
        supervisor.start(child(Counter), name="first")
        (before,) = zygotes_of(supervisor.pid)
        os.kill(before, signal.SIGKILL)
        assert wait_until(lambda: zygotes_of(supervisor.pid) not in ([], [before]))

        assert supervisor.start(child(Counter), name="second").add(1) == 1
        assert supervisor.count()["active"] == 2


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Any]]:
    """The actor class of a module whose import takes as long as the test wants."""
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("slow").Slow
    del sys.modules["slow"]


def imports_of(directory: Path) -> list[int]:
    """Pids of the zygotes that began that import, in order."""
    noted = directory / "imports"
    return [int(pid) for pid in noted.read_text().split()] if noted.exists() else []


@pytest.mark.parametrize("host", ["process", "thread"])
def test_a_start_behind_a_long_import_waits_longer_than_its_own_limit_and_succeeds(
    nothing_left: Path, tmp_path: Path, slow: type[Any], host: str
) -> None:
    with Supervisor("queued", max_restarts=0) as supervisor, ThreadPoolExecutor(20) as pool:
        importing = pool.submit(supervisor.start, child(slow), name="slow", ready=30.0)
        assert wait_until(lambda: len(imports_of(tmp_path)) == 1)
        spec = child(Counter).options(host=host)
        starts = [pool.submit(supervisor.start, spec, name=f"c{n}", ready=1.0) for n in range(3)]
        assert wait_until(lambda: supervisor.count()["specs"] == 4)
        threading.Event().wait(1.2)  # longer than their limit
        assert not any(each.done() for each in starts)

        (tmp_path / "go").touch()

        assert importing.result(timeout=30).pid()
        assert [each.result(timeout=30).add(1) for each in starts] == [1] * 3
    assert len(imports_of(tmp_path)) == 1  # the same zygote did it all


def test_a_start_whose_turn_does_not_come_is_taken_out_of_the_queue_and_no_other_fails(
    nothing_left: Path, tmp_path: Path, slow: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "from runtime.supervision import start; start.QUEUE_SECONDS = 0.3; main()"
    monkeypatch.setattr(client, "_WARDEN", client._WARDEN.replace("main()", limit))
    with Supervisor("queued", max_restarts=0) as supervisor, ThreadPoolExecutor(4) as pool:
        importing = pool.submit(supervisor.start, child(slow), name="slow", ready=30.0)
        assert wait_until(lambda: len(imports_of(tmp_path)) == 1)

        with pytest.raises(StartFailed, match="waited for its turn, behind other starts"):
            supervisor.start(child(Counter), name="behind", ready=30.0)
        (tmp_path / "go").touch()

        assert importing.result(timeout=30).pid()
    assert len(imports_of(tmp_path)) == 1


def test_the_time_to_become_ready_counts_from_when_the_process_exists(
    nothing_left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "both.py").write_text(BOTH)
    monkeypatch.syspath_prepend(str(tmp_path))
    both = importlib.import_module("both").Both

    with Supervisor("both", max_restarts=0) as supervisor:
        assert supervisor.start(child(both), name="both", ready=2.0).hello() == "hello"


def test_what_was_asked_of_a_zygote_that_is_killed_is_asked_of_the_next_one_as_often_as_it_takes(
    nothing_left: Path, tmp_path: Path, slow: type[Any]
) -> None:
    with Supervisor("killed", max_restarts=0) as supervisor, ThreadPoolExecutor(20) as pool:
        importing = pool.submit(supervisor.start, child(slow), name="slow", ready=30.0)
        starts = [pool.submit(supervisor.start, child(Counter), name=f"c{n}") for n in range(10)]
        for times in range(1, 6):
            assert wait_until(lambda times=times: len(imports_of(tmp_path)) == times)  # type: ignore[misc]
            os.kill(imports_of(tmp_path)[-1], signal.SIGKILL)
        assert wait_until(lambda: len(imports_of(tmp_path)) == 6)
        (tmp_path / "go").touch()

        assert importing.result(timeout=30).pid()
        assert [each.result(timeout=30).add(1) for each in starts] == [1] * 10


def test_an_import_that_ends_the_zygote_each_time_fails_its_own_start_only(
    nothing_left: Path, tmp_path: Path, slow: type[Any]
) -> None:
    (tmp_path / "die").touch()
    with Supervisor("dying", max_restarts=0) as supervisor, ThreadPoolExecutor(20) as pool:
        dying = pool.submit(supervisor.start, child(slow), name="slow", ready=30.0)
        assert wait_until(lambda: len(imports_of(tmp_path)) == 1)
        starts = [pool.submit(supervisor.start, child(Counter), name=f"c{n}") for n in range(10)]
        (tmp_path / "go").touch()

        with pytest.raises(StartFailed, match="the zygote died while starting it, again and again: exit code 0"):
            dying.result(timeout=30)
        assert [each.result(timeout=30).add(1) for each in starts] == [1] * 10


def zygotes_of(supervisor: int) -> list[int]:
    """The pid of a supervisor's zygote, once it says that it is one; spares are in its process group."""
    return [
        each.pid
        for each in children_of(supervisor)
        if each.pid == each.group and _name_of(each.pid).startswith("understudy-zyg")
    ]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except FileNotFoundError:  # it was reaped meanwhile
        return ""
