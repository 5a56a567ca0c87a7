"""What an actor started is handed to the supervisor when its parent ends: whose it is, and when it goes."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors import Actor, child, message
from runtime import Supervisor
from runtime.process import mark
from runtime.testing import wait_until
from tests.runtime.cast import Start
from tests.runtime.test_zygote import zygotes_of

pytestmark = pytest.mark.process

ORPHAN = "sleep 1000 >/dev/null 2>&1 & echo $!"
IMPORTED = """
import subprocess
from actors import Actor, message

STARTED = int(subprocess.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], capture_output=True).stdout)

class Importing(Actor):
    @message
    def started(self) -> int:
        return STARTED
"""
SYSTEM = """
import os, resource, subprocess, sys, time
from actors import Actor, child, message
from runtime import Supervisor

if "low" in sys.argv:
    resource.setrlimit(10, (5, 5))

class Parent(Actor):
    @message
    def orphan(self, command: str) -> int:
        return int(subprocess.run(["sh", "-c", command], capture_output=True).stdout)
    @message
    def pid(self) -> int:
        return os.getpid()

def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

def ends(pid):
    until = time.monotonic() + 5
    while exists(pid) and time.monotonic() < until:
        time.sleep(0.002)
    return not exists(pid)

with Supervisor("inside", max_restarts=100) as supervisor:
    living = supervisor.start(child(Parent), name="living")
    dying = supervisor.start(child(Parent), name="dying")
    kept = living.orphan("sleep 1000 >/dev/null 2>&1 & echo $!")
    gone = dying.orphan("sleep 1000 >/dev/null 2>&1 & echo $!")
    os.kill(dying.pid(), 9)
    print("swept", ends(gone), "kept", exists(kept), end=" ")
    if "low" not in sys.argv:
        print("reaped", ends(living.orphan("sleep 0.01 >/dev/null 2>&1 & echo $!")), end=" ")
    os.kill(living.pid(), 9)
    print("gone", ends(kept))
"""


class Parent(Actor):
    """Starts processes, its own and orphans."""

    def __init__(self) -> None:
        self._own: list[subprocess.Popen[bytes]] = []

    @message
    def orphan(self, command: str = ORPHAN) -> int:
        return int(subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout)

    @message
    def own(self, command: str) -> int:
        self._own.append(subprocess.Popen(["sh", "-c", command]))
        return self._own[-1].pid

    @message
    def forked(self, code: int) -> int:
        return os.fork() or os._exit(code)

    @message
    def codes(self, forked: int) -> list[int]:
        """Exit codes of all that were started, long after they have ended."""
        return [each.wait(5) for each in self._own] + [os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])]

    @message
    def pid(self) -> int:
        return os.getpid()


def exists(pid: int) -> bool:
    """It runs, or is a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_zombie(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def ends(pid: int) -> bool:
    return wait_until(lambda: not exists(pid))


def test_what_an_actor_daemonised_lives_on_when_another_is_killed_and_goes_with_its_own(start: Start) -> None:
    living, dying = start(child(Parent)), start(child(Parent))
    kept, left = living.orphan(), dying.orphan()

    os.kill(dying.pid(), signal.SIGKILL)

    assert ends(left)
    assert exists(kept)
    os.kill(living.pid(), signal.SIGKILL)
    assert ends(kept)


def test_what_an_actor_daemonised_lives_on_when_another_stops_in_order(system: Supervisor, start: Start) -> None:
    living, stopping = start(child(Parent)), start(child(Parent), name="stopping")
    kept, left = living.orphan(), stopping.orphan()

    system.stop("stopping")

    assert ends(left)
    assert exists(kept)


def test_what_a_thread_hosted_actor_daemonised_goes_with_its_process_only(start: Start) -> None:
    thread, other = start(child(Parent).options(host="thread")), start(child(Parent))
    kept, left = thread.orphan(), other.orphan()

    os.kill(other.pid(), signal.SIGKILL)
    assert ends(left)
    assert exists(kept)

    os.kill(thread.pid(), signal.SIGKILL)
    assert ends(kept)


def test_what_an_actor_daemonised_outlives_the_zygote(system: Supervisor, start: Start) -> None:
    living = start(child(Parent))
    kept = living.orphan()
    [zygote] = zygotes_of(system.pid)

    os.kill(zygote, signal.SIGKILL)

    assert start(child(Parent)).pid()  # there is another one
    assert exists(kept)


def test_what_an_import_started_outlives_actors_and_goes_with_the_zygote(
    nothing_left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "importing.py").write_text(IMPORTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    from importing import Importing  # type: ignore[import-not-found]  # made by this test

    os.kill(sys.modules["importing"].STARTED, signal.SIGKILL)  # our own import's
    with Supervisor("importing", max_restarts=10) as supervisor:
        kept = supervisor.start(child(Importing), name="importing").started()
        dying = supervisor.start(child(Parent), name="dying")
        left = dying.orphan()
        os.kill(dying.pid(), signal.SIGKILL)
        assert ends(left)
        assert exists(kept)

        [zygote] = zygotes_of(supervisor.pid)
        os.kill(zygote, signal.SIGKILL)
        assert ends(kept)


@pytest.mark.parametrize("host", ["process", "thread"])
def test_orphans_that_end_are_reaped_while_their_actor_lives(start: Start, host: str) -> None:
    living = start(child(Parent).options(host=host))

    ended = [living.orphan("sleep 0.01 >/dev/null 2>&1 & echo $!") for _ in range(20)]

    assert wait_until(lambda: not any(map(exists, ended)))


@pytest.mark.parametrize("host", ["process", "thread"])
def test_the_exit_codes_of_what_an_actor_starts_are_left_to_it(start: Start, host: str) -> None:
    living, dying = start(child(Parent).options(host=host)), start(child(Parent))
    own = [living.own(f"exit {code}") for code in (3, 4)]
    forked = living.forked(5)
    assert wait_until(lambda: all(map(is_zombie, [*own, forked])))

    ended, left = living.orphan("sleep 0.01 >/dev/null 2>&1 & echo $!"), dying.orphan()
    os.kill(dying.pid(), signal.SIGKILL)

    assert ends(ended)
    assert ends(left)
    assert living.codes(forked) == [3, 4, 5]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare(1)")
@pytest.mark.parametrize("proc", [["--mount-proc"], []], ids=["own /proc", "outer /proc"])
def test_in_a_pid_namespace_orphans_are_told_apart_too(nothing_left: Path, proc: list[str]) -> None:
    done = subprocess.run(
        ["unshare", "-pf", *proc, sys.executable, "-c", SYSTEM], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "swept True kept True reaped True gone True\n", done.stderr


def test_where_no_mark_can_be_put_on_orphans_are_told_apart_too(nothing_left: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SYSTEM, "low"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "swept True kept True gone True\n", done.stderr


def test_a_mark_names_its_owner_to_its_own_system_and_nobody_to_others() -> None:
    system, other = mark.new_system(), mark.new_system()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        mark.put_on(system)
        os.write(write, b"!")
        time.sleep(1000)
        os._exit(0)
    os.read(read, 1)

    owners = mark.owner_of(pid, system), mark.owner_of(pid, other), mark.owner_of(os.getpid(), system)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    as_zombie = mark.owner_of(pid, system)
    os.waitpid(pid, 0)

    assert owners == (pid, 0, 0)
    assert as_zombie == pid
    assert mark.owner_of(pid, system) == 0
    os.close(read)
    os.close(write)
