"""The journal alone: FIFOs and a map, no process."""

import os
from collections.abc import Iterator

import pytest

from runtime.mailbox.journal import Journal, is_started, mark_done, unfinished
from runtime.wire import frame
from runtime.wire.frame import DONE, STATE_AT

SIZE = 65536


def _frames(*payloads: bytes) -> bytes:
    return b"".join(frame.ask(0, payload, n, 1, 0) for n, payload in enumerate(payloads, 1))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)
    os.close(write)


@pytest.fixture
def area() -> memoryview:
    return memoryview(bytearray(SIZE))


def test_fill_reads_whole_frames_and_an_empty_fifo_gives_nothing(pipe: tuple[int, int], area: memoryview) -> None:
    journal = Journal(area)
    raw = _frames(b"a", b"bc")
    os.write(pipe[1], raw)

    assert journal.fill(pipe[0]) == len(raw)
    assert bytes(area[: len(raw)]) == raw
    assert journal.fill(pipe[0]) == 0


def test_a_second_fill_leaves_nothing_of_the_first(pipe: tuple[int, int], area: memoryview) -> None:
    journal = Journal(area)
    os.write(pipe[1], _frames(*[b"x" * 100] * 20))
    journal.fill(pipe[0])
    short = _frames(b"y")
    os.write(pipe[1], short)

    assert journal.fill(pipe[0]) == 0  # the read before emptied the FIFO: whoever waits polls anyway
    assert not any(area)
    assert journal.fill(pipe[0]) == len(short)
    assert not any(area[len(short) :])


def test_recovery_takes_over_whole_frames_and_zeroes_what_lies_behind(area: memoryview) -> None:
    raw = _frames(b"a", b"b", b"c")
    area[: len(raw)] = raw
    area[len(raw) + 50 : len(raw) + 60] = b"leftovers!"

    assert Journal(area).recover() == len(raw)
    assert not any(area[len(raw) :])
    assert [header.ask_id for header in unfinished(area)] == [1, 2, 3]


def test_recovery_of_a_journal_that_was_being_zeroed_finds_it_empty(area: memoryview) -> None:
    raw = _frames(b"a", b"b")
    for zeroed in (4, 30, len(raw) - 10):
        area[: len(raw)] = raw
        area[:zeroed] = bytes(zeroed)

        assert Journal(area).recover() == 0
        assert not any(area)


def test_unfinished_are_those_queued_and_started_and_not_those_done(area: memoryview) -> None:
    raw = _frames(b"a", b"b", b"c")
    area[: len(raw)] = raw
    length = len(raw) // 3
    area[STATE_AT] = DONE
    area[length + STATE_AT] = 1

    headers = unfinished(area)

    assert [(header.ask_id, is_started(header)) for header in headers] == [(2, True), (3, False)]
    mark_done(area, headers[0])
    assert [header.ask_id for header in unfinished(area)] == [3]


def test_a_frame_cut_at_any_byte_is_never_taken_over(area: memoryview) -> None:
    whole, cut = _frames(b"whole"), _frames(b"cut short")
    for nbytes in range(1, len(cut)):
        area[:] = bytes(SIZE)
        area[: len(whole)] = whole
        area[len(whole) : len(whole) + nbytes] = cut[:nbytes]

        assert Journal(area).recover() == len(whole)


def test_what_lies_behind_a_cut_frame_is_found_again(area: memoryview) -> None:
    cut, good = _frames(b"cut short"), _frames(b"a", b"b")
    for nbytes in range(4, len(cut)):
        area[:] = bytes(SIZE)
        area[:nbytes] = cut[:nbytes]
        area[nbytes : nbytes + len(good)] = good

        assert [bytes(area[h.offset + 40 : h.offset + h.length - 4]) for h in unfinished(area)][-2:] == [b"a", b"b"]
