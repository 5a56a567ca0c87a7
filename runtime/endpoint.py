"""The endpoint: a process's way in and out of a system. It carries every tell and every ask, without a relay.

    ref.add(1) → endpoint.ask → codec.encode → fifo ══ kernel ══▶ journal … reply FIFO → channel → the caller

EP-1  A blocking call waits for room and for its answer until the ask's deadline; in an event loop nothing blocks.
EP-2  An actor that waits, directly or not, for the answer of this very call is never waited for: `AskCycle` at once
      (actors.chain).
EP-3  After a fork the child has nothing of its parent's endpoint: new lines, new reply FIFOs, new ask ids, and new
      locks before all else: a thread that held one is not there to let go of it.
EP-4  Threads that are actors have an endpoint each, and their process's routes: what one of them has looked up is known
      to all, by one letterbox.
"""

import asyncio
import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from time import monotonic_ns
from typing import Any

from actors.chain import is_doubtful
from actors.deadline import ambient
from actors.errors import AskCycle, NoSuchMessage, NoSuchSystem, SystemGone
from actors.form import form_of
from actors.layout import Layout
from actors.message import BoundMessage, MessageEntry
from runtime.channel import Channel, LoopChannel, ThreadChannel
from runtime.eventloop import current_loop, refuse_in_loop
from runtime.mailbox import fifo
from runtime.mailbox.page import CLOSED, LIFE, Page
from runtime.mailbox.patience import Board, Patience
from runtime.memory.arena import Arena
from runtime.memory.region import Region
from runtime.pending import Pending
from runtime.post import DEFAULT_NS, Post, closed_meanwhile
from runtime.regions import Regions
from runtime.route import Route, Routes
from runtime.store import Store
from runtime.waits import Wait, Waits
from runtime.wire import frame
from runtime.wire.codec import Codec
from runtime.wire.codec_reducers import OUT_OF_BAND_BYTES
from runtime.wire.control import OpenReplies
from runtime.wire.frame import FLAGS_AT, LARGE, MAX_PAYLOAD
from runtime.wire.line import Lines, lacking
from runtime.wire.parts import Payload

_COLLECT_EVERY = 16  # asks under way between two looks at a thread's reply FIFO
LOOP_FIFO_BYTES = 65536
_write = os.write

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Endpoint:
    """The `Machine` of a process: binds references, sends, waits. Threads and loops share it; `close` ends it.

    Attributes:
        system: name of the system.
        codec: of every payload that passes.
        lines: to the supervisor.
        arena: for large payloads.
        regions: of the system.
        routes: that have been looked up.
        refs: references that arrived; see `actors.interfaces.Machine.refs`.
    """

    def __init__(
        self,
        directory: str,
        system: str,
        lines: Lines,
        board: Board,
        *,
        own: str | None = None,
        thread: int = 0,
        fifo_bytes: int,
        routes: Routes | None = None,
        page: Page | None = None,
    ) -> None:
        """Carry messages of the system whose runtime directory that is.

        Args:
            directory: the system's runtime directory.
            system: its name.
            lines: to its supervisor; opened on first use, closed by `close`.
            board: the ration of polling.
            own: path of the actor whose process this is; None in a client.
            thread: its number, where it is a thread among others.
            fifo_bytes: size of a thread's reply FIFO.
            routes: of its process, which stay their owner's (EP-4); None: its own.
            page: of that actor.
        """
        self.system = system
        self.lines = lines
        self.arena = Arena(lines, thread)
        self.regions = Regions(lines, system, own or "")
        self.refs: dict[bytes, Any] = {}
        self.codec = Codec(Store(lines))
        self._directory = directory
        self._fifo_bytes = fifo_bytes
        self._board = board
        self.routes = routes or Routes(directory, lines)
        self._has_own_routes = routes is None
        self._waits = None if own is None or page is None else Waits(own, page, self.routes)
        self._post = Post(self.routes, self._unsent, self._sending, self._written, self._waits)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._free: list[ThreadChannel] = []
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopChannel] = weakref.WeakKeyDictionary()
        self._channels: list[Channel] = []
        self._next_id = _ids()
        self._closed = False
        _endpoints.add(weakref.ref(self, _endpoints.discard))

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return monotonic_ns()

    def patience(self) -> Patience:
        """The waiting record of one more thread or loop of this process."""
        return Patience(self._board)

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """The message `name` of the actor at path; see `actors.interfaces.Machine.bind`."""
        if entry is None:
            entry = self.routes.table(path).get(name)
            if entry is None:
                raise NoSuchMessage(f"{path}: the actor has no message {name!r}")
        route = self.routes.route(path)
        urgent, retry = entry.options.urgent, entry.options.retry
        encode, local, post = self.codec.encode_call, self._local, self._post.post
        plain, pickled = frame.tell_head(0, retry), frame.tell_head(1, retry)

        def tell_frame(kind: int, payload: Payload) -> bytes:
            if type(payload) is bytes and len(payload) <= MAX_PAYLOAD:
                return frame.headed(pickled if kind else plain, payload)
            return self._large(kind, payload, 0, 0, 0, retry)

        def tell(*args: Any, **kwargs: Any) -> None:
            kind, payload = encode(name, args, kwargs, ())
            raw = tell_frame(kind, payload)
            box = route.only
            if box is not None and not (urgent or box.outboxes or raw[FLAGS_AT] & LARGE):  # the short way of a thread
                try:
                    _write(box.fd, raw)
                    if box.words[LIFE] == CLOSED:
                        box.refuse_lost(raw)
                    return
                except (BlockingIOError, BrokenPipeError):  # full, or closed
                    pass
                except ConnectionResetError:
                    route.set([])
                    raise closed_meanwhile(route) from None
            post(route, raw, urgent, None)

        def call(*args: Any, **kwargs: Any) -> Any:
            refuse_in_loop()
            try:
                channel = local.channel
            except AttributeError:
                channel = self._thread_channel()
            ask_id, until_ns, raw = self._ask_frame(channel, route, retry, name, args, kwargs)
            if channel.pending or self._is_doubtful(route):
                return self._call_among_others(channel, ask_id, route, until_ns, raw, urgent)
            return channel.exchange(ask_id, route.path, until_ns, post(route, raw, urgent, until_ns))

        def ask(*args: Any, **kwargs: Any) -> Pending:
            return self._start_ask(route, urgent, retry, name, args, kwargs)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            self._refuse_cycle(route)
            return await self._start_ask(route, urgent, retry, name, args, kwargs)

        def send(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
            raw = tell_frame(*encode(name, args, kwargs, ()))
            return self._post.send(route, raw, urgent)

        return BoundMessage(name, call_async if entry.is_async else call, ask, tell, send)

    def region(self, name: str, layout: type[Layout] | None = None) -> Region[Any]:
        """See `actors.interfaces.Machine.region`."""
        return self.regions.open(name, layout)

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> Any:
        """See `actors.interfaces.Backstage.empty`."""
        form = form_of(shape, dtype)
        if form.nbytes < OUT_OF_BAND_BYTES:
            return form.private()
        return self.arena.lend(form, _wait_until_ns(ambient.get()[0]))

    def _start_ask(self, route: Route, urgent: bool, retry: int, name: str, args: Args, kwargs: Kwargs) -> Pending:
        loop = current_loop()
        if loop is None:
            channel = self._thread_channel()
            if len(channel.pending) % _COLLECT_EVERY == _COLLECT_EVERY - 1:
                channel.collect()
            ask_id, until_ns, raw = self._ask_frame(channel, route, retry, name, args, kwargs, is_kept=True)
            pending = self._register(channel, ask_id, route, until_ns)
            self._post_ask(pending, route, raw, urgent)
            return pending
        loop_channel = self._loop_channel(loop)
        ask_id, until_ns, raw = self._ask_frame(loop_channel, route, retry, name, args, kwargs, is_kept=True)
        pending = self._register(loop_channel, ask_id, route, until_ns)
        try:
            self._post.post_in_loop(loop, route, raw, urgent, pending)
        except BaseException:
            loop_channel.forget(ask_id)
            raise
        return pending

    def _refuse_cycle(self, route: Route) -> None:
        """A call that is awaited is not sent either when it would wait for itself (EP-2)."""
        if self._waits is not None:
            self._waits.refuse_cycle(ambient.get()[1], route.path)

    def _is_doubtful(self, route: Route) -> bool:
        """An actor that may wait for what is in hand here is called."""
        return self._waits is not None and is_doubtful(ambient.get()[1], route.path)

    def _call_among_others(
        self, channel: ThreadChannel, ask_id: int, route: Route, until_ns: int, raw: bytes, urgent: bool
    ) -> Any:
        """A blocking call while answers of others come by its channel, or one that has to be looked at."""
        pending = self._register(channel, ask_id, route, until_ns)
        self._post_ask(pending, route, raw, urgent)
        try:
            return pending.result()
        except AskCycle:
            pending.forget()
            raise

    def _register(self, channel: Channel, ask_id: int, route: Route, until_ns: int) -> Pending:
        wait = None if self._waits is None else Wait(self._waits, ask_id, route.path)
        pending = Pending(channel, ask_id, route.path, until_ns, wait)
        channel.add(pending)
        return pending

    def _post_ask(self, pending: Pending, route: Route, raw: bytes, urgent: bool) -> None:
        try:
            pending.sent(self._post.post(route, raw, urgent, pending.until_ns))
        except BaseException:
            pending.forget()
            raise

    def _ask_frame(
        self,
        channel: Channel,
        route: Route,
        retry: int,
        name: str,
        args: Args,
        kwargs: Kwargs,
        *,
        is_kept: bool = False,
    ) -> tuple[int, int, bytes]:
        """The ask's number, its deadline and its frame; is_kept: it may never be waited for."""
        until_ns, chain = ambient.get()
        if until_ns is None:
            until_ns = monotonic_ns() + DEFAULT_NS
        ask_id = self._next_id()
        waits = self._waits
        if waits is not None:  # EP-2
            chain = waits.keeping(chain, ask_id) if is_kept else waits.calling(chain, route.path)
        kind, payload = self.codec.encode_call(name, args, kwargs, chain)
        if type(payload) is bytes and len(payload) <= MAX_PAYLOAD:
            return ask_id, until_ns, frame.ask(kind, payload, ask_id, channel.address, until_ns, retry)
        return ask_id, until_ns, self._large(kind, payload, ask_id, channel.address, until_ns, retry)

    def _large(self, kind: int, payload: Payload, ask_id: int, reply_to: int, until_ns: int, retry: int) -> bytes:
        flags = frame.flags_of(kind) | (frame.ASK if ask_id else 0)
        number = self.arena.put(payload, _wait_until_ns(until_ns))
        return frame.large(flags, ask_id, reply_to, until_ns, number, retry)

    def _sending(self, raw: bytes, is_sent: bool) -> None:
        """The frame of a large payload is about to be written, or there was no room for it."""
        self.arena.sending(frame.unpack_header(raw, 0)[-1], is_sent=is_sent)

    def _written(self, raw: bytes) -> None:
        """The frame of a large payload was written."""
        self.arena.written(frame.unpack_header(raw, 0)[-1])

    def _unsent(self, raw: bytes) -> None:
        """Nobody will get that frame: free its body, if it has one."""
        body = frame.unpack_header(raw, 0)[-1]
        if body:
            with contextlib.suppress(SystemGone, NoSuchSystem):
                self.arena.free(body)

    def _thread_channel(self) -> ThreadChannel:
        channel: ThreadChannel | None = self._local.__dict__.get("channel")
        if channel is None:
            with self._lock:
                channel = self._free.pop() if self._free else None
            if channel is None:
                fd, address = self._reply_fifo(self._fifo_bytes)
                channel = ThreadChannel(fd, address, self.codec, self.arena, self.patience())
                self._channels.append(channel)
            self._local.channel = channel
            self._local.returned = _Returned(self._free, channel)  # goes with the thread
        return channel

    def _loop_channel(self, loop: asyncio.AbstractEventLoop) -> LoopChannel:
        channel = self._loops.get(loop)
        if channel is None:
            fd, address = self._left_behind() or self._reply_fifo(LOOP_FIFO_BYTES)
            channel = self._loops[loop] = LoopChannel(fd, address, self.codec, self.arena, loop)
            self._channels.append(channel)
        return channel

    def _left_behind(self) -> tuple[int, int] | None:
        """The reply FIFO of a loop that was closed: it can be read on, late answers are dropped."""
        with self._lock:
            for loop, channel in list(self._loops.items()):
                if loop.is_closed():
                    del self._loops[loop]
                    self._channels.remove(channel)
                    return channel.fd, channel.address
        return None

    def _reply_fifo(self, nbytes: int) -> tuple[int, int]:
        address, _ = self.lines.register(OpenReplies(nbytes=nbytes))
        try:
            return fifo.open_read(f"{self._directory}/replies/{address:016x}"), address
        except OSError as exc:
            raise lacking("the way back of an answer", exc) from exc

    def close(self) -> None:
        """Close every line, FIFO and mapping; asks under way end with `SystemGone`."""
        if self._closed:
            return
        self._closed = True
        self.lines.shut()
        self._post.close()
        if self._has_own_routes:
            self.routes.close()
        idle = [*self._free, self._local.__dict__.get("channel")]
        for channel in self._channels:
            channel.hang_up(is_idle=channel in idle)
        self._channels.clear()
        self.arena.close()
        self._board.close()

    def after_fork(self) -> None:
        """In the child of a fork: let go of what is the parent's, and start afresh on first use (EP-3)."""
        self._lock = threading.Lock()
        for channel in self._channels:
            os.close(channel.fd)
        self._channels.clear()
        self._local.__dict__.clear()
        self._free.clear()  # after it: the thread's own has just been given back
        self._loops.clear()
        self._waits = self._post.waits = None  # the page is its parent's
        self._post.close()
        if self._has_own_routes:
            self.routes.after_fork()
        self.arena.after_fork()
        self.lines.after_fork()
        self._next_id = _ids()


class _Returned:
    """Gives a thread's channel back when the thread ends; its late answers have ids that nobody waits for.

    One that was hung up meanwhile is given back to nobody: its descriptor is closed.
    """

    __slots__ = ("_channel", "_free")

    def __init__(self, free: list[ThreadChannel], channel: ThreadChannel) -> None:
        self._free = free
        self._channel = channel

    def __del__(self) -> None:
        if self._channel.is_hung_up:
            os.close(self._channel.fd)
        else:
            self._free.append(self._channel)


def _wait_until_ns(until_ns: int | None) -> int | None:
    """How long to wait for a slab, given a deadline (0 and None: none); in a loop not at all (EP-1)."""
    return None if current_loop() is not None else until_ns or monotonic_ns() + DEFAULT_NS


def _ids() -> Callable[[], int]:
    """Ask ids: 64-bit, from a random start, so that no two processes or forks ever share one."""
    return itertools.count((int.from_bytes(os.urandom(8), "little") >> 2) + 1).__next__


_endpoints: "set[weakref.ref[Endpoint]]" = set()


def _after_fork() -> None:
    for endpoint in [each() for each in _endpoints]:
        if endpoint is not None:
            endpoint.after_fork()


os.register_at_fork(after_in_child=_after_fork)
