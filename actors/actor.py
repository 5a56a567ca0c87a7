"""The base class of all actors, and the message table of a class."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from actors.certificate import DeathCertificate
from actors.context import Context
from actors.errors import BadActor, NoContext
from actors.letter import Letter
from actors.message import MessageEntry, entry_of, options_of

OnRaise = Literal["survive", "crash"]


class Actor:
    """Derive from it, mark methods with `@message`, start it under a supervisor.

    Hooks, each `def` or `async def`, all optional: `on_start`, `on_stop`, `on_down`, `on_letter`, `on_error`. One
    message is handled at a time. A handler that raises answers its asker with that exception and the actor lives on;
    with the class keyword `on_raise="crash"` (or the child option) it also restarts.

        class Counter(Actor, on_raise="crash"): ...
    """

    __messages__: ClassVar[Mapping[str, MessageEntry]] = MappingProxyType({})
    __on_raise__: ClassVar[OnRaise] = "survive"

    def __init_subclass__(cls, *, on_raise: OnRaise | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if on_raise is not None:
            if on_raise not in ("survive", "crash"):
                raise BadActor(f'{cls.__qualname__}: on_raise: expected "survive" or "crash", got {on_raise!r}')
            cls.__on_raise__ = on_raise
        cls.__messages__ = MappingProxyType(_table(cls))

    @property
    def context(self) -> Context:
        """This actor's view of the system; there before `__init__`.

        Raises:
            NoContext: this instance was made by hand, not started by a supervisor.
        """
        try:
            context: Context = self.__dict__["_understudy_context"]
        except KeyError:
            name = type(self).__qualname__
            raise NoContext(f"{name}: context: expected an instance started by a supervisor, got {name}(…)") from None
        return context

    def on_start(self) -> Any:
        """Called once after `__init__`; when it returns the actor is ready. Raising is a failed start."""

    def on_stop(self, reason: str) -> Any:
        """Called before an ordered exit, within the child's `shutdown` time. Raising is logged; the exit goes on."""

    def on_down(self, down: "Down") -> Any:
        """Called when an actor that `context.watch` was given died or stopped."""

    def on_letter(self, letter: Letter) -> Any:
        """Called for each dead letter of another actor, after `context.watch_letters()`."""

    def on_error(self, failure: Exception) -> Any:
        """Called with the exception of a tell or a timer, after it was logged. Raising here is a crash."""


class Down:
    """What `on_down` is given.

    Attributes:
        name: dotted path of the actor that is down.
        certificate: its death certificate; None when it stopped in order or was not there.
        reason: in a few words.
    """

    __slots__ = ("certificate", "name", "reason")

    def __init__(self, name: str, reason: str, certificate: DeathCertificate | None = None) -> None:
        self.name = name
        self.reason = reason
        self.certificate = certificate

    def __repr__(self) -> str:
        return f"Down({self.name!r}, {self.reason!r})"


def _table(cls: type[Actor]) -> dict[str, MessageEntry]:
    """Collect what is reachable: attributes that resolve, along the MRO, to a marked method."""
    table: dict[str, MessageEntry] = {}
    for name in dict.fromkeys(name for base in reversed(cls.__mro__) for name in base.__dict__):
        raw = _resolved(cls, name)
        if isinstance(raw, staticmethod | classmethod):
            if options_of(raw.__func__) is not None:
                raise BadActor(f"{cls.__qualname__}.{name}: expected a method with self, got a {type(raw).__name__}")
            continue
        options = options_of(raw)
        if options is None:
            continue
        if name in _RESERVED or (name.startswith("__") and name.endswith("__")):
            raise BadActor(f"{cls.__qualname__}.{name}: this name is the actor's own and cannot be a message")
        entry = entry_of(name, raw, options)
        if options.concurrent and not entry.is_async:
            raise BadActor(f"{cls.__qualname__}.{name}: expected async def beside concurrent=True, got def")
        table[name] = entry
    return table


def _resolved(cls: type[Actor], name: str) -> Any:
    return next(base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)


_RESERVED = frozenset(name for name in vars(Actor) if not name.startswith("__")) | {"snapshot", "restore"}
