"""Answers: callers that read, that do not, and that are gone."""

import os
import resource
import threading
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

from actors.deadline import NEVER, ambient
from actors.errors import DeadlineExceeded, Unencodable
from runtime.mailbox import fifo
from runtime.mailbox.page import DROPPED
from runtime.mailbox.replies import _OPEN_FIFOS, PENDING_BYTES, Replies
from runtime.wire import frame
from runtime.wire.codec import Codec
from runtime.wire.frame import ERROR, LARGE, REPLY, unpack_reply
from runtime.wire.late import Late
from runtime.wire.parts import Payload, whole


class Store:
    """Stands in for the arena."""

    def __init__(self) -> None:
        self.held: dict[int, bytes] = {}
        self.written: list[int] = []

    def put(self, payload: Payload, address: int) -> int:
        number = len(self.held) + 1
        self.held[number] = bytes(whole(payload))
        return number

    def free(self, number: int) -> None:
        del self.held[number]


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[int]:
    held, _ = fifo.create(str(tmp_path / f"{7:016x}"), 4096)
    yield held
    os.close(held)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def words() -> memoryview:
    return memoryview(bytearray(512)).cast("Q")


@pytest.fixture
def replies(tmp_path: Path, words: memoryview, store: Store) -> Iterator[Replies]:
    made = Replies(str(tmp_path), words, Codec(), store.put, store.free, store.written.append)
    yield made
    made.close()


def test_an_answer_is_one_frame_with_the_askers_number(replies: Replies, caller: int) -> None:
    replies.send(7, replies.frame_of(99, "add", 12))

    raw = os.read(caller, 4096)
    assert unpack_reply(raw) == (len(raw), 0, 99)
    assert Codec().decode_value(0, raw[REPLY.size :]) == 12


def test_a_value_that_cannot_be_sent_becomes_the_error_that_says_so(replies: Replies, caller: int) -> None:
    raw = replies.frame_of(99, "add", threading.Lock())

    assert unpack_reply(raw)[1] == ERROR
    error = Codec().decode_error(raw[REPLY.size :])
    assert isinstance(error, Unencodable)
    assert error.where == "reply of add()"


def test_a_large_answer_is_known_to_be_written_once_it_is(replies: Replies, caller: int, store: Store) -> None:
    raw = replies.frame_of(9, "make", b"x" * 5000, 7)
    assert store.written == []

    replies.send(7, raw)

    assert store.written == [1]
    assert not replies.has_pending()


def test_a_large_answer_is_stored_and_the_frame_names_it(replies: Replies, store: Store) -> None:
    raw = replies.frame_of(99, "make", b"x" * 10_000)

    assert unpack_reply(raw)[1] & LARGE
    assert list(store.held) == [int.from_bytes(raw[REPLY.size :], "little")]


def test_a_caller_that_is_not_there_is_dropped_and_counted_and_its_slab_given_back(
    replies: Replies, words: memoryview, store: Store
) -> None:
    replies.send(8, replies.frame_of(1, "m", 1))
    replies.send(8, replies.frame_of(1, "m", b"x" * 10_000, 9))

    assert words[DROPPED] == 2
    assert store.held == {}


def test_a_caller_that_does_not_read_gets_its_answers_later_and_in_order(replies: Replies, caller: int) -> None:
    for n in range(1000):
        replies.send(7, replies.frame_of(n + 1, "m", n))
    assert replies.has_pending()
    assert len(replies.pending_fds()) == 1

    raw = b""
    while replies.has_pending():
        raw += os.read(caller, 4096)
        replies.flush()
    raw += fifo.drain(caller)

    ids, at = [], 0
    while at < len(raw):
        length, _, ask_id = unpack_reply(raw, at)
        ids.append(ask_id)
        at += length
    assert ids == list(range(1, 1001))


def test_what_is_kept_for_a_caller_is_bounded(replies: Replies, caller: int, words: memoryview, store: Store) -> None:
    raw = frame.reply(0, 1, b"x" * 4000)
    for _ in range(PENDING_BYTES // len(raw) + 20):
        replies.send(7, raw)
    dropped = words[DROPPED]

    replies.send(7, replies.frame_of(2, "m", b"x" * 10_000))

    assert 10 < dropped < 25
    assert sum(map(len, replies._pending[7])) <= PENDING_BYTES
    assert len(store.held) <= 1


def test_a_caller_that_goes_while_answers_wait_is_dropped_with_all_of_them(
    tmp_path: Path, words: memoryview, store: Store
) -> None:
    held, _ = fifo.create(str(tmp_path / f"{9:016x}"), 4096)
    replies = Replies(str(tmp_path), words, Codec(), store.put, store.free, store.written.append)
    for n in range(500):
        replies.send(9, replies.frame_of(n + 1, "m", n))
    replies.send(9, replies.frame_of(1, "m", b"x" * 10_000, 9))
    waiting = len(replies._pending[9])

    os.close(held)
    replies.flush()

    assert words[DROPPED] == waiting
    assert not replies.has_pending()
    assert store.held == {}


@pytest.fixture
def callers(tmp_path: Path) -> Iterator[dict[int, int]]:
    """So many that not all of their FIFOs may stay open, by their addresses."""
    held = {address: fifo.create(str(tmp_path / f"{address:016x}"), 4096)[0] for address in range(1, _OPEN_FIFOS + 20)}
    yield held
    for fd in held.values():
        os.close(fd)


@pytest.mark.parametrize("stuck", [1, 3])
def test_callers_that_do_not_read_cost_their_own_descriptors_and_no_other(
    replies: Replies, callers: dict[int, int], stuck: int
) -> None:
    for address in range(1, stuck + 1):
        while address not in replies._pending:
            replies.send(address, replies.frame_of(1, "m", "x" * 1000))
    for address in callers:
        replies.send(address, replies.frame_of(2, "m", address))

    assert len(replies._fds) <= _OPEN_FIFOS
    assert all(address in replies._fds for address in range(1, stuck + 1))
    assert len(replies.pending_fds()) == stuck
    for address in (stuck + 1, _OPEN_FIFOS + 1):
        raw = os.read(callers[address], 4096)
        assert Codec().decode_value(0, raw[REPLY.size :]) == address


def test_without_descriptors_an_answer_goes_by_one_that_another_caller_can_spare(
    replies: Replies, callers: dict[int, int], words: memoryview
) -> None:
    replies.send(1, replies.frame_of(1, "m", 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free(), hard))
    try:
        replies.send(2, replies.frame_of(1, "m", 2))
        while 2 not in replies._pending:
            replies.send(2, replies.frame_of(1, "m", "x" * 1000))
        replies.send(3, replies.frame_of(1, "m", 3))  # nobody can spare any
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert os.read(callers[2], 4096)
    assert words[DROPPED] == 1
    assert list(replies._fds) == [2]


def _lowest_free() -> int:
    """The number that the next descriptor would have."""
    fd = os.dup(0)
    os.close(fd)
    return fd


@pytest.fixture
def without_memory(tmp_path: Path, words: memoryview) -> Iterator[Replies]:
    """The supervisor is late for whatever is large."""

    def put(payload: Payload, address: int) -> int:
        raise Late("system", lambda: None)

    made = Replies(str(tmp_path), words, Codec(), put, lambda _: None, lambda _: None)
    yield made
    made.close()


@pytest.mark.parametrize("is_error", [False, True])
def test_an_answer_that_has_no_memory_at_its_deadline_is_no_answer(
    without_memory: Replies, words: memoryview, is_error: bool
) -> None:
    """Told that, the asker would get it or his `DeadlineExceeded`, whichever comes first."""
    context = copy_context()
    context.run(ambient.set, (1, ()))
    large = "x" * 100_000
    if is_error:
        answer = context.run(without_memory.frame_of_error, 99, ValueError(large))
    else:
        answer = context.run(without_memory.frame_of, 99, "make", large)

    assert answer == b""
    assert words[DROPPED] == 1


def test_an_answer_without_memory_and_without_a_deadline_is_an_error(
    without_memory: Replies, words: memoryview
) -> None:
    context = copy_context()
    context.run(ambient.set, (NEVER, ()))

    raw = context.run(without_memory.frame_of, 99, "make", bytes(100_000))

    assert unpack_reply(raw)[1] == ERROR
    assert type(Codec().decode_error(raw[REPLY.size :])) is DeadlineExceeded
    assert words[DROPPED] == 0
