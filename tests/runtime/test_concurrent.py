"""Concurrent messages: the mailbox is read on while they are in hand, and what was begun or queued survives a crash."""

import asyncio
import os
import signal
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, child, message, name_of
from runtime import Supervisor
from runtime.mailbox.aside import MOST
from runtime.testing import wait_until
from tests.runtime.cast import Start, Stopped
from tests.runtime.test_journal import CrashAt

pytestmark = pytest.mark.process


class Hall(Actor):
    """Where many wait for one; writes down who came in, in one write each."""

    def __init__(self, file: str = os.devnull, crash: CrashAt | None = None) -> None:
        self.fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.door = asyncio.Event()
        self.inside = 0

    async def stay(self, n: Any) -> Any:
        os.write(self.fd, f"{n if type(n) is int else len(n)} {self.context.incarnation}\n".encode())
        self.inside += 1
        await self.door.wait()
        self.inside -= 1
        return n

    @message(concurrent=True)
    async def enter(self, n: Any) -> Any:
        return await self.stay(n)

    @message(concurrent=True, retry=1)
    async def enter_surely(self, n: Any) -> Any:
        return await self.stay(n)

    @message(concurrent=True)
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @message(concurrent=True, watchdog=0.3)
    async def hang_watched(self) -> None:
        await asyncio.Event().wait()

    @message(concurrent=True, retry=1)
    async def pass_through(self, n: int) -> int:
        os.write(self.fd, f"{n} {self.context.incarnation}\n".encode())
        await asyncio.sleep(0)
        return n

    @message(concurrent=True)
    async def open_door(self) -> int:
        self.door.set()
        return self.inside

    @message(concurrent=True, urgent=True)
    async def open_side_door(self) -> int:
        self.door.set()
        return self.inside

    @message
    async def count(self) -> int:
        return self.inside

    @message(urgent=True)
    async def count_at_once(self) -> int:
        return self.inside

    @message
    async def pid(self) -> int:
        return os.getpid()


def _entries(file: Path) -> list[tuple[int, int]]:
    """Who came in, in which incarnation."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(n), int(incarnation)) for n, incarnation in map(str.split, lines)]


def _outcome(reply: Any) -> Any:
    try:
        return reply.result(timeout=10)
    except ActorDied as died:
        return died.delivered


def test_a_concurrent_message_waits_for_one_that_comes_later(start: Start) -> None:
    hall = start(child(Hall))
    first = hall.enter.ask(0)
    assert wait_until(lambda: hall.count.ask().result() == 1)

    second = hall.enter.ask(1)
    assert wait_until(lambda: hall.count.ask().result() == 2)

    assert hall.open_door.ask().result() == 2
    assert (first.result(), second.result()) == (0, 1)


def test_a_concurrent_message_that_never_ends_holds_up_nobody(start: Start) -> None:
    hall = start(child(Hall))
    hall.hang.tell()

    assert [hall.pass_through.ask(n).result() for n in range(3000)] == list(range(3000))


def test_thousands_that_wait_are_all_begun_as_others_end(start: Start) -> None:
    hall = start(child(Hall))
    hall.open_door.ask().result()

    replies = [hall.enter.ask(n) for n in range(5000)]

    assert [reply.result() for reply in replies] == list(range(5000))


def test_at_most_so_many_are_in_hand_and_the_rest_waits_in_the_mailbox(start: Start) -> None:
    hall = start(child(Hall))
    replies = [hall.enter.ask(n) for n in range(MOST + 50)]

    assert wait_until(lambda: hall.count_at_once.ask().result() >= MOST - 32)
    assert hall.count_at_once.ask().result() <= MOST
    assert hall.open_side_door.ask().result() <= MOST  # urgent ones have a place kept for them
    assert [reply.result() for reply in replies] == list(range(MOST + 50))


def test_frames_of_every_size_are_in_hand_together(start: Start) -> None:
    hall = start(child(Hall))
    texts = ["x" * (n * 97 % 3900) for n in range(60)] + ["y" * 50_000]
    replies = [hall.enter.ask(text) for text in texts]

    assert wait_until(lambda: hall.count_at_once.ask().result() >= 50)
    hall.open_side_door.ask().result()
    assert [reply.result() for reply in replies] == texts


def test_killed_with_many_in_hand_each_is_told_and_what_was_queued_is_run(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "hall"
    hall = start(child(Hall, str(file)))
    begun = [hall.enter.ask(n) for n in range(40)]
    assert wait_until(lambda: hall.count.ask().result() == 40)
    pid = hall.pid.ask().result()
    begun += [hall.enter.ask(n) for n in range(40, 50)]  # read by itself, behind the forty
    assert wait_until(lambda: hall.count.ask().result() == 50)

    with Stopped(pid):
        queued = [hall.enter.ask(n) for n in range(50, 60)]
        os.kill(pid, signal.SIGKILL)

    assert [_outcome(reply) for reply in begun] == ["started"] * 50
    assert wait_until(lambda: hall.count.ask().result() == 10)
    hall.open_door.ask().result()
    assert [_outcome(reply) for reply in queued] == list(range(50, 60))
    assert _entries(file) == [(n, 1) for n in range(50)] + [(n, 2) for n in range(50, 60)]


def test_killed_with_messages_in_hand_that_may_be_run_again_they_are_first(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "hall"
    hall = start(child(Hall, str(file)))
    big = "x" * 3000
    begun = [hall.enter_surely.ask(n) for n in (0, 1, big, 2, "y" * 100_000)]
    assert wait_until(lambda: hall.count.ask().result() == 5)
    pid = hall.pid.ask().result()

    with Stopped(pid):
        queued = hall.enter_surely.ask(3)
        os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: hall.count.ask().result() == 6)
    hall.open_door.ask().result()
    assert [_outcome(reply) for reply in [*begun, queued]] == [0, 1, big, 2, "y" * 100_000, 3]
    assert [n for n, incarnation in _entries(file) if incarnation == 2] == [0, 1, 3000, 2, 100_000, 3]


def test_a_message_that_kills_twice_is_told_after_its_retry(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "hall"
    hall = start(child(Hall, str(file)))
    begun = hall.enter_surely.ask(7)
    for _ in range(2):
        assert wait_until(lambda: hall.count.ask().result() == 1)
        os.kill(hall.pid.ask().result(), signal.SIGKILL)

    assert _outcome(begun) == "started"
    assert hall.count.ask().result() == 0
    assert _entries(file) == [(7, 1), (7, 2)]


def test_one_that_hangs_is_found_while_others_come_and_go(start: Start) -> None:
    hall = start(child(Hall))
    hanging = hall.hang_watched.ask()

    def is_found() -> bool:
        assert _outcome(hall.pass_through.ask(1)) == 1
        return bool(hanging.done())

    assert wait_until(is_found)
    with pytest.raises(ActorDied, match="watchdog"):
        hanging.result()


def test_one_that_hangs_is_shown_by_its_name(start: Start, system: Supervisor) -> None:
    hall = start(child(Hall), "hall")
    hall.hang.tell()
    hall.pass_through.ask(1).result()

    def shown() -> str:
        return next(status.in_hand for status in system.children() if status.path == "hall")

    assert wait_until(lambda: shown() == "hang")


COUNT = 40


@pytest.mark.parametrize("first", range(10))
def test_killed_at_any_instruction_nothing_is_lost_or_told_twice(start: Start, tmp_path: Path, first: int) -> None:
    """Some of the first 3,000 byte codes; with the variable set all of them."""
    step = 10 if "UNDERSTUDY_TEST_EVERY_INSTRUCTION" in os.environ else 500
    for instruction in range(1 + first * (50 if step == 500 else 1), 1 + 3000, step):
        file = tmp_path / f"hall{instruction}"
        hall = start(child(Hall, str(file), CrashAt(f"instruction:{instruction}")))

        replies = [hall.pass_through.ask(n) for n in range(COUNT)]
        outcomes = [_outcome(reply) for reply in replies]

        runs = _entries(file)
        again = [n for n, incarnation in runs if (n, 1) in runs and incarnation == 2]
        assert outcomes == list(range(COUNT)), (instruction, outcomes)  # each may be run once more
        assert len(runs) == len(set(runs)), (instruction, runs)  # and in one incarnation once only
        queued = [n for n, incarnation in runs if incarnation == 2 and n not in again]
        assert queued == sorted(queued), (instruction, runs)
        assert set(range(COUNT)) == {n for n, _ in runs}


class Odd(BaseException):
    """What a handler rarely raises."""


class Fragile(Actor):
    """Its concurrent messages end in ways that are no Exception."""

    @message(concurrent=True)
    async def waits_for_what_is_cancelled(self) -> None:
        waited = asyncio.get_running_loop().create_task(asyncio.sleep(60))
        waited.cancel()
        await waited

    @message
    async def waits_alone_for_what_is_cancelled(self) -> None:
        await self.waits_for_what_is_cancelled()

    @message(concurrent=True)
    async def rest(self) -> None:
        await asyncio.sleep(0.001)

    @message
    async def set_timers(self) -> None:
        self.context.after(0.0, self.rest)
        self.context.after(0.0, self.fail)

    @message
    async def fail(self) -> None:
        raise ValueError("told to")

    @message(concurrent=True)
    async def raises(self) -> None:
        raise Odd("no Exception")

    @message
    async def pid(self) -> int:
        return os.getpid()


def test_a_concurrent_message_that_is_cancelled_inside_fails_and_its_actor_lives_on(start: Start) -> None:
    fragile = start(child(Fragile))
    pid = fragile.pid.ask().result()

    for _ in range(MOST + 1):  # each has given its place back
        with pytest.raises(CancelledError, match="waits_for_what_is_cancelled was cancelled in its actor"):
            fragile.waits_for_what_is_cancelled.ask().result(timeout=3)
    assert fragile.pid.ask().result() == pid


def test_a_message_that_is_not_concurrent_fails_by_it_too(start: Start) -> None:
    fragile = start(child(Fragile))
    pid = fragile.pid.ask().result()

    with pytest.raises(CancelledError, match="waits_alone_for_what_is_cancelled was cancelled in its actor"):
        fragile.waits_alone_for_what_is_cancelled.ask().result(timeout=3)
    assert fragile.pid.ask().result() == pid


def test_handled_counts_concurrent_messages_when_they_end_and_timers(start: Start, system: Supervisor) -> None:
    fragile = start(child(Fragile))

    def counts() -> tuple[int, int]:
        status = next(each for each in system.children() if each.path == name_of(fragile))
        return status.handled, status.failed

    for _ in range(5):
        fragile.rest.ask().result()
    assert wait_until(lambda: counts() == (5, 0))

    fragile.set_timers.ask().result()
    assert wait_until(lambda: counts() == (7, 1))


def test_what_is_no_exception_ends_the_actor_from_a_concurrent_message_too(start: Start) -> None:
    fragile = start(child(Fragile))

    with pytest.raises(ActorDied) as caught:
        fragile.raises.ask().result(timeout=3)

    assert "no Exception" in caught.value.certificate.traceback
    assert caught.value.delivered == "started"
