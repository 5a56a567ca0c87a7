"""A life: one incarnation of an actor, from its constructor to `on_stop`, and the `Machine` it is played on.

    page, journal, inbox → the class, its arguments → __init__ → on_start → ready → THE loop (actors.loop) → on_stop

Neither knows whether it has a process of its own (`runtime.host`) or a thread among others (`runtime.threadhost`).

LF-1  An actor with only `def` handlers and hooks is driven by one `send(None)`; any `async def`: by asyncio.
LF-2  A child that is forked in a handler and would return into the loop ends instead: the mailbox is not its.
LF-3  Nothing is sent to become ready but one frame on the supervisor's event pipe.
"""

import asyncio
import contextlib
import functools
import os
import weakref
from collections.abc import Coroutine
from time import monotonic_ns
from typing import Any

import msgspec

from actors.actor import Actor, Down
from actors.certificate import DeathCertificate
from actors.context import Context
from actors.errors import ActorError
from actors.layout import Layout
from actors.letter import Letter
from actors.loop import Part, call_hook, part_of, run
from actors.message import BoundMessage, MessageEntry
from actors.ref import Ref
from actors.role import NOTICES, ON_DOWN, ON_LETTER, Role, role_of
from runtime import crash
from runtime.actorlog import logger
from runtime.clerk import clerk
from runtime.durable.keeper import Keeper
from runtime.endpoint import Endpoint
from runtime.eventloop import current_loop
from runtime.facade import OwnSupervisor
from runtime.mailbox import fifo
from runtime.mailbox.asyncinbox import AsyncInbox, ConcurrentInbox
from runtime.mailbox.fifo import Fifos
from runtime.mailbox.inbox import BlockingInbox, Inbox, Uncommitted
from runtime.mailbox.page import BEAT_NS, LAST_WORDS_SIZE, LISTENS, TASKS_SIGNAL, UNCOMMITTED, Page, Table, packed
from runtime.mailbox.patience import Board, Patience
from runtime.mailbox.replies import Replies
from runtime.memory.lock import Holder
from runtime.memory.region import Region
from runtime.politeloop import polite_loop
from runtime.process.order import Launch, Ready, ready_line
from runtime.process.payload import constructor_part
from runtime.regions import Regions
from runtime.route import Routes
from runtime.state import State
from runtime.trace import tasks_of
from runtime.wire.control import GrowSnapshots, KeepLetter, Watch, WatchLetters
from runtime.wire.line import Lines
from runtime.wire.placeholder import RefTo, RegionTo

REPLY_FIFO_BYTES = 4096
_KEPT = 128  # classes


class Host:
    """The `Backstage` of one actor: its endpoint, its log, its supervisor.

    Attributes:
        system: its name.
        refs: references that arrived; see `actors.interfaces.Machine.refs`.
    """

    def __init__(
        self,
        launch: Launch,
        page: Page,
        board: Board,
        *,
        thread: int = 0,
        routes: Routes | None = None,
        fifos: Fifos = fifo,
    ) -> None:
        """Be the machine of an actor.

        Args:
            launch: its order.
            page: its page.
            board: of its system.
            thread: its number, where it has no process of its own.
            routes: of that process.
            fifos: opens its lanes and the FIFOs of its callers.
        """
        self._launch = launch
        self._page = page
        self.board = board
        self.fifos = fifos
        lines = Lines(launch.directory, launch.system)
        self.endpoint = Endpoint(
            launch.directory,
            launch.system,
            lines,
            board,
            own=launch.path,
            thread=thread,
            fifo_bytes=REPLY_FIFO_BYTES,
            page=page,
            routes=routes,
        )
        self.system = launch.system
        self.refs = self.endpoint.refs
        self.inbox: Inbox | None = None
        self.endpoint.regions = Regions(lines, launch.system, launch.path, self._writer_died)
        self._log: Any = None
        self._is_starting = True

    @property
    def log(self) -> Any:
        """A BoundLogger, made on first use: most actors never log."""
        if self._log is None:
            self._log = logger(self._launch.path, self._launch.incarnation, self._page)
        return self._log

    @property
    def supervisor(self) -> OwnSupervisor:
        """A handle of the supervisor this actor lives under."""
        parent = self._launch.address.rpartition(".")[0]
        return OwnSupervisor(self.endpoint, parent, self._launch.path if self._is_starting else "")

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return self.endpoint.now_ns()

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """See `actors.interfaces.Machine.bind`."""
        return self.endpoint.bind(path, name, entry)

    def region(self, name: str, layout: type[Layout] | None = None) -> Region[Any]:
        """See `actors.interfaces.Machine.region`."""
        return self.endpoint.regions.open(name, layout)

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> Any:
        """See `actors.interfaces.Backstage.empty`."""
        return self.endpoint.empty(shape, dtype)

    def watch(self, path: str) -> None:
        """See `actors.interfaces.Backstage.watch`."""
        self.endpoint.lines.request(Watch(path=path, watcher=self._launch.path, on=True))

    def unwatch(self, path: str) -> None:
        """See `actors.interfaces.Backstage.unwatch`."""
        self.endpoint.lines.request(Watch(path=path, watcher=self._launch.path, on=False))

    def watch_letters(self) -> None:
        """See `actors.interfaces.Backstage.watch_letters`."""
        self.endpoint.lines.request(WatchLetters(watcher=self._launch.path, on=True))

    def unwatch_letters(self) -> None:
        """See `actors.interfaces.Backstage.unwatch_letters`."""
        self.endpoint.lines.request(WatchLetters(watcher=self._launch.path, on=False))

    def tell_ready(self, *, is_ignored: bool) -> None:
        """Say that the actor is ready, or that it need not run (LF-3)."""
        self._is_starting = False
        ready = Ready(self._launch.path, self._launch.incarnation, is_ignored)
        os.write(self._launch.events, ready_line(ready))

    def close(self) -> None:
        """Let go of all that the end of a process would: for an actor whose thread has ended."""
        if self.inbox is not None:
            for body in self.inbox.close():
                with contextlib.suppress(ActorError):  # its slab is gone
                    self.endpoint.arena.leave(body)
        self.endpoint.close()

    def _writer_died(self, region: str, dead: Holder | None) -> None:
        self.log.warning("a writer died in a transaction", region=region, owner=str(dead or "unknown"))


def live(host: Host, launch: Launch, page: Page, payload_fd: int, snapshots_fd: int, last_words: int = -1) -> None:
    """Be the actor until its end; whatever ends it before its time is raised.

    Args:
        payload_fd: of its class and constructor call; closed here.
        snapshots_fd: -1 for an actor without snapshots.
        last_words: descriptor that the stacks of an event loop's tasks are written to when they are asked for; -1: they
            cannot be, which takes a signal and with it a process of its own.
    """
    actor_class, args, kwargs = host.endpoint.codec.decode_constructor(constructor_part(payload_fd))
    os.close(payload_fd)
    args = tuple(_resolved(value, host) for value in args)
    kwargs = {key: _resolved(value, host) for key, value in kwargs.items()}
    life = _Life(host, launch, page, actor_class, snapshots_fd)
    try:
        if life.role.is_async:
            _run_async(life, args, kwargs, last_words)
        else:
            _run_blocking(life.play(life.inbox(BlockingInbox, patience=Patience(host.board)), args, kwargs))
    finally:
        life.close()


def learn(actor_class: type[Actor]) -> None:
    """Work out what is the same in every life of a class; forks inherit it.

    Raises:
        ValueError: its message table is too large; a life of it says so too.
    """
    _table_of(role_of(actor_class))


@functools.lru_cache(_KEPT)
def _table_of(role: Role) -> Table:
    return packed(role.entries)


class _Life:
    """One incarnation, from constructor to on_stop."""

    def __init__(
        self,
        host: Host,
        launch: Launch,
        page: Page,
        actor_class: type[Actor],
        snapshots_fd: int,
    ) -> None:
        self.snapshots_fd = snapshots_fd
        self.state: State | None = None
        self.host = host
        self.launch = launch
        self.page = page
        self.actor_class = actor_class
        self.role = role_of(actor_class)
        page.publish(_table_of(self.role))
        self.context = Context(host, actor_class, launch.path, launch.incarnation)

    async def play(self, inbox: Inbox, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Construct the actor, say that it is ready, run the loop, stop in order."""
        actor = self.actor_class.__new__(self.actor_class)
        actor.__dict__["_understudy_context"] = self.context
        inbox.busy_with("__init__")
        actor.__init__(*args, **kwargs)  # type: ignore[misc]  # the context had to be there before it
        if self.snapshots_fd >= 0:
            inbox.busy_with("restore")
            self.state = self._state()
            await self.state.restore(actor.restore)  # type: ignore[attr-defined]  # has_snapshots has seen both
            commit = self.state.commits(actor.snapshot)  # type: ignore[attr-defined]
            inbox.commit_by(commit, self.role.unsnapped, self.launch.snapshot_every)
        inbox.busy_with("on_start")
        await call_hook(actor.on_start)
        inbox.busy_with("")
        part = self._part(actor)
        self.host.tell_ready(is_ignored=self.context.stop_reason is not None)
        if self.context.stop_reason is not None:
            return
        try:
            reason = await run(part, inbox)
            inbox.settle()
        except Uncommitted as error:
            reason = self._uncommitted(error)
        inbox.busy_with("on_stop")
        try:
            await call_hook(actor.on_stop, reason)
        except (Exception, asyncio.CancelledError):  # the exit goes on
            self.context.log.exception("on_stop failed")
        inbox.busy_with("")

    def _uncommitted(self, error: Uncommitted) -> str:
        """End in order, to be started again from the last commit; returns the reason for `on_stop`."""
        self.page.words[UNCOMMITTED] = 1
        self.page.say(f"OutOfMemory: its state could not be committed: {error}")
        self.context.log.error("state not committed", reason=str(error))
        return "uncommitted"

    def close(self) -> None:
        """Write what is not on disk yet."""
        if self.state is not None:
            self.state.close()

    def _state(self) -> State:
        launch, endpoint = self.launch, self.host.endpoint

        def grow(nbytes: int) -> int:
            return endpoint.lines.request(GrowSnapshots(path=launch.path, nbytes=nbytes))[1][0]

        keeper = None
        if launch.durable is not None:
            keeper = Keeper(launch.durable, launch.system, launch.path, self.page.words, lambda: self.host.log)
        return State(self.snapshots_fd, grow, endpoint.codec, keeper)

    def inbox(self, kind: type[Inbox], **more: Any) -> Inbox:
        """The mailbox's receiving end, with what an earlier incarnation left."""
        endpoint = self.host.endpoint
        arena, words = endpoint.arena, self.page.words
        directory = f"{self.launch.directory}/replies"
        fifos = self.host.fifos
        replies = Replies(directory, words, endpoint.codec, arena.put_answer, arena.free, arena.written, fifos)
        inbox = kind(
            self.page,
            f"{self.launch.directory}/{self.launch.mailbox}",
            endpoint.codec,
            replies,
            {entry.name: (n, entry.options.retry) for n, entry in enumerate(self.role.entries, 1)},
            endpoint.arena.lease,
            self._redelivered,
            fifos,
            f"{self.launch.directory}/{self.launch.queue}" if self.launch.queue else "",
            **more,
        )
        inbox.give_up_by(self._unread)
        inbox.drop_by(arena.drop)
        self.host.inbox = inbox
        inbox.hear(NOTICES, self.launch.notice_key)
        inbox.copy_for(self.role.copied)
        if self.launch.drains:
            inbox.drain()
        _inboxes.add(weakref.ref(inbox, _inboxes.discard))
        crash.arm(inbox, self.host, self.launch.incarnation)
        return inbox

    def _part(self, actor: Actor) -> Part:
        crash = self.launch.crash_on_raise
        if crash is None:
            crash = self.actor_class.__on_raise__ == "crash"

        def on_down(path: str, reason: str, certificate: bytes | None) -> Any:
            plain = None if certificate is None else msgspec.msgpack.decode(certificate)
            return actor.on_down(Down(path, reason, plain and DeathCertificate.from_dict(plain)))

        def on_letter(*fields: Any) -> Any:
            return actor.on_letter(Letter(*fields))

        notices = {ON_DOWN: on_down, ON_LETTER: on_letter}
        return part_of(actor, self.context, crash_on_raise=crash, notices=notices)

    def _unread(self, raw: bytes, why: str) -> None:
        letter = KeepLetter(path=self.launch.path, frame=raw, why=why[:300])
        keep = functools.partial(self.host.endpoint.lines.request, letter)
        if current_loop() is not None:  # nothing there waits for it
            clerk.do(keep)
            return
        with contextlib.suppress(ActorError):  # the supervisor is going: nobody would read the letter
            keep()

    def _redelivered(self, value: bool) -> None:  # a callback's value
        self.context.redelivered = value


def _run_async(life: _Life, args: tuple[Any, ...], kwargs: dict[str, Any], last_words: int) -> None:
    with asyncio.Runner(loop_factory=lambda: polite_loop(life.host.board)) as runner:
        _be_watched(runner.get_loop(), life.page, life.launch.heartbeat, last_words)
        try:
            runner.run(life.play(life.inbox(ConcurrentInbox if life.role.concurrent else AsyncInbox), args, kwargs))
        finally:
            life.page.words[LISTENS] = life.page.words[BEAT_NS] = 0


def _be_watched(loop: asyncio.AbstractEventLoop, page: Page, heartbeat: float, last_words: int) -> None:
    """Answer when the stacks of the tasks are asked for; with a heartbeat (seconds, 0: none) beat."""

    def write_tasks() -> None:
        os.write(last_words, tasks_of(loop).encode(errors="replace")[: LAST_WORDS_SIZE // 2])

    def beat() -> None:
        page.words[BEAT_NS] = monotonic_ns()
        loop.call_later(heartbeat / 3, beat)

    if last_words >= 0:
        loop.add_signal_handler(TASKS_SIGNAL, write_tasks)
        page.words[LISTENS] = 1
    if heartbeat:
        beat()


def _run_blocking(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("an actor without `async def` suspended its loop")


def _resolved(value: Any, host: Host) -> Any:
    """Constructor arguments from a file, with what `{"$ref" = …}` and `{"$region" = …}` stand for."""
    if isinstance(value, RefTo):
        return Ref(host, value.path)
    if isinstance(value, RegionTo):
        return host.region(value.name, value.layout)
    if type(value) is list:
        return [_resolved(item, host) for item in value]
    if type(value) is dict:
        return {key: _resolved(item, host) for key, item in value.items()}
    return value


_inboxes: "set[weakref.ref[Inbox]]" = set()  # no WeakSet: each function is pages that a fork copies


def _disown() -> None:
    for inbox in [each() for each in _inboxes]:
        if inbox is not None:
            inbox.disown()


os.register_at_fork(after_in_child=_disown)  # LF-2
