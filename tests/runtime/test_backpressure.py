"""Backpressure: a mailbox is bounded, nothing is dropped silently, nobody's memory grows."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from actors import Actor, BadSpec, MailboxFull, Reply, child, deadline, message
from actors.child import Mailbox
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Counter, Gate, Start, Stopped

pytestmark = pytest.mark.process

SMALL = Mailbox(size=4096)


class Slow(Actor):
    """Counts, and takes its time for it."""

    def __init__(self) -> None:
        self.count = 0

    @message
    def tick(self, n: int) -> None:
        self.count += 1
        if not self.count & 63:
            time.sleep(0)  # gives the CPU away: senders are always ahead

    @message
    def total(self) -> int:
        return self.count

    @message(urgent=True)
    def urgent(self) -> int:
        return self.count

    @message
    def pid(self) -> int:
        return os.getpid()


class Forwarder(Actor):
    """Tells another one from inside a handler."""

    def __init__(self, other: Slow) -> None:
        self.other = other

    @message
    def forward(self, count: int) -> int:
        for n in range(count):
            self.other.tick.tell(n)
        return count


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_full_mailbox_makes_a_sync_sender_wait_until_its_deadline(start: Start) -> None:
    counter = start(child(Counter).options(mailbox=SMALL))
    sent = 0
    with Stopped(counter.pid()):
        begin = time.monotonic()
        with deadline(0.2), pytest.raises(MailboxFull) as caught:
            while True:
                counter.add.tell(1)
                sent += 1
        waited = time.monotonic() - begin
        with deadline(0.01), pytest.raises(MailboxFull) as asked:
            counter.add.ask(1)

    assert caught.value.delivered == "no"
    assert asked.value.delivered == "no"
    assert 0.15 < waited < 2
    assert counter.add(0) == sent


def test_a_waiting_sender_goes_on_when_there_is_room(start: Start) -> None:
    counter = start(child(Counter).options(mailbox=SMALL))
    sent: list[int] = []

    def tell() -> None:
        for n in range(500):
            counter.add.tell(1)
            sent.append(n)

    thread = threading.Thread(target=tell)
    with Stopped(counter.pid()):
        thread.start()
        assert wait_until(lambda: len(sent) > 10)
        assert thread.is_alive()
    thread.join(5)

    assert counter.add(0) == len(sent) == 500


def test_when_full_refuse_raises_at_once(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter).options(mailbox=Mailbox(size=4096, when_full="refuse")))
    with Stopped(counter.pid()):
        sent = 0
        begin = time.monotonic()
        with pytest.raises(MailboxFull) as caught:
            while True:
                counter.add.tell(1)
                sent += 1
        for call in (counter.add, counter.add.ask, counter.add.tell):
            with pytest.raises(MailboxFull):
                call(1)
        assert time.monotonic() - begin < 1

    assert caught.value.delivered == "no"
    assert wait_until(lambda: system.children()[0].handled > sent)
    assert counter.add(0) == sent


def test_when_full_refuse_raises_at_once_in_a_loop_too(start: Start) -> None:
    counter = start(child(Counter).options(mailbox=Mailbox(size=4096, when_full="refuse")))
    pid = counter.pid()

    async def main() -> None:
        with Stopped(pid):
            with pytest.raises(MailboxFull):
                while True:
                    counter.add.tell(1)
            with pytest.raises(MailboxFull):
                counter.add.ask(1)
            with pytest.raises(MailboxFull):
                await counter.add.send(1)

    asyncio.run(main())


def test_a_send_in_a_loop_waits_until_its_deadline_and_leaves_nothing_behind(start: Start) -> None:
    gate = start(child(Gate).options(mailbox=SMALL))
    pid = gate.pid()

    async def main() -> int:
        sent = 0
        with Stopped(pid):
            with pytest.raises(MailboxFull):
                while True:
                    gate.note.tell("told")
                    sent += 1
            with deadline(0.05), pytest.raises(MailboxFull) as caught:
                await gate.note.send("too late")
            assert caught.value.delivered == "no"
            cancelled = asyncio.create_task(gate.note.send("cancelled"))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        await gate.note.send("in time")
        assert await gate.notes.ask() == ["told"] * sent + ["in time"]
        return sent

    assert asyncio.run(main()) > 0


def test_in_a_loop_what_is_queued_is_bounded(start: Start) -> None:
    counter = start(child(Counter).options(mailbox=SMALL))
    pid = counter.pid()

    async def main() -> None:
        with Stopped(pid):
            replies: list[Reply[int]] = []
            with pytest.raises(MailboxFull):
                replies.extend(counter.add.ask(1) for _ in range(100_000))
        assert await asyncio.gather(*replies) == list(range(1, len(replies) + 1))

    asyncio.run(main())


def test_an_actor_that_tells_waits_for_room_as_well(start: Start) -> None:
    slow = start(child(Slow).options(mailbox=SMALL))
    forwarder = start(child(Forwarder, slow))

    assert forwarder.forward(5000) == 5000
    assert slow.total() == 5000


def test_urgent_messages_get_past_a_full_mailbox(start: Start) -> None:
    slow = start(child(Slow).options(mailbox=SMALL))
    with Stopped(slow.pid()):
        sent = 0
        with deadline(0.05), pytest.raises(MailboxFull):
            while True:
                slow.tick.tell(1)
                sent += 1
        urgent = slow.urgent.ask()

    assert urgent.result() < sent
    assert slow.total() == sent


def test_a_stop_gets_past_a_full_mailbox(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter).options(mailbox=SMALL, drain="discard"), "counter")
    with Stopped(counter.pid()), deadline(0.02), pytest.raises(MailboxFull):
        while True:
            counter.add.tell(1)
    begin = time.monotonic()

    system.stop("counter")

    assert time.monotonic() - begin < 2


def test_a_mailbox_has_the_size_that_was_asked_for(start: Start, system: Supervisor) -> None:
    start(child(Counter).options(mailbox=Mailbox(size=65536)), "large")
    start(child(Counter), "usual")

    sizes = {status.path: status.mailbox_bytes for status in system.children()}

    assert sizes == {"large": 65536, "usual": 32768}
    for wrong in (Mailbox(size=100), Mailbox(size=1 << 30), Mailbox(when_full="perhaps")):  # type: ignore[arg-type]
        with pytest.raises(BadSpec):
            child(Counter).options(mailbox=wrong)


def test_a_million_tells_to_a_slow_actor_neither_grow_memory_nor_lose_one(start: Start) -> None:
    slow = start(child(Slow))
    tell = slow.tick.tell
    for n in range(1000):
        tell(n)
    before = _resident_bytes()

    for n in range(1_000_000):
        tell(n)

    assert _resident_bytes() - before < 4 << 20
    assert slow.total() == 1_001_000
