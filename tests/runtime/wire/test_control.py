"""The control socket's messages: framing, limits, descriptors; what does not fit the schema is refused."""

import os
import socket
from collections.abc import Iterator

import msgspec
import pytest

from actors.child import Mailbox
from runtime.wire import control, stream
from runtime.wire.stream import LIMIT, Channel, Protocol

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = (Channel(sock) for sock in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


WORKER = control.Worker(
    name="one",
    actor="shop:Inventory",
    payload=0,
    digest=b"0",
    restart="permanent",
    shutdown=5.0,
    ready=10.0,
    mailbox=Mailbox(),
    crash_on_raise=None,
    replicas=1,
    significant=False,
    drain="finish",
    understudies=0,
)


@pytest.mark.parametrize(
    "message",
    [
        control.Hello(pid=1),
        control.Open(path="a.b"),
        control.OpenReplies(nbytes=4096),
        control.Start(supervisor="", child=WORKER),
        control.Stop(path="a", starting="a.b"),
        control.Status(path="", deep=True),
        control.Watch(path="a", watcher="b", on=False),
        control.Define(key="k"),
    ],
)
def test_a_request_arrives_equal(pair: Pair, message: control.Request) -> None:
    pair[0].put(stream.encode(message))
    pair[0].flush()
    assert pair[1].feed()

    body = pair[1].take()

    assert body is not None
    assert control.decode_request(body) == message


def test_messages_arrive_whole_however_the_bytes_come(pair: Pair) -> None:
    bodies = [stream.encode(control.Open(path="x" * n)) for n in range(0, 2000, 100)]
    for body in bodies:
        pair[0].put(body)
    pair[0].flush()

    received = []
    while len(received) < len(bodies):
        pair[1].feed(7)
        while (body := pair[1].take()) is not None:
            received.append(body)

    assert received == bodies


def test_a_length_over_the_limit_is_refused_before_anything_is_kept(pair: Pair) -> None:
    pair[0].sock.sendall((LIMIT + 1).to_bytes(4, "little"))
    pair[1].feed()

    with pytest.raises(Protocol, match="at most"):
        pair[1].take()
    with pytest.raises(Protocol, match="at most"):
        pair[0].put(bytes(LIMIT + 1))


def test_descriptors_come_with_their_message_and_are_the_receivers(pair: Pair) -> None:
    fd = os.memfd_create("one")
    os.write(fd, b"inside")
    pair[0].put(b"body", [fd])
    os.close(fd)
    pair[0].flush()
    pair[1].feed()

    assert pair[1].take() == b"body"
    (received,) = pair[1].take_fds(1)
    assert os.pread(received, 10, 0) == b"inside"
    assert os.get_inheritable(received) is False
    os.close(received)
    with pytest.raises(Protocol, match="descriptors"):
        pair[1].take_fds(1)


def test_more_descriptors_than_one_message_may_carry_arrive_in_order(pair: Pair) -> None:
    fds = []
    for n in range(300):
        fd = os.memfd_create(str(n))
        os.write(fd, str(n).encode())
        fds.append(fd)
    pair[0].put(b"many", fds)
    pair[0].flush()
    for fd in fds:
        os.close(fd)
    while (body := pair[1].take()) is None:
        pair[1].feed()

    received = pair[1].take_fds(300)

    assert body == b"many"
    assert [os.pread(fd, 10, 0) for fd in received] == [str(n).encode() for n in range(300)]
    for fd in received:
        os.close(fd)


def test_descriptors_that_nobody_took_are_closed_with_the_channel() -> None:
    ours, theirs = (Channel(sock) for sock in socket.socketpair())
    read, write = os.pipe()
    ours.put(b"body", [write])
    os.close(write)
    ours.flush()
    theirs.feed()

    ours.close()
    theirs.close()

    assert os.read(read, 1) == b""  # nobody holds the other end any more
    os.close(read)


def test_the_end_of_a_connection_is_told(pair: Pair) -> None:
    pair[0].sock.shutdown(socket.SHUT_WR)

    assert pair[1].feed() is False


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(["hello", 1]),
        msgspec.msgpack.encode({"type": "nothing"}),
        msgspec.msgpack.encode({"type": "hello"}),
        msgspec.msgpack.encode({"type": "hello", "pid": "one"}),
        msgspec.msgpack.encode({"type": "hello", "pid": 1, "more": 2}),
        msgspec.msgpack.encode({"type": "stop", "path": None}),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        control.decode_request(raw)


def test_a_specification_with_impossible_values_is_refused() -> None:
    plain = msgspec.to_builtins(control.Start(supervisor="", child=WORKER))
    for field, value in (("restart", "always"), ("replicas", 0), ("drain", 3), ("payload", "x")):
        wrong = {**plain, "child": {**plain["child"], field: value}}
        with pytest.raises(msgspec.ValidationError):
            control.decode_request(msgspec.msgpack.encode(wrong))
    assert msgspec.convert(plain, control.Start) == control.Start(supervisor="", child=WORKER)
