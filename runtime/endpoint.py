"""The endpoint: a process's way in and out of a system. It carries every tell and every ask, without a relay.

    ref.add(1) → endpoint.ask → codec.encode → fifo ══ kernel ══▶ journal … reply FIFO → channel → the caller

EP-1  A route is looked up once by the control socket and kept; it is looked up anew when its mailbox was closed.
EP-2  A blocking call waits for room and for its answer until the ask's deadline; in an event loop nothing blocks.
EP-3  An actor that waits, directly or not, for the answer of this very call is never asked: `AskCycle` at once.
EP-4  After a fork the child has nothing of its parent's endpoint: new lines, new reply FIFOs, new ask ids.
"""

import asyncio
import itertools
import os
import random
import threading
import weakref
from collections.abc import Callable, Coroutine
from time import monotonic_ns
from typing import Any

from actors.deadline import DEFAULT_SECONDS, ambient
from actors.errors import ActorError, AskCycle, MailboxFull, NoSuchMessage
from actors.message import BoundMessage, MessageEntry
from runtime.channel import Channel, LoopChannel, Pending, ThreadChannel, current_loop, refuse_in_loop
from runtime.mailbox import fifo
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.patience import Board, Patience
from runtime.memory.body import Bodies
from runtime.outbox import Outbox, Waiting
from runtime.route import Route, Routes
from runtime.store import Store
from runtime.wire import frame
from runtime.wire.codec import Codec
from runtime.wire.control import OpenReplies
from runtime.wire.frame import MAX_PAYLOAD
from runtime.wire.line import Lines

_DEFAULT_NS = int(DEFAULT_SECONDS * 1e9)
_COLLECT_EVERY = 16  # asks under way between two looks at a thread's reply FIFO
LOOP_FIFO_BYTES = 65536

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Endpoint:
    """The `Machine` of a process: binds references, sends, waits. Threads and loops share it; `close` ends it.

    Attributes:
        system: name of the system.
        codec: of every payload that passes.
        lines: to the supervisor.
        bodies: the large ones.
    """

    def __init__(
        self, directory: str, system: str, lines: Lines, board: Board, *, own: str | None = None, fifo_bytes: int
    ) -> None:
        """Carry messages of the system whose runtime directory that is.

        Args:
            directory: the system's runtime directory.
            system: its name.
            lines: to its supervisor; opened on first use, closed by `close`.
            board: the ration of polling.
            own: path of the actor whose process this is; None in a client.
            fifo_bytes: size of a thread's reply FIFO.
        """
        self.system = system
        self.lines = lines
        self.bodies = Bodies(lines)
        self.codec = Codec(Store(lines))
        self._directory = directory
        self._own = own
        self._fifo_bytes = fifo_bytes
        self._board = board
        self._routes = Routes(directory, lines)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._free: list[ThreadChannel] = []
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopChannel] = weakref.WeakKeyDictionary()
        self._outboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Letterbox, bool], Outbox]] = (
            weakref.WeakKeyDictionary()
        )
        self._channels: list[Channel] = []
        self._next_id = _ids()
        self._closed = False
        _endpoints.add(self)

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return monotonic_ns()

    def patience(self) -> Patience:
        """The waiting record of one more thread or loop of this process."""
        return Patience(self._board)

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """The message `name` of the actor at path; see `actors.interfaces.Machine.bind`."""
        if entry is None:
            entry = self._routes.table(path).get(name)
            if entry is None:
                raise NoSuchMessage(f"{path}: the actor has no message {name!r}")
        route = self._routes.route(path)
        urgent = entry.options.urgent
        encode, local, tell_frame = self.codec.encode_call, self._local, frame.tell

        def tell(*args: Any, **kwargs: Any) -> None:
            kind, payload = encode(name, args, kwargs, ())
            raw = tell_frame(kind, payload) if len(payload) <= MAX_PAYLOAD else self._large(kind, payload, 0, 0, 0)
            self._post(route, raw, urgent, None)

        def call(*args: Any, **kwargs: Any) -> Any:
            refuse_in_loop()
            try:
                channel = local.channel
            except AttributeError:
                channel = self._thread_channel()
            pending = self._ask_blocking(channel, route, urgent, name, args, kwargs)
            channel.wait(pending, None)
            return pending.result()

        def ask(*args: Any, **kwargs: Any) -> Pending:
            return self._start_ask(route, urgent, name, args, kwargs)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await self._start_ask(route, urgent, name, args, kwargs)

        def send(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
            kind, payload = encode(name, args, kwargs, ())
            raw = tell_frame(kind, payload) if len(payload) <= MAX_PAYLOAD else self._large(kind, payload, 0, 0, 0)
            return self._send(route, raw, urgent)

        return BoundMessage(name, call_async if entry.is_async else call, ask, tell, send)

    # ---- asks

    def _start_ask(self, route: Route, urgent: bool, name: str, args: Args, kwargs: Kwargs) -> Pending:
        loop = current_loop()
        if loop is not None:
            return self._ask_in_loop(self._loop_channel(loop), loop, route, urgent, name, args, kwargs)
        channel = self._thread_channel()
        if len(channel.pending) % _COLLECT_EVERY == _COLLECT_EVERY - 1:
            channel.collect()
        return self._ask_blocking(channel, route, urgent, name, args, kwargs)

    def _ask_blocking(
        self, channel: ThreadChannel, route: Route, urgent: bool, name: str, args: Args, kwargs: Kwargs
    ) -> Pending:
        pending, raw = self._prepare(channel, route, name, args, kwargs)
        channel.pending[pending.ask_id] = pending
        try:
            pending.box = self._post(route, raw, urgent, pending.until_ns)
        except BaseException:
            channel.forget(pending.ask_id)
            raise
        return pending

    def _ask_in_loop(
        self,
        channel: LoopChannel,
        loop: asyncio.AbstractEventLoop,
        route: Route,
        urgent: bool,
        name: str,
        args: Args,
        kwargs: Kwargs,
    ) -> Pending:
        pending, raw = self._prepare(channel, route, name, args, kwargs)
        box = route.pick() if route.boxes else self._routes.look_up(route)
        outbox = self._outbox(loop, box, urgent)
        channel.add(pending)
        try:
            if outbox or not self._try(box, raw, urgent):
                if box.refuse or outbox.is_full():
                    raise MailboxFull(route.path, "no", "the mailbox is full")
                outbox.put(Waiting(raw, lambda: pending.sent(box), lambda: self._ask_again(pending, route, raw, urgent)))
            else:
                pending.box = box
        except BrokenPipeError:
            self._ask_again(pending, route, raw, urgent)
        except BaseException:
            channel.forget(pending.ask_id)
            raise
        return pending

    def _ask_again(self, pending: Pending, route: Route, raw: bytes, urgent: bool) -> None:
        """Its mailbox was closed: find the way anew, or end the ask with what the supervisor says (EP-1)."""
        try:
            pending.box = self._post(route, raw, urgent, 1)
        except ActorError as exc:
            pending.fail(exc)

    def _prepare(self, channel: Channel, route: Route, name: str, args: Args, kwargs: Kwargs) -> tuple[Pending, bytes]:
        until_ns, chain = ambient.get()
        if until_ns is None:
            until_ns = monotonic_ns() + _DEFAULT_NS
        if self._own is not None:
            chain = (*chain, self._own)
            if route.path in chain:
                raise AskCycle((*chain[chain.index(route.path) :], route.path))  # EP-3
        kind, payload = self.codec.encode_call(name, args, kwargs, chain)
        ask_id = self._next_id()
        if len(payload) <= MAX_PAYLOAD:
            raw = frame.ask(kind, payload, ask_id, channel.address, until_ns)
        else:
            raw = self._large(kind, payload, ask_id, channel.address, until_ns)
        return Pending(channel, ask_id, route.path, until_ns), raw

    def _large(self, kind: int, payload: bytes, ask_id: int, reply_to: int, until_ns: int) -> bytes:
        flags = (frame.PICKLED if kind else 0) | (frame.ASK if ask_id else 0)
        return frame.large(flags, ask_id, reply_to, until_ns, self.bodies.put(payload))

    # ---- sending

    def _post(self, route: Route, raw: bytes, urgent: bool, until_ns: int | None) -> Letterbox:
        """Write a frame; wait for room until until_ns (0: for ever; None: the ambient deadline, else 5 s)."""
        boxes = route.boxes
        while True:
            box = (boxes[0] if len(boxes) == 1 else route.pick()) if boxes else self._routes.look_up(route)
            try:
                if (box.post_urgent(raw) if urgent else box.post(raw)) or self._post_patiently(
                    route, box, raw, urgent, until_ns
                ):
                    return box
            except BrokenPipeError:
                route.boxes = boxes = []  # EP-1

    def _post_patiently(self, route: Route, box: Letterbox, raw: bytes, urgent: bool, until_ns: int | None) -> bool:
        if box.refuse:
            raise MailboxFull(route.path, "no", "the mailbox is full")
        if current_loop() is not None:
            raise MailboxFull(route.path, "no", "the mailbox is full; `await ref.message.send(…)` waits for room")
        if until_ns is None:
            until_ns = ambient.get()[0]
            if until_ns is None:
                until_ns = monotonic_ns() + _DEFAULT_NS
        while box.wait_for_room(until_ns, urgent=urgent):
            if box.post_urgent(raw) if urgent else box.post(raw):
                return True
        raise MailboxFull(route.path, "no", "no room in the mailbox before the deadline")

    def _try(self, box: Letterbox, raw: bytes, urgent: bool) -> bool:
        return box.post_urgent(raw) if urgent else box.post(raw)

    async def _send(self, route: Route, raw: bytes, urgent: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            box = route.pick() if route.boxes else self._routes.look_up(route)
            outbox = self._outbox(loop, box, urgent)
            try:
                if not outbox and self._try(box, raw, urgent):
                    return
            except BrokenPipeError:
                route.boxes = []
                continue
            if box.refuse:
                raise MailboxFull(route.path, "no", "the mailbox is full")
            if await self._wait_in(outbox, loop, route, raw):
                return

    async def _wait_in(self, outbox: Outbox, loop: asyncio.AbstractEventLoop, route: Route, raw: bytes) -> bool:
        """Wait in the outbox until the frame was written; False when the mailbox was closed meanwhile."""
        until_ns = ambient.get()[0]
        if until_ns is None:
            until_ns = monotonic_ns() + _DEFAULT_NS
        written: asyncio.Future[bool] = loop.create_future()
        waiting = Waiting(raw, lambda: _settle(written, True), lambda: _settle(written, False))
        outbox.put(waiting)
        try:
            async with asyncio.timeout_at(None if not until_ns else loop.time() + (until_ns - monotonic_ns()) / 1e9):
                return await written
        except TimeoutError:
            raise MailboxFull(route.path, "no", "no room in the mailbox before the deadline") from None
        finally:
            waiting.dropped = not written.done() or written.cancelled()

    def _outbox(self, loop: asyncio.AbstractEventLoop, box: Letterbox, urgent: bool) -> Outbox:
        boxes = self._outboxes.setdefault(loop, {})
        outbox = boxes.get((box, urgent))
        if outbox is None:
            outbox = boxes[box, urgent] = Outbox(loop, box, urgent=urgent)
        return outbox

    # ---- channels

    def _thread_channel(self) -> ThreadChannel:
        channel: ThreadChannel | None = self._local.__dict__.get("channel")
        if channel is None:
            with self._lock:
                channel = self._free.pop() if self._free else None
            if channel is None:
                fd, address = self._reply_fifo(self._fifo_bytes)
                channel = ThreadChannel(fd, address, self.codec, self.bodies.take, self.patience())
                self._channels.append(channel)
            self._local.channel = channel
            self._local.returned = _Returned(self._free, channel)  # goes with the thread
        return channel

    def _loop_channel(self, loop: asyncio.AbstractEventLoop) -> LoopChannel:
        channel = self._loops.get(loop)
        if channel is None:
            fd, address = self._reply_fifo(LOOP_FIFO_BYTES)
            channel = self._loops[loop] = LoopChannel(fd, address, self.codec, self.bodies.take, loop)
            self._channels.append(channel)
        return channel

    def _reply_fifo(self, nbytes: int) -> tuple[int, int]:
        address = int(self.lines.register(OpenReplies(nbytes=nbytes)))
        return fifo.open_read(f"{self._directory}/replies/{address:016x}"), address

    # ---- the end

    def close(self) -> None:
        """Close every line, FIFO and mapping; asks under way end with `SystemGone`."""
        if self._closed:
            return
        self._closed = True
        for channel in self._channels:
            channel.close()
            channel.fail_all()
            os.close(channel.fd)
        self._channels.clear()
        self._routes.close()
        self._outboxes.clear()
        self.lines.close()
        self._board.close()

    def after_fork(self) -> None:
        """In the child of a fork: let go of what is the parent's, and start afresh on first use (EP-4)."""
        for channel in self._channels:
            os.close(channel.fd)
        self._channels.clear()
        self._free.clear()
        self._local.__dict__.clear()
        self._loops.clear()
        self._outboxes.clear()
        self._routes.close()
        self.lines.close()
        self._lock = threading.Lock()
        self._next_id = _ids()


class _Returned:
    """Gives a thread's channel back when the thread ends; its late answers have ids that nobody waits for."""

    __slots__ = ("_channel", "_free")

    def __init__(self, free: list[ThreadChannel], channel: ThreadChannel) -> None:
        self._free = free
        self._channel = channel

    def __del__(self) -> None:
        self._free.append(self._channel)


def _ids() -> Callable[[], int]:
    """Ask ids: 64-bit, from a random start, so that no two processes or forks ever share one."""
    return itertools.count(random.SystemRandom().getrandbits(62) + 1).__next__


_endpoints: "weakref.WeakSet[Endpoint]" = weakref.WeakSet()


def _after_fork() -> None:
    for endpoint in _endpoints:
        endpoint.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _settle(future: asyncio.Future[bool], value: bool) -> None:  # noqa: FBT001  # a callback's value
    if not future.done():
        future.set_result(value)
