"""Players: one actor each on a Stage, through all its incarnations. The same loop and hooks as in a process.

PL-1  Its code runs only inside `step`: one pass, at most one message begun. It has its own context variables, and its
      own event loop when anything of it is `async def`.
PL-2  Code of an incarnation that was killed does nothing any more: whatever it tries on the Stage raises `Killed`. As
      after SIGKILL no `finally` block of it runs, until the Stage closes and it can do no harm.
"""

import asyncio
import contextvars
import functools
import inspect
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from actors.actor import Actor
from actors.certificate import DeathCertificate, MessageInHand
from actors.child import Child
from actors.context import Context
from actors.form import form_of
from actors.interfaces import Machine, using
from actors.layout import Layout
from actors.loop import call_hook, part_of, run
from actors.message import BoundMessage, MessageEntry
from actors.region import Region
from actors.rehearsal.clockwork import Clockwork, outside_loop
from actors.rehearsal.inbox import ListInbox
from actors.rehearsal.letter import copied
from actors.role import NOTICES, has_snapshots, role_of

State = Literal["starting", "running", "restarting", "stopping", "stopped"]
_LOG_LINES = 50


class Prompter(Machine, Protocol):
    """What a player needs of its Stage."""

    def watch(self, path: str, watcher: str) -> None:
        """Tell the watcher when the actor at path is down."""
        ...

    def unwatch(self, path: str, watcher: str) -> None:
        """Undo `watch`."""
        ...

    def watch_letters(self, watcher: str, *, on: bool) -> None:
        """Tell the watcher of each dead letter, or no more."""
        ...

    def supervisor_of(self, path: str) -> Any:
        """The supervisor that the actor at path is under."""
        ...


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """How an actor on the Stage is.

    Attributes:
        path: dotted.
        state: "starting", "running", "restarting", "stopping" or "stopped".
        incarnation: of the current or last one; 1 for the first.
        handled, failed, expired: messages so far.
        queued: messages that wait.
        in_hand: name of the message being handled, "" when idle.
    """

    path: str
    state: State
    incarnation: int
    handled: int
    failed: int
    expired: int
    queued: int
    in_hand: str


@dataclass(frozen=True, slots=True)
class Exit:
    """How an incarnation ended.

    Attributes:
        error: what it raised; None for an end in order and for a signal.
        code: exit code of the process it would have been; None when a signal ended it.
    """

    error: BaseException | None = None
    code: int | None = 0

    @property
    def is_normal(self) -> bool:
        """Nothing went wrong."""
        return self.code == 0


class Player:
    """One name on the Stage: its specification, its mailbox, its current incarnation. The actor's `Backstage`."""

    def __init__(self, stage: Prompter, path: str, spec: Child[Any], room: int) -> None:
        self.stage = stage
        self.path = path
        self.spec = spec
        self.state: State = "starting"
        self.incarnation = 0
        self.is_suspended = False
        self.is_launching = False  # somebody waits for its start, and is told when it fails
        self.is_held = False  # its queue outlives the next stop
        self.committed: tuple[Any, ...] = ()  # the state of an actor with snapshots, once there is one
        self.failed_start: DeathCertificate | None = None
        self.restarts_ns: list[int] = []
        self.inbox = ListInbox(stage.now_ns, room)
        self.log_lines: deque[str] = deque(maxlen=_LOG_LINES)
        self.log: Any = None
        self.refs: dict[bytes, Any] = {}
        self.graves: list[Callable[[], None]] = []
        self._life: Coroutine[Any, Any, str] | asyncio.Task[str] | None = None
        self._loop: Clockwork | None = None

    @property
    def system(self) -> str:
        """See `Machine.system`."""
        return self.stage.system

    @property
    def supervisor(self) -> Any:
        """See `Backstage.supervisor`."""
        return self.stage.supervisor_of(self.path)

    def now_ns(self) -> int:
        """See `Machine.now_ns`."""
        return self.stage.now_ns()

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """See `Machine.bind`."""
        return self.stage.bind(path, name, entry)

    def region(self, name: str, layout: type[Layout] | None = None) -> Region[Any]:
        """See `Machine.region`."""
        return self.stage.region(name, layout)

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> Any:
        """See `Backstage.empty`; on the Stage an ordinary array."""
        return form_of(shape, dtype).private()

    def watch(self, path: str) -> None:
        """See `Backstage.watch`."""
        self.stage.watch(path, self.path)

    def unwatch(self, path: str) -> None:
        """See `Backstage.unwatch`."""
        self.stage.unwatch(path, self.path)

    def watch_letters(self) -> None:
        """See `Backstage.watch_letters`."""
        self.stage.watch_letters(self.path, on=True)

    def unwatch_letters(self) -> None:
        """See `Backstage.unwatch_letters`."""
        self.stage.watch_letters(self.path, on=False)

    @property
    def actor(self) -> type[Actor]:
        """Its class."""
        assert isinstance(self.spec.actor, type)
        assert issubclass(self.spec.actor, Actor)
        return self.spec.actor

    @property
    def is_stopped(self) -> bool:
        """Nothing will restart it by itself."""
        return self.state == "stopped"

    @property
    def is_alive(self) -> bool:
        """There is an incarnation."""
        return self._life is not None

    def status(self) -> ActorStatus:
        """How it is."""
        inbox = self.inbox
        return ActorStatus(
            self.path,
            self.state,
            self.incarnation,
            inbox.handled,
            inbox.failed,
            inbox.expired,
            len(inbox.queue) + len(inbox.urgent),
            inbox.in_hand[0].name if inbox.in_hand else "",
        )

    def is_due(self) -> bool:
        """It has something to do now: an incarnation to begin, or a pass to make."""
        if self.is_stopped or self.is_suspended:
            return False
        if self._life is None:
            return True
        if self._loop is None:
            return self.inbox.is_due(self.now_ns())
        return self._loop_due() or (self.inbox.is_parked and self.inbox.is_due(self.now_ns()))

    def next_due_ns(self) -> int | None:
        """When it has something to do by itself; None never."""
        if self.is_stopped or self.is_suspended:
            return None
        of_inbox = self.inbox.until_ns if self.inbox.is_parked else None
        of_loop = self._loop.next_due_ns() if self._loop is not None else None
        return min((time for time in (of_inbox, of_loop) if time is not None), default=None)

    def step(self) -> Exit | None:
        """Make one pass; how the incarnation ended, None when it goes on."""
        if self._life is None:
            self._begin()
        life, loop = self._life, self._loop
        self.inbox.may_take = True
        with outside_loop():
            try:
                ended = self._pass(life, loop)
            except StopIteration:
                ended = Exit()
            except SystemExit as end:
                ended = _system_exit(end)
            except KeyboardInterrupt:  # whoever runs the test pressed ^C
                raise
            except BaseException as error:
                ended = Exit(error, 1)
        if self._life is not life:
            return None  # it was killed in this pass, and that has been dealt with
        return Exit(code=None) if self.inbox.is_killed else ended

    def kill(self) -> None:
        """Let go of the incarnation, as it stands (PL-2)."""
        self.inbox.is_killed = True
        if self._loop is not None:
            self.graves.append(self._loop.finish)
        elif isinstance(self._life, Coroutine) and inspect.getcoroutinestate(self._life) != inspect.CORO_RUNNING:
            self.graves.append(functools.partial(self._variables.run, self._life.close))
        self._life = self._loop = None

    def end(self) -> None:
        """Let go of an incarnation that has ended by itself."""
        loop, self._life, self._loop = self._loop, None, None
        if loop is not None:
            loop.finish()

    def bury(self) -> None:
        """Close what killed incarnations have left. They can do no more harm: the Stage is closed."""
        self.inbox.is_killed = True
        for close in self.graves:
            close()
        self.graves.clear()

    def certificate(self, exit_: Exit) -> DeathCertificate:
        """The death certificate of the incarnation that has just ended."""
        hand = self.inbox.in_hand[0] if self.inbox.in_hand else None
        return DeathCertificate(
            actor=self.path,
            incarnation=self.incarnation,
            pid=0,
            phase=self._phase(),
            cause="signal" if exit_.code is None else ("exception" if exit_.error else "exit"),
            exit_code=exit_.code,
            signal="SIGKILL" if exit_.code is None else "",
            traceback="".join(traceback.format_exception(exit_.error)) if exit_.error else "",
            in_hand=None if hand is None else MessageInHand(hand.name, hand.attempt, 0.0),
            log_lines=tuple(self.log_lines),
            restarts=self.incarnation - 1,
        )

    def _phase(self) -> str:
        if self.state == "stopping" or self.inbox.stop_wanted_for is not None:
            return "stop"
        return "run" if self.state == "running" else "start"

    def _loop_due(self) -> bool:
        due_ns = self._loop.next_due_ns() if self._loop is not None else None
        return due_ns is not None and due_ns <= self.now_ns()

    def _begin(self) -> None:
        self.incarnation += 1
        if self.state != "starting":
            self.state = "restarting"
        self.log_lines.clear()
        self.log = _logger(self.log_lines).bind(actor=self.path, incarnation=self.incarnation)
        context = Context(self, self.actor, self.path, self.incarnation)
        self._variables = contextvars.Context()
        self._loop = Clockwork(self.now_ns) if role_of(self.actor).is_async else None
        self.inbox.open_for(context, self._loop)
        settings = self.spec.settings
        self.inbox.finishes = settings.drain == "finish" and settings.restart != "permanent"
        life = self._live(context)
        self._life = life if self._loop is None else self._loop.create_task(life, context=self._variables)

    def _pass(self, life: Any, loop: Clockwork | None) -> Exit | None:
        if loop is None:
            self._variables.run(life.send, None)
            return None
        if self.inbox.is_parked and self.inbox.is_due(self.now_ns()):
            self.inbox.wake()
        loop.step()
        if not life.done():
            return None
        life.result()
        return Exit()

    async def _take_over(self, actor: Any) -> None:
        """Go on from the last commit, if there is one, and have commits made."""
        if self.committed:
            await call_hook(actor.restore, copied(self.committed[0], "snapshot"))
        unsnapped = role_of(self.actor).unsnapped

        def commit(name: str) -> None:
            if name not in unsnapped:
                self.committed = (copied(actor.snapshot(), "snapshot"),)

        self.inbox.commit = commit

    async def _live(self, context: Context) -> str:
        with using(self):
            args, kwargs = copied((self.spec.args, self.spec.kwargs), f"child({self.actor.__qualname__}, …)")
            actor = self.actor.__new__(self.actor)
            actor.__dict__["_understudy_context"] = context
            actor.__init__(*args, **kwargs)  # type: ignore[misc]  # the context had to be there before it
            if has_snapshots(self.actor):
                await self._take_over(actor)
            await call_hook(actor.on_start)
            on_raise = self.spec.settings.on_raise or self.actor.__on_raise__
            notices = {name: getattr(actor, name) for name in NOTICES}
            part = part_of(actor, context, crash_on_raise=on_raise == "crash", notices=notices)
            self.state = "running"
            reason = await run(part, self.inbox)
            self.state = "stopping"
            try:
                await call_hook(actor.on_stop, reason)
            except Exception:
                context.log.exception("on_stop failed")  # the exit goes on
            return reason


def _system_exit(end: SystemExit) -> Exit:
    code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    return Exit(end, code)


def _logger(lines: deque[str]) -> Any:
    """A BoundLogger that keeps its lines, and prints them for the test's report."""

    def keep(_logger: object, _name: str, line: MutableMapping[str, Any] | str) -> str:
        lines.append(str(line))
        return str(line)

    return structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
            keep,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
