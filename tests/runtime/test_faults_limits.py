"""What a machine has no more of: descriptors, processes, room, memory. An error where it was asked for; the rest lives.

Each with a real limit: prlimit(2) on a running process, a full tmpfs in a mount namespace, /dev/full, a cgroup.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, ActorError, Mailbox, OutOfMemory, StartFailed, SystemGone, child, message
from actors.child import Host
from runtime import Supervisor, connect
from runtime.connection import Connection
from runtime.mailbox.box import Box
from runtime.testing import wait_until
from runtime.wire import answer, stream
from tests.runtime.cast import Counter, Echo, Keeper, bodies_of, descriptors_of

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system, or make a cgroup")


@contextlib.contextmanager
def _limited(pid: int, kind: int, soft: int) -> Iterator[None]:
    """A process under a lower limit."""
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("left", range(8))
def test_a_supervisor_without_descriptors_refuses_starts_and_everything_else_lives(
    supervisor: Supervisor, left: int
) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    pid = counter.pid()
    used = len(descriptors_of(supervisor.pid))

    with _limited(supervisor.pid, resource.RLIMIT_NOFILE, used + left):
        refused = []
        for n in range(4):
            try:
                supervisor.start(child(Counter), name=f"more{n}", ready=2.0)
            except ActorError as exc:
                refused.append(exc)
        assert len(refused) >= 3
        assert not [exc for exc in refused if isinstance(exc, SystemGone)]
        assert all("Too many open files" in str(exc) for exc in refused)
        assert counter.pid() == pid
        before = _cpu_ticks(supervisor.pid)
        assert not wait_until(lambda: _cpu_ticks(supervisor.pid) - before > 20, 0.4)  # 20 ticks: half of that time

    assert supervisor.start(child(Counter), name="again").add(1) == 1
    assert counter.pid() == pid
    assert len(descriptors_of(supervisor.pid)) < used + 30


@pytest.mark.parametrize("kind", ["thread", "snapshots"])
@pytest.mark.parametrize("left", range(2, 9))
def test_whatever_a_start_needs_a_descriptor_for_it_is_refused_without_one(
    supervisor: Supervisor, left: int, kind: str
) -> None:
    spec = child(Counter).options(host="thread") if kind == "thread" else child(Keeper)
    supervisor.start(child(Counter), name="first")

    with _limited(supervisor.pid, resource.RLIMIT_NOFILE, len(descriptors_of(supervisor.pid)) + left):
        refused = []
        for n in range(4):
            try:
                supervisor.start(spec, name=f"more{n}")
            except ActorError as exc:
                refused.append(str(exc))
        assert len(refused) >= 3
        assert all("Too many open files" in text for text in refused)

    assert supervisor.start(child(Counter), name="again").add(1) == 1


def test_an_answer_that_needs_a_descriptor_is_an_error_and_its_line_lives(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="counter")
    lines = len(descriptors_of(supervisor.pid))

    with _limited(supervisor.pid, resource.RLIMIT_NOFILE, lines):
        with pytest.raises(ActorError, match="Too many open files") as caught:
            supervisor["counter"].add(1)
        assert not isinstance(caught.value, SystemGone)
        assert [status.path for status in supervisor.children()] == ["counter"]

    assert supervisor["counter"].add(1) == 1


def test_who_connects_when_the_supervisor_has_no_descriptors_is_told_so_each_time(supervisor: Supervisor) -> None:
    with _limited(supervisor.pid, resource.RLIMIT_NOFILE, len(descriptors_of(supervisor.pid))):
        for _ in range(3):
            with pytest.raises(ActorError, match="Too many open files"), connect(supervisor.name):
                pass

    with connect(supervisor.name) as other:
        assert other.children() == []


def test_an_answer_that_is_too_large_is_an_error_and_its_line_lives() -> None:
    ours, theirs = socket.socketpair()
    answered = stream.Channel(theirs)
    connection = Connection(Mouth(), stream.Channel(ours))  # type: ignore[arg-type]  # all it needs of a desk

    connection.answer("x" * stream.LIMIT)
    connection.answer("more")

    for expected in ("too large", "more"):
        while (body := answered.take()) is None:
            answered.feed()
        assert expected in str(answer.decode_answer(body))
    ours.close()
    theirs.close()


def test_a_request_that_is_too_large_is_an_error_and_its_line_lives(supervisor: Supervisor) -> None:
    with pytest.raises(ActorError, match="expected at most") as caught:
        supervisor.why("x" * (1 << 20))

    assert not isinstance(caught.value, SystemGone)
    assert supervisor.children() == []


class Mouth:
    """Sends what connections say."""

    def flush(self, connection: Connection) -> None:
        connection.channel.flush()


def test_a_zygote_that_dies_when_there_are_no_descriptors_is_replaced(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    pid = counter.pid()

    with _limited(supervisor.pid, resource.RLIMIT_NOFILE, 3):
        [zygote] = [each for each in _zygotes_of(supervisor) if os.getpgid(each) == each]
        os.kill(zygote, signal.SIGKILL)
        assert wait_until(lambda: not Path(f"/proc/{zygote}").exists())
        assert counter.pid() == pid

    assert supervisor.start(child(Counter), name="again").add(1) == 1
    assert counter.pid() == pid


@pytest.mark.parametrize("left", range(4, 8))
def test_a_start_for_which_no_zygote_can_be_had_waits_no_longer_than_it_may_and_says_why(
    supervisor: Supervisor, left: int
) -> None:
    supervisor.start(child(Counter), name="counter")

    with _limited(supervisor.pid, resource.RLIMIT_NOFILE, len(descriptors_of(supervisor.pid)) + left):
        refused = []
        for n in range(4):
            for pid in _zygotes_of(supervisor):
                os.kill(pid, signal.SIGKILL)
            try:
                supervisor.start(child(Counter), name=f"more{n}", ready=0.5)
            except ActorError as exc:
                refused.append(str(exc))
        assert len(refused) >= 2
        assert all("Too many open files" in text for text in refused)

    assert supervisor.start(child(Counter), name="again").add(1) == 1


def _zygotes_of(supervisor: Supervisor) -> list[int]:
    """The zygote and its spares."""
    children = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent_of(entry) == supervisor.pid]
    return [pid for pid in children if _command_of(pid) == "understudy-zyg"]


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it has ended meanwhile
        return ""


class Climber(Actor):
    """Asks a peer it has never asked, with no descriptor left."""

    @message
    def ask_without_descriptors(self, peer: Any) -> str:
        low = len(os.listdir("/proc/self/fd")) - 1
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, before[1]))
        try:
            peer.add(1)
        except (ActorError, OSError) as exc:
            return type(exc).__name__
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        return "answered"

    @message
    def ask(self, peer: Any) -> int:
        return int(peer.add(1))

    @message
    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))


def test_a_sender_without_descriptors_gets_an_error_and_nothing_is_half_open(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    climber = supervisor.start(child(Climber), name="climber")
    before = climber.descriptors()

    error = climber.ask_without_descriptors(counter)

    assert error != "answered"
    assert climber.descriptors() <= before + 1
    assert climber.ask(counter) == 1


@pytest.fixture
def process_group() -> Iterator[Path]:
    """A cgroup that allows no process more than it has; one that is not to be had skips the test."""
    yield from _cgroup("pids", "pids.max", "1")


def test_where_no_process_can_be_forked_a_start_fails_and_the_others_live(
    supervisor: Supervisor, process_group: Path
) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    pid = counter.pid()
    for forker in _zygotes_of(supervisor):
        (process_group / "cgroup.procs").write_text(str(forker))

    failed = []
    for n in range(6):  # spares, which are forked already, take the first ones
        try:
            supervisor.start(child(Counter), name=f"more{n}", ready=2.0)
        except StartFailed as exc:
            failed.append(str(exc))
    (process_group / "pids.max").write_text("max")

    assert len(failed) >= 4
    assert all("fork" in text for text in failed)
    assert counter.pid() == pid
    assert supervisor.start(child(Counter), name="again").add(1) == 1


def test_a_mailbox_that_the_kernel_refuses_is_a_failed_start_and_leaves_nothing(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    two = [os.dup(0), os.dup(0)]  # both FIFOs, and no page
    for fd in two:
        os.close(fd)
    with _limited(os.getpid(), resource.RLIMIT_NOFILE, two[1] + 1), pytest.raises(OSError, match="Too many open files"):
        Box(str(tmp_path), "children/one", 4096)

    assert len(os.listdir("/proc/self/fd")) == before
    assert not (tmp_path / "children/one").exists()


FULL = """
import os, sys, threading
from actors import ActorError, child
from runtime import Supervisor
from tests.runtime.cast import Counter

def ask_in_a_thread():
    try:
        counter.add(0)
    except ActorError as exc:  # its reply FIFO cannot be made
        print(type(exc).__name__, "No space left" in str(exc))

with Supervisor("full") as supervisor:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add(0)
    free = os.statvfs(os.environ["UNDERSTUDY_DIR"]).f_ffree
    for n in range(free):
        try:
            os.mkdir(f"{os.environ['UNDERSTUDY_DIR']}/filler{n}")
        except OSError:
            break
    try:
        supervisor.start(child(Counter), name="more")
    except ActorError as exc:
        print(type(exc).__name__, "No space left" in str(exc))
    thread = threading.Thread(target=ask_in_a_thread)
    thread.start()
    thread.join()
    assert counter.add(1) == 1
    for entry in os.listdir(os.environ["UNDERSTUDY_DIR"]):
        if entry.startswith("filler"):
            os.rmdir(f"{os.environ['UNDERSTUDY_DIR']}/{entry}")
    assert supervisor.start(child(Counter), name="again").add(1) == 1
"""


@needs_root
def test_a_runtime_directory_without_room_is_a_failed_start_and_the_others_live(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o nr_inodes=40,size=64k,mode=700 tmpfs {tmp_path} && exec "$@"'
    # its own mounts: nobody else sees the small file system
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", FULL]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env={**os.environ, "UNDERSTUDY_DIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "StartFailed True\nActorError True\n"


LOGGING = """
import os, signal
from actors import Actor, child, message
from runtime import Supervisor

class Talker(Actor):
    @message
    def talk(self) -> str:
        self.context.log.warning("said", words="x" * 3000)
        return "said"
    @message
    def fail(self):
        raise ValueError
    @message
    def pid(self) -> int:
        return os.getpid()

with Supervisor("talk") as supervisor:
    talker = supervisor.start(child(Talker), name="talker")
    print({talker.talk() for _ in range(20)})
    talker.fail.tell()
    for _ in range(2):
        pid = talker.pid()
        os.kill(pid, signal.SIGKILL)
        assert talker.pid() != pid
    print(supervisor.status()[0].restarts, flush=True)
"""


@pytest.mark.parametrize("log", ["a full disk", "a closed pipe"])
def test_a_log_that_cannot_be_written_stops_neither_an_actor_nor_its_supervisor(
    runtime_directory: Path, log: str
) -> None:
    if log == "a full disk":
        stderr = os.open("/dev/full", os.O_WRONLY)
    else:
        read, stderr = os.pipe()
        os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=30, cwd=ROOT
        )
    finally:
        os.close(stderr)

    assert done.stdout == "{'said'}\n2\n"


FULL_LOG = """
import json, os, signal, sys
from actors import child
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.test_faults_limits import Talker

directory = sys.argv[1]
log = os.open(f"{directory}/log", os.O_CREAT | os.O_RDWR | os.O_APPEND)
os.dup2(log, 2)
with Supervisor("talk") as supervisor:
    talker = supervisor.start(child(Talker), name="talker")
    victim = supervisor.start(child(Talker), name="victim")
    lost = lambda: supervisor.children()[0].lost_lines
    talker.talk("before", 10)
    assert lost() == 0
    with open(f"{directory}/filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(512))
        except OSError:
            pass
    for n in range(20):
        assert talker.talk("meanwhile", 6000) == "said"
    assert lost() == 20
    os.kill(victim.pid(), signal.SIGKILL)
    assert wait_until(lambda: supervisor.children()[1].restarts == 1)
    assert lost() == 20
    os.unlink(f"{directory}/filler")
    talker.talk("after", 10)
    os.kill(talker.pid(), signal.SIGKILL)
    assert wait_until(lambda: supervisor.children()[0].restarts == 1)
    assert lost() == 20
os.lseek(log, 0, os.SEEK_SET)
for line in os.read(log, 1 << 20).decode().splitlines():
    try:
        said = json.loads(line)
    except ValueError:
        continue
    print(said.get("actor", ""), said["event"], said.get("what", said.get("count", "")))
"""


class Talker(Actor):
    """Logs what it is told to."""

    @message
    def talk(self, what: str, size: int) -> str:
        self.context.log.warning("said", what=what, words="x" * size)
        return "said"

    @message
    def pid(self) -> int:
        return os.getpid()


@needs_root
def test_log_lines_that_a_full_disk_refuses_are_counted_and_said_to_be_missing_when_there_is_room(
    tmp_path: Path, runtime_directory: Path
) -> None:
    mounted = f'mount -t tmpfs -o size=16k tmpfs {tmp_path} && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", FULL_LOG, str(tmp_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30, cwd=ROOT)

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "talker said before"
    assert "talker said after" in lines
    assert "talker log lines could not be written 20" in lines
    assert [line for line in lines if line.startswith(" log lines could not be written")]  # the supervisor's own


class Glutton(Actor):
    """Takes all the memory it can get."""

    @message
    def enter(self, group: str) -> int:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
        return os.getpid()

    @message
    def eat(self) -> None:
        eaten = []
        while True:
            eaten.append(bytearray(b"x") * (1 << 20))


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A cgroup of 64 MiB; one that is not to be had skips the test."""
    yield from _cgroup("memory", "memory.limit_in_bytes", str(64 << 20))


def test_an_actor_that_the_kernel_ends_for_its_memory_is_a_death_and_is_restarted(
    supervisor: Supervisor, memory_group: Path
) -> None:
    glutton = supervisor.start(child(Glutton), name="glutton")
    pid = glutton.enter(str(memory_group))

    with pytest.raises(ActorDied) as caught:
        glutton.eat()

    assert caught.value.certificate.signal == "SIGKILL"
    assert caught.value.delivered == "started"
    assert supervisor["glutton"].enter(str(memory_group.parent)) != pid


def test_memory_for_a_large_body_that_cannot_be_had_is_an_error_in_the_sender(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    with _limited(supervisor.pid, resource.RLIMIT_FSIZE, 1 << 20):
        with pytest.raises(ActorError, match="File too large"):
            echo.echo(bytes(4 << 20))
        assert echo.echo(b"small") == b"small"

    assert echo.echo(bytes(4 << 20)) == bytes(4 << 20)


class Porter(Actor):
    """Takes, asks for and lends large payloads."""

    @message
    def take(self, load: bytes | memoryview) -> int:
        return len(load)

    @message
    def make(self, nbytes: int) -> memoryview:
        return memoryview(bytes(nbytes))

    @message
    def fetch(self, other: "Porter", nbytes: int) -> str:
        try:
            return f"{len(other.make(nbytes))} bytes"
        except OutOfMemory as exc:
            return str(exc)

    @message
    def lend(self, nbytes: int) -> str:
        try:
            return f"{len(self.context.empty(nbytes))} bytes"
        except OutOfMemory as exc:
            return str(exc)

    @message
    def pid(self) -> int:
        return os.getpid()


@contextlib.contextmanager
def _narrowed(pid: int, spare: int) -> Iterator[None]:
    """A process with no more address space than what it has, and so much."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    with _limited(pid, resource.RLIMIT_AS, pages * resource.getpagesize() + spare):
        yield


@pytest.mark.parametrize("host", ["process", "thread"])
def test_a_payload_that_cannot_be_mapped_is_an_error_of_its_message_and_is_given_back(
    supervisor: Supervisor, host: Host
) -> None:
    maker = supervisor.start(child(Porter), name="maker")
    porter = supervisor.start(child(Porter), name="porter", host=host)
    pid, large = porter.pid(), 64 << 20

    with _narrowed(pid, large // 2):
        with pytest.raises(OutOfMemory, match=f"a large payload cannot be mapped in process {pid}"):
            porter.take(bytes(large))
        assert "a large payload cannot be mapped" in porter.fetch(maker, large)
        assert "a large payload cannot be mapped" in porter.lend(large)
        assert porter.take(bytes(100_000)) == 100_000
        assert porter.pid() == pid
        assert wait_until(lambda: bodies_of(supervisor) == 0)

    assert porter.take(bytes(large)) == large
    assert porter.fetch(maker, large) == f"{large} bytes"
    assert porter.lend(large) == f"{large} bytes"
    assert porter.pid() == pid


def test_what_stays_mapped_to_be_used_again_makes_room_for_what_arrives(supervisor: Supervisor) -> None:
    porter = supervisor.start(child(Porter), name="porter")
    assert porter.take(memoryview(bytes(20 << 20))) == 20 << 20

    with _narrowed(porter.pid(), 10 << 20):
        assert porter.take(memoryview(bytes(25 << 20))) == 25 << 20


def test_a_mailbox_that_is_granted_less_than_was_asked_for_still_works(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter", mailbox=Mailbox(1 << 20))

    (status,) = supervisor.children()
    assert 4096 <= status.mailbox_bytes <= 1 << 20
    assert counter.add(1) == 1
    with pytest.raises(StartFailed):
        supervisor.start(child(Unstartable), name="unstartable")


class Unstartable(Actor):
    """Has no descriptor left for its own mailbox."""

    def on_start(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        open("/dev/null")


def _cgroup(controller: str, key: str, value: str) -> Iterator[Path]:
    group, unified = Path("/sys/fs/cgroup") / controller / f"understudy-{os.getpid()}", "memory.max"
    if not group.parent.is_dir():
        group, key = Path("/sys/fs/cgroup") / f"understudy-{os.getpid()}", unified if controller == "memory" else key
    try:
        group.mkdir()
        (group / key).write_text(value)
    except OSError as exc:
        pytest.skip(f"no cgroup: {exc}")
    yield group
    assert wait_until(lambda: _is_left(group))
    group.rmdir()


def _is_left(group: Path) -> bool:
    """Move whoever is in a cgroup out of it; True when nobody was."""
    pids = (group / "cgroup.procs").read_text().split()
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            (group.parent / "cgroup.procs").write_text(pid)
    return not pids


def _parent_of(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0
