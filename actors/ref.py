"""References: how an actor is known to others.

A reference is called exactly like the actor it points to. It is not an instance: it has the messages of the class and
nothing else. It names a place (system and dotted path), not a process, so it survives restarts and travels in messages.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from actors.errors import NotAMessage
from actors.interfaces import Machine, machine_for
from actors.message import BoundMessage, messages_of

_MOST_KEPT = 1024  # references that arrived, of one machine: as many as there are routes


class Ref:
    """Points to an actor by system and path. Two of the same place are equal and hash alike."""

    __slots__ = ("__dict__", "__weakref__", "_actor", "_machine", "_path", "_wire")
    _actor: type[Any] | None
    _machine: Machine
    _path: str
    _wire: bytes  # what it travels as; b"" before it did

    def __init__(self, machine: Machine, path: str, actor: type[Any] | None = None) -> None:
        object.__setattr__(self, "_machine", machine)
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_actor", actor)
        object.__setattr__(self, "_wire", b"")

    def __getattr__(self, name: str) -> BoundMessage[Any, Any]:
        """The message of that name; made once and kept, so that a second use is a plain attribute."""
        if name.startswith("__") and name.endswith("__"):
            raise NotAMessage(f"{self._path}: a reference has no {name}")
        entry = None
        if self._actor is not None:
            entry = messages_of(self._actor).get(name)
            if entry is None:
                raise NotAMessage(f"{self._path}: {self._actor.__qualname__}.{name} is not a @message")
        bound: BoundMessage[Any, Any] = self._machine.bind(self._path, name, entry)
        self.__dict__[name] = bound
        return bound

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise NotAMessage(f"{self._path}: a reference has no attributes to set ({name})")

    def __delattr__(self, name: str) -> NoReturn:
        raise NotAMessage(f"{self._path}: a reference has no attributes to delete ({name})")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ref):
            return NotImplemented
        return self._path == other._path and self._machine.system == other._machine.system

    def __hash__(self) -> int:
        return hash((self._machine.system, self._path))

    def __repr__(self) -> str:
        kind = self._actor.__qualname__ if self._actor is not None else "actor"
        return f"<ref {kind} {self._path!r} in {self._machine.system!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """By `pickle` it travels as system and path; bound at the other end to the machine there."""
        return (rebuild, (self._machine.system, self._path))

    def _wired(self, named: Callable[[type[Any]], str]) -> bytes:
        name = "" if self._actor is None else named(self._actor)
        object.__setattr__(self, "_wire", f"{self._machine.system}\0{self._path}\0{name}".encode())
        return self._wire

    def __copy__(self) -> "Ref":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Ref":
        return self


def rebuild(system: str, path: str) -> Ref:
    """The reference that arrived by `pickle`, bound to the current machine."""
    return Ref(machine_for(system), path)


def sent(ref: Ref, named: Callable[[type[Any]], str]) -> bytes:
    """What a reference travels as in messages: system, path and the name of its class, a NUL between them.

    Args:
        named: what others know a class by.
    """
    return ref._wire or ref._wired(named)  # noqa: SLF001  # public names are messages


def received(wire: bytes, class_of: Callable[[str], type[Any] | None]) -> Ref:
    """The reference that arrived: the same one each time, so that its messages are bound once.

    Args:
        class_of: the class of a name, if it is here.
    Raises:
        ValueError: it is none.
        ActorError: this process is attached to no system.
    """
    system, path, name = wire.decode().split("\0")
    machine = machine_for(system)
    known = machine.refs
    ref = known.get(wire)
    if ref is None:
        ref = Ref(machine, path, class_of(name) if name else None)
        object.__setattr__(ref, "_wire", wire)  # the name of a class that is not here goes on with it
        if len(known) >= _MOST_KEPT:
            known.clear()
        known[wire] = ref
    return ref


def is_ref(candidate: object) -> bool:
    """True for references (`isinstance` with the actor's class is False: a reference is no instance)."""
    return isinstance(candidate, Ref)


def name_of(ref: object) -> str:
    """The dotted path a reference points to.

    Raises:
        TypeError: it is no reference.
    """
    if not isinstance(ref, Ref):
        raise TypeError(f"name_of: expected a reference, got {type(ref).__name__}")
    return ref._path  # noqa: SLF001  # public names are messages
