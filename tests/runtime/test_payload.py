"""Payloads of every size and kind, through real mailboxes; large bodies are freed by whoever ends the message."""

import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import os
import pathlib
import re
import signal
import threading
import uuid
from collections import Counter as Tally
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import (
    Actor,
    ActorDied,
    ActorStopped,
    DeadlineExceeded,
    MailboxFull,
    RemoteError,
    Undecodable,
    Unencodable,
    child,
    deadline,
    message,
)
from actors.child import Mailbox
from runtime import Supervisor
from runtime.testing import wait_until
from runtime.wire.frame import MAX_PAYLOAD, MAX_REPLY
from tests.runtime.cast import Echo, Gate, Start, Stopped, bodies_of

pytestmark = pytest.mark.process

MIB = 1 << 20
LARGE = bytes(range(256)) * 40


class Point(NamedTuple):
    """A named tuple arrives as one."""

    x: int
    y: int


class Colour(enum.Enum):
    RED = 1


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


@dataclass
class Order:
    item: str
    count: int = 1
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Price:
    amount: decimal.Decimal


class Unsendable:
    """Cannot be pickled, and says why."""

    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")


class Unreadable:
    """Is pickled, and cannot be rebuilt."""

    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    raise LookupError("not here")


class LockedError(Exception):
    """Holds what cannot be pickled as an argument."""


class Weigher(Actor):
    """Says what arrived."""

    @message
    def weigh(self, value: Any) -> tuple[str, int]:
        return type(value).__name__, len(value)

    @message
    def make(self, nbytes: int) -> bytes:
        return b"\xa5" * nbytes

    @message
    def give_lock(self) -> Any:
        return {"inside": [threading.Lock()]}

    @message
    def give_unreadable(self) -> Any:
        return Unreadable()

    @message
    def raise_locked(self) -> None:
        raise LockedError(threading.Lock())

    @message
    def raise_recursion(self) -> None:
        self.raise_recursion()

    @message
    def raise_huge(self) -> None:
        raise ValueError("x" * MIB)

    @message(retry=1)
    def die_once(self, value: bytes) -> tuple[int, bool]:
        if not self.context.redelivered:
            os.kill(os.getpid(), signal.SIGKILL)
        return len(value), self.context.redelivered

    @message
    def die(self, value: bytes) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def pid(self) -> int:
        return os.getpid()


VALUES = [
    None,
    True,
    0,
    -(2**63),
    2**64,
    10**100,
    1.5,
    float("inf"),
    1 + 2j,
    "",
    "tea ☕ \ud800",
    b"",
    bytearray(b"ab"),
    (),
    (1, (2, [3])),
    [],
    [(), {}],
    {"a": (1, 2), 3: {4}},
    {1, 2},
    frozenset({"a"}),
    range(3),
    slice(1, 2),
    Ellipsis,
    dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
    dt.date(2026, 1, 2),
    dt.timedelta(days=1),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("/a/b"),
    ipaddress.ip_address("::1"),
    re.compile("a+", re.IGNORECASE),
    OrderedDict(a=1),
    defaultdict(list, a=[1]),
    deque([1], maxlen=3),
    Tally("aab"),
    Point(1, 2),
    Colour.RED,
    Access.READ | Access.WRITE,
    Order("tea", 2, ["hot"]),
    Price(decimal.Decimal("2.50")),
    ValueError("as a value"),
    int,
    Order,
    len,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_a_value_arrives_equal_and_of_the_same_type_both_ways(start: Start, value: Any) -> None:
    echo = start(child(Echo))

    returned = echo.echo(value)

    assert type(returned) is type(value)
    assert returned == value or (isinstance(value, Exception) and returned.args == value.args)


_plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=64)
_nested = st.recursive(
    _plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values=st.lists(_nested, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nested_values_arrive_equal_and_of_the_same_type(system: Supervisor, values: list[Any]) -> None:
    if "echo" not in [status.path for status in system.children()]:
        system.start(child(Echo), name="echo")
    echo = system.ref("echo", Echo)

    returned = echo.echo(values)

    assert returned == values
    assert repr(returned) == repr(values)


def test_numpy_arrays_arrive_equal_and_of_the_same_type(start: Start) -> None:
    echo = start(child(Echo))

    for array in (
        numpy.arange(5),
        numpy.zeros((100, 100), dtype="f4"),
        numpy.arange(12).reshape(3, 4).T,
        numpy.array("text"),
        numpy.array([], dtype="u1"),
    ):
        returned = echo.echo(array)
        assert type(returned) is type(array)
        assert returned.dtype == array.dtype
        assert returned.shape == array.shape
        assert (returned == array).all()
    assert type(echo.echo(numpy.float32(1.5))) is numpy.float32


def test_payloads_of_every_size_around_the_frame_limit_arrive(start: Start, system: Supervisor) -> None:
    weigher = start(child(Weigher))
    sizes = [0, 1, *range(MAX_PAYLOAD - 24, MAX_PAYLOAD + 8), *range(4048, 4112), 65535, 65536, 65537]

    for size in sizes:
        assert weigher.weigh(bytes(size)) == ("bytes", size)
        assert weigher.weigh("x" * size) == ("str", size)

    assert bodies_of(system) == 0


def test_replies_of_every_size_around_the_frame_limit_arrive(start: Start, system: Supervisor) -> None:
    weigher = start(child(Weigher))

    for size in [0, 1, *range(MAX_REPLY - 16, MAX_REPLY + 8), 65536]:
        assert weigher.make(size) == b"\xa5" * size

    assert wait_until(lambda: bodies_of(system) == 0)


@pytest.mark.parametrize("nbytes", [MIB, 64 * MIB])
def test_large_payloads_arrive_both_ways(start: Start, system: Supervisor, nbytes: int) -> None:
    weigher = start(child(Weigher))

    assert weigher.weigh(bytes(nbytes)) == ("bytes", nbytes)
    reply = weigher.make(nbytes)

    assert len(reply) == nbytes
    assert reply[:1] == reply[-1:] == b"\xa5"
    assert wait_until(lambda: bodies_of(system) == 0)


@pytest.mark.skipif("UNDERSTUDY_TEST_GIB" not in os.environ, reason="needs 4 GiB; set UNDERSTUDY_TEST_GIB")
def test_a_payload_of_one_gib_arrives(start: Start, system: Supervisor) -> None:
    weigher = start(child(Weigher))
    room = 64  # for what is around the bytes

    with deadline(60):
        assert weigher.weigh(bytes((1 << 30) - room)) == ("bytes", (1 << 30) - room)
        with pytest.raises(Unencodable, match="more than"):
            weigher.weigh(bytes(1 << 30))

    assert wait_until(lambda: bodies_of(system) == 0)


@pytest.mark.parametrize("value", [threading.Lock(), (n for n in ()), Unsendable(), [1, {"a": threading.Lock()}]])
def test_an_argument_that_cannot_be_sent_fails_in_the_caller(start: Start, value: Any) -> None:
    echo = start(child(Echo))

    for call in (echo.echo, echo.echo.tell, echo.echo.ask, echo.echo.send):
        with pytest.raises(Unencodable, match=r"echo\(\) argument 1"):
            call(value)

    assert echo.echo("lives") == "lives"


def test_a_reply_that_cannot_be_sent_fails_the_ask_and_the_actor_lives(start: Start) -> None:
    weigher = start(child(Weigher))
    pid = weigher.pid()

    with pytest.raises(Unencodable, match=r'reply of give_lock\(\)\["inside"\]\[0\]|give_lock'):
        weigher.give_lock()

    assert weigher.pid() == pid


def test_a_message_that_cannot_be_rebuilt_fails_the_ask_and_the_actor_lives(start: Start) -> None:
    weigher = start(child(Weigher))
    pid = weigher.pid()

    with pytest.raises(Undecodable, match="not here"):
        weigher.weigh(Unreadable())
    with pytest.raises(Undecodable, match="not here"):
        weigher.give_unreadable()
    weigher.weigh.tell(Unreadable())

    assert weigher.pid() == pid


def test_exceptions_that_cannot_be_rebuilt_are_remote_errors(start: Start) -> None:
    weigher = start(child(Weigher))

    with pytest.raises(RemoteError) as caught:
        weigher.raise_locked()

    assert caught.value.type_path == f"{__name__}.LockedError"
    assert "in raise_locked" in caught.value.remote_traceback
    with pytest.raises(RecursionError):
        weigher.raise_recursion()
    with pytest.raises((ValueError, RemoteError), match="xxx"):
        weigher.raise_huge()
    assert weigher.make(1) == b"\xa5"


def test_the_bodies_of_handled_messages_are_freed(start: Start, system: Supervisor) -> None:
    echo = start(child(Echo))

    for _ in range(20):
        assert echo.echo(LARGE) == LARGE
        echo.echo.tell(LARGE)
    echo.echo(0)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_bodies_of_expired_messages_are_freed(start: Start, system: Supervisor, tmp_path: Path) -> None:
    gate = start(child(Gate))
    gate.hold.tell(str(tmp_path / "in"), str(tmp_path / "go"))
    with deadline(0.02):
        replies = [gate.note.ask(LARGE) for _ in range(3)]
    for reply in replies:
        with pytest.raises(DeadlineExceeded):
            reply.result()
    assert bodies_of(system) == 3

    (tmp_path / "go").touch()

    assert gate.notes() == []
    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_bodies_of_late_answers_are_freed(start: Start, system: Supervisor, tmp_path: Path) -> None:
    weigher = start(child(Weigher))
    with Stopped(weigher.pid()):
        cancelled = weigher.make.ask(MIB)
        cancelled.cancel()

    assert weigher.make(10) == b"\xa5" * 10
    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_bodies_of_what_was_in_hand_at_a_death_are_freed(start: Start, system: Supervisor) -> None:
    weigher = start(child(Weigher))

    with pytest.raises(ActorDied):
        weigher.die(LARGE)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_a_message_with_retry_has_its_large_body_again(start: Start, system: Supervisor) -> None:
    weigher = start(child(Weigher))

    assert weigher.die_once(b"small") == (5, True)
    assert weigher.die_once(LARGE) == (len(LARGE), True)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_bodies_of_dead_letters_are_freed_when_they_are_dropped(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate).options(restart="temporary"), "gate")
    pid = gate.pid()
    with Stopped(pid):
        replies = [gate.note.ask(LARGE) for _ in range(3)]
        gate.note.tell(LARGE)
        os.kill(pid, signal.SIGKILL)

    for reply in replies:
        with pytest.raises((ActorStopped, ActorDied)):
            reply.result()
    assert bodies_of(system) == sum(letter.nbytes > len(LARGE) for letter in system.letters("gate")) == 4
    for letter in system.letters("gate"):
        system.drop(letter.id)
    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_bodies_of_what_could_not_be_sent_are_freed(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate).options(mailbox=Mailbox(size=4096, when_full="refuse")))
    pid = gate.pid()
    with Stopped(pid):
        with pytest.raises(MailboxFull):
            for _ in range(10_000):
                gate.note.tell(LARGE)
        with pytest.raises(MailboxFull):
            gate.note.ask(LARGE)
        os.kill(pid, signal.SIGCONT)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_a_sender_that_dies_leaves_its_bodies_to_the_message(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate))
    with Stopped(gate.pid()):
        pid = os.fork()
        if pid == 0:
            try:
                gate.note.tell(LARGE)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    assert gate.notes() == [LARGE]
    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_bodies_of_answers_to_a_caller_that_is_gone_are_freed(start: Start, system: Supervisor) -> None:
    weigher = start(child(Weigher))
    with Stopped(weigher.pid()):
        pid = os.fork()
        if pid == 0:
            try:
                weigher.make.ask(MIB)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    assert weigher.make(1) == b"\xa5"
    assert wait_until(lambda: bodies_of(system) == 0)
