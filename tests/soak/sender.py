"""Senders: they draw a message by chance, send it, and write to the ledger what they were promised and what came."""

import asyncio
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any

import numpy as np

from actors import deadline
from actors.deadline import ambient
from actors.errors import (
    ActorDied,
    ActorError,
    ActorStopped,
    AskFailed,
    DeadlineExceeded,
    MailboxFull,
    NotFound,
    OutOfMemory,
)
from tests.soak.ledger import (
    ACCEPTED,
    ANSWERED,
    ASK,
    CANCELLED,
    CONCURRENT,
    DELIVERED,
    DIED,
    EXPIRED,
    FULL,
    INTENT,
    LATE,
    NO,
    NOTHING_SAID,
    ODD,
    OUTCOME,
    RETRY,
    STOPPED,
    URGENT,
    Ledger,
)

SLACK_SECONDS = 2.0  # on a machine where everything else runs too
MOST_UNDER_WAY = 12
_FLAGS = {"surely": RETRY, "hurry": URGENT, "beside": CONCURRENT}
_ANSWERS_LARGE = ("swell", "weigh")
_LARGE = (5_000, 40_000, 300_000)  # above a frame, and of three sizes of slab
_IMAGES = ((30, 200), (200, 400), (500, 600))  # shapes: 24 KB, 320 KB, 1.2 MB


@dataclass(frozen=True, slots=True)
class Target:
    """An actor that messages are sent to.

    Attributes:
        number: in the ledger.
        ref: to it.
        names: of its messages, one of which is drawn.
        is_async: its handlers are `async def`.
        slow: seconds that its handlers take at most.
    """

    number: int
    ref: Any
    names: tuple[str, ...]
    is_async: bool
    slow: float


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was drawn.

    Attributes:
        form: "tell", "ask" or "call".
        seconds: its deadline.
        nbytes: of its body.
    """

    target: Target
    seq: int
    name: str
    form: str
    seconds: float
    work: float
    nbytes: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An ask whose answer is still to be waited for."""

    letter: Letter
    reply: Any
    until: float


def pattern(seq: int, nbytes: int) -> bytes:
    """The body of a message of that number: whoever gets another's, or half of one, can tell."""
    return ((seq & 0xFFFF_FFFF).to_bytes(4, "little") * (nbytes // 4 + 1))[:nbytes]


def image(seq: int, shape: tuple[int, int]) -> Any:
    """An array whose every element says which message it is of and where it is in it, (rows, columns) uint32."""
    return (np.arange(shape[0] * shape[1], dtype=np.uint32) + np.uint32(seq * 7919 % (1 << 31))).reshape(shape)


def is_image(found: Any, seq: int) -> bool:
    """Every element is as that message's image has it."""
    return bool(found.dtype == np.uint32 and np.array_equal(found, image(seq, found.shape)))


class Pen:
    """What both kinds of senders share: drawing, and writing down."""

    def __init__(self, ledger: Ledger, number: int, targets: Sequence[Target], chance: Random) -> None:
        self.number = number
        self.targets = targets
        self.chance = chance
        self.under_way: list[UnderWay] = []
        self._ledger = ledger
        self._seq = 0

    def draw(self, *, in_loop: bool) -> Letter:
        """Draw the next message."""
        chance = self.chance
        target = chance.choice(self.targets)
        name = chance.choice(target.names)
        forms = ("tell", "ask", "call", "send") if in_loop else ("tell", "ask", "call")
        self._seq += 1
        return Letter(
            target,
            self._seq,
            name,
            "ask" if name in _ANSWERS_LARGE else chance.choice(forms),
            chance.choice((0.005, 0.05, 0.5, 2.0, 2.0)),
            chance.random() * target.slow if chance.random() < 0.3 else 0.0,
            chance.choice(_LARGE) if chance.random() < 0.03 else chance.choice((0, 0, 30, 1500)),
        )

    def intend(self, letter: Letter) -> tuple[Any, ...]:
        """Write down what will be sent; returns the message's arguments."""
        flags = _FLAGS.get(letter.name, 0) | (ASK if letter.form in ("ask", "call") else 0)
        self._put(INTENT, letter, flags, _left_ms(letter.seconds))
        is_weighed = letter.name == "weigh"
        body = image(letter.seq, _IMAGES[letter.seq % 3]) if is_weighed else pattern(letter.seq, letter.nbytes)
        return (self.number, letter.seq, letter.work, body)

    def accepted(self, letter: Letter) -> None:
        """Write down that it was taken."""
        self._put(ACCEPTED, letter)

    def answered(self, letter: Letter, value: Any, until: float) -> None:
        """Write down that it was answered; with what another message should get, that is odd."""
        if letter.name == "swell":
            is_right = bytes(value) == pattern(letter.seq, letter.nbytes + 5000)
        elif letter.name == "weigh":
            is_right = is_image(value - 1, letter.seq)
        else:
            is_right = list(value) == [self.number, letter.seq]
        self._outcome(letter, ANSWERED if is_right else ODD, NOTHING_SAID, until)

    def failed(self, letter: Letter, error: BaseException, until: float) -> None:
        """Write down how it failed."""
        said = DELIVERED[error.delivered] if isinstance(error, AskFailed) else NOTHING_SAID
        match error:
            case DeadlineExceeded():
                how = EXPIRED
            case ActorDied():
                how = DIED
            case MailboxFull():
                how = FULL
            case ActorStopped():
                how = STOPPED
            case OutOfMemory():
                how, said = FULL, NO
            case NotFound():
                how, said = STOPPED, NO
            case asyncio.CancelledError() | TimeoutError():
                how = CANCELLED
            case _:
                how = ODD
                traceback.print_exception(error, file=sys.stderr)
        self._outcome(letter, how, said, until)

    def _outcome(self, letter: Letter, how: int, said: int, until: float) -> None:
        flags = LATE if monotonic() > until + SLACK_SECONDS else 0
        self._put(OUTCOME, letter, flags, how << 3 | said)

    def _put(self, kind: int, letter: Letter, flags: int = 0, detail: int = 0) -> None:
        self._ledger.put(
            kind, actor=letter.target.number, sender=self.number, seq=letter.seq, flags=flags, detail=detail
        )


def _left_ms(seconds: float) -> int:
    """Until the deadline of what is sent now: a producer's handler has inherited one, which may be earlier."""
    inherited_ns, _ = ambient.get()
    left = seconds if inherited_ns is None else min(seconds, inherited_ns / 1e9 - monotonic())
    return max(0, int(left * 1000))


class Sender(Pen):
    """Sends from a thread."""

    def step(self) -> None:
        """Send one message, and perhaps wait for the answers of those before."""
        letter = self.draw(in_loop=False)
        args = self.intend(letter)
        until = monotonic() + letter.seconds
        try:
            with deadline(letter.seconds):
                bound = getattr(letter.target.ref, letter.name)
                if letter.form == "tell":
                    bound.tell(*args)
                    self.accepted(letter)
                elif letter.form == "call":
                    value = bound.ask(*args).result() if letter.target.is_async else bound(*args)
                    self.answered(letter, value, until)
                else:
                    reply = bound.ask(*args)
                    self.accepted(letter)
                    self.under_way.append(UnderWay(letter, reply, until))
        except ActorError as error:
            self.failed(letter, error, until)
        if len(self.under_way) > MOST_UNDER_WAY or self.chance.random() < 0.1:
            self.collect()

    def collect(self) -> None:
        """Wait for the answers of everything under way."""
        asks, self.under_way = self.under_way, []
        for ask in asks:
            until = max(ask.until, monotonic())
            try:
                self.answered(ask.letter, self._result(ask), until)
            except ActorError as error:
                self.failed(ask.letter, error, until)

    def _result(self, ask: UnderWay) -> Any:
        if self.chance.random() < 0.1:
            try:
                return ask.reply.result(timeout=0.002)
            except DeadlineExceeded:
                raise
            except TimeoutError:  # the ask lives on
                pass
        return ask.reply.result()


class AsyncSender(Pen):
    """Sends from an event loop."""

    async def step(self) -> None:
        """Send one message, and perhaps wait for the answers of those before."""
        letter = self.draw(in_loop=True)
        args = self.intend(letter)
        until = monotonic() + letter.seconds
        try:
            with deadline(letter.seconds):
                bound = getattr(letter.target.ref, letter.name)
                if letter.form == "tell":
                    bound.tell(*args)
                    self.accepted(letter)
                elif letter.form == "send":
                    await bound.send(*args)
                    self.accepted(letter)
                elif letter.form == "call":
                    value = await (bound(*args) if letter.target.is_async else bound.ask(*args))
                    self.answered(letter, value, until)
                else:
                    reply = bound.ask(*args)
                    self.accepted(letter)
                    self.under_way.append(UnderWay(letter, reply, until))
        except ActorError as error:
            self.failed(letter, error, until)
        if len(self.under_way) > MOST_UNDER_WAY or self.chance.random() < 0.1:
            await self.collect()

    async def collect(self) -> None:
        """Wait for the answers of everything under way; now and then stop waiting for one."""
        asks, self.under_way = self.under_way, []
        for ask in asks:
            until = max(ask.until, monotonic())
            seconds = 0.001 if self.chance.random() < 0.05 else None
            try:
                async with asyncio.timeout(seconds):
                    value = await ask.reply
                self.answered(ask.letter, value, until)
            except (ActorError, TimeoutError) as error:
                self.failed(ask.letter, error, until)
