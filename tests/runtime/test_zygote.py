"""The zygote when it hangs: where, what came of its launches, and that nothing is run twice for it."""

import os
import signal
from pathlib import Path

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
    threading.Event().wait()

if Path("/proc/self/comm").read_text().startswith("understudy-zyg"):
    wait_at_import()

class Late(Actor):
    pass
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
