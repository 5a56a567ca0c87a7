"""The receiving end of a mailbox: two lanes read to their journals, decoded, answered.

IN-1  A frame's state is stored before its payload is touched (JO-2); its deadline is checked after that store, so an
      asker that found it queued past the deadline may say "no".
IN-2  A frame is done once its answer is written, or, for a tell, once its handler returned.
IN-3  Before every message one word of the page is looked at, ATTENTION: the second lane may hold something, or the
      supervisor wants something.
IN-4  A plain small message takes the short way through `take_nowait`, with nothing done that could be done later; all
      others (pickled, large, redelivered, empty) the long way. Both store the same things in the same order.
IN-5  A message whose effect cannot be committed for want of memory has done nothing: its asker gets `OutOfMemory`,
      and the actor ends, to go on from its last commit.
IN-6  An actor that stops of its own accord and is not started again finishes, as after an ordered stop, what is queued:
      what it has read, and what one more reading of its FIFO finds. Whoever goes on sending does not keep it alive.
IN-7  A notice is the supervisor's: it comes by the second lane and carries the mailbox's key. Whatever else has the
      name of one is refused, as every name is that is no message.
IN-8  What a message needs to be decoded and the supervisor does not hand over (it is late) is waited for until the
      message's deadline; on asyncio it is awaited. Meanwhile the message is queued, as it was.
"""

import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable
from struct import error as StructError  # noqa: N812
from time import monotonic_ns
from typing import Any

from msgspec import DecodeError

from actors.deadline import NOTHING, ambient
from actors.errors import ActorError, NoSuchMessage, OutOfMemory
from actors.loop import Envelope
from runtime.mailbox import aside, fifo
from runtime.mailbox.commits import Commit, Commits
from runtime.mailbox.journal import is_started, unfinished
from runtime.mailbox.lane import Lane, Token
from runtime.mailbox.page import (
    ASIDE_LANE,
    ATTENTION,
    BUSY_NS,
    CONTROL,
    EPOCH,
    EXPIRED,
    EXTENT,
    FAILED,
    HANDLED,
    HOOK,
    HOOK_NS,
    HOOKS,
    IN_HAND,
    INCARNATION,
    NOTICES_FROM,
    RUN,
    SINCE_NS,
    STOP_DISCARD,
    STOP_FINISH,
    STOP_LEAVE,
    URGENT_EPOCH,
    URGENT_LANE,
    Page,
)
from runtime.mailbox.patience import Patience
from runtime.mailbox.poolqueue import PoolLanes
from runtime.mailbox.replies import Replies
from runtime.wire.codec import Codec, unpack_plain
from runtime.wire.frame import (
    ASK,
    ASK_AT,
    CUT,
    DONE,
    DROPPED,
    END,
    INDEX_AT,
    LARGE,
    MAX_ATTEMPTS,
    NOTICE,
    OVERHEAD,
    PAYLOAD_AT,
    RETRY_AT,
    STATE_AT,
    TRAILER,
    is_whole,
    kind_of,
    next_whole,
    unpack_ask,
    unpack_header,
    unpack_length,
    unpack_start,
)
from runtime.wire.late import Late
from runtime.wire.parts import Payload

NO_KWARGS: dict[str, Any] = {}


class Uncommitted(Exception):
    """An actor's state could not be committed: what is in its memory has not happened (IN-5)."""


Unread = Callable[[bytes, str], None]
"""Given the frame of a message that cannot be decoded, and why."""


class Inbox(ABC):
    """What an actor takes its messages from. Made after the fork, in the actor's own process; owns both FIFO ends."""

    def __init__(
        self,
        page: Page,
        directory: str,
        codec: Codec,
        replies: Replies,
        table: dict[str, tuple[int, int]],
        lease: Callable[[int], Payload],
        redelivered: Callable[[bool], None],
        fifos: fifo.Fifos = fifo,
        queue: str = "",
    ) -> None:
        """Open both lanes below directory and take over what an earlier incarnation left.

        Args:
            page: of this actor.
            directory: of its mailbox.
            codec: to decode payloads with.
            replies: where answers go.
            table: message name → (index + 1, retry).
            lease: views of a large payload by what a frame says of its slab.
            redelivered: told whether the message in hand was begun before.
            fifos: opens the lanes.
            queue: directory of its pool's queue; "": it is of no pool.
        """
        self._page: Any = page
        self._words: Any = page.words
        self._codec: Any = codec
        self._replies: Any = replies
        self._table = table
        self._lease = lease
        self._leases: dict[tuple[Lane, int], Payload] = {}
        self._copied: Container[str] = ()
        self._redelivered = redelivered
        self._was_redelivered = False
        self._commits: Any = None
        self._unread: Unread | None = None
        self._drop: Callable[[int], object] = lease
        self._missing: Callable[[], object] | None = None  # fetches what the next message needs (IN-8)
        self._notices: dict[str, tuple[int, int]] = {}
        self._notice_key = 0
        self._main = Lane(fifos.open_read(f"{directory}/mailbox"), page.journal, 0, EPOCH)
        self._urgent = Lane(fifos.open_read(f"{directory}/urgent"), page.urgent_journal, URGENT_LANE, URGENT_EPOCH)
        self._pool = PoolLanes(queue, self._main.fd, fifos) if queue else None
        self._side = Lane(-1, page.aside, ASIDE_LANE, INCARNATION)
        self._again = [header.offset for header in reversed(aside.unfinished(page))]
        for lane in (self._main, self._urgent):
            lane.extent = lane.journal.recover() if page.words[INCARNATION] > 1 else 0
        self._drains = False
        self._last_fillings: int | None = None  # how often the mailbox may still be read; None: as often as it has more
        self._words[EXTENT] = self._main.extent
        self._words[ATTENTION] = 1
        self._handled = self._words[HANDLED]
        self._words[IN_HAND] = 0
        self._busy_since_ns = monotonic_ns()

    @property
    def fds(self) -> tuple[int, ...]:
        """The second lane's and the mailbox's descriptors, and those of a pool's queue, to be polled."""
        return self._urgent.fd, *(self._pool.fds if self._pool is not None else (self._main.fd,))

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return monotonic_ns()

    def commit_by(self, commit: Commit, unsnapped: Container[str], every: int) -> None:
        """Have the state committed before answers are sent (runtime.memory.snapshots); arguments as of `Commits`."""
        self._commits = Commits(commit, unsnapped, every, self._words, self._leases)

    def settle(self) -> None:
        """Commit what has been handled and is not committed yet.

        Raises:
            Uncommitted: it cannot be.
        """
        if self._commits is not None:
            try:
                self._commits.settle()
            except OutOfMemory as error:
                raise Uncommitted(str(error)) from error

    def drain(self) -> None:
        """Have an actor that stops of its own accord finish what is queued (IN-6)."""
        self._drains = True

    def copy_for(self, names: Container[str]) -> None:
        """Decode the large arguments of those messages as private copies, and give their slabs back at once."""
        self._copied = names

    def drop_by(self, drop: Callable[[int], None]) -> None:
        """Give back the large payload of a message that is not executed by that."""
        self._drop = drop

    def give_up_by(self, unread: Unread) -> None:
        """Have messages that cannot be decoded kept as dead letters."""
        self._unread = unread

    def close(self) -> list[int]:
        """Close both lanes and every caller's FIFO: the actor is gone, and the process lives on.

        Returns:
            The large payloads of messages that were begun and not ended.
        """
        headers = [*unfinished(self._urgent.view), *unfinished(self._main.view), *aside.unfinished(self._page)]
        for fd in self.fds:
            os.close(fd)
        self._replies.close()
        return [header.body for header in headers if header.body and is_started(header)]

    def hear(self, notices: Iterable[str], key: int) -> None:
        """Take messages of these names from the supervisor: from whoever knows the key, and nobody else (IN-7)."""
        self._notices = {name: (index, 0) for index, name in enumerate(notices, NOTICES_FROM)}
        self._notice_key = key

    def busy_with(self, name: str) -> None:
        """The actor begins what is no message, a timer's or a hook of that name; "": it has ended."""
        words = self._words
        words[HOOK] = 0
        if name:
            words[HOOK_NS] = monotonic_ns()
            words[HOOK] = HOOKS[name] if name in HOOKS else self._table[name][0]

    def timer_done(self, *, failed: bool = False) -> None:
        """A timer ran: its effect is committed like a message's, and it counts as one."""
        if failed:
            self._words[FAILED] += 1
        else:
            self._handled += 1
            self._words[HANDLED] = self._handled
        if self._commits is not None:
            try:
                self._commits.include_timer()
            except OutOfMemory as error:
                raise Uncommitted(str(error)) from error

    def disown(self) -> None:
        """In a child that was forked in a handler: whatever touches the mailbox from now on ends the child."""
        self._page = self._words = self._codec = self._replies = foreign = _Foreign()
        self._commits = self._commits and foreign

    def take_nowait(self) -> Envelope | None:
        """The next message of the second lane, else of the mailbox; None when both are empty."""
        words = self._words
        if words[ATTENTION]:
            return self._take_attentively()
        lane = self._main
        at = lane.at
        if at >= lane.extent:
            if not self._refill(lane):
                return None
            at = 0
        view = lane.view
        length, state, flags = unpack_start(view, at)
        if flags > ASK or state or length <= OVERHEAD or self._was_redelivered:
            return self._take_from(lane)
        lane.at = end = at + length
        view[at + STATE_AT] = 1  # IN-1
        words[SINCE_NS] = now = monotonic_ns()
        words[IN_HAND] = at + 1
        try:
            is_cut = end > lane.extent or unpack_length(view, end - TRAILER)[0] != length | END  # FR-2
            chain, name, args = unpack_plain(b"" if is_cut else view[at + PAYLOAD_AT : end - TRAILER])
            view[at + INDEX_AT], retry = self._table[name]
            view[at + RETRY_AT] = retry
            if flags:
                ask_id, reply_to, deadline_ns = unpack_ask(view, at + ASK_AT)
                ambient.set((deadline_ns, tuple(chain) if chain else ()))
            elif ambient.get() is not NOTHING:
                ambient.set(NOTHING)
        except (DecodeError, KeyError, ValueError, TypeError, StructError):  # not ours, or not a message of this actor
            lane.at = at
            view[at + STATE_AT] = 0
            return self._take_from(lane)
        if not flags:
            return (lane, at, 0, 0), name, args, NO_KWARGS
        if deadline_ns and now > deadline_ns:
            self._expired(lane, at, 0, DROPPED)
            return self._take_from(lane)
        return (lane, at, ask_id, reply_to), name, args, NO_KWARGS

    def _take_attentively(self) -> Envelope | None:
        """The second lane first (IN-3), then what a stop lets through: what was begun before, and the mailbox."""
        envelope = self._take_urgent()
        if envelope is not None:
            return envelope
        words = self._words
        if words[CONTROL] != RUN:
            words[ATTENTION] = 1
            if not self._may_still_take():
                return None
        if self._again:
            words[ATTENTION] = 1
            envelope = self._take_from(self._side)
            if envelope is not None:
                return envelope
        return self._take_from(self._main)

    def _take_urgent(self) -> Envelope | None:
        """The next message of the second lane, where ATTENTION says that there may be one."""
        words = self._words
        envelope = self._take_from(self._urgent)
        if envelope is None:
            words[ATTENTION] = 0
            envelope = self._take_from(self._urgent)  # one may have come before the word was cleared
            if envelope is not None:
                words[ATTENTION] = 1  # others may have been read into the journal with it
        return envelope

    def _take_from(self, lane: Lane) -> Envelope | None:
        """The next message of a lane, the long way (IN-4)."""
        words = self._words
        while True:
            at = lane.at
            if at >= lane.extent:
                if not self._refill(lane):
                    return None
                continue
            view = lane.view
            length, state, flags, _, _, ask_id, reply_to, deadline_ns, body = unpack_header(view, at)
            if not is_whole(view, at, length, lane.extent):
                lane.at = next_whole(view, max(0, at - 1), lane.extent)  # a foreign writer's
                words[FAILED] += 1
                continue
            lane.at = at + length
            if state >= CUT:  # ended before a crash
                continue
            if length == OVERHEAD and not body:  # a wake-up only
                view[at + STATE_AT] = DONE
                continue
            view[at + STATE_AT] = min(state + 1, MAX_ATTEMPTS)  # IN-1
            words[SINCE_NS] = now = monotonic_ns()
            words[IN_HAND] = (at + 1) | lane.mark
            if deadline_ns and now > deadline_ns:
                self._expired(lane, at, body, CUT if state else DROPPED)
                continue
            if state or self._was_redelivered:
                self._was_redelivered = bool(state)
                self._redelivered(self._was_redelivered)
            envelope = self._decode((lane, at, ask_id, reply_to), length, flags, deadline_ns, body)
            if envelope is not None:
                return envelope
            if self._missing is not None:
                view[at + STATE_AT] = state
                words[IN_HAND] = 0
                return None

    def _decode(self, token: Token, length: int, flags: int, deadline_ns: int, body: int) -> Envelope | None:
        lane, at, _, _ = token
        view = lane.view
        ambient.set((deadline_ns, ()))  # what it needs to be decoded is waited for until then
        try:
            payload = self._lease(body) if flags & LARGE else view[at + PAYLOAD_AT : at + length - TRAILER]
            name, args, kwargs, chain = self._codec.decode_call(kind_of(flags), payload, self._copied)
            row = self._table.get(name) or self._row_of(name, flags, token)
            ambient.set((deadline_ns, tuple(chain)) if flags & ASK else NOTHING)
        except Late as late:  # IN-8
            lane.at = at
            self._missing = late.again
            return None
        except (ActorError, TypeError) as error:  # Undecodable; its body is gone; a foreign writer's idea of a call
            if self._unread is not None:
                self._unread(bytes(view[at : at + length]), str(error))
            self.fail(token, error)
            return None
        view[at + INDEX_AT], view[at + RETRY_AT] = row
        if body and row[1]:
            self._leases[lane, at] = payload  # it may be run again: its slab is not given back before it is done
        return token, name, args, kwargs

    def _row_of(self, name: str, flags: int, token: Token) -> tuple[int, int]:
        """What is stored of a message that is in no table: a notice, or a name that the loop will refuse (IN-7)."""
        is_notice = flags & NOTICE and token[3] == self._notice_key and token[0] is self._urgent
        if is_notice != (name in self._notices):
            raise NoSuchMessage(f"the actor has no message {name!r}")
        return self._notices.get(name, (0, 0))

    def _expired(self, lane: Lane, at: int, body: int, end: int) -> None:
        """Its asker has given up: it is not executed. Its state comes last: killed before it, others free the body."""
        if body:
            self._drop(body)
        lane.view[at + STATE_AT] = end
        self._words[EXPIRED] += 1

    def _refill(self, lane: Lane) -> bool:
        if lane.fd < 0:
            return self._turn_to_next(lane)
        words = self._words
        if self._commits is not None:
            self.settle()
            words[lane.epoch] += 1
        if lane.extent:
            words[HANDLED] = self._handled
            words[IN_HAND] = 0
            lane.at = 0
        if lane is not self._main:
            lane.extent = lane.journal.fill(lane.fd)
            return lane.extent > 0
        if self._pool is not None and self._last_fillings is None and words[CONTROL] != STOP_LEAVE:
            extent = self._pool.fill(lane.journal)
        else:
            extent = lane.journal.fill(lane.fd) if self._last_fillings != 0 else 0
            if extent and self._last_fillings:
                self._last_fillings -= 1
        lane.extent = words[EXTENT] = extent
        return extent > 0

    def _turn_to_next(self, side: Lane) -> bool:
        """The next frame that an earlier incarnation had set aside."""
        if not self._again:
            return False
        side.at = self._again.pop()
        side.extent = side.at + unpack_length(side.view, side.at)[0]
        return True

    @abstractmethod
    async def wait(self, until_ns: int | None) -> None:
        """Return when there may be a message, or at until_ns (monotonic)."""

    def done(self, token: Token, name: str, value: object) -> None:
        """Answer the message (IN-2); an unencodable reply is answered with the error."""
        lane, at, ask_id, reply_to = token
        answer = self._replies.frame_of(ask_id, name, value, reply_to) if ask_id else b""
        if self._commits is not None and not self._include(token, name, answer, alone=self._was_redelivered):
            self._handled += 1
            return
        if answer:
            self._replies.send(reply_to, answer)
        lane.view[at + STATE_AT] = DONE
        if self._leases:
            self._leases.pop((lane, at), None)
        self._handled += 1  # published with the next filling of the journal

    def fail(self, token: Token, error: Exception) -> bool:
        """Answer the message with its exception; False when nobody waits."""
        lane, at, ask_id, reply_to = token
        answer = self._replies.frame_of_error(ask_id, error, reply_to) if ask_id else b""
        if self._commits is not None and self._words[IN_HAND]:
            self._include(token, "", answer, alone=True)
        if answer:
            self._replies.send(reply_to, answer)
        lane.view[at + STATE_AT] = DONE
        if self._leases:
            self._leases.pop((lane, at), None)
        self._words[FAILED] += 1
        return bool(ask_id)

    def _include(self, token: Token, name: str, answer: bytes, *, alone: bool) -> bool:
        """See `Commits.include`.

        Raises:
            Uncommitted: there is no memory for the state. An asker has been told; a tell may be run again, or is a
                dead letter.
        """
        try:
            is_included: bool = self._commits.include(token, name, answer, alone=alone)
        except OutOfMemory as error:
            lane, at, ask_id, reply_to = token
            if ask_id:
                if answer:
                    self._replies.withdraw(answer)
                self._replies.send(reply_to, self._replies.frame_of_error(ask_id, error, reply_to))
                lane.view[at + STATE_AT] = DONE
                self._words[FAILED] += 1
            raise Uncommitted(str(error)) from error
        return is_included

    def has_more(self) -> bool:
        """See `actors.loop.Inbox.has_more`, and IN-6."""
        if not self._drains or self._words[CONTROL] == STOP_DISCARD:
            return False
        if self._last_fillings is None:
            self._last_fillings = 1
        lane = self._main
        is_read = self._last_fillings == 0
        return bool(self._again) or lane.at < lane.extent or (not is_read and fifo.queued_bytes(lane.fd) > 0)

    def stop_wanted(self) -> str | None:
        """The word "shutdown" once an ordered stop was asked for and what it lets finish is finished."""
        return "shutdown" if self._words[CONTROL] != RUN and not self._may_still_take() else None

    def _may_still_take(self) -> bool:
        """While stopping: whether something queued is still to be handled."""
        if self._words[CONTROL] == STOP_DISCARD:
            return False
        lane = self._main
        if self._pool is not None and self._words[CONTROL] == STOP_FINISH and self._pool.has_any():
            return True
        return bool(self._again) or lane.at < lane.extent or fifo.queued_bytes(lane.fd) > 0


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
        if self._missing is not None:  # it was waited for until the message's deadline
            self._missing = None
            return
        fds = self._replies.pending_fds() if self._replies.has_pending() else ()
        for fd in fds:
            self._poll.register(fd, select.POLLOUT)
        words, idle_ns = self._words, monotonic_ns()
        words[BUSY_NS] += idle_ns - self._busy_since_ns
        found = self._patience.wait(self._poll, until_ns or 0)
        self._busy_since_ns = monotonic_ns()
        if found and found[0][0] == self._urgent.fd:
            words[ATTENTION] = 1  # its sender may have died between the write and the word
        if fds:
            for fd in fds:
                self._poll.unregister(fd)
            self._replies.flush()
