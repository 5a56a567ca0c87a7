"""What comes in does nothing: canaries in every pocket, noise, replays; and what goes out holds no secrets.

The model: docs/reference/security.md.
"""

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from actors import Actor, ActorDied, NoSuchMessage, child, message
from actors.errors import NotAMessage
from runtime import Supervisor, connect
from runtime.mailbox import fifo
from runtime.requests import HANDLERS
from runtime.testing import wait_until
from runtime.wire import control, frame, stream
from runtime.wire import line as lines
from tests.runtime.cast import Counter, Gate

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


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
    for kind in HANDLERS:
        tag = kind.__struct_config__.tag  # type: ignore[attr-defined]
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        for name in (*names, "more"):
            for value in (canary, text, msgpack.ExtType(5, canary), [canary], {"type": "worker", "payload": canary}):
                yield {"type": tag, **dict.fromkeys(names, 0), name: value}


def test_no_byte_that_comes_by_the_control_socket_is_ever_unpickled(
    supervisor: Supervisor, nothing_left: Path, tmp_path: Path
) -> None:
    hello = _framed(stream.encode(control.Hello(pid=os.getpid())))
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

    def on_down(self, *_: object) -> None:
        self.opened.append("down")

    def on_letter(self, *_: object) -> None:
        self.opened.append("letter")

    @message
    def report(self) -> list[str]:
        return self.opened


@pytest.mark.parametrize(
    "name",
    [
        *("open_the_safe", "on_stop", "on_start", "on_down", "on_letter", "__init__", "__class__", "context", "opened"),
        *("report.__call__", ""),
    ],
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
    hello = _framed(stream.encode(control.Hello(pid=1)))
    welcome = _said(nothing_left, hello)

    for tag in ("exec", "eval", "import", "__class__", "shell", "", 7, None):
        said = _said(nothing_left, hello + _framed(msgpack.packb({"type": tag, "path": "os.system"})))
        assert len(said) == len(welcome)
    assert _said(nothing_left, _framed(stream.encode(control.Status(path="", deep=True)))) == b""  # no hello
    assert supervisor.children() == []


# ---- 9: noise


def _sockets_of(pids: list[int]) -> set[int]:
    found = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_noise_on_the_control_socket_neither_ends_the_supervisor_nor_makes_it_grow(
    supervisor: Supervisor, nothing_left: Path
) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    before = _resident_bytes(supervisor.pid)
    hello = _framed(stream.encode(control.Hello(pid=1)))
    status = _framed(stream.encode(control.Status(path="", deep=True)))
    noises = {
        "4 GB": (0xFFFFFFFF).to_bytes(4, "little") + b"x" * 60_000,
        "just over the limit": (stream.LIMIT + 1).to_bytes(4, "little") + b"x" * 60_000,
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
        _framed(stream.encode(request))
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
    hello = _framed(stream.encode(control.Hello(pid=1)))

    said = _said(nothing_left, hello + _framed(stream.encode(control.Boot(tree=_empty_tree(), path=[], argv=[]))))

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
