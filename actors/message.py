"""Messages: what an actor can be asked, and the three ways to say it.

`@message` marks a method. In the class it stays what it was, a plain method (`self.add(1)` costs nothing more). A
reference offers each as a `BoundMessage`: called, `.ask`ed, `.tell`ed or sent. For the type checkers `@message` turns
the method into that `BoundMessage`, so that references need no plugin; at run time only references have one.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from actors.errors import BadActor
from actors.reply import Reply

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)  # pyright infers CoroutineType, which `ask` must see as a Coroutine
T = TypeVar("T")

_MARK = "__understudy_message__"


@dataclass(frozen=True, slots=True)
class MessageOptions:
    """What `@message(…)` was given.

    Attributes:
        retry: how often a message that was begun when its actor died is run again (0: never).
        concurrent: async messages of this name may run side by side.
        urgent: it comes through the second lane, ahead of all ordinary messages.
        watchdog: seconds it may be in hand before its actor is stopped; None: the actor's own limit.
        snapshot: False: the actor's state is not committed after it.
        copy: its large arguments arrive as private, writable copies, and not as read-only views of shared memory.
    """

    retry: int = 0
    concurrent: bool = False
    urgent: bool = False
    watchdog: float | None = None
    snapshot: bool = True
    copy: bool = False


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One row of an actor's message table, as it publishes it.

    Attributes:
        name: of the message.
        is_async: the handler is `async def`.
        options: as given to `@message`.
        signature: of the handler without self, as text: "(n: int) -> int".
    """

    name: str
    is_async: bool
    options: MessageOptions
    signature: str


class BoundMessage(Generic[P, R_co]):
    """A message of the actor behind a reference."""

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        ask: Callable[..., Any],
        tell: Callable[..., None],
        send: Callable[..., Awaitable[None]],
    ) -> None:
        self.name = name
        self._call = call
        # What the machine made is the attribute itself: a method in between would cost a sixth of a tell.
        self.__dict__.update(ask=ask, tell=tell, send=send)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Ask as the handler is called: a `def` blocks and returns its value, an `async def` is awaited.

        Blocks until the answer or the ambient deadline (default 5 s).

        Raises:
            AskFailed: no answer; `.delivered` says how far the message got.
            BlockingCall: a `def` message called in an event loop.
            AskCycle: the actor is waiting, directly or not, for this very call.
            Unencodable: an argument cannot be sent.
        """
        return self._call(*args, **kwargs)  # type: ignore[no-any-return]  # R_co is what the handler returns

    @overload
    def ask(self: "BoundMessage[P, Coroutine[Any, Any, T]]", *args: P.args, **kwargs: P.kwargs) -> Reply[T]: ...
    @overload
    def ask(self, *args: P.args, **kwargs: P.kwargs) -> Reply[R_co]: ...
    def ask(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Ask without waiting: the `Reply` is waited for later, by `.result()` or `await`.

        Blocks only for room in the mailbox; in an event loop it queues instead, bounded and in order.
        """
        return self.__dict__["ask"](*args, **kwargs)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Send and forget. Blocks for room until the ambient deadline; in an event loop it raises `MailboxFull`."""
        self.__dict__["tell"](*args, **kwargs)

    def send(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[None]:
        """The tell for event loops: awaits room in the mailbox, never blocks the loop."""
        return self.__dict__["send"](*args, **kwargs)  # type: ignore[no-any-return]  # as of the machine

    def __repr__(self) -> str:
        return f"<message {self.name}>"


class _Decorator(Protocol):
    def __call__(self, fn: Callable[Concatenate[Any, P], R], /) -> BoundMessage[P, R]: ...


@overload
def message(fn: Callable[Concatenate[Any, P], R], /) -> BoundMessage[P, R]: ...
@overload
def message(
    *,
    retry: int = 0,
    concurrent: bool = False,
    urgent: bool = False,
    watchdog: float | None = None,
    snapshot: bool = True,
    copy: bool = False,
) -> _Decorator: ...
def message(fn: Any = None, /, **options: Any) -> Any:
    """Mark a method of an actor as a message: the only methods a reference can reach.

    Args:
        fn: the method, when used without brackets.
        options: see `MessageOptions`.
    Raises:
        BadActor: an option that is unknown or has a value that cannot be.
    """
    if fn is not None:
        return _mark(fn, MessageOptions())
    chosen = _checked(options)
    return lambda function: _mark(function, chosen)


def options_of(candidate: object) -> MessageOptions | None:
    """What `@message` left on a method; None if it is no message."""
    options = getattr(candidate, _MARK, None)
    return options if isinstance(options, MessageOptions) else None


def entry_of(name: str, function: Callable[..., Any], options: MessageOptions) -> MessageEntry:
    """The row of the message table for one method of a class."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    text = str(signature.replace(parameters=parameters))
    return MessageEntry(name, inspect.iscoroutinefunction(function), options, text)


def messages_of(actor: type[Any]) -> Mapping[str, MessageEntry]:
    """The message table of an actor class: name → row."""
    table: Mapping[str, MessageEntry] = actor.__messages__
    return table


def _mark(function: Any, options: MessageOptions) -> Any:
    if isinstance(function, staticmethod | classmethod | property) or not callable(function):
        kind = type(function).__name__
        raise BadActor(f"@message: expected a method with self, got a {kind}")
    setattr(function, _MARK, options)
    return function


def _checked(options: dict[str, Any]) -> MessageOptions:
    try:
        chosen = MessageOptions(**options)
    except TypeError:
        unknown = sorted(set(options) - set(MessageOptions.__slots__))
        raise BadActor(f"@message: expected options {', '.join(MessageOptions.__slots__)}, got {unknown}") from None
    if not isinstance(chosen.retry, int) or isinstance(chosen.retry, bool) or not 0 <= chosen.retry <= 100:
        raise BadActor(f"@message(retry=…): expected 0 to 100, got {chosen.retry!r}")
    if not isinstance(chosen.copy, bool):
        raise BadActor(f"@message(copy=…): expected True or False, got {chosen.copy!r}")
    if chosen.watchdog is not None and not chosen.watchdog > 0:
        raise BadActor(f"@message(watchdog=…): expected seconds above 0 or None, got {chosen.watchdog!r}")
    return chosen
