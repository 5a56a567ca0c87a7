"""A caller's way back: one reply FIFO for each waiting thread and each event loop, and the asks that wait on it.

No dispatcher thread, no hop: whoever waits reads. A thread that waits for an answer of another thread's channel reads
it too, or sleeps while the other one reads (leader and followers).

CH-1  Every ask ends exactly once. An answer whose ask is not pending any more is dropped and counted.
CH-2  The supervisor holds the FIFO's write end while the caller is registered: POLLHUP says that the system is gone.
CH-3  What is overdue at one moment ends together: one walk through each mailbox's journal, whoever notices first.
"""

import asyncio
import contextlib
import os
import select
import threading
from functools import partial
from heapq import heapify, heappop, heappush
from time import monotonic_ns
from typing import Any

import msgpack
from msgspec import DecodeError

from actors.certificate import DeathCertificate
from actors.errors import (
    ActorDied,
    ActorError,
    ActorStopped,
    DeadlineExceeded,
    Delivered,
    SystemGone,
    Undecodable,
    of_handler,
)
from runtime.eventloop import refuse_in_loop
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.patience import Patience
from runtime.memory.arena import Arena
from runtime.pending import Answer, Outcome, Pending, Unclaimed
from runtime.wire.codec import Codec, unpack_value
from runtime.wire.frame import DEATH, ERROR, LARGE, REPLY, STOPPED, kind_of, unpack_reply
from runtime.wire.late import Late
from runtime.wire.parts import Payload, whole

READ_BYTES = 1 << 16
_LEFT_BEHIND_NS = 50_000_000  # a loop ends its own asks at their deadlines; one that has ended cannot
_DUE_SLACK = 64
_REST = 4  # of a loop's time a fifth at most goes to asks that end one by one while their mailbox is full of frames
_WAKE_SECONDS = 1.0  # for a thread to come back from poll(2)
_read = os.read


class Channel:
    """What thread channels and loop channels share: the pending asks and the reading of answers.

    Attributes:
        address: number of the reply FIFO.
        loop: the event loop that reads it, or None.
        late: answers that came for asks no longer pending.
    """

    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, fd: int, address: int, codec: Codec, arena: Arena) -> None:
        self.fd = fd
        self.address = address
        self.late = 0
        self.pending: dict[int, Pending] = {}
        self._due: list[tuple[int, int]] = []  # a heap of deadlines; some of what has been answered
        self._codec = codec
        self._arena = arena
        self._unread = b""

    def forget(self, ask_id: int) -> None:
        """Its answer is not wanted any more."""
        self.pending.pop(ask_id, None)

    def add(self, pending: Pending) -> None:
        """Wait for an answer, until the ask's deadline."""
        self.pending[pending.ask_id] = pending
        if pending.until_ns:
            self._note_due(pending)

    def wait(self, pending: Pending, timeout_ns: int | None) -> None:
        """Block until that ask has ended, or raise TimeoutError at timeout_ns."""
        refuse_in_loop()
        overdue_ns = pending.until_ns and pending.until_ns + _LEFT_BEHIND_NS
        due = [ns for ns in (overdue_ns, timeout_ns) if ns]
        if not pending.event().wait(max(0.0, (min(due) - monotonic_ns()) / 1e9) if due else None):
            _past(pending, self, timeout_ns)

    def collect(self) -> None:
        """Read what is there."""

    def close(self) -> None:
        """Stop reading; the descriptor stays its owner's to close."""

    def hang_up(self, *, is_idle: bool) -> None:
        """Close the descriptor; whoever waits hears that the system is gone.

        Args:
            is_idle: no other thread may be about to read it.
        """
        del is_idle  # a loop's is read by its loop, which has been told
        self.close()
        self.fail_all()
        os.close(self.fd)

    def read(self) -> bool:
        """Read once and settle what was answered; False at the system's end. Nothing to read is no error."""
        try:
            raw = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return True
        if not raw:
            return False
        self._dispatch(raw)
        return True

    def has_unread(self) -> bool:
        """Some of what was read has not been looked at: a KeyboardInterrupt came."""
        return bool(self._unread)

    def read_on(self) -> None:
        """Look at what was read and has not been looked at."""
        raw, self._unread = self._unread, b""
        self._dispatch(raw)

    def _dispatch(self, raw: bytes) -> None:
        at = length = ask_id = 0
        pending: Pending | None = None
        try:
            while at + REPLY.size <= len(raw):
                length, flags, ask_id = unpack_reply(raw, at)
                if not REPLY.size <= length <= len(raw) - at:
                    at = self._next_known(raw, at + 1)  # a foreign writer's
                    continue
                pending = self.pending.pop(ask_id, None)
                if pending is None:
                    self.late += 1
                    if flags & LARGE:
                        self._arena.drop(_body_of(raw[at : at + length]))
                else:
                    pending.settle(self.taken(flags, raw[at + REPLY.size : at + length], pending.actor))
                at += length
                pending = None
        except BaseException:  # KeyboardInterrupt: nobody's answer is lost by it (CH-1)
            if pending is not None and not pending.done():
                self.pending[ask_id] = pending
                length = 0
            self._unread = raw[at + (length if pending is not None else 0) :]
            raise

    def taken(self, flags: int, payload: bytes, actor: str) -> Outcome | Answer:
        """What a reply frame says, as far as whoever reads it may take it out (PE-1)."""
        if not flags:
            try:
                return True, unpack_value(payload)
            except DecodeError:  # opened, it says what is wrong
                pass
        opened = partial(self._opened, flags, actor)
        if not flags & LARGE:
            return Answer(partial(opened, payload))
        body = _body_of(payload, 0)
        try:
            return Answer(partial(opened, self._arena.lease(body, is_hurried=True)))
        except Late:  # whoever waits for it waits for that too
            unclaimed = Unclaimed(self._arena, body, opened)
            return Answer(unclaimed, unclaimed.give_up)
        except ActorError as exc:  # it is gone with the system
            return False, exc

    def _opened(self, flags: int, actor: str, body: Payload) -> Outcome:
        """What an answer says; `Late` goes through, and KeyboardInterrupt, which is no answer's."""
        try:
            if flags & DEATH:
                return False, _died(bytes(whole(body)))
            if flags & STOPPED:
                return False, ActorStopped(actor, "no", bytes(whole(body)).decode())
            if flags & ERROR:
                return False, of_handler(actor, self._codec.decode_error(body))
            return True, self._codec.decode_value(kind_of(flags), body)
        except Late:
            raise
        except ActorError as exc:  # Undecodable
            return False, exc
        except Exception as exc:  # a foreign writer's idea of an answer: the ask ends with it, and no other
            return False, Undecodable(f"{actor}: an answer that is none arrived: {exc!r}")

    def _next_known(self, raw: bytes, start: int) -> int:
        """Where the next answer to a pending ask begins."""
        for at in range(start, len(raw) - REPLY.size + 1):
            length, _, ask_id = unpack_reply(raw, at)
            if ask_id in self.pending and REPLY.size <= length <= len(raw) - at:
                return at
        return len(raw)

    def expire(self, now_ns: int) -> int:
        """End what is past its deadline, all of it at once (CH-3); returns when the next one is due, 0 for never."""
        due, pending = self._due, self.pending
        overdue: list[Pending] = []
        while due and (due[0][0] <= now_ns or due[0][1] not in pending):
            each = pending.pop(heappop(due)[1], None)
            if each is not None:
                overdue.append(each)
        self._end(overdue)
        return due[0][0] if due else 0

    def overdue(self, pending: Pending, now_ns: int) -> None:
        """A thread has seen that this ask is past its deadline."""
        del pending  # and with it all others that are
        self.expire(now_ns)

    def _end(self, overdue: list[Pending]) -> None:
        """End asks at their deadlines, with the verdicts that the journals of their mailboxes tell."""
        by_box: dict[Letterbox, set[int]] = {}
        for each in overdue:
            if each.box is not None:
                by_box.setdefault(each.box, set()).add(each.ask_id)
        found = {box: box.verdicts(ask_ids, self.address) for box, ask_ids in by_box.items()}
        for each in overdue:
            verdict: Delivered = "no" if each.box is None else found[each.box].get(each.ask_id, "unknown")
            each.settle((False, DeadlineExceeded(each.actor, verdict, "no answer before the deadline")))

    def _note_due(self, pending: Pending) -> None:
        due = self._due
        heappush(due, (pending.until_ns, pending.ask_id))
        if len(due) > 2 * len(self.pending) + _DUE_SLACK:  # most have been answered
            self._due = [(each.until_ns, each.ask_id) for each in list(self.pending.values()) if each.until_ns]
            heapify(self._due)

    def fail_all(self) -> None:
        """The system is gone (CH-2)."""
        for pending in list(self.pending.values()):
            self.forget(pending.ask_id)
            pending.settle((False, SystemGone(pending.actor, "unknown", "the supervisor is gone")))


class ThreadChannel(Channel):
    """The channel of one thread; any thread may wait on it.

    Attributes:
        is_hung_up: it is closed, but for its descriptor, which is to be closed when its thread has ended.
    """

    def __init__(self, fd: int, address: int, codec: Codec, arena: Arena, patience: Patience) -> None:
        super().__init__(fd, address, codec, arena)
        self.patience = patience
        self.is_hung_up = False
        self.lock = threading.Lock()
        self.poll = select.poll()
        self.poll.register(fd, select.POLLIN)
        self._followers: list[threading.Event] = []

    def hang_up(self, *, is_idle: bool) -> None:
        """See `Channel.hang_up`; a thread that waits would else read what takes the descriptor's number next."""
        if not is_idle or self.lock.locked():
            _end(self.fd)
        self.fail_all()
        has_left = self.lock.acquire(timeout=_WAKE_SECONDS)
        if is_idle and has_left:
            os.close(self.fd)
        else:
            self.is_hung_up = True
        if has_left:
            self.lock.release()

    def wait(self, pending: Pending, timeout_ns: int | None) -> None:
        """Block until that ask has ended.

        Raises:
            TimeoutError: timeout_ns passed first; the ask lives on.
            BlockingCall: in a running event loop.
        """
        refuse_in_loop()
        while not pending.done():
            if self.lock.acquire(blocking=False):
                try:
                    self._lead(pending, timeout_ns)
                finally:
                    self.lock.release()
                    for follower in self._followers[-1:]:
                        follower.set()
            else:
                self._follow(pending, timeout_ns)

    def exchange(self, ask_id: int, actor: str, until_ns: int, box: Letterbox) -> Any:
        """Block for the answer of an ask that was just sent, the only one under way: the short way of a blocking call.

        Nobody else reads the channel meanwhile: only who has an ask pending on it does.
        """
        if self.patience.wait(self.poll, until_ns):
            raw = _read(self.fd, READ_BYTES)
            if len(raw) >= REPLY.size:
                length, flags, replied_to = unpack_reply(raw)
                if replied_to == ask_id and length == len(raw):
                    if not flags:  # as decode, which a plain value need not be taken to
                        try:
                            return unpack_value(raw[REPLY.size :])
                        except DecodeError:  # decode says what is wrong; suppress() would cost half a poll
                            pass
                    if not flags & LARGE:
                        ok, value = Answer(partial(self._opened, flags, actor, raw[REPLY.size :])).open(until_ns)
                        if ok:
                            return value
                        raise value
            pending = Pending(self, ask_id, actor, until_ns)
            pending.box = box
            self.add(pending)
            if raw:
                self._dispatch(raw)  # late answers of others first, or among them ours
            else:
                self.fail_all()
        else:
            pending = Pending(self, ask_id, actor, until_ns)
            pending.box = box
            self._end([pending])
        self.wait(pending, None)
        return pending.result()

    def collect(self) -> None:
        """Read what is there, so that a caller with many asks under way never fills its FIFO."""
        if self.lock.acquire(blocking=False):
            try:
                if not self.read():
                    self.fail_all()
            finally:
                self.lock.release()

    def _lead(self, pending: Pending, timeout_ns: int | None) -> None:
        while not pending.done():
            until_ns = pending.until_ns
            if timeout_ns is not None:
                until_ns = min(until_ns, timeout_ns) if until_ns else timeout_ns
            if self._unread:
                self.read_on()
            elif self.patience.wait(self.poll, until_ns):
                if not self.read():
                    self.fail_all()
            else:
                _past(pending, self, timeout_ns)

    def _follow(self, pending: Pending, timeout_ns: int | None) -> None:
        event = pending.event()
        self._followers.append(event)
        try:
            if not self.lock.locked():  # the leader left before it could see us
                return
            until_ns = min(n for n in (pending.until_ns or timeout_ns, timeout_ns or pending.until_ns, 1 << 62) if n)
            if not event.wait(max(0.0, (until_ns - monotonic_ns()) / 1e9)):
                _past(pending, self, timeout_ns)
            elif not pending.done():
                event.clear()  # the leader left: try to lead
        finally:
            self._followers.remove(event)


class LoopChannel(Channel):
    """The channel of one event loop, read by its selector."""

    def __init__(self, fd: int, address: int, codec: Codec, arena: Arena, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(fd, address, codec, arena)
        self.loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        loop.add_reader(fd, self._on_readable)

    def add(self, pending: Pending) -> None:
        """Wait for an answer, until the ask's deadline."""
        super().add(pending)
        if pending.until_ns and (not self._timer_ns or pending.until_ns < self._timer_ns):
            self._set_timer(pending.until_ns)

    def overdue(self, pending: Pending, now_ns: int) -> None:
        """See `Channel.overdue`; those of a loop that runs are its own to end."""
        if self.loop is None or self.loop.is_closed():
            self.expire(now_ns)
        else:
            self.forget(pending.ask_id)
            self._end([pending])

    def collect(self) -> None:
        """Read what is there, in its loop."""
        if asyncio._get_running_loop() is self.loop:  # noqa: SLF001
            self._on_readable()

    def _on_readable(self) -> None:
        if self._unread:
            self.read_on()
        if not self.read():
            self.close()
            self.fail_all()

    def _set_timer(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = None
        if due_ns and self.loop is not None:
            self._timer = self.loop.call_later((due_ns - monotonic_ns()) / 1e9, self._on_due)

    def _on_due(self) -> None:
        start_ns = monotonic_ns()
        next_ns = self.expire(start_ns)
        now_ns = monotonic_ns()
        self._set_timer(next_ns and max(next_ns, now_ns + _REST * (now_ns - start_ns)))

    def close(self) -> None:
        """Stop reading; the descriptor stays its owner's to close."""
        self._set_timer(0)
        if self.loop is not None and not self.loop.is_closed():
            self.loop.remove_reader(self.fd)


def _end(fd: int) -> None:
    """Put the end of a pipe that nobody writes to in the place of a FIFO's, and wake up whoever waits for that."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as closing:  # no descriptors: they wait as long as before
        old = os.dup(fd)  # a write without any reader would raise SIGPIPE
        closing.callback(os.close, old)
        waker = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        closing.callback(os.close, waker)
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        closing.callback(os.close, read)
        os.close(write)
        os.dup2(read, fd, inheritable=False)
        os.write(waker, b"\0")


def _past(pending: Pending, channel: Channel, timeout_ns: int | None) -> None:
    now_ns = monotonic_ns()
    if pending.until_ns and now_ns >= pending.until_ns:
        channel.overdue(pending, now_ns)
    elif timeout_ns is not None and now_ns >= timeout_ns:
        raise TimeoutError(f"{pending.actor}: no answer yet; the ask lives on")


def _body_of(raw: bytes, at: int = REPLY.size) -> int:
    """What a reply frame, or its payload, says of a slab."""
    return int.from_bytes(raw[at : at + 8], "little")


def _died(payload: bytes) -> ActorDied:
    delivered, certificate = msgpack.unpackb(payload)
    return ActorDied(DeathCertificate.from_dict(certificate), delivered)
