"""The inboxes of actors that run on asyncio: waiting suspends the loop's coroutine, other tasks run.

AI-1  A concurrent message is set aside as soon as it is taken (runtime.mailbox.aside). Its lane is read on; it is only
      held up when there is no room left to set messages aside.
AI-2  While nothing is to be taken, the page names that one as in hand which has been longest.
AI-3  A member of a pool that has begun one from the queue lets its event loop go round before the next: whoever else
      was woken by it takes that. It would begin all there are before the others have woken up.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Any

from actors.deadline import ambient
from actors.errors import ActorError
from actors.loop import Envelope, NotYet
from runtime.clerk import clerk
from runtime.mailbox.aside import Aside
from runtime.mailbox.inbox import Inbox
from runtime.mailbox.lane import Lane, Token
from runtime.mailbox.page import ASIDE_LANE, ATTENTION, BUSY_NS, HANDLED, IN_HAND, SINCE_NS, Page
from runtime.wire.frame import unpack_length
from runtime.wire.late import Late, Missed

_WHILE_NS = 500_000_000  # until answers that wait for room are looked after again


class AsyncInbox(Inbox):
    """For actors with `async def` handlers."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._woken: asyncio.Event | None = None

    async def wait(self, until_ns: int | None) -> None:
        """Suspend until a lane has something, a concurrent message ended, or until_ns."""
        if self._missing is not None:
            await self._fetch(self._missing, until_ns)
            return
        loop = asyncio.get_running_loop()
        self._woken = woken = asyncio.Event()
        readers = self._lanes_to_read()
        writers = self._replies.pending_fds()
        for fd in readers:
            loop.add_reader(fd, self._wake, fd)
        for fd in writers:
            loop.add_writer(fd, woken.set)
        timer = None if until_ns is None else loop.call_later((until_ns - monotonic_ns()) / 1e9, woken.set)
        self._words[BUSY_NS] += monotonic_ns() - self._busy_since_ns
        try:
            await woken.wait()
        finally:
            self._busy_since_ns = monotonic_ns()
            for fd in readers:
                loop.remove_reader(fd)
            for fd in writers:
                loop.remove_writer(fd)
            if timer is not None:
                timer.cancel()
        self._replies.flush()

    def done(self, token: Token, name: str, value: object) -> None:
        """As `Inbox.done`.

        Raises:
            NotYet: its answer needs the supervisor, which is late.
        """
        try:
            super().done(token, name, value)
        except Late as late:
            raise _not_yet(late) from None

    def fail(self, token: Token, error: Exception) -> bool:
        """As `Inbox.fail`; raises what `done` does."""
        try:
            return super().fail(token, error)
        except Late as late:
            raise _not_yet(late) from None

    async def _fetch(self, missing: Callable[[], object], until_ns: int | None) -> None:
        """Have what the next message needs fetched, for a while; other tasks run (IN-8)."""
        self._missing = None
        soon_ns = monotonic_ns() + _WHILE_NS
        with contextlib.suppress(TimeoutError, ActorError):  # it is tried again, or the message says what is wrong
            await clerk.wait_for(missing, min(soon_ns, until_ns or soon_ns))
        if self._replies.has_pending():
            self._replies.flush()

    def _lanes_to_read(self) -> list[int]:
        """Descriptors of the lanes from which something may be taken."""
        return list(self.fds)

    def _wake(self, fd: int) -> None:
        if fd == self._urgent.fd:
            self._words[ATTENTION] = 1
        if self._woken is not None:
            self._woken.set()


def _not_yet(late: Late) -> NotYet:
    """What the loop is told of an answer that needs the supervisor, in the context of the answer's message."""
    return NotYet(partial(_had, late, ambient.get()[0] or 0), Missed(late))


async def _had(late: Late, until_ns: int) -> bool:
    """Have a thread wait for the supervisor until then, 0: for ever; whether it has answered."""
    try:
        await clerk.wait_for(late.again, until_ns)
    except TimeoutError:
        return False
    except ActorError:  # the answer, made again, meets with the same
        return True
    return True


class ConcurrentInbox(AsyncInbox):
    """For actors with concurrent messages."""

    def __init__(self, page: Page, *args: Any) -> None:
        """As `Inbox`; which messages are concurrent is in the table that the actor has published."""
        self._aside = Aside(page)  # before anything is taken over from there
        super().__init__(page, *args)
        self._concurrent = {name for name, entry in page.table().items() if entry.options.concurrent}
        self._has_begun = False  # one, since it last waited
        self._taken_ns: dict[int, int] = {}  # of each message set aside, by its place, the oldest first

    def take_nowait(self) -> Envelope | None:
        """As `Inbox.take_nowait`; a concurrent message has been set aside (AI-1, AI-3)."""
        if self._has_begun and self._main.at >= self._main.extent and not self._words[ATTENTION]:
            self._has_begun = False
            self._show_oldest()
            return None
        if self._aside.has_room():
            envelope = super().take_nowait()
        elif self._words[ATTENTION] and self._aside.has_room(urgent=True):
            envelope = self._take_urgent()
        else:
            envelope = None
        if envelope is None:
            self._show_oldest()
        elif envelope[1] in self._concurrent:
            token, name, args, kwargs = envelope
            self._has_begun = self._pool is not None
            return self._set_aside(token), name, args, kwargs
        return envelope

    def _set_aside(self, token: Token) -> Token:
        lane, at, ask_id, reply_to = token
        place = at
        if lane is not self._side:
            place = self._aside.put(lane.view, at, unpack_length(lane.view, at)[0], lane.mark)
            payload = self._leases.pop((lane, at), None)
            if payload is not None:
                self._leases[self._side, place] = payload
        self._taken_ns[place] = self._words[SINCE_NS]
        return self._side, place, ask_id, reply_to

    def _show_oldest(self) -> None:
        """AI-2; the time first: whoever sees the place sees no later time."""
        for place, taken_ns in self._taken_ns.items():
            self._words[SINCE_NS] = taken_ns
            self._words[IN_HAND] = place + 1 | ASIDE_LANE
            break

    def _lanes_to_read(self) -> list[int]:
        if self._aside.has_room():
            return list(self.fds)
        return [self._urgent.fd] if self._aside.has_room(urgent=True) else []

    def done(self, token: Token, name: str, value: object) -> None:
        """As `Inbox.done`; the place is free, and the loop may be waiting for one."""
        super().done(token, name, value)
        self._words[HANDLED] = self._handled  # the next filling of the journal may be long in coming
        self._ended(token[0], token[1])

    def fail(self, token: Token, error: Exception) -> bool:
        """As `Inbox.fail`; see `done`."""
        was_asked = super().fail(token, error)
        self._ended(token[0], token[1])
        return was_asked

    def _expired(self, lane: Lane, at: int, body: int, end: int) -> None:
        super()._expired(lane, at, body, end)
        self._ended(lane, at)

    def _ended(self, lane: Lane, at: int) -> None:
        if lane is self._side:
            self._taken_ns.pop(at, None)
            self._aside.free(at)
            if self._woken is not None:
                self._woken.set()
