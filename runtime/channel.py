"""A caller's way back: one reply FIFO for each waiting thread and each event loop, and the asks that wait on it.

No dispatcher thread, no hop: whoever waits reads. A thread that waits for an answer of another thread's channel reads
it too, or sleeps while the other one reads (leader and followers).

CH-1  Every ask ends exactly once. An answer whose ask is not pending any more is dropped and counted.
CH-2  The supervisor holds the FIFO's write end while the caller is registered: POLLHUP says that the system is gone.
CH-3  What is overdue at one moment ends together: one walk through each mailbox's journal, whoever notices first.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from contextvars import copy_context
from heapq import heapify, heappop, heappush
from time import monotonic_ns
from typing import Any, Protocol

import msgpack
from msgspec import DecodeError

from actors.certificate import DeathCertificate
from actors.deadline import nanoseconds
from actors.errors import (
    ActorDied,
    ActorError,
    ActorStopped,
    BlockingCall,
    DeadlineExceeded,
    Delivered,
    SystemGone,
    Undecodable,
    of_handler,
)
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.patience import Patience
from runtime.wire.codec import Codec, unpack_value
from runtime.wire.frame import DEATH, ERROR, LARGE, REPLY, STOPPED, kind_of, unpack_reply
from runtime.wire.parts import Payload

READ_BYTES = 1 << 16
_LEFT_BEHIND_NS = 50_000_000  # a loop ends its own asks at their deadlines; one that has ended cannot
_DUE_SLACK = 64
_REST = (
    4  # a loop whose asks end one by one while their mailbox is full of frames: a fifth of its time at most goes there
)
_WAKE_SECONDS = 1.0  # for a thread to come back from poll(2)
_FIRST_LOOK_NS, _LAST_LOOK_NS = 1_000_000, 50_000_000  # doubled from one look to the next
_read = os.read


class Waited(Protocol):
    """Who is told that an actor waits for an ask."""

    def is_doubtful(self) -> bool:
        """It may be waited for in a circle."""
        ...

    def begun(self) -> AbstractContextManager[Callable[[], None] | None]:
        """It waits; gives what is to be called from time to time meanwhile, None: that need not be.

        Raises:
            AskCycle: it would wait for itself; what is given raises it too.
        """
        ...


class Pending:
    """One ask that is under way: the `Reply` a caller holds."""

    __slots__ = ("_channel", "_event", "_future", "_outcome", "_wait", "actor", "ask_id", "box", "until_ns")

    def __init__(self, channel: "Channel", ask_id: int, actor: str, until_ns: int, wait: Waited | None = None) -> None:
        """Be under way.

        Args:
            wait: what to be told when an actor waits for it; None: no actor has made it.
        """
        self._wait = wait
        self._channel = channel
        self.ask_id = ask_id
        self.actor = actor
        self.until_ns = until_ns
        self.box: Letterbox | None = None  # where it was dropped; None while it waits for room, and when it has ended
        self._outcome: tuple[bool, Any] | None = None
        self._event: threading.Event | None = None
        self._future: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "under way" if self._outcome is None else "answered" if self._outcome[0] else "failed"
        return f"<reply of {self.actor!r}, {state}>"

    def done(self) -> bool:
        """True when result() would not block."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> Any:
        """Block for the answer; see `actors.reply.Reply.result`."""
        if self._outcome is None:
            timeout_ns = None if timeout is None else monotonic_ns() + nanoseconds(timeout)
            if self._wait is None:
                self._channel.wait(self, timeout_ns)
            elif not self._is_there(self._wait):
                refuse_in_loop()
                with self._wait.begun() as look:
                    self._look_while_waiting(look, timeout_ns)
        return self._unwrap()

    def cancel(self) -> bool:
        """Stop waiting; the answer, should it come, is dropped and counted."""
        if self._outcome is not None:
            return False
        self._channel.forget(self.ask_id)
        self.settle(ok=False, value=concurrent.futures.CancelledError())
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait_async().__await__()

    def sent(self, box: Letterbox) -> None:
        """It was dropped there."""
        if self._outcome is None:
            self.box = box

    def forget(self) -> None:
        """Nobody waits for it: it could not be sent."""
        self._channel.forget(self.ask_id)

    def fail(self, error: ActorError) -> None:
        """It cannot be sent."""
        self.forget()
        self.settle(ok=False, value=error)

    def settle(self, *, ok: bool, value: Any) -> None:
        """End the ask, and wake whoever waits for it."""
        self._outcome = (ok, value)
        self.box = None  # a reply may be kept for long; a letterbox has descriptors
        if self._event is not None:
            self._event.set()
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def event(self) -> threading.Event:
        """An event that is set when the ask ends, for a thread that cannot read the channel itself."""
        if self._event is None:
            self._event = threading.Event()
            if self._outcome is not None:
                self._event.set()
        return self._event

    async def _wait_async(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._outcome is None:
            if self._channel.loop is not loop:
                await loop.run_in_executor(None, copy_context().run, self.result)
            elif self._wait is None:
                await self._arrival(loop)
            elif not self._is_there(self._wait):
                with self._wait.begun() as look:
                    await (self._arrival(loop) if look is None else self._looking(loop, look))
        return self._unwrap()

    def _is_there(self, wait: Waited) -> bool:
        """The answer has come, and nobody has read it yet: there is nothing to wait for, in a circle or not."""
        if wait.is_doubtful():
            self._channel.collect()
        return self.done()

    def _look_while_waiting(self, look: Callable[[], None] | None, timeout_ns: int | None) -> None:
        pause_ns = _FIRST_LOOK_NS
        while look is not None:
            look_ns = monotonic_ns() + pause_ns
            if timeout_ns is not None and timeout_ns <= look_ns:
                break
            try:
                self._channel.wait(self, look_ns)
            except TimeoutError:
                look()
                pause_ns = min(2 * pause_ns, _LAST_LOOK_NS)
            else:
                return
        self._channel.wait(self, timeout_ns)

    async def _arrival(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._future is None:
            self._future = loop.create_future()
        try:
            await self._future
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _looking(self, loop: asyncio.AbstractEventLoop, look: Callable[[], None]) -> None:
        """Wait as `_arrival`, and look now and then."""
        arrival = loop.create_task(self._arrival(loop))
        pause_ns = _FIRST_LOOK_NS
        try:
            while not (await asyncio.wait([arrival], timeout=pause_ns / 1e9))[0]:
                look()
                pause_ns = min(2 * pause_ns, _LAST_LOOK_NS)
        finally:
            arrival.cancel()

    def _unwrap(self) -> Any:
        assert self._outcome is not None  # the callers have waited
        ok, value = self._outcome
        if ok:
            return value
        raise value


class Channel:
    """What thread channels and loop channels share: the pending asks and the reading of answers.

    Attributes:
        address: number of the reply FIFO.
        loop: the event loop that reads it, or None.
        late: answers that came for asks no longer pending.
    """

    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, fd: int, address: int, codec: Codec, lease: Callable[[int], Payload]) -> None:
        self.fd = fd
        self.address = address
        self.late = 0
        self.pending: dict[int, Pending] = {}
        self._due: list[tuple[int, int]] = []  # a heap of deadlines; some of what has been answered
        self._codec = codec
        self._lease = lease

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

    def _dispatch(self, raw: bytes) -> None:
        at = 0
        while at + REPLY.size <= len(raw):
            length, flags, ask_id = unpack_reply(raw, at)
            if not REPLY.size <= length <= len(raw) - at:
                at = self._next_known(raw, at + 1)  # a foreign writer's
                continue
            pending = self.pending.pop(ask_id, None)
            if pending is None:
                self.late += 1
                if flags & LARGE:
                    with contextlib.suppress(ActorError):
                        self._lease(int.from_bytes(raw[at + REPLY.size : at + length], "little"))
            else:
                ok, value = self.decode(flags, raw[at + REPLY.size : at + length], pending.actor)
                pending.settle(ok=ok, value=value)
            at += length

    def decode(self, flags: int, payload: bytes, actor: str) -> tuple[bool, Any]:
        """What a reply frame says: (True, value) or (False, exception)."""
        try:
            if flags & DEATH:
                return False, _died(payload)
            if flags & STOPPED:
                return False, ActorStopped(actor, "no", payload.decode())
            body: Payload = self._lease(int.from_bytes(payload, "little")) if flags & LARGE else payload
            if flags & ERROR:
                return False, of_handler(actor, self._codec.decode_error(body))
            return True, self._codec.decode_value(kind_of(flags), body)
        except ActorError as exc:  # Undecodable, or the body is gone with the system
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
            each.settle(ok=False, value=DeadlineExceeded(each.actor, verdict, "no answer before the deadline"))

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
            pending.settle(ok=False, value=SystemGone(pending.actor, "unknown", "the supervisor is gone"))


class ThreadChannel(Channel):
    """The channel of one thread; any thread may wait on it.

    Attributes:
        is_hung_up: it is closed, but for its descriptor, which is to be closed when its thread has ended.
    """

    def __init__(
        self, fd: int, address: int, codec: Codec, lease: Callable[[int], Payload], patience: Patience
    ) -> None:
        super().__init__(fd, address, codec, lease)
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
                    ok, value = self.decode(flags, raw[REPLY.size :], actor)
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
            if self.patience.wait(self.poll, until_ns):
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

    def __init__(
        self, fd: int, address: int, codec: Codec, lease: Callable[[int], Payload], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(fd, address, codec, lease)
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


def current_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, unless it is an interactive shell's own: shells may block."""
    loop = asyncio._get_running_loop()  # noqa: SLF001  # get_running_loop() raises where there is none, 1 µs
    return loop if loop is not None and not _is_shell() else None


def refuse_in_loop() -> None:
    """Refuse to block the thread of a running event loop, unless it is an interactive shell's own.

    Raises:
        BlockingCall: names the form to use instead.
    """
    if current_loop() is not None:
        raise BlockingCall("this call would block the running event loop; use `await ref.message.ask(…)` instead")


def _is_shell() -> bool:
    """The one place that knows interactive shells: ipykernel and the asyncio REPL run cells in their own loop."""
    return "ipykernel" in sys.modules or "asyncio.__main__" in sys.modules


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


def _died(payload: bytes) -> ActorDied:
    delivered, certificate = msgpack.unpackb(payload)
    return ActorDied(DeathCertificate.from_dict(certificate), delivered)
