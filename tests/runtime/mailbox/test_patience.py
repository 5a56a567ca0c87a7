"""Polite spinning: who may poll before blocking, with a fake board and a fake poll."""

import os
import select
from collections.abc import Callable, Iterator
from time import monotonic_ns

import pytest

from runtime.mailbox import patience
from runtime.mailbox.patience import BOARD_BYTES, WORTH_NS, Board, Patience, cpus, pollers


@pytest.fixture
def fd() -> Iterator[int]:
    made = os.memfd_create("board")
    os.ftruncate(made, BOARD_BYTES)
    yield made
    os.close(made)


@pytest.fixture
def board(fd: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    monkeypatch.setattr(patience, "SPIN_NS", 80_000)
    made = Board(fd, 5, 1)
    yield made
    made.close()


def _poll(results: list[list[tuple[int, int]]]) -> Callable[[int], list[tuple[int, int]]]:
    def poll(_timeout: int) -> list[tuple[int, int]]:
        return results.pop(0) if results else []

    return poll


def test_there_is_at_least_one_cpu() -> None:
    assert cpus() >= 1


def test_what_comes_while_polling_is_returned_and_the_flag_is_lowered(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LONG_NS", 1 << 62)  # others may have the CPU for a moment, or a longer one
    monkeypatch.setattr(patience, "SPIN_NS", 1 << 62)
    now = monotonic_ns()

    assert Patience(board).spin(_poll([[], [], [(3, 1)]]), now, 0) == [(3, 1)]
    assert not any(board.view)


def test_polling_gives_up_at_once_when_more_poll_than_may(fd: int, board: Board) -> None:
    other = Board(fd, 9, 1)
    other.view[9] = 1
    results: list[list[tuple[int, int]]] = [[]] * 20

    assert Patience(board).spin(_poll(results), monotonic_ns(), 0) == []
    assert len(results) > 10
    other.close()


def test_polling_ends_at_the_deadline(board: Board) -> None:
    assert Patience(board).spin(_poll([]), monotonic_ns(), 1) == []
    assert not any(board.view)


def test_polling_is_worth_it_only_while_waits_are_quick(board: Board) -> None:
    waiter = Patience(board)
    odd = 1 << 20  # not in one of the slices in which everybody tries (PA-3)
    assert waiter.is_worth(odd)

    for _ in range(4):
        waiter.note(WORTH_NS + 1)
    assert not waiter.is_worth(odd)
    assert waiter.is_worth(64 << 20)

    for _ in range(4):
        waiter.note(1)
    assert waiter.is_worth(odd)


def test_one_thread_of_a_process_polls_at_a_time(board: Board) -> None:
    board.view[5] = 1

    assert not Patience(board).is_worth(1 << 20)


def test_with_one_cpu_or_switched_off_nobody_polls(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SPIN_NS", 80_000)
    monkeypatch.setattr(patience, "cpus", lambda: 1)
    single = Board(fd, 1, pollers())
    monkeypatch.setattr(patience, "cpus", lambda: 8)
    monkeypatch.setattr(patience, "SPIN_NS", 0)
    off = Board(None, 1, pollers())

    for board in (single, off):
        assert not board.is_free()
        assert not Patience(board).is_worth(1 << 20)
        board.close()


def test_wait_blocks_until_the_deadline_and_no_longer(board: Board) -> None:
    read, write = os.pipe()
    poll = select.poll()
    poll.register(read, select.POLLIN)
    waiter = Patience(board)

    assert waiter.wait(poll, monotonic_ns() + 3_000_000) == []
    os.write(write, b"x")
    assert waiter.wait(poll, 0) == [(read, select.POLLIN)]
    os.close(read)
    os.close(write)
