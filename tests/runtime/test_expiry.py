"""Asks that are not answered in time end together: what that takes does not grow with their number times the queue."""

import asyncio
from collections.abc import Iterator

import pytest

from actors import DeadlineExceeded, child, deadline
from actors.child import Mailbox
from runtime.mailbox.letterbox import Letterbox
from tests.runtime.cast import Counter, Gate, Start, Stopped

pytestmark = pytest.mark.process

MANY = 500


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many asks were looked for in each walk through a mailbox."""
    made: list[int] = []
    verdicts = Letterbox.verdicts

    def counted(self: Letterbox, ask_ids: set[int], reply_to: int) -> object:
        made.append(len(ask_ids))
        return verdicts(self, ask_ids, reply_to)

    monkeypatch.setattr(Letterbox, "verdicts", counted)
    yield made


def test_many_asks_of_a_loop_that_end_at_one_deadline_take_one_walk(start: Start, walks: list[int]) -> None:
    gate = start(child(Gate), mailbox=Mailbox(size=1 << 18))
    other = start(child(Gate))
    pid, other_pid = gate.pid(), other.pid()

    async def main() -> list[object]:
        with Stopped(pid), Stopped(other_pid):
            with deadline(0.2):
                asks = [gate.note.ask(n) for n in range(MANY)]
                asks += [other.note.ask(n) for n in range(3)]
            return await asyncio.gather(*asks, return_exceptions=True)

    ended = asyncio.run(main())

    assert {type(error) for error in ended} == {DeadlineExceeded}
    assert walks == [MANY, 3]


def test_many_replies_that_a_thread_waits_for_one_by_one_take_one_walk(start: Start, walks: list[int]) -> None:
    gate = start(child(Gate), mailbox=Mailbox(size=1 << 18))
    pid = gate.pid()
    told = []
    with Stopped(pid):
        with deadline(0.2):
            asks = [gate.note.ask(n) for n in range(MANY)]
        for reply in asks:
            with pytest.raises(DeadlineExceeded) as caught:
                reply.result()
            told.append(caught.value.delivered)

    assert walks == [MANY]
    assert set(told) == {"unknown"}  # in the kernel's queue yet: who knows
    assert gate.notes() == []


def test_replies_that_their_loop_left_behind_take_one_walk(start: Start, walks: list[int]) -> None:
    gate = start(child(Gate), mailbox=Mailbox(size=1 << 18))
    pid = gate.pid()

    async def main() -> list[object]:
        with deadline(0.2):
            return [gate.note.ask(n) for n in range(MANY)]

    with Stopped(pid):
        left = asyncio.run(main())
        for reply in left:
            with pytest.raises(DeadlineExceeded):
                reply.result()  # type: ignore[attr-defined]

    assert walks == [MANY]


def test_asks_with_deadlines_of_their_own_each_end_at_it_and_in_its_order(start: Start) -> None:
    gate = start(child(Gate))
    pid = gate.pid()
    ended: list[int] = []

    async def one(n: int) -> None:
        with deadline(0.05 * (6 - n)):
            reply = gate.note.ask(n)
        with pytest.raises(DeadlineExceeded):
            await reply
        ended.append(n)

    async def main() -> None:
        with Stopped(pid):
            await asyncio.gather(*(one(n) for n in range(6)))

    asyncio.run(main())

    assert ended == [5, 4, 3, 2, 1, 0]


def test_what_has_been_answered_is_not_kept_until_its_deadline(start: Start) -> None:
    counter = start(child(Counter))

    async def main() -> int:
        with deadline(3600):
            asks = [counter.add.ask(0) for _ in range(20)]
            channel = asks[0]._channel
            await asyncio.gather(*asks)
            for _ in range(500):
                await counter.add.ask(0)
        return len(channel._due)

    assert asyncio.run(main()) < 100
