"""THE loop of an actor: take, handle, reply; one message at a time.

It is a coroutine that knows no descriptor and no clock. A blocking driver runs it to its end in one `send(None)`; an
asyncio driver awaits it. The inbox it takes from is the machine's: a journal and FIFOs, or a list on the `Stage`.

LO-1  A handler that raises answers its asker and the actor lives on; with crash_on_raise it answers, then crashes.
LO-2  What is no `Exception` (SystemExit, KeyboardInterrupt) is never caught: it is the actor's death.
LO-3  Timers run between messages; an ordered stop is seen between messages.
LO-4  Messages marked concurrent run as tasks of their own; the loop goes on, and waits for them before it ends.
LO-5  They begin in their turn: each has run to its first suspension before a later message is handled.
LO-6  A timer inherits nothing from the message before it: neither its deadline nor who waits for it.
LO-7  Who waits keeps nothing of the message before: neither what it was given nor what it answered with.
LO-8  Each message and each timer runs in a copy of the actor's context: what one of them sets in a ContextVar, no other
      sees. What `__init__` and `on_start` set, all do.
LO-9  That something of its own was cancelled is a handler's failure, as any exception. Only a cancelled loop ends.
LO-10 An actor that stops of its own accord ends once what its inbox lets it finish is finished.
LO-11 An answer that cannot be made yet is awaited: other tasks run. One that cannot be made at all fails its message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from actors.actor import Actor
from actors.apart import Apart
from actors.context import Context
from actors.deadline import NOTHING, ambient
from actors.errors import NoSuchMessage
from actors.role import role_of
from actors.timer import Timer
from actors.turn import turn

Envelope = tuple[Any, str, Sequence[Any], Mapping[str, Any]]
"""A message in hand: the inbox's own token for it, its name, its arguments. A plain tuple: every message makes one."""

_NO_ARGS: Sequence[Any] = ()
_NO_KWARGS: Mapping[str, Any] = {}

R = TypeVar("R")


class NotYet(Exception):
    """What an answer needs is not there yet, and nothing has been done: the same call is to be made again.

    Attributes:
        wait: to be awaited before that; False: it was not to be had before the asker's deadline.
        error: what its asker is told then.
    """

    def __init__(self, wait: Callable[[], Awaitable[bool]], error: Exception) -> None:
        super().__init__(str(error))
        self.wait = wait
        self.error = error


class Inbox(Protocol):
    """Where the loop takes messages from and gives answers to."""

    def take_nowait(self) -> Envelope | None:
        """The next message, begun from now on; None when there is none."""
        ...

    async def wait(self, until_ns: int | None) -> None:
        """Return when there may be a message, when an ordered stop came, or at until_ns."""
        ...

    def done(self, token: Any, name: str, value: object) -> None:
        """The message was handled: answer it.

        Raises:
            NotYet: in an event loop, see there (LO-11).
        """
        ...

    def fail(self, token: Any, error: Exception) -> bool:
        """The message raised: answer it. False when nobody waits for an answer.

        Raises:
            NotYet: as of `done`.
        """
        ...

    def timer_done(self, *, failed: bool = False) -> None:
        """A timer of the actor has run; failed: it raised."""
        ...

    def busy_with(self, name: str) -> None:
        """What begins now is no message: a timer's, or a hook, of that name; "": it has ended."""
        ...

    def stop_wanted(self) -> str | None:
        """Reason of an ordered stop, once everything that must still be handled has been."""
        ...

    def has_more(self) -> bool:
        """The actor stops of its own accord: whether something that is queued is still to be handled before."""
        ...

    def now_ns(self) -> int:
        """Monotonic time."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """An actor as the loop plays it.

    Attributes:
        actor: the instance.
        handlers: message name → bound method.
        asynchronous: names whose handler is `async def`.
        concurrent: names whose messages run side by side.
        crash_on_raise: a handler that raises ends the actor (LO-1).
        tasks: of concurrent messages that are being handled.
        crashes: what they ended the actor with.
    """

    actor: Actor
    context: Context
    handlers: dict[str, Callable[..., Any]]
    asynchronous: frozenset[str]
    concurrent: frozenset[str]
    crash_on_raise: bool
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    crashes: list[BaseException] = field(default_factory=list)


def part_of(actor: Actor, context: Context, *, crash_on_raise: bool, notices: Mapping[str, Callable[..., Any]]) -> Part:
    """Prepare an actor for the loop.

    Args:
        notices: of each hook that is called as a message is, what calls it.
    """
    role = role_of(type(actor))
    handlers = {entry.name: getattr(actor, entry.name) for entry in role.entries}
    return Part(actor, context, handlers | dict(notices), role.asynchronous, role.concurrent, crash_on_raise)


async def run(part: Part, inbox: Inbox) -> str:
    """Handle messages until the actor stops; returns the reason.

    Raises:
        Exception: what a handler raised, with crash_on_raise; what `on_error` raised.
    """
    try:
        return await _run(part, inbox)
    except asyncio.CancelledError:
        if part.crashes:
            raise part.crashes[0] from None
        raise


async def _run(part: Part, inbox: Inbox) -> str:  # noqa: PLR0912  # THE loop, in one piece
    take, done, handlers = inbox.take_nowait, inbox.done, part.handlers
    context, timers = part.context, part.context.timers
    asynchronous, concurrent = part.asynchronous, part.concurrent
    pending_timers = timers.pending
    are_begun = True
    while True:  # You know how people talk about "the actor loop"? This is it.
        message = take()
        if message is None:
            reason = inbox.stop_wanted() or context.stop_reason
            if reason is not None and (context.stop_reason is None or not inbox.has_more()):
                break
            args, kwargs, value = _NO_ARGS, _NO_KWARGS, None  # LO-7
            if not pending_timers:
                await inbox.wait(None)
            elif not await _run_due_timers(part, inbox):
                await inbox.wait(timers.next_due_ns())
            continue
        token, name, args, kwargs = message
        if asynchronous and name in concurrent:
            _start_task(part, inbox, message)
            are_begun = False
            continue
        if not are_begun:  # LO-5
            await asyncio.sleep(0)
            are_begun = True
        try:
            if asynchronous and name in asynchronous:
                value = await Apart(handlers[name], args, kwargs)
            else:
                value = copy_context().run(handlers[name], *args, **kwargs)  # LO-8
        except Exception as error:  # LO-1: it is the asker's
            await _failed(part, inbox, message, _told_apart(error, part, name))
        except asyncio.CancelledError as error:
            await _failed(part, inbox, message, _cancelled(error, name))
        else:
            try:
                done(token, name, value)
            except NotYet as early:
                await _answer_later(inbox, message, partial(done, token, name, value), early)
        if context.stop_reason is not None and not inbox.has_more():  # LO-10
            reason = context.stop_reason
            break
        if pending_timers:
            await _run_due_timers(part, inbox)
    if part.tasks:
        await asyncio.gather(*part.tasks)  # LO-4
    return reason


async def call_hook(hook: Callable[..., Any], *args: Any) -> Any:
    """Call a hook that may be `def` or `async def`."""
    value = hook(*args)
    if not isinstance(value, Coroutine):
        return value
    token = turn.set(value)
    try:
        return await value
    finally:
        turn.reset(token)


async def _run_due_timers(part: Part, inbox: Inbox) -> bool:
    """Run the timers that are due; False when there was none (LO-3)."""
    timer = part.context.timers.take(inbox.now_ns())
    if timer is None:
        return False
    ambient.set(NOTHING)  # LO-6
    while timer is not None and part.context.stop_reason is None:
        await _run_timer(part, inbox, timer)
        timer = part.context.timers.take(inbox.now_ns())
    return True


async def _run_timer(part: Part, inbox: Inbox, timer: Timer) -> None:
    inbox.busy_with(timer.name)
    failure: Exception | None = None
    try:
        await Apart(call_hook, (timer.handler, *timer.args), _NO_KWARGS)  # LO-8
    except Exception as error:
        failure = error
    except asyncio.CancelledError as error:
        failure = _cancelled(error, timer.name)
    if failure is not None:
        part.context.log.error("timer failed", message=timer.name, exc_info=failure)
        inbox.busy_with("on_error")
        await call_hook(part.actor.on_error, failure)
        if part.crash_on_raise:
            raise failure
    inbox.busy_with("")
    inbox.timer_done(failed=failure is not None)


async def _failed(part: Part, inbox: Inbox, message: Envelope, error: Exception) -> None:
    token, name, _, _ = message
    try:
        was_asked = inbox.fail(token, error)
    except NotYet as early:
        was_asked = await _answer_later(inbox, message, partial(inbox.fail, token, error), early)
    if not was_asked:
        part.context.log.error("message failed", message=name, exc_info=error)
        inbox.busy_with("on_error")
        await call_hook(part.actor.on_error, error)
        inbox.busy_with("")
    if part.crash_on_raise:
        raise error


async def _answer_later(inbox: Inbox, message: Envelope, answer: Callable[[], R], early: NotYet) -> R | bool:
    """Answer a message once that can be done (LO-11); returns what the answer does, or whether it was an ask."""
    while await early.wait():
        try:
            return answer()
        except NotYet as again:
            early = again
    return inbox.fail(message[0], early.error)


def _told_apart(error: Exception, part: Part, name: str) -> Exception:
    """A name that is in no table is the sender's mistake, not a KeyError of the handler."""
    if isinstance(error, KeyError) and name not in part.handlers:
        return NoSuchMessage(f"{part.context.name}: {type(part.actor).__qualname__} has no message {name!r}")
    return error


def _cancelled(error: asyncio.CancelledError, name: str, loop: "asyncio.Task[Any] | None" = None) -> CancelledError:
    """What a handler's cancellation is to others; raised as it is where the loop itself ends (LO-9).

    Args:
        loop: the task of the loop; None: the one that runs, if there is one.
    """
    task = loop or (asyncio.current_task() if asyncio._get_running_loop() is not None else None)  # noqa: SLF001
    if task is not None and (task.done() or task.cancelling()):
        raise error
    ended = CancelledError(f"{name} was cancelled in its actor")  # asyncio's would cancel who asked
    ended.__cause__ = error
    return ended


def _start_task(part: Part, inbox: Inbox, message: Envelope) -> None:
    task = asyncio.get_running_loop().create_task(_handle(part, inbox, message, asyncio.current_task()))
    part.tasks.add(task)
    task.add_done_callback(part.tasks.discard)


async def _handle(part: Part, inbox: Inbox, message: Envelope, loop: "asyncio.Task[Any] | None") -> None:
    try:
        await _handle_beside(part, inbox, message, loop)
    except (SystemExit, KeyboardInterrupt, asyncio.CancelledError):  # the whole actor ends
        raise
    except BaseException as crash:  # ends the loop, whatever that waits for
        part.crashes.append(crash)
        if loop is not None:
            loop.cancel()


async def _handle_beside(part: Part, inbox: Inbox, message: Envelope, loop: "asyncio.Task[Any] | None") -> None:
    token, name, args, kwargs = message
    try:
        value = await part.handlers[name](*args, **kwargs)
    except asyncio.CancelledError as error:
        await _failed(part, inbox, message, _cancelled(error, name, loop))
    except Exception as error:  # LO-1
        await _failed(part, inbox, message, error)
    else:
        try:
            inbox.done(token, name, value)
        except NotYet as early:
            await _answer_later(inbox, message, partial(inbox.done, token, name, value), early)
