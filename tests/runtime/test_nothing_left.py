"""After any death nothing of ours is left: no process, no name; and the next start just works."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors import Actor, AlreadyRunning, NotFound, SystemGone, child, message
from actors.errors import NoSuchSystem
from runtime import Supervisor, connect, systems
from runtime.testing import processes_of, wait_until

pytestmark = pytest.mark.process

OWNER = """
import sys, time
from actors import Actor, child, message
from runtime import Supervisor

class Sleeper(Actor):
    def __init__(self):
        import subprocess
        self.kept = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    @message
    def hang(self):
        time.sleep(1000)

with Supervisor("owned") as supervisor:
    sleeper = supervisor.start(child(Sleeper), name="sleeper")
    sleeper.hang.tell()
    print("up", flush=True)
    sys.stdin.read()
"""


class Orphaner(Actor):
    """Leaves processes behind: in its own group, and in a session of their own."""

    @message
    def spawn(self) -> list[int]:
        kept = subprocess.Popen(["sleep", "1000"])
        apart = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        return [kept.pid, apart.pid]

    @message
    def pid(self) -> int:
        return os.getpid()


def _pid_named(directory: Path, comm: str) -> int:
    for pid in processes_of(directory):
        if Path(f"/proc/{pid}/comm").read_text().strip() == comm:
            return pid
    raise AssertionError(f"no process {comm}")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter: between its open and its read
        return True


def _owner(directory: Path) -> subprocess.Popen[str]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    return owner


def _end(owner: subprocess.Popen[str]) -> None:
    owner.wait(10)
    for stream in (owner.stdin, owner.stdout):
        assert stream is not None
        stream.close()


def test_nothing_is_left_when_the_owner_is_killed(nothing_left: Path) -> None:
    owner = _owner(nothing_left)

    owner.kill()

    assert wait_until(lambda: not processes_of(nothing_left), 1.5)
    assert not nothing_left.exists()
    _end(owner)


def test_nothing_is_left_when_the_supervisor_is_killed(nothing_left: Path) -> None:
    owner = _owner(nothing_left)

    os.kill(_pid_named(nothing_left, "understudy-sup"), signal.SIGKILL)

    assert wait_until(lambda: set(processes_of(nothing_left)) == {owner.pid}, 1.5)
    assert wait_until(lambda: not nothing_left.exists(), 1.5)
    assert owner.stdin is not None
    owner.stdin.close()
    assert owner.wait(10) == 0
    _end(owner)


def test_nothing_is_left_when_the_warden_is_killed(nothing_left: Path) -> None:
    owner = _owner(nothing_left)

    os.kill(_pid_named(nothing_left, "understudy"), signal.SIGKILL)

    assert wait_until(lambda: set(processes_of(nothing_left)) == {owner.pid}, 1.5)
    assert owner.stdin is not None
    owner.stdin.close()
    owner.wait(10)
    _end(owner)
    with Supervisor("owned") as supervisor:  # the next start clears what is stale
        assert supervisor.children() == []


def test_a_start_of_any_name_clears_what_a_system_that_was_killed_as_a_whole_left(nothing_left: Path) -> None:
    owner = _owner(nothing_left)
    for pid in processes_of(nothing_left):
        os.kill(pid, signal.SIGKILL)
    _end(owner)
    assert wait_until(lambda: not processes_of(nothing_left))
    left = nothing_left / "owned"
    assert (left / "children" / "sleeper").exists()

    with Supervisor("another"):
        assert wait_until(lambda: not left.exists())


@pytest.mark.parametrize("name", ["owned", "another"])
def test_a_start_ends_what_the_actors_of_a_system_that_was_killed_as_a_whole_had_started(
    nothing_left: Path, name: str
) -> None:
    owner = _owner(nothing_left)
    for comm in ("understudy", "understudy-sup"):
        os.kill(_pid_named(nothing_left, comm), signal.SIGSTOP)
    for comm in ("understudy", "understudy-sup"):
        os.kill(_pid_named(nothing_left, comm), signal.SIGKILL)
    owner.kill()
    _end(owner)

    with Supervisor(name):
        assert wait_until(lambda: not [pid for pid in processes_of(nothing_left) if _is_asleep(pid)])


def _is_asleep(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n" and not _is_gone(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_actors_live_on_when_the_zygote_is_killed(supervisor: Supervisor, runtime_directory: Path) -> None:
    first = supervisor.start(child(Orphaner), name="first")
    pid = first.pid()

    os.kill(_pid_named(runtime_directory, "understudy-zyg"), signal.SIGKILL)

    assert first.pid() == pid
    assert supervisor.start(child(Orphaner), name="second").pid() != pid
    os.kill(pid, signal.SIGKILL)
    assert first.pid() != pid


def test_a_hanging_zygote_is_replaced(supervisor: Supervisor, runtime_directory: Path) -> None:
    supervisor.start(child(Orphaner), name="first")
    os.kill(_pid_named(runtime_directory, "understudy-zyg"), signal.SIGSTOP)

    with pytest.raises(Exception, match="did not return in time"):
        supervisor.start(child(Orphaner), name="second", ready=0.3)

    assert supervisor.start(child(Orphaner), name="third").pid()


def test_what_an_actor_started_goes_with_it(supervisor: Supervisor) -> None:
    orphaner = supervisor.start(child(Orphaner), name="orphaner")
    kept, apart = orphaner.spawn()

    os.kill(orphaner.pid(), signal.SIGKILL)

    assert wait_until(lambda: _is_gone(kept) and _is_gone(apart), 1.0)


def test_a_second_supervisor_of_the_same_name_is_refused_with_the_pid(supervisor: Supervisor) -> None:
    with pytest.raises(AlreadyRunning) as caught, Supervisor("test"):
        pass

    assert caught.value.pid > 0
    assert supervisor.children() == []
    assert systems() == ["test"]


def test_the_name_is_free_again_after_a_normal_end(nothing_left: Path) -> None:
    for _ in range(2):
        with Supervisor("again") as supervisor:
            assert supervisor.start(child(Orphaner), name="one").pid()


def test_a_call_to_a_system_that_is_gone_says_so(nothing_left: Path) -> None:
    with Supervisor("test") as supervisor:
        orphaner = supervisor.start(child(Orphaner), name="orphaner")
        orphaner.pid()
        supervisor.kill()
        with pytest.raises((SystemGone, NoSuchSystem)):
            for _ in range(1000):
                orphaner.pid()


def test_connect_attaches_and_leaves_the_system_running(supervisor: Supervisor) -> None:
    supervisor.start(child(Orphaner), name="orphaner")

    with connect("test") as attached:
        assert attached["orphaner"].pid() == supervisor["orphaner"].pid()

    assert supervisor["orphaner"].pid()
    with pytest.raises(NotFound):
        _ = supervisor["nobody"].pid


def test_connecting_to_nothing_says_so(nothing_left: Path) -> None:
    with pytest.raises(NoSuchSystem), connect("nothing"):
        pass
