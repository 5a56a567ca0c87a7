"""Nobody gets in: who can reach what, tried as another user, with a canary in every pocket. The model: docs/reference/security.md."""

import contextlib
import ctypes
import itertools
import json
import os
import pickle
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from actors import Actor, ActorDied, NoSuchMessage, child, message
from actors.errors import BootFailed, NotAMessage, UnsafeDirectory
from runtime import Supervisor, connect, directory
from runtime.desk import _HANDLERS
from runtime.mailbox import fifo
from runtime.testing import processes_of, wait_until
from runtime.wire import control, frame
from runtime.wire import line as lines
from tests.runtime.cast import Counter, Gate

pytestmark = pytest.mark.process

NOBODY = 65534
LISTENING = 0x10000  # SO_ACCEPTCON in /proc/net/unix
_PTRACE_ATTACH = 16
ROOT = Path(__file__).parents[2]
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
                for flags in (os.O_RDONLY | os.O_NONBLOCK, os.O_WRONLY | os.O_NONBLOCK):
                    if _succeeds(lambda path=path, flags=flags: os.open(path, flags)):
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
                    sock.sendall(_framed(control.encode(control.Hello(pid=1))))
                    return [sock.recv(100).hex()]
                return [""]

            assert _as_nobody(attempt) == [""]  # closed, and nothing was said
            with pytest.raises(UnsafeDirectory), connect("test"):
                pass
        finally:
            for path in opened:
                path.chmod(0o700)
        assert supervisor.start(child(Counter), name="counter").add(1) == 1


# ---- 3: canaries


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (open, (str(self.file), "w"))


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


def _said(root: Path, raw: bytes) -> bytes:
    """What the control socket answers, until it hangs up or has nothing to say."""
    answer = b""
    with lines.connect(str(root / "test"), "test") as sock, contextlib.suppress(OSError):
        sock.settimeout(0.05)
        sock.sendall(raw)
        while part := sock.recv(1 << 16):
            answer += part
    return answer


def _pockets(canary: bytes) -> Iterator[Any]:
    """Every request, with the canary as the value of each of its fields in turn, and as one field more."""
    text = canary.decode("latin-1")
    for kind in _HANDLERS:
        tag = kind.__struct_config__.tag  # type: ignore[attr-defined]
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        for name in (*names, "more"):
            for value in (canary, text, msgpack.ExtType(5, canary), [canary], {"type": "worker", "payload": canary}):
                yield {"type": tag, **dict.fromkeys(names, 0), name: value}


def test_no_byte_that_comes_by_the_control_socket_is_ever_unpickled(
    supervisor: Supervisor, nothing_left: Path, tmp_path: Path
) -> None:
    hello = _framed(control.encode(control.Hello(pid=os.getpid())))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        canary = pickle.dumps(Canary(tmp_path / "canary"), protocol)
        for raw in (canary, _framed(canary), hello + canary, hello + _framed(canary)):
            _said(nothing_left, raw)
    canary = pickle.dumps(Canary(tmp_path / "canary"))
    for request in _pockets(canary):
        _said_quickly(nothing_left, hello + _framed(msgpack.packb(request)))

    assert supervisor.start(child(Counter), name="counter").add(1) == 1
    assert not (tmp_path / "canary").exists()


def _said_quickly(root: Path, raw: bytes) -> None:
    with lines.connect(str(root / "test"), "test") as sock, contextlib.suppress(OSError):
        sock.sendall(raw)


def test_in_a_mailbox_only_what_says_that_it_is_a_pickle_is_unpickled_and_only_by_the_actor(
    supervisor: Supervisor, nothing_left: Path, tmp_path: Path
) -> None:
    gate = supervisor.start(child(Gate), name="gate", drain="discard", shutdown=0.1)
    canary = pickle.dumps(Canary(tmp_path / "canary"))
    for lane in ("mailbox", "urgent"):
        fd = fifo.open_write(str(nothing_left / "test/children/gate" / lane))
        for raw in (canary, frame.tell(0, canary), frame.ask(0, canary, 1, 2, 0), frame.large(0, 0, 0, 0, 77)):
            os.write(fd, raw)
        os.close(fd)
    assert gate.notes() == []
    assert not (tmp_path / "canary").exists()

    fd = fifo.open_write(str(nothing_left / "test/children/gate/mailbox"))
    os.kill(gate.pid(), signal.SIGSTOP)
    os.write(fd, frame.tell(1, canary))
    os.close(fd)
    supervisor.stop("gate")  # the supervisor ends a mailbox without opening what is in it
    assert not (tmp_path / "canary").exists()


def test_a_reply_fifo_takes_no_answer_to_what_was_not_asked(
    supervisor: Supervisor, nothing_left: Path, tmp_path: Path
) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add(1)
    canary = pickle.dumps(Canary(tmp_path / "canary"))
    for entry in (nothing_left / "test/replies").iterdir():
        fd = fifo.open_write(str(entry))
        for raw in (canary, *(frame.reply(flags, 1, canary) for flags in (0, frame.PICKLED, frame.ERROR, frame.DEATH))):
            os.write(fd, raw)
        os.close(fd)

    assert counter.add(1) == 2
    assert not (tmp_path / "canary").exists()


# ---- 4: only messages can be reached


class Guarded(Actor):
    """Has much that is no message."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open_the_safe(self) -> None:
        self.opened.append("safe")

    def on_stop(self, reason: str) -> None:
        self.opened.append("stopped")

    @message
    def report(self) -> list[str]:
        return self.opened


@pytest.mark.parametrize(
    "name", ["open_the_safe", "on_stop", "on_start", "__init__", "__class__", "context", "opened", "report.__call__", ""]
)
def test_a_frame_made_by_hand_reaches_no_method_that_is_no_message(supervisor: Supervisor, name: str) -> None:
    guarded = supervisor.start(child(Guarded), name="guarded")

    with pytest.raises(NoSuchMessage):
        supervisor._endpoint.bind("guarded", name, _entry_of_report()).ask().result()
    if not name.startswith("__"):  # those are the reference's own, as every object has them
        with pytest.raises((NotAMessage, NoSuchMessage)):
            getattr(guarded, name)
    assert guarded.report() == []


def _entry_of_report() -> Any:
    return Guarded.__messages__["report"]


def test_the_control_socket_knows_a_fixed_set_of_requests_and_hangs_up_on_any_other(
    supervisor: Supervisor, nothing_left: Path
) -> None:
    hello = _framed(control.encode(control.Hello(pid=1)))
    welcome = _said(nothing_left, hello)

    for tag in ("exec", "eval", "import", "__class__", "shell", "", 7, None):
        said = _said(nothing_left, hello + _framed(msgpack.packb({"type": tag, "path": "os.system"})))
        assert len(said) == len(welcome)
    assert _said(nothing_left, _framed(control.encode(control.Status(path="", deep=True)))) == b""  # no hello
    assert supervisor.children() == []


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
    "what", ["a symbolic link", "a file", pytest.param("of another owner", marks=needs_root), "770", "720", "701", "755"]
)
def test_a_runtime_directory_that_may_be_open_to_others_is_refused(runtime_directory: Path, level: str, what: str) -> None:
    _planted(runtime_directory if level == "the parent" else runtime_directory / "test", what)
    umask = os.umask(0o022)
    try:
        with pytest.raises(UnsafeDirectory) as refused:
            directory.claim("test")
    finally:
        os.umask(umask)

    assert str(runtime_directory) in str(refused.value)
    with pytest.raises(UnsafeDirectory), connect("test"):
        pass


def test_a_start_in_a_directory_that_may_be_open_to_others_says_so_and_leaves_no_process(runtime_directory: Path) -> None:
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

    with pytest.raises((UnsafeDirectory, BootFailed)), Supervisor("test"):
        pass

    assert victim.read_text() == "kept"


# ---- 9: noise


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_noise_on_the_control_socket_neither_ends_the_supervisor_nor_makes_it_grow(
    supervisor: Supervisor, nothing_left: Path
) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    before = _resident_bytes(supervisor.pid)
    hello = _framed(control.encode(control.Hello(pid=1)))
    status = _framed(control.encode(control.Status(path="", deep=True)))
    noises = {
        "4 GB": (0xFFFFFFFF).to_bytes(4, "little") + b"x" * 60_000,
        "just over the limit": (control.LIMIT + 1).to_bytes(4, "little") + b"x" * 60_000,
        "nested arrays": _framed(b"\x91" * 10_000 + b"\xc0"),
        "nested maps": _framed(b"\x81\xa4type" * 10_000 + b"\xc0"),
        "nested in a field": _framed(b"\x83\xa4type\xa4boot\xa4tree" + b"\x91" * 10_000 + b"\xc0"),
        "an array of 4 billion": _framed(b"\xdd\xff\xff\xff\xff" + b"\xc0" * 50),
        "a string of 4 GB": _framed(b"\xdb\xff\xff\xff\xff" + b"x" * 50),
        "no UTF-8": _framed(b"\x82\xa4type\xa4open\xa4path\xa2\xff\xfe"),
        "cut short": status[:-3],
        "bit flipped": bytes([*status[:6], status[6] ^ 0x40, *status[7:]]),
        "empty": _framed(b""),
        "HTTP": b"GET / HTTP/1.1\r\nHost: evil\r\nOrigin: http://evil\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    }
    for noise, start in itertools.product(noises.values(), (b"", hello)):
        for _ in range(5):
            _said_quickly(nothing_left, start + noise)

    answered = connect("test")
    with answered:  # a new client is served
        assert answered["counter"].add(1) == 1
    assert counter.add(1) == 2
    assert _resident_bytes(supervisor.pid) - before < 50 << 20


def test_a_recorded_conversation_that_is_played_again_does_nothing_twice(
    supervisor: Supervisor, nothing_left: Path
) -> None:
    supervisor.start(child(Counter), name="counter").add(1)
    recorded = b"".join(
        _framed(control.encode(request))
        for request in (
            control.Hello(pid=1),
            control.Stop(path="counter"),
            control.Delete(path="counter"),
            control.Boot(tree=_empty_tree(), path=[], argv=[]),
        )
    )
    for _ in range(3):
        _said(nothing_left, recorded)

    assert supervisor.children() == []
    assert supervisor.start(child(Counter), name="counter").add(1) == 1


def _empty_tree() -> control.Subtree:
    return control.Subtree(
        name="test",
        strategy="one_for_one",
        max_restarts=1,
        max_seconds=1.0,
        backoff=None,
        auto_shutdown="never",
        restart="permanent",
        shutdown=1.0,
        significant=False,
        children=[],
    )


def test_the_tree_of_a_running_system_cannot_be_booted_again(supervisor: Supervisor, nothing_left: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add(1)
    hello = _framed(control.encode(control.Hello(pid=1)))

    said = _said(nothing_left, hello + _framed(control.encode(control.Boot(tree=_empty_tree(), path=[], argv=[]))))

    assert b"AlreadyStarted" in said
    assert [status.path for status in supervisor.children()] == ["counter"]
    assert counter.add(1) == 2


def test_silent_connections_hold_up_nobody(supervisor: Supervisor, nothing_left: Path) -> None:
    with contextlib.ExitStack() as silent:
        for n in range(100):
            sock = silent.enter_context(lines.connect(str(nothing_left / "test"), "test"))
            sock.sendall(b"\x10\0\0\0"[: n % 5])

        assert supervisor.start(child(Counter), name="counter").add(1) == 1
        with connect("test") as other:
            assert other["counter"].add(1) == 2
        assert supervisor.count()["active"] == 1

    assert wait_until(lambda: len(_sockets_of([supervisor.pid])) < 20)


# ---- secrets

SECRETIVE = """
import os, sys
from actors import Actor, ActorDied, child, message
from runtime import Supervisor

class Vault(Actor):
    def __init__(self, key):
        self.key = key
    @message
    def open(self, key):
        if key.startswith("raise"):
            raise PermissionError("not this key")
        os._exit(3)

secret = "hunter2-constructor"
with Supervisor("secretive") as supervisor:
    vault = supervisor.start(child(Vault, secret), name="vault")
    vault.open.tell("raise hunter2-tell")
    try:
        vault.open("raise hunter2-ask")
    except PermissionError:
        pass
    try:
        vault.open("hunter2-argument")
    except ActorDied as died:
        print(died, died.certificate.report(), died.certificate.to_dict(), supervisor.status())
"""


def test_neither_arguments_nor_state_are_in_any_log_or_certificate(runtime_directory: Path) -> None:
    for log in ("json", "console"):
        done = subprocess.run(
            [sys.executable, "-c", SECRETIVE],
            capture_output=True,
            text=True,
            timeout=30,
            cwd=ROOT,
            env={**os.environ, "UNDERSTUDY_LOG": log, "UNDERSTUDY_LOG_LEVEL": "info"},
            check=True,
        )

        assert "while handling open" in done.stdout
        assert "not this key" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_a_death_names_the_message_in_hand_and_not_its_arguments(supervisor: Supervisor) -> None:
    dying = supervisor.start(child(Dying), name="dying")

    with pytest.raises(ActorDied) as caught:
        dying.end("hunter2")

    assert caught.value.certificate.in_hand is not None
    assert caught.value.certificate.in_hand.name == "end"
    assert "hunter2" not in caught.value.certificate.report()


class Dying(Actor):
    """Dies with a secret in hand."""

    @message
    def end(self, secret: str) -> None:
        os._exit(1)
