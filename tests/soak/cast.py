"""The actors of the soak. Each handler writes to the ledger before it does anything and when it has done it."""

import asyncio
import gc
import os
import random
import time
from collections.abc import Sequence
from typing import Any

from actors import Actor, message
from tests.soak.canvas import Painter
from tests.soak.ledger import (
    ACTORS,
    BEGIN,
    CONCURRENT,
    DAMAGED,
    END,
    REDELIVERED,
    RETRY,
    TALLY,
    URGENT,
    Ledger,
)
from tests.soak.sender import AsyncSender, Sender, Target, is_image, pattern

Stamp = tuple[int, int]
"""A message: its sender's number and its number among the sender's."""


class Scribe(Actor):
    """What all have in common: they account for what they handle."""

    def __init__(self, ledger: str, number: int) -> None:
        self.ledger = Ledger(ledger)
        self.number = number
        self.pid = os.getpid()

    def rest(self) -> int:
        """Nothing is sent any more: what was an error's, with its traceback, lets go of its payloads."""
        gc.collect()
        return self.context.incarnation

    def begin(self, stamp: Stamp, flags: int = 0, body: bytes = b"") -> None:
        """Say that a message's handler runs."""
        if flags & RETRY and self.context.redelivered:
            flags |= REDELIVERED
        if bytes(body) != pattern(stamp[1], len(body)):
            flags |= DAMAGED
        self._put(BEGIN, stamp, flags)

    def end(self, stamp: Stamp) -> list[int]:
        """Say that it has run; returns what is to be answered."""
        self._put(END, stamp, 0)
        return list(stamp)

    def _put(self, kind: int, stamp: Stamp, flags: int, detail: int = 0) -> None:
        self.ledger.put(
            kind,
            actor=self.number,
            pid=self.pid,
            incarnation=self.context.incarnation,
            sender=stamp[0],
            seq=stamp[1],
            flags=flags,
            detail=detail,
        )


class Sink(Scribe):
    """Consumes, in a thread."""

    @message
    def note(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), 0, body)
        _work(work)
        return self.end((sender, seq))

    @message(retry=2)
    def surely(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), RETRY, body)
        _work(work)
        return self.end((sender, seq))

    @message(urgent=True)
    def hurry(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), URGENT, body)
        _work(work)
        return self.end((sender, seq))

    @message
    def swell(self, sender: int, seq: int, work: float, body: bytes = b"") -> bytes:
        """Answers with a body as large as that of the question, and then some."""
        self.begin((sender, seq), 0, body)
        _work(work)
        self.end((sender, seq))
        return pattern(seq, len(body) + 5000)

    @message
    def settled(self) -> int:
        return self.rest()


class AsyncSink(Scribe):
    """Consumes, in an event loop."""

    def __init__(self, ledger: str, number: int) -> None:
        super().__init__(ledger, number)
        self.under_way = 0

    @message
    async def note(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), 0, body)
        await asyncio.sleep(work)
        return self.end((sender, seq))

    @message(retry=2)
    async def surely(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), RETRY, body)
        await asyncio.sleep(work)
        return self.end((sender, seq))

    @message(urgent=True)
    async def hurry(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), URGENT, body)
        return self.end((sender, seq))

    @message
    async def swell(self, sender: int, seq: int, work: float, body: bytes = b"") -> bytes:
        """Answers with a body as large as that of the question, and then some."""
        self.begin((sender, seq), 0, body)
        self.end((sender, seq))
        return pattern(seq, len(body) + 5000)

    @message(concurrent=True)
    async def beside(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.under_way += 1
        self.begin((sender, seq), CONCURRENT, body)
        await asyncio.sleep(work)
        self.under_way -= 1
        return self.end((sender, seq))

    @message
    async def settled(self) -> int:
        while self.under_way:
            await asyncio.sleep(0.001)
        return self.rest()


class Keeper(Sink):
    """Counts what it handles, in a state that is committed with each message."""

    def __init__(self, ledger: str, number: int) -> None:
        super().__init__(ledger, number)
        self.count = 0

    def snapshot(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state

    def _put(self, kind: int, stamp: Stamp, flags: int, detail: int = 0) -> None:
        super()._put(kind, stamp, flags, self.count)
        self.count += kind == BEGIN

    @message(snapshot=False)
    def settled(self) -> int:
        self.ledger.put(TALLY, actor=self.number, detail=self.count)
        return self.rest()


class Weigher(Sink):
    """Gets arrays in slabs and answers with others; holds on to the last, and its slab with it."""

    def __init__(self, ledger: str, number: int) -> None:
        super().__init__(ledger, number)
        self.held: Any = None

    @message
    def weigh(self, sender: int, seq: int, work: float, image: Any) -> Any:
        self.begin((sender, seq), 0 if is_image(image, seq) else DAMAGED)
        self.held = image
        _work(work)
        self.end((sender, seq))
        return image + 1

    @message
    def settled(self) -> int:
        self.held = None
        return self.rest()


class Artist(Sink):
    """Paints a region, with others; is killed in the midst of it."""

    def __init__(self, ledger: str, number: int, canvas: Any) -> None:
        super().__init__(ledger, number)
        self.painter = Painter(canvas, self.ledger, number)

    @message
    def paint(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), 0, body)
        self.painter.paint(work)
        return self.end((sender, seq))

    @message
    def look(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), 0, body)
        self.painter.look()
        return self.end((sender, seq))


class Producer(Sink):
    """Sends on, from a thread: each message it gets becomes several others."""

    def __init__(self, ledger: str, number: int, targets: Sequence[Target], seed: str) -> None:
        super().__init__(ledger, number)
        sender = ACTORS | self.pid
        self.sender = Sender(self.ledger, sender, targets, random.Random(f"{seed}/{sender}"))

    @message
    def produce(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), 0, body)
        for _ in range(4):
            self.sender.step()
        self.sender.collect()
        return self.end((sender, seq))

    @message
    def settled(self) -> int:
        """Late answers are dropped, and their payloads with them, when this thread reads its answers again."""
        self.sender.targets[0].ref.settled()
        return self.rest()


class AsyncProducer(AsyncSink):
    """Sends on, from an event loop."""

    def __init__(self, ledger: str, number: int, targets: Sequence[Target], seed: str) -> None:
        super().__init__(ledger, number)
        sender = ACTORS | self.pid
        self.sender = AsyncSender(self.ledger, sender, targets, random.Random(f"{seed}/{sender}"))

    @message
    async def produce(self, sender: int, seq: int, work: float, body: bytes = b"") -> list[int]:
        self.begin((sender, seq), 0, body)
        for _ in range(4):
            await self.sender.step()
        await self.sender.collect()
        return self.end((sender, seq))


def _work(seconds: float) -> None:
    if seconds:
        time.sleep(seconds)
