"""The sending end of one process's mailbox: its FIFO and the page that tells how its actor is.

LB-1  The life word is looked at before and after a write: a message written to a mailbox that was just closed may
      vanish with it. Closed before: nothing was written, and it may be sent anew. Closed after: it is never sent twice.
      It was sent, unless it is seen that it will not be handled: in a journal, or in what nobody has read.
LB-2  A process has one letterbox for each mailbox, which all of its threads and clients share (runtime.commons): what
      waits for room there waits in one queue.
"""

import asyncio
import os
import select
from collections.abc import Container, Iterator
from time import monotonic_ns

from actors.errors import Delivered
from runtime.commons import Commons, identity_of
from runtime.mailbox import aside, fifo
from runtime.mailbox.outbox import Outbox
from runtime.mailbox.page import (
    ATTENTION,
    CLOSED,
    IN_HAND,
    LIFE,
    PEERS,
    READY,
    REFUSES,
    URGENT_LANE,
    Page,
    unread_bytes,
)
from runtime.mailbox.poolqueue import FILLER, SLOTS, slot_of
from runtime.wire.frame import ASK_AT, DONE, DROPPED, MOVED, QUEUED, scan, walk

_write = os.write
_NOT_READY, _CLOSED = 1 << 40, 1 << 41


class Letterbox:
    """Where a process drops frames for one actor. Owns the FIFO's write end and its mapping of the page.

    Attributes:
        members: of a pool's, the letterboxes of its members.
        outboxes: of each loop and lane (`lane_of`), while something waits in it.
        users: who has use for it, and its page's identity.
    """

    __slots__ = ("__weakref__", "_directory", "_fds", "_urgent", "fd", "members", "outboxes", "page", "users", "words")

    def __init__(self, directory: str, page_fd: int) -> None:
        """Open the FIFO below directory.

        Args:
            directory: of the mailbox.
            page_fd: the page's memfd; stays the caller's.
        Raises:
            FileNotFoundError: the mailbox was just closed.
        """
        self._fds: list[int] = []  # first of all: one that is half made is let go of too
        self.page = Page(page_fd)
        self.words = self.page.words
        self.fd = self._open(directory)
        self.members: tuple[Letterbox, ...] = ()
        self.outboxes: dict[tuple[asyncio.AbstractEventLoop, int], Outbox] = {}
        self.users: dict[object, tuple[int, int]] = {}
        self._directory = directory
        self._urgent: int | None = None

    @property
    def refuse(self) -> bool:
        """A full mailbox refuses at once."""
        return bool(self.words[REFUSES])

    def _open(self, directory: str) -> int:
        fd = fifo.open_write(f"{directory}/mailbox")
        self._fds.append(fd)
        return fd

    def post(self, raw: bytes) -> bool:
        """Write one frame, at once. False when there is no room.

        Raises:
            BrokenPipeError: nobody holds this mailbox any more; nothing was written.
            ConnectionResetError: it was written as the mailbox was being closed, and will not be handled (LB-1).
        """
        words = self.words
        if words[LIFE] == CLOSED:
            raise BrokenPipeError
        try:
            _write(self.fd, raw)
        except BlockingIOError:
            return False
        if words[LIFE] == CLOSED:
            self.refuse_lost(raw)
        return True

    def refuse_lost(self, raw: bytes, *, urgent: bool = False) -> None:
        """Given a frame that was written as the mailbox was being closed (LB-1).

        Raises:
            ConnectionResetError: it is seen that it will not be handled.
        """
        journal = self.page.lane(URGENT_LANE if urgent else 0)
        sent = raw[ASK_AT:]
        states = {h.state for h in walk(journal, 0, len(journal)) if journal[h.offset + ASK_AT :][: len(sent)] == sent}
        if states <= {QUEUED, DROPPED} and (states or fifo.queued_bytes(self.lane_fd(int(urgent)))):
            raise ConnectionResetError

    def post_urgent(self, raw: bytes) -> bool:
        """Write one frame to the second lane, at once. False as of `post`."""
        fd = self.lane_fd(1)
        if self.words[LIFE] == CLOSED:
            raise BrokenPipeError
        try:
            _write(fd, raw)
        except BlockingIOError:
            return False
        self.words[ATTENTION] = 1
        if self.words[LIFE] == CLOSED:
            self.refuse_lost(raw, urgent=True)
        return True

    def lane_of(self, raw: bytes, *, urgent: bool) -> int:
        """Which of its FIFOs that frame goes to: 0 the mailbox, 1 the second lane."""
        del raw
        return int(urgent)

    def lane_fd(self, lane: int) -> int:
        """The write end of one of the FIFOs; the second lane's is opened on first use."""
        if not lane:
            return self.fd
        if self._urgent is None:
            try:
                self._urgent = fifo.open_write(f"{self._directory}/urgent")
            except FileNotFoundError as exc:
                raise BrokenPipeError from exc
            self._fds.append(self._urgent)
        return self._urgent

    def wait_for_room(self, until_ns: int, lane: int = 0) -> bool:
        """Block until the FIFO has a free page, which holds a frame of any size; False once until_ns has passed."""
        poll = select.poll()
        poll.register(self.lane_fd(lane), select.POLLOUT)
        left_ms = None if not until_ns else (until_ns - monotonic_ns()) / 1e6
        if left_ms is not None and left_ms <= 0:
            return False
        return bool(poll.poll(left_ms))

    def has_room(self) -> bool:
        """A frame of any size fits into the mailbox's FIFO now."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        return bool(poll.poll(0))

    def is_closed(self) -> bool:
        """Its actor has stopped for good."""
        return self.words[LIFE] == CLOSED

    def load(self) -> int:
        """How much waits here, in bytes, for routing; one that is not ready comes last, a closed one after that."""
        words = self.words
        life = words[LIFE]
        waiting = fifo.queued_bytes(self.fd) + unread_bytes(words) + bool(words[IN_HAND])
        return waiting if life == READY else waiting + (_CLOSED if life == CLOSED else _NOT_READY)

    def verdicts(self, ask_ids: Container[int], reply_to: int) -> dict[int, Delivered]:
        """What became of asks of one caller whose deadlines have passed, as far as the journal tells; one walk for all.

        "no" only of a frame that was dropped for its deadline, or is queued there: since that has passed, it will be.
        What is not found is left out.
        """
        found: dict[int, Delivered] = {}
        for ask_id, state in self._asked(reply_to):
            if ask_id in ask_ids and state != MOVED and ask_id not in found:
                found[ask_id] = "no" if state in (QUEUED, DROPPED) else "done" if state == DONE else "started"
        return found

    def _asked(self, reply_to: int) -> Iterator[tuple[int, int]]:
        """Number and state of each ask of that caller in the page, at one moment: the actor goes on."""
        for area in (self.page.journal, self.page.urgent_journal):
            for _, fields in scan(area, 0, len(area)):
                if fields[6] == reply_to:
                    yield fields[5], fields[1]
        for header in aside.frames(self.page):
            if header.reply_to == reply_to:
                yield header.ask_id, header.state

    def close(self) -> None:
        """Close both FIFOs and unmap the page, now: nobody uses it any more. Else the last user's letting go does."""
        self._let_go()
        self.page.close()

    def _let_go(self) -> None:
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)

    __del__ = _let_go  # the page goes by itself


class PoolLetterbox(Letterbox):
    """Where a process drops frames for a pool: its queue; urgent ones the least loaded member's second lane."""

    __slots__ = ("_slots", "_turn")

    def __init__(self, directory: str, page_fd: int) -> None:
        """Open the queue in that directory; arguments as of `Letterbox`. Who its members are is told later."""
        self._slots: list[int] = []
        super().__init__(directory, page_fd)
        self._turn = 0

    def _open(self, directory: str) -> int:
        for slot in SLOTS:
            self._slots.append(fifo.open_write(f"{directory}/{slot}"))
            self._fds.append(self._slots[-1])
        return self._slots[0]

    def post(self, raw: bytes) -> bool:
        """Write one frame, at once, to whichever member begins it; see `Letterbox.post`."""
        words, slot = self.words, slot_of(len(raw))
        if words[LIFE] == CLOSED:
            raise BrokenPipeError
        try:
            _write(self._slots[slot], raw.ljust(SLOTS[slot], FILLER))
        except BlockingIOError:
            return False
        if words[LIFE] == CLOSED:
            self.refuse_lost(raw)
        return True

    def post_urgent(self, raw: bytes) -> bool:
        """Write one frame to the second lane of the least loaded member that is ready."""
        return self._least_loaded().post_urgent(raw)

    def refuse_lost(self, raw: bytes, *, urgent: bool = False) -> None:
        """See `Letterbox.refuse_lost`: it is lost when nobody has read what it lies in."""
        if not urgent and fifo.queued_bytes(self._slots[slot_of(len(raw))]):
            raise ConnectionResetError

    def lane_of(self, raw: bytes, *, urgent: bool) -> int:
        """Which of the FIFOs: 1 a member's second lane, from 2 on those of the queue."""
        return 1 if urgent else 2 + slot_of(len(raw))

    def lane_fd(self, lane: int) -> int:
        """See `Letterbox.lane_fd`."""
        return self._least_loaded().lane_fd(1) if lane == 1 else self._slots[max(0, lane - 2)]

    def _asked(self, reply_to: int) -> Iterator[tuple[int, int]]:
        for member in self.members:
            yield from member._asked(reply_to)  # noqa: SLF001  # of the same file

    def has_grown(self) -> bool:
        """There are members that this one does not know."""
        return any(member.words[PEERS] > len(self.members) for member in self.members[:1])

    def _least_loaded(self) -> Letterbox:
        self._turn += 1
        count = len(self.members)
        turned = [self.members[(self._turn + n) % count] for n in range(count)]  # equals take turns
        return min(turned, key=Letterbox.load)


_letterboxes: Commons[tuple[int, int], Letterbox] = Commons(Letterbox.close)


def use_letterbox(directory: str, page_fd: int, *, user: object, members: tuple[Letterbox, ...] = ()) -> Letterbox:
    """The letterbox of this process for the mailbox in that directory (LB-2); arguments as of `Letterbox`.

    Args:
        members: of a pool, whose queue it is then.
        user: who says at the end that he has no more use for it, see `leave_letterbox`.
    Raises:
        FileNotFoundError, BrokenPipeError: the mailbox was just closed.
    """
    page = identity_of(page_fd)  # what is in the directory may be another mailbox by now, of the same name
    with _letterboxes.lock:
        kind = PoolLetterbox if members else Letterbox
        box = _letterboxes.get(page, lambda: kind(directory, page_fd))
        if box.is_closed():
            raise BrokenPipeError
        box.members = members
        box.users[user] = page
    return box


def leave_letterbox(box: Letterbox, user: object) -> None:
    """That user writes there no more: the last one closes it, though an error that was kept may refer to it."""
    with _letterboxes.lock:
        page = box.users.pop(user, None)
        if page is not None and not box.users:
            _letterboxes.forget(page)
            box.close()
        for member in box.members:
            leave_letterbox(member, user)
