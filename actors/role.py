"""Roles: what a class of actors says of how it is played. Worked out once for each class."""

import functools
import inspect
from dataclasses import dataclass
from typing import Any

from actors.errors import BadActor
from actors.message import MessageEntry, messages_of

ON_DOWN, ON_LETTER = "on_down", "on_letter"
NOTICES = (ON_DOWN, ON_LETTER)  # hooks that are called between messages, as messages of the supervisor's own
_KEPT = 128  # classes
_HOOKS = ("on_start", "on_stop", "on_error", *NOTICES)


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """A class of actors as its players see it.

    Attributes:
        entries: its messages, in the order of the class.
        is_async: something of it is `async def`: a message or a hook.
        asynchronous: names of those messages and notices whose handler is `async def`.
        concurrent: names of the messages that run side by side.
        copied: names of the messages whose large arguments are private copies.
        unsnapped: names of the messages after which the state is not committed.
    """

    entries: tuple[MessageEntry, ...]
    is_async: bool
    asynchronous: frozenset[str]
    concurrent: frozenset[str]
    copied: frozenset[str]
    unsnapped: frozenset[str]


def role_of(actor: type[Any]) -> Role:
    """The role of an actor class, as it is when it is asked for first."""
    role: Role = _roles(actor)
    return role


def has_snapshots(actor: type[Any]) -> bool:
    """Whether a class has its state committed: it has both `snapshot` and `restore`.

    Raises:
        BadActor: it has one of the two; an async `snapshot`; concurrent messages, which have no state in between.
    """
    found = [name for name in ("snapshot", "restore") if callable(getattr(actor, name, None))]
    if not found:
        return False
    if len(found) == 1:
        raise BadActor(
            f"{actor.__qualname__}: expected both snapshot(self) and restore(self, state), got {found[0]} only"
        )
    if inspect.iscoroutinefunction(getattr(actor, "snapshot", None)):
        raise BadActor(f"{actor.__qualname__}.snapshot: expected def, got async def: it is called between two messages")
    concurrent = [name for name, entry in messages_of(actor).items() if entry.options.concurrent]
    if concurrent:
        raise BadActor(f"{actor.__qualname__}.{concurrent[0]}: a concurrent message in an actor with snapshots")
    return True


def _cast(actor: type[Any]) -> Role:
    entries = tuple(messages_of(actor).values())
    messages = {entry.name for entry in entries if entry.is_async}
    hooks = {name for name in _HOOKS if inspect.iscoroutinefunction(getattr(actor, name))}
    return Role(
        entries,
        bool(messages or hooks),
        frozenset(messages | hooks.intersection(NOTICES)),
        frozenset(entry.name for entry in entries if entry.is_async and entry.options.concurrent),
        frozenset(entry.name for entry in entries if entry.options.copy),
        frozenset(entry.name for entry in entries if not entry.options.snapshot),
    )


_roles: Any = functools.lru_cache(_KEPT)(_cast)  # Any: to mypy a class is not hashable; not in the class: it is pickled
