"""The inbox of a player: an `actors.loop.Inbox` whose lanes are lists; it outlives its actor's incarnations.

IN-1  A letter is begun before it is handled, so whoever dies with it in hand is known to have begun it.
IN-2  One letter at most is begun in a pass: whoever waits for its answer goes on before the next one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator

from actors.context import Context
from actors.deadline import NOTHING, ambient
from actors.errors import Unencodable, of_handler
from actors.loop import Envelope
from actors.rehearsal.clockwork import Clockwork, Killed
from actors.rehearsal.letter import Letter, Pending, copied


class _Park:
    """Gives the thread back to the Stage."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class ListInbox:
    """Both lanes of one name's mailbox, and what is in hand.

    Attributes:
        in_hand: letters begun and not finished, in order.
        full: senders that wait for room.
        trap_before, trap_after: names of messages that kill the actor when begun, or when just handled.
        stop_wanted_for: reason of an ordered stop, or None.
        drains: that stop handles what is queued.
        commit: commits the actor's state after a message of that name, "" of none; None: it has no snapshots.
        finishes: so does a stop of the actor's own accord.
    """

    def __init__(self, now_ns: Callable[[], int], room: int) -> None:
        self._now_ns = now_ns
        self._room = room
        self.queue: deque[Letter] = deque()
        self.urgent: deque[Letter] = deque()
        self.full: deque[Pending] = deque()
        self.in_hand: list[Letter] = []
        self.handled = self.failed = self.expired = 0
        self.trap_before: set[str] = set()
        self.trap_after: set[str] = set()
        self.stop_wanted_for: str | None = None
        self.drains = True
        self.finishes = False
        self.commit: Callable[[str], None] | None = None
        self.open_for(None, None)

    def open_for(self, context: Context | None, loop: Clockwork | None) -> None:
        """A new incarnation takes from it from now on."""
        self._context = context
        self.commit = None
        self._loop = loop
        self._woken: asyncio.Future[None] | None = None
        self.is_parked = False
        self.is_nudged = False
        self.is_killed = False
        self.until_ns: int | None = None
        self.may_take = False
        self._to_finish: int | None = None  # letters, once the actor stops of its own accord

    @property
    def has_room(self) -> bool:
        """One more letter fits."""
        return len(self.queue) < self._room

    def is_due(self, now_ns: int) -> bool:
        """Its loop would find something to do."""
        if not self.is_parked or self.is_nudged or self.urgent or self.stop_wanted_for is not None:
            return True
        return bool(self.queue) or (self.until_ns is not None and self.until_ns <= now_ns)

    def wake(self) -> None:
        """Let its loop go on from `wait`, in the next pass."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def now_ns(self) -> int:
        """Virtual time."""
        return self._now_ns()

    def take_nowait(self) -> Envelope | None:
        """The next letter; None also when this pass has begun one already (IN-2)."""
        while self.may_take:
            if self.urgent:
                letter = self.urgent.popleft()
            elif self.queue and (self.stop_wanted_for is None or self.drains) and self._to_finish != 0:
                letter = self.queue.popleft()
                if self._to_finish:
                    self._to_finish -= 1
                if self.full:
                    self.full.popleft().settle(ok=True, value=None)
            else:
                return None
            letter.attempt += 1
            if letter.deadline_ns and self.now_ns() >= letter.deadline_ns:
                self.expired += 1
                continue
            self._begin(letter)
            return letter, letter.name, letter.args, letter.kwargs
        return None

    async def wait(self, until_ns: int | None) -> None:
        """Give the thread back until there is something to do."""
        self.until_ns = until_ns
        self.is_nudged = False
        self.is_parked = True
        if self._loop is None:
            await _Park()
        else:
            self._woken = self._loop.create_future()
            await self._woken
        self.is_parked = False

    def done(self, token: Letter, name: str, value: object) -> None:
        """Answer the letter; a value that cannot be sent is answered with the error."""
        if name in self.trap_after:
            self.trap_after.discard(name)
            self.is_killed = True
        self._finish(token)
        self.handled += 1
        if self.commit is not None:
            self.commit(name)
        if token.reply is not None:
            try:
                token.reply.settle(ok=True, value=copied(value, f"reply of {name}()"))
            except Unencodable as error:
                token.reply.settle(ok=False, value=error)

    def timer_done(self, *, failed: bool = False) -> None:
        """A timer of the actor has run: it counts as a message."""
        self.handled += not failed
        self.failed += failed
        if self.commit is not None:
            self.commit("")

    def busy_with(self, name: str) -> None:
        """Nobody looks from outside on the stage."""

    def fail(self, token: Letter, error: Exception) -> bool:
        """Answer the letter with what its handler raised."""
        self._finish(token)
        self.failed += 1
        if self.commit is not None:
            self.commit("")  # what it did before it raised is part of the state
        if token.reply is None:
            return False
        token.reply.settle(ok=False, value=of_handler(token.reply.actor, error))
        return True

    def stop_wanted(self) -> str | None:
        """See `actors.loop.Inbox.stop_wanted`."""
        return None if self.drains and self.queue else self.stop_wanted_for

    def has_more(self) -> bool:
        """See `actors.loop.Inbox.has_more`: what was queued when it was asked first, and is not handled."""
        if not self.finishes or (self.stop_wanted_for is not None and not self.drains):
            return False
        if self._to_finish is None:
            self._to_finish = len(self.queue)
        return self._to_finish > 0

    def _begin(self, letter: Letter) -> None:
        self.may_take = False
        self.in_hand.append(letter)
        if letter.name in self.trap_before:
            self.trap_before.discard(letter.name)
            self.is_killed = True
            raise Killed
        if letter.reply is not None:
            ambient.set((letter.deadline_ns or None, letter.chain))
        elif ambient.get() is not NOTHING:
            ambient.set(NOTHING)
        if self._context is not None:
            self._context.redelivered = letter.attempt > 1

    def _finish(self, letter: Letter) -> None:
        if self.is_killed:
            raise Killed
        self.in_hand.remove(letter)
        self.is_nudged = True
