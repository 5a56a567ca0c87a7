"""Players: one actor each on a Stage, through all its incarnations. The same loop and hooks as in a process.

PL-1  Its code runs only inside `step`: one pass, at most one message begun. It has its own context variables, and its
      own event loop when anything of it is `async def`.
PL-2  Code of an incarnation that was killed does nothing any more: whatever it tries on the Stage raises `Killed`. As
      after SIGKILL no `finally` block of it runs, until the Stage closes and it can do no harm.
"""

import asyncio
import contextvars
import inspect
import traceback
from collections import deque
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from actors.actor import Actor
from actors.certificate import DeathCertificate, MessageInHand
from actors.child import Child
from actors.context import Context
from actors.deadline import NOTHING, ambient
from actors.errors import Unencodable
from actors.interfaces import Machine, using
from actors.loop import Envelope, call_hook, part_of, run
from actors.message import BoundMessage, MessageEntry, messages_of
from actors.rehearsal.clockwork import Clockwork, Killed, outside_loop
from actors.rehearsal.letter import Letter, Pending, copied

State = Literal["starting", "running", "restarting", "stopping", "stopped"]
ON_DOWN = "on_down"
_HOOKS = ("on_start", "on_stop", ON_DOWN, "on_error")
_LOG_LINES = 50


class Prompter(Machine, Protocol):
    """What a player needs of its Stage."""

    def watch(self, path: str, watcher: str) -> None: ...
    def unwatch(self, path: str, watcher: str) -> None: ...
    def supervisor_of(self, path: str) -> Any: ...


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


class _Park:
    """Gives the thread back to the Stage."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class PlayerInbox:
    """Both lanes of one name's mailbox, and what is in hand: an `actors.loop.Inbox` of lists.

    Attributes:
        in_hand: letters begun and not finished, in order.
        full: senders that wait for room.
        trap_before, trap_after: names of messages that kill the actor when begun, or when just handled.
        stop_wanted_for: reason of an ordered stop, or None.
        drains: that stop handles what is queued.
    """

    def __init__(self, stage: Prompter, room: int) -> None:
        self._stage = stage
        self._room = room
        self.queue: deque[Letter] = deque()
        self.urgent: deque[Letter] = deque()
        self.full: deque[Pending] = deque()
        self.in_hand: list[Letter] = []
        self.handled = self.failed = self.expired = 0
        self.trap_before: set[str] = set()
        self.trap_after: set[str] = set()
        self.stop_wanted_for: str | None = None
        self.drains = True
        self.open_for(None, None)

    def open_for(self, context: Context | None, loop: Clockwork | None) -> None:
        """A new incarnation takes from it from now on."""
        self._context = context
        self._loop = loop
        self._woken: asyncio.Future[None] | None = None
        self.is_parked = False
        self.is_nudged = False
        self.is_killed = False
        self.until_ns: int | None = None
        self.may_take = False

    @property
    def has_room(self) -> bool:
        """One more letter fits."""
        return len(self.queue) < self._room

    def is_due(self, now_ns: int) -> bool:
        """Its loop would find something to do."""
        if not self.is_parked or self.is_nudged or self.urgent or self.stop_wanted_for is not None:
            return True
        return bool(self.queue) or (self.until_ns is not None and self.until_ns <= now_ns)

    def wake(self) -> None:
        """Let its loop go on from `wait`, in the next pass."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def now_ns(self) -> int:
        """Virtual time."""
        return self._stage.now_ns()

    def take_nowait(self) -> Envelope | None:
        """The next letter; None also when this pass has begun one already (PL-1)."""
        while self.may_take:
            if self.urgent:
                letter = self.urgent.popleft()
            elif self.queue and (self.stop_wanted_for is None or self.drains):
                letter = self.queue.popleft()
                if self.full:
                    self.full.popleft().settle(ok=True, value=None)
            else:
                return None
            letter.attempt += 1
            if letter.deadline_ns and self.now_ns() >= letter.deadline_ns:
                self.expired += 1
                continue
            self._begin(letter)
            return letter, letter.name, letter.args, letter.kwargs
        return None

    async def wait(self, until_ns: int | None) -> None:
        """Give the thread back until there is something to do."""
        self.until_ns = until_ns
        self.is_nudged = False
        self.is_parked = True
        if self._loop is None:
            await _Park()
        else:
            self._woken = self._loop.create_future()
            await self._woken
        self.is_parked = False

    def done(self, token: Letter, name: str, value: object) -> None:
        """Answer the letter; a value that cannot be sent is answered with the error."""
        if name in self.trap_after:
            self.trap_after.discard(name)
            self.is_killed = True
        self._finish(token)
        self.handled += 1
        if token.reply is not None:
            try:
                token.reply.settle(ok=True, value=copied(value, f"reply of {name}()"))
            except Unencodable as error:
                token.reply.settle(ok=False, value=error)

    def fail(self, token: Letter, error: Exception) -> bool:
        """Answer the letter with what its handler raised."""
        self._finish(token)
        self.failed += 1
        if token.reply is None:
            return False
        token.reply.settle(ok=False, value=error)
        return True

    def stop_wanted(self) -> str | None:
        """See `actors.loop.Inbox.stop_wanted`."""
        return None if self.drains and self.queue else self.stop_wanted_for

    def _begin(self, letter: Letter) -> None:
        self.may_take = False
        self.in_hand.append(letter)
        if letter.name in self.trap_before:
            self.trap_before.discard(letter.name)
            self.is_killed = True
            raise Killed
        if letter.reply is not None:
            ambient.set((letter.deadline_ns or None, letter.chain))
        elif ambient.get() is not NOTHING:
            ambient.set(NOTHING)
        if self._context is not None:
            self._context.redelivered = letter.attempt > 1

    def _finish(self, letter: Letter) -> None:
        if self.is_killed:
            raise Killed
        self.in_hand.remove(letter)
        self.is_nudged = True


class Player:
    """One name on the Stage: its specification, its mailbox, its current incarnation. The actor's `Backstage`."""

    def __init__(self, stage: Prompter, path: str, spec: Child[Any], room: int) -> None:
        self.stage = stage
        self.path = path
        self.spec = spec
        self.state: State = "starting"
        self.incarnation = 0
        self.is_suspended = False
        self.restarts_ns: list[int] = []
        self.inbox = PlayerInbox(stage, room)
        self.log_lines: deque[str] = deque(maxlen=_LOG_LINES)
        self.log: Any = None
        self.graves: list[Coroutine[Any, Any, str] | Clockwork] = []
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

    def watch(self, path: str) -> None:
        """See `Backstage.watch`."""
        self.stage.watch(path, self.path)

    def unwatch(self, path: str) -> None:
        """See `Backstage.unwatch`."""
        self.stage.unwatch(path, self.path)

    @property
    def actor(self) -> type[Actor]:
        """Its class."""
        assert isinstance(self.spec.actor, type)
        assert issubclass(self.spec.actor, Actor)
        return self.spec.actor

    def is_due(self) -> bool:
        """It has something to do now: an incarnation to begin, or a pass to make."""
        if self.state == "stopped" or self.is_suspended:
            return False
        if self._life is None:
            return True
        if self._loop is None:
            return self.inbox.is_due(self.now_ns())
        return self._loop_due() or (self.inbox.is_parked and self.inbox.is_due(self.now_ns()))

    def next_due_ns(self) -> int | None:
        """When it has something to do by itself; None never."""
        if self.state == "stopped" or self.is_suspended:
            return None
        times = [self.inbox.until_ns if self.inbox.is_parked else None, self._loop and self._loop.next_due_ns()]
        return min((time for time in times if time is not None), default=None)

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
            self.graves.append(self._loop)
        elif isinstance(self._life, Coroutine) and inspect.getcoroutinestate(self._life) != inspect.CORO_RUNNING:
            self.graves.append(self._life)
        self._life = self._loop = None

    def end(self) -> None:
        """Let go of an incarnation that has ended by itself."""
        loop, self._life, self._loop = self._loop, None, None
        if loop is not None:
            loop.finish()

    def bury(self) -> None:
        """Close what killed incarnations have left. They can do no more harm: the Stage is closed."""
        self.inbox.is_killed = True
        for grave in self.graves:
            if isinstance(grave, Clockwork):
                grave.finish()
            else:
                grave.close()
        self.graves.clear()

    def certificate(self, exit_: Exit) -> DeathCertificate:
        """The death certificate of the incarnation that has just ended."""
        hand = self.inbox.in_hand[0] if self.inbox.in_hand else None
        return DeathCertificate(
            actor=self.path,
            incarnation=self.incarnation,
            pid=0,
            phase={"starting": "start", "restarting": "start", "stopping": "stop"}.get(self.state, "run"),
            cause="signal" if exit_.code is None else ("exception" if exit_.error else "exit"),
            exit_code=exit_.code,
            signal="SIGKILL" if exit_.code is None else "",
            traceback="".join(traceback.format_exception(exit_.error)) if exit_.error else "",
            in_hand=None if hand is None else MessageInHand(hand.name, hand.attempt, 0.0),
            log_lines=tuple(self.log_lines),
            restarts=self.incarnation - 1,
        )

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
        self._loop = Clockwork(self.now_ns) if _is_async(self.actor) else None
        self.inbox.open_for(context, self._loop)
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

    async def _live(self, context: Context) -> str:
        with using(self):
            args, kwargs = copied((self.spec.args, self.spec.kwargs), f"child({self.actor.__qualname__}, …)")
            actor = self.actor.__new__(self.actor)
            actor.__dict__["_understudy_context"] = context
            actor.__init__(*args, **kwargs)  # type: ignore[misc]  # the context had to be there before it
            await call_hook(actor.on_start)
            on_raise = self.spec.settings.on_raise or self.actor.__on_raise__
            part = part_of(actor, context, crash_on_raise=on_raise == "crash")
            part.handlers[ON_DOWN] = actor.on_down
            if inspect.iscoroutinefunction(actor.on_down):
                part.asynchronous.add(ON_DOWN)
            self.state = "running"
            reason = await run(part, self.inbox)
            self.state = "stopping"
            try:
                await call_hook(actor.on_stop, reason)
            except Exception:
                context.log.exception("on_stop failed")  # the exit goes on
            return reason


def _is_async(actor: type[Actor]) -> bool:
    is_async = any(entry.is_async for entry in messages_of(actor).values())
    return is_async or any(inspect.iscoroutinefunction(getattr(actor, hook)) for hook in _HOOKS)


def _system_exit(end: SystemExit) -> Exit:
    code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    return Exit(end, code)


def _logger(lines: deque[str]) -> Any:
    """A BoundLogger that keeps its lines, and prints them for the test's report."""

    def keep(_logger: object, _name: str, line: str) -> str:
        lines.append(line)
        return line

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
