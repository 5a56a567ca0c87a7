"""The receiving end of a mailbox: two lanes read to their journals, decoded, answered.

IN-1  A frame's state is stored before its payload is touched (JO-2); its deadline is checked after that store, so an
      asker that found it queued past the deadline may say "no".
IN-2  A frame is done once its answer is written, or, for a tell, once its handler returned.
IN-3  The second lane is looked at before every message: one word of the page says whether it is worth a read.
"""

import asyncio
import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from actors.deadline import NOTHING, ambient
from actors.errors import Undecodable
from actors.loop import Envelope
from runtime.mailbox import fifo
from runtime.mailbox.journal import Journal
from runtime.mailbox.page import (
    BUSY_NS,
    CONTROL,
    EXPIRED,
    EXTENT,
    FAILED,
    HANDLED,
    IN_HAND,
    RUN,
    SINCE_NS,
    STOP_DISCARD,
    URGENT,
    URGENT_LANE,
    Page,
)
from runtime.mailbox.patience import Patience
from runtime.mailbox.replies import Replies
from runtime.wire.codec import Codec
from runtime.wire.frame import (
    ASK,
    DONE,
    ERROR,
    INDEX_AT,
    LARGE,
    MAX_ATTEMPTS,
    OVERHEAD,
    PAYLOAD_AT,
    PICKLED,
    RETRY_AT,
    STATE_AT,
    unpack_header,
)


class Lane:
    """One FIFO and its journal; `at` is the next frame, `in_hand` counts the frames taken and not finished."""

    __slots__ = ("at", "fd", "in_hand", "journal", "mark", "view")

    def __init__(self, path: str, area: memoryview, mark: int) -> None:
        self.fd = fifo.open_read(path)
        self.journal = Journal(area)
        self.view = area
        self.at = 0
        self.mark = mark
        self.in_hand = 0


Token = tuple[Lane, int, int, int]
"""Which frame is in hand: its lane, its offset in the journal, its ask id (0 for a tell), its reply address."""


class Inbox(ABC):
    """What an actor takes its messages from. Made after the fork, in the actor's own process; owns both FIFO ends."""

    def __init__(
        self,
        page: Page,
        directory: str,
        codec: Codec,
        replies: Replies,
        table: dict[str, tuple[int, int]],
        body: Callable[[int], bytes],
        redelivered: Callable[[bool], None],
    ) -> None:
        """Open both lanes below directory and take over what an earlier incarnation left.

        Args:
            page: of this actor.
            directory: of its mailbox.
            codec: to decode payloads with.
            replies: where answers go.
            table: message name → (index + 1, retry).
            body: takes a large body by its number and frees it.
            redelivered: told whether the message in hand was begun before.
        """
        self._page: Any = page
        self._words: Any = page.words
        self._codec: Any = codec
        self._replies: Any = replies
        self._table = table
        self._body = body
        self._redelivered = redelivered
        self._was_redelivered = False
        self._main = Lane(f"{directory}/mailbox", page.journal, 0)
        self._urgent = Lane(f"{directory}/urgent", page.urgent_journal, URGENT_LANE)
        self._main.journal.recover()
        self._urgent.journal.recover()
        self._words[EXTENT] = self._main.journal.extent
        self._words[IN_HAND] = 0
        self._woken: asyncio.Event | None = None

    @property
    def fds(self) -> tuple[int, int]:
        """The second lane's and the mailbox's descriptors, to be polled."""
        return self._urgent.fd, self._main.fd

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return monotonic_ns()

    def disown(self) -> None:
        """In a child that was forked in a handler: whatever touches the mailbox from now on ends the child."""
        self._page = self._words = self._codec = self._replies = _Foreign()

    def take_nowait(self) -> Envelope | None:
        """The next message of the second lane, else of the mailbox; None when both are empty."""
        words = self._words
        if words[URGENT]:
            envelope = self._take_urgent()
            if envelope is not None:
                return envelope
        if words[CONTROL] != RUN and not self._may_still_take():
            return None
        return self._take_from(self._main)

    def _take_urgent(self) -> Envelope | None:
        envelope = self._take_from(self._urgent)
        if envelope is None:
            self._words[URGENT] = 0
            envelope = self._take_from(self._urgent)  # one may have come before the word was cleared
        return envelope

    def _take_from(self, lane: Lane) -> Envelope | None:
        journal = lane.journal
        while True:
            at = lane.at
            if at >= journal.extent:
                if not self._refill(lane):
                    return None
                at = 0
            view = lane.view
            length, state, flags, _, _, ask_id, reply_to, deadline_ns, body = unpack_header(view, at)
            if length < OVERHEAD:
                lane.at = journal.extent
                continue
            lane.at = at + length
            if state >= DONE or (length == OVERHEAD and not body):  # answered before a crash; or a wake-up only
                view[at + STATE_AT] = DONE
                continue
            view[at + STATE_AT] = state + 1 if state < MAX_ATTEMPTS else state  # IN-1
            now = monotonic_ns()
            words = self._words
            words[SINCE_NS] = now
            words[IN_HAND] = (at + 1) | lane.mark
            if deadline_ns and now > deadline_ns:
                words[EXPIRED] += 1
                view[at + STATE_AT] = DONE
                words[IN_HAND] = 0
                if body:
                    self._body(body)
                continue
            if state or self._was_redelivered:
                self._was_redelivered = bool(state)
                self._redelivered(self._was_redelivered)
            envelope = self._decode((lane, at, ask_id, reply_to), length, flags, deadline_ns, body)
            if envelope is not None:
                return envelope

    def _decode(self, token: Token, length: int, flags: int, deadline_ns: int, body: int) -> Envelope | None:
        lane, at, _, _ = token
        view = lane.view
        lane.in_hand += 1
        try:
            payload = self._body(body) if flags & LARGE else view[at + PAYLOAD_AT : at + length - 4]
            name, args, kwargs, chain = self._codec.decode_call(PICKLED if flags & PICKLED else 0, payload)
        except Undecodable as error:
            self.fail(token, error)
            return None
        if flags & ASK:
            ambient.set((deadline_ns or None, tuple(chain)) if chain else (deadline_ns or None, ()))
        elif ambient.get() is not NOTHING:
            ambient.set(NOTHING)
        row = self._table.get(name)
        if row is not None:
            view[at + INDEX_AT] = row[0]
            if row[1]:
                view[at + RETRY_AT] = row[1]
        return token, name, args, kwargs

    def _refill(self, lane: Lane) -> bool:
        if lane.in_hand:  # concurrent messages of this journal are still being handled
            return False
        filled = lane.journal.fill(lane.fd)
        lane.at = 0
        if lane is self._main:
            self._words[EXTENT] = lane.journal.extent
        return filled

    @abstractmethod
    async def wait(self, until_ns: int | None) -> None:
        """Return when there may be a message, or at until_ns (monotonic)."""

    def done(self, token: Token, name: str, value: object) -> None:
        """Answer the message (IN-2); an unencodable reply is answered with the error."""
        lane, at, ask_id, reply_to = token
        if ask_id:
            self._replies.answer(reply_to, ask_id, name, value)
        self._words[HANDLED] += 1
        self._finish(lane, at)

    def fail(self, token: Token, error: Exception) -> bool:
        """Answer the message with its exception; False when nobody waits."""
        lane, at, ask_id, reply_to = token
        if ask_id:
            self._replies.send(reply_to, ask_id, ERROR, self._codec.encode_error(error))
        self._words[FAILED] += 1
        self._finish(lane, at)
        return bool(ask_id)

    def _finish(self, lane: Lane, at: int) -> None:
        lane.view[at + STATE_AT] = DONE
        lane.in_hand -= 1
        words = self._words
        words[BUSY_NS] += monotonic_ns() - words[SINCE_NS]
        words[IN_HAND] = 0

    def stop_wanted(self) -> str | None:
        """The word "shutdown" once an ordered stop was asked for and what it lets finish is finished."""
        return "shutdown" if self._words[CONTROL] != RUN and not self._may_still_take() else None

    def _may_still_take(self) -> bool:
        """While stopping: whether something queued is still to be handled."""
        if self._words[CONTROL] == STOP_DISCARD:
            return False
        lane = self._main
        return lane.at < lane.journal.extent or fifo.queued_bytes(lane.fd) > 0


class _Foreign:
    """Stands in for what is not a forked child's own."""

    def __getattr__(self, name: str) -> Any:
        os._exit(0)

    def __getitem__(self, at: int) -> Any:
        os._exit(0)


class BlockingInbox(Inbox):
    """For actors with `def` handlers only: waiting blocks the thread."""

    def __init__(self, *args: Any, patience: Patience) -> None:
        super().__init__(*args)
        self._patience = patience
        self._poll = select.poll()
        for fd in self.fds:
            self._poll.register(fd, select.POLLIN)

    async def wait(self, until_ns: int | None) -> None:
        """Block until a lane has something, or until_ns. Never suspends the coroutine."""
        fds = self._replies.pending_fds() if self._replies.has_pending() else ()
        for fd in fds:
            self._poll.register(fd, select.POLLOUT)
        found = self._patience.wait(self._poll, until_ns or 0)
        if found and found[0][0] == self._urgent.fd:
            self._words[URGENT] = 1  # its sender may have died between the write and the word
        if fds:
            for fd in fds:
                self._poll.unregister(fd)
            self._replies.flush()


class AsyncInbox(Inbox):
    """For actors with `async def` handlers: waiting suspends the loop's coroutine, other tasks run."""

    async def wait(self, until_ns: int | None) -> None:
        """Suspend until a lane has something, a concurrent message ended, or until_ns."""
        loop = asyncio.get_running_loop()
        self._woken = woken = asyncio.Event()
        readers = [lane.fd for lane in (self._urgent, self._main) if not lane.in_hand]
        writers = self._replies.pending_fds()
        for fd in readers:
            loop.add_reader(fd, self._wake, fd)
        for fd in writers:
            loop.add_writer(fd, woken.set)
        timer = None if until_ns is None else loop.call_later((until_ns - monotonic_ns()) / 1e9, woken.set)
        try:
            await woken.wait()
        finally:
            for fd in readers:
                loop.remove_reader(fd)
            for fd in writers:
                loop.remove_writer(fd)
            if timer is not None:
                timer.cancel()
        self._replies.flush()

    def _wake(self, fd: int) -> None:
        if fd == self._urgent.fd:
            self._words[URGENT] = 1
        if self._woken is not None:
            self._woken.set()

    def _finish(self, lane: Lane, at: int) -> None:
        super()._finish(lane, at)
        if self._woken is not None:
            self._woken.set()
