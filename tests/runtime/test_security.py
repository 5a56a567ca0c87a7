"""Nobody gets in: who listens, what another user can do, what is inherited, which directories are refused.

The model: docs/reference/security.md.
"""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors import Actor, child, message
from actors.errors import UnsafeDirectory
from runtime import Supervisor, connect
from runtime.claim import claim
from runtime.directory import LOCK, MARK
from runtime.testing import processes_of
from runtime.wire import control, stream
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
NOBODY = 65534
LISTENING = 0x10000  # SO_ACCEPTCON in /proc/net/unix
_PTRACE_ATTACH = 16
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")


# ---- 1: who listens


def _sockets_of(pids: list[int]) -> set[int]:
    found = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def test_nothing_listens_but_the_control_socket_and_no_socket_has_an_abstract_name(
    nothing_left: Path, supervisor: Supervisor
) -> None:
    supervisor.start(child(Counter), name="counter", understudies=1).add(1)
    inodes = _sockets_of(processes_of(nothing_left))

    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/net/{protocol}")
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        assert not inodes & {int(row.split()[9]) for row in rows}
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()[1:]]
    ours = [row for row in rows if int(row[6]) in inodes]
    named = [row[7] for row in ours if len(row) > 7]
    assert len([row for row in ours if int(row[3], 16) & LISTENING]) == 1
    assert named
    assert all(name.endswith("/control") and not name.startswith("@") for name in named)
    listening = [path for path in nothing_left.rglob("*") if path.is_socket()]
    assert listening == [nothing_left / "test/control"]


# ---- 2: as somebody else


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


@pytest.fixture
def open_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory at a place that everybody can get to: only its own mode protects it."""
    directory = Path(f"/dev/shm/understudy-test-{os.getpid()}")
    monkeypatch.setenv("UNDERSTUDY_DIR", str(directory))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def _as_nobody(attempt: Callable[[], list[str]]) -> list[str]:
    """Run attempt() in a fork of another uid; what it got away with."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(write, json.dumps(attempt()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with open(read, "rb") as told:
        answer = told.read()
    assert os.waitpid(pid, 0)[1] == 0
    found: list[str] = json.loads(answer)
    return found


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)


def _attach(pid: int) -> None:
    if ctypes.CDLL(None, use_errno=True).ptrace(_PTRACE_ATTACH, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@needs_root
def test_another_user_can_open_connect_to_signal_and_look_into_nothing(open_directory: Path) -> None:
    with Supervisor("test") as supervisor:
        supervisor.start(child(Counter), name="counter").add(1)
        pids = [pid for pid in processes_of(open_directory) if pid != os.getpid()]
        paths = [str(path) for path in (open_directory, *open_directory.rglob("*"))]
        descriptors = [str(entry) for pid in pids for entry in Path(f"/proc/{pid}/fd").iterdir()]

        def attempt() -> list[str]:
            found = []
            for path in [*paths, *descriptors]:
                ways = (os.O_RDONLY | os.O_NONBLOCK, os.O_WRONLY | os.O_NONBLOCK)
                if any(_succeeds(lambda path=path, way=way: os.open(path, way)) for way in ways):
                    found.append(f"opened {path}")
                if _succeeds(lambda path=path: _connect(path)):
                    found.append(f"connected to {path}")
            for pid in pids:
                found += [
                    f"{name} of {pid}"
                    for name, look in {
                        "signal": lambda pid=pid: os.kill(pid, 0),
                        "ptrace": lambda pid=pid: _attach(pid),
                        "memory": lambda pid=pid: open(f"/proc/{pid}/mem", "rb").close(),
                        "environment": lambda pid=pid: open(f"/proc/{pid}/environ", "rb").close(),
                        "descriptors": lambda pid=pid: os.listdir(f"/proc/{pid}/fd"),
                        "maps": lambda pid=pid: open(f"/proc/{pid}/maps", "rb").read(1),
                    }.items()
                    if _succeeds(look)
                ]
            return found

        assert len(paths) > 5
        assert len(pids) >= 4
        assert _as_nobody(attempt) == []


@needs_root
def test_another_user_who_gets_through_to_the_socket_is_turned_away(open_directory: Path) -> None:
    with Supervisor("test") as supervisor:
        opened = (open_directory, open_directory / "test", open_directory / "test/control")
        for path in opened:
            path.chmod(0o777)
        try:

            def attempt() -> list[str]:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.settimeout(10)
                sock.connect(str(open_directory / "test/control"))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    sock.sendall(_framed(stream.encode(control.Hello(pid=1))))
                    return [sock.recv(100).hex()]
                return [""]

            assert _as_nobody(attempt) == [""]  # closed, and nothing was said
            with pytest.raises(UnsafeDirectory), connect("test"):
                pass
        finally:
            for path in opened:
                path.chmod(0o700)
        assert supervisor.start(child(Counter), name="counter").add(1) == 1


# ---- 6: modes


def test_every_name_in_the_runtime_directory_is_ours_alone(supervisor: Supervisor, nothing_left: Path) -> None:
    supervisor.start(child(Counter), name="counter").add(1)
    modes = {stat.S_IFDIR: 0o700, stat.S_IFIFO: 0o600, stat.S_IFSOCK: 0o600, stat.S_IFREG: 0o600}
    found = [nothing_left, *nothing_left.rglob("*")]

    for path in found:
        status = path.lstat()
        assert status.st_uid == os.geteuid(), path
        assert stat.S_IMODE(status.st_mode) == modes[stat.S_IFMT(status.st_mode)], path
    assert len(found) > 6


# ---- 7: what children inherit


class Launcher(Actor):
    """Starts a program that says which descriptors it has."""

    @message
    def run(self) -> list[str]:
        return _inherited()


_SAY = """
import os
for fd in os.listdir("/proc/self/fd"):
    if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}"):
        print(os.readlink(f"/proc/self/fd/{fd}"))
"""


def _inherited() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SAY], close_fds=False, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.split()


def test_a_program_that_an_actor_or_its_caller_starts_inherits_none_of_our_descriptors(supervisor: Supervisor) -> None:
    before = _inherited()
    launcher = supervisor.start(child(Launcher), name="launcher")

    assert launcher.run() == []
    assert _inherited() == before


# ---- 8: planted directories


def _planted(place: Path, what: str) -> None:
    """Put what is not safe in the place of a directory."""
    place.parent.mkdir(mode=0o700, exist_ok=True)
    elsewhere = place.parent.parent / "elsewhere"
    match what:
        case "a symbolic link":
            elsewhere.mkdir(mode=0o700)
            place.symlink_to(elsewhere)
        case "a file":
            place.touch(0o600)
        case "of another owner":
            place.mkdir(mode=0o700)
            os.chown(place, NOBODY, NOBODY)
        case mode:
            place.mkdir()
            place.chmod(int(mode, 8))


@pytest.mark.parametrize("level", ["the parent", "the system's own"])
@pytest.mark.parametrize(
    "what",
    ["a symbolic link", "a file", pytest.param("of another owner", marks=needs_root), "770", "720", "701", "755"],
)
def test_a_runtime_directory_that_may_be_open_to_others_is_refused(
    runtime_directory: Path, level: str, what: str
) -> None:
    _planted(runtime_directory if level == "the parent" else runtime_directory / "test", what)
    umask = os.umask(0o022)
    try:
        with pytest.raises(UnsafeDirectory) as refused:
            claim("test")
    finally:
        os.umask(umask)

    assert str(runtime_directory) in str(refused.value)
    with pytest.raises(UnsafeDirectory), connect("test"):
        pass


def test_a_start_in_a_directory_that_may_be_open_to_others_says_so_and_leaves_no_process(
    runtime_directory: Path,
) -> None:
    _planted(runtime_directory, "755")

    with pytest.raises(UnsafeDirectory, match="expected mode 0700, got 0755"), Supervisor("test"):
        pass

    assert not processes_of(runtime_directory)


def test_links_planted_inside_are_removed_and_never_followed(nothing_left: Path) -> None:
    victim = nothing_left.parent / "victim"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    system = nothing_left / "test"
    system.mkdir(mode=0o700, parents=True)
    nothing_left.chmod(0o700)
    (system / LOCK).write_bytes(MARK + b"4711\n")  # of a system that was killed
    for name in ("children", "replies", "control"):
        (system / name).symlink_to(victim)

    with Supervisor("test") as supervisor:
        assert supervisor.start(child(Counter), name="counter").add(1) == 1

    assert [path.name for path in victim.iterdir()] == ["kept"]


def test_a_lock_that_is_a_link_is_refused_and_its_target_untouched(runtime_directory: Path) -> None:
    victim = runtime_directory.parent / "victim"
    victim.write_text("kept")
    (runtime_directory / "test").mkdir(mode=0o700, parents=True)
    runtime_directory.chmod(0o700)
    (runtime_directory / "test/lock").symlink_to(victim)

    with pytest.raises(UnsafeDirectory, match="expected the lock of a system"), Supervisor("test"):
        pass

    assert victim.read_text() == "kept"


# ---- 10: bounds


def _bounds_of(pid: int) -> tuple[str, str, str, bool]:
    """No new privileges, umask, core files, and whether its descriptors go up to the hard limit."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
    [core] = [row[26:].split() for row in rows if row.startswith("Max core file size")]
    [files] = [row[26:].split() for row in rows if row.startswith("Max open files")]
    return status["NoNewPrivs"].strip(), status["Umask"].strip(), core[0], files[0] == files[1]


def test_every_process_of_a_system_is_bound(supervisor: Supervisor, nothing_left: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter")

    pids = processes_of(nothing_left)

    assert {supervisor.pid, counter.pid()} < set(pids)
    assert len(pids) >= 4  # the warden and the zygote too
    assert {_bounds_of(pid) for pid in pids} == {("1", "0077", "0", True)}


def test_new_privileges_are_left_to_a_system_that_asks_for_them(
    nothing_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_NEW_PRIVILEGES", "1")
    with Supervisor("free") as supervisor:
        supervisor.start(child(Counter), name="counter")

        assert {_bounds_of(pid) for pid in processes_of(nothing_left)} == {("0", "0077", "0", True)}


def test_a_system_with_few_descriptors_says_so(nothing_left: Path) -> None:
    limited = 'ulimit -n 500 && exec "$@"'
    code = 'from runtime import Supervisor\nwith Supervisor("few"): pass'
    done = subprocess.run(
        ["sh", "-c", limited, "sh", sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr
    assert "few descriptors" in done.stderr
    assert '"limit": 500' in done.stderr
