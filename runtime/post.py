"""The post: how frames get from this process into mailboxes.

    a thread   writes at once; a full mailbox makes it wait for room until its deadline
    a loop     writes at once, or queues in an outbox, bounded and in order, which its selector empties

PO-1  A route is looked up once by the control socket and kept; it is looked up anew when its mailbox was closed.
PO-2  In an event loop nothing blocks: a tell is refused with `MailboxFull`, an ask queues, a send is awaited.
PO-3  What a loop has queued for a mailbox goes first: nothing that it writes later overtakes it, by whichever client.
PO-4  A frame that was written as its mailbox was being closed is not written again. Of an ask the actor or the
      supervisor says what became of it. A tell was sent: it was handled, or it is a dead letter. Only where it is seen
      that it will not be handled (LB-1) it fails, with `delivered = "unknown"`: another's may have been taken for it.
PO-5  Actors that wait for room in each other's mailboxes would wait for ever: one of them is refused, by name of all.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from time import monotonic_ns
from typing import NoReturn
from weakref import WeakSet

from actors.deadline import DEFAULT_SECONDS, ambient
from actors.errors import ActorError, ActorStopped, MailboxFull
from runtime.eventloop import current_loop
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.outbox import Outbox, Waiting
from runtime.pending import Pending
from runtime.route import Route, Routes
from runtime.waits import Waits
from runtime.wire.frame import ASK, FLAGS_AT, LARGE

DEFAULT_NS = int(DEFAULT_SECONDS * 1e9)
_CIRCLE = "each waits for room in the mailbox of the next, and none reads its own"
_LOOK_NS, _LONGEST_LOOK_NS = 20_000_000, 500_000_000  # between two looks for such a circle
_FULL_IN_LOOP = "the mailbox is full; `await ref.message.send(…)` waits for room"


class Post:
    """Everything that goes by one endpoint; threads and loops share it.

    Attributes:
        routes: that it goes by; their owner's to close.
        waits: of the actor that sends; None: it is none.
    """

    def __init__(
        self,
        routes: Routes,
        unsent: Callable[[bytes], None],
        sending: Callable[[bytes, bool], None],
        written: Callable[[bytes], None],
        waits: Waits | None = None,
    ) -> None:
        """Send by these routes.

        Args:
            unsent: told of each frame that could not be sent: nobody else will end its message.
            sending: told of each frame of a large payload before it is written (True), and when there was no room.
            written: told of each such frame once it is written.
            waits: of the actor that sends; None: it is none.
        """
        self.routes = routes
        self._queued: WeakSet[Outbox] = WeakSet()
        self._unsent = unsent
        self._sending = sending
        self._written = written
        self.waits = waits

    def post(self, route: Route, raw: bytes, urgent: bool, until_ns: int | None) -> Letterbox:
        """Write a frame and return where it was dropped.

        Args:
            urgent: by the second lane.
            until_ns: how long to wait for room; 0: for ever, None: until the ambient deadline, else 5 s.
        Raises:
            MailboxFull: no room in time, or at once where it may not wait (PO-2).
            NotFound, ActorStopped, SystemGone: there is nobody to post to.
        """
        while True:
            try:
                box = route.only or (route.pick() if route.boxes else self._look_up(route))
                if box.outboxes and (current_loop(), box.lane_of(raw, urgent=urgent)) in box.outboxes:
                    _refuse(route, _FULL_IN_LOOP)  # PO-3
                if self._write(box, raw, urgent) or self._patiently(route, box, raw, urgent, until_ns):
                    return box
            except BrokenPipeError:
                route.set([])  # PO-1
            except ConnectionResetError:  # PO-4
                route.set([])
                if raw[FLAGS_AT] & ASK:
                    return box
                raise closed_meanwhile(route) from None
            except BaseException:
                self._unsent(raw)
                raise

    def post_in_loop(
        self, loop: asyncio.AbstractEventLoop, route: Route, raw: bytes, urgent: bool, ask: Pending
    ) -> None:
        """Write an ask's frame, or queue it behind the others (PO-3); the ask is told where it went, or why not.

        Raises:
            MailboxFull: the outbox is full too, or the mailbox refuses.
            NotFound, ActorStopped, SystemGone: there is nobody to post to.
        """

        def lost() -> None:
            if ask.done():  # at its deadline, or nobody wants it
                self._unsent(raw)
                return
            try:
                self.post_in_loop(loop, route, raw, urgent, ask)
            except ActorError as exc:
                ask.fail(exc)

        self._write_or_queue(loop, route, raw, urgent, ask.sent, lost)

    async def send(self, route: Route, raw: bytes, urgent: bool) -> None:
        """Write a frame, and wait for room without blocking the loop.

        Raises:
            MailboxFull: no room before the deadline, or the mailbox refuses.
            NotFound, ActorStopped, SystemGone: there is nobody to post to.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        waiting: Waiting | None = None

        def post() -> Waiting | None:
            return self._write_or_queue(loop, route, raw, urgent, lambda _box: _settle(written), lost)

        def lost() -> None:
            nonlocal waiting
            try:
                waiting = post()
            except ActorError as exc:
                if not written.done():
                    written.set_exception(exc)

        waiting = post()
        if waiting is None:
            return
        until_ns = ambient.get()[0]
        if until_ns is None:
            until_ns = monotonic_ns() + DEFAULT_NS
        try:
            async with asyncio.timeout_at(None if not until_ns else loop.time() + (until_ns - monotonic_ns()) / 1e9):
                await written
        except TimeoutError:
            if written.done() and not written.cancelled():  # in the same turn of the loop
                return
            raise MailboxFull(route.path, "no", "no room in the mailbox before the deadline") from None
        finally:
            if waiting is not None and (not written.done() or written.cancelled()):
                waiting.dropped = True
                self._unsent(raw)

    def close(self) -> None:
        """Forget what was queued."""
        for outbox in list(self._queued):
            outbox.forget(self)
        self._queued = WeakSet()

    def _look_up(self, route: Route) -> Letterbox:
        """Find the way, or find it anew: what this loop has queued for a mailbox that was closed goes first (PO-3)."""
        box = self.routes.look_up(route)
        loop = current_loop()
        for outbox in list(self._queued):
            if outbox.loop is loop and outbox.is_closed():
                outbox.give_up()
        return box

    def _write(self, box: Letterbox, raw: bytes, urgent: bool) -> bool:
        if not raw[FLAGS_AT] & LARGE:
            return box.post_urgent(raw) if urgent else box.post(raw)
        self._sending(raw, True)
        is_written = box.post_urgent(raw) if urgent else box.post(raw)
        if is_written:
            self._written(raw)
        else:
            self._sending(raw, False)
        return is_written

    def _patiently(self, route: Route, box: Letterbox, raw: bytes, urgent: bool, until_ns: int | None) -> bool:
        if box.refuse:
            raise MailboxFull(route.path, "no", "the mailbox is full")
        if current_loop() is not None:
            raise MailboxFull(route.path, "no", _FULL_IN_LOOP)
        if until_ns is None:
            until_ns = ambient.get()[0]
            if until_ns is None:
                until_ns = monotonic_ns() + DEFAULT_NS
        lane = box.lane_of(raw, urgent=urgent)
        waits = None if urgent else self.waits
        with nullcontext() if waits is None else waits.for_room(route.path):
            look_ns = _LOOK_NS
            while True:
                pause_ns = until_ns if waits is None else monotonic_ns() + look_ns
                if box.wait_for_room(min(pause_ns, until_ns or pause_ns), lane):
                    if self._write(box, raw, urgent):
                        return True
                    continue
                if waits is not None and (circle := waits.circle_for_room(route.path)):  # PO-5
                    raise MailboxFull(route.path, "no", f"{_CIRCLE}: {' → '.join(circle)}")
                if until_ns and monotonic_ns() >= until_ns:
                    raise MailboxFull(route.path, "no", "no room in the mailbox before the deadline")
                look_ns = min(2 * look_ns, _LONGEST_LOOK_NS)

    def _write_or_queue(
        self,
        loop: asyncio.AbstractEventLoop,
        route: Route,
        raw: bytes,
        urgent: bool,
        sent: Callable[[Letterbox], None],
        lost: Callable[[], None],
    ) -> Waiting | None:
        """Write a frame in a loop, or queue it behind the others (PO-3); returns what waits, None: it was written.

        Args:
            sent: told where it was dropped.
            lost: called when it waits, and its mailbox is closed.
        """
        while True:
            try:
                box = route.pick() if route.boxes else self._look_up(route)
                outbox = box.outboxes.get((loop, box.lane_of(raw, urgent=urgent)))
                if outbox is None and self._write(box, raw, urgent):
                    sent(box)
                    return None
                if box.refuse or (outbox is not None and outbox.is_full()):
                    _refuse(route, "the mailbox is full")
                waiting = Waiting(raw, self, partial(self._write, box, raw, urgent), partial(sent, box), lost)
                self._queue(loop, box, box.lane_of(raw, urgent=urgent), waiting)
                return waiting
            except BrokenPipeError:
                route.set([])  # PO-1
            except ConnectionResetError:  # PO-4
                route.set([])
                if raw[FLAGS_AT] & ASK:
                    sent(box)
                    return None
                raise closed_meanwhile(route) from None
            except BaseException:
                self._unsent(raw)
                raise

    def _queue(self, loop: asyncio.AbstractEventLoop, box: Letterbox, lane: int, waiting: Waiting) -> None:
        key = (loop, lane)
        outbox = box.outboxes.get(key)
        if outbox is None:
            for other in [other for other in self._queued if other.loop.is_closed()]:
                self._queued.discard(other)
                for raw in other.forget(self):
                    self._unsent(raw)
            fd = box.lane_fd(lane)
            outbox = box.outboxes[key] = Outbox(loop, fd, box.is_closed, lambda: box.outboxes.pop(key, None))
        self._queued.add(outbox)
        outbox.put(waiting)


def closed_meanwhile(route: Route) -> ActorStopped:
    """The error of a tell that was written as its mailbox was being closed (PO-4)."""
    return ActorStopped(route.path, "unknown", "its mailbox was closed as the message was written")


def _refuse(route: Route, detail: str) -> NoReturn:
    raise MailboxFull(route.path, "no", detail)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
