"""The playbill: who plays in the soak, under which number, what each is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actors import child, tree
from actors.child import Child, Mailbox, Tree
from tests.soak.cast import Artist, AsyncProducer, AsyncSink, Keeper, Producer, Sink, Weigher
from tests.soak.sender import Target

FIRST_ACTOR, FIRST_GUEST = 1000, 2000
CANVAS = "canvas"
NAMES = ("note", "note", "note", "surely", "hurry", "swell")
_ASYNC_NAMES = (*NAMES, "beside")
FLAT: dict[str, Any] = {"max_restarts": 1_000_000, "max_seconds": 1.0, "backoff": None}


@dataclass(frozen=True, slots=True)
class Role:
    """One actor of the tree.

    Attributes:
        kind: its class.
        slow: seconds that its handlers take at most.
        names: of the messages it is sent, one of which is drawn.
    """

    kind: type[Any]
    slow: float = 0.002
    names: tuple[str, ...] = NAMES
    mailbox: Mailbox = Mailbox()  # noqa: RUF009  # frozen
    replicas: int = 1
    understudies: int = 0


ROLES: Mapping[str, Role] = {
    "plain": Role(Sink, understudies=1),
    "tight": Role(Sink, 0.008, mailbox=Mailbox(size=4096)),
    "refusing": Role(Sink, 0.008, mailbox=Mailbox(size=4096, when_full="refuse")),
    "loop": Role(AsyncSink, names=_ASYNC_NAMES, understudies=2),
    "narrow": Role(AsyncSink, 0.008, _ASYNC_NAMES, Mailbox(size=4096)),
    "pool": Role(Sink, 0.003, mailbox=Mailbox(size=8192), replicas=3),
    "keeper": Role(Keeper, names=("note", "surely", "surely", "hurry", "swell"), understudies=1),
    "weigher": Role(Weigher, names=("weigh", "weigh", "note", "swell")),
    "artist1": Role(Artist, 0.01, ("paint", "paint", "look", "note")),
    "artist2": Role(Artist, 0.01, ("paint", "paint", "look", "note")),
    "inner.first": Role(Sink),
    "inner.second": Role(AsyncSink, names=_ASYNC_NAMES),
}
PRODUCERS: Mapping[str, type[Any]] = {"producer": Producer, "aproducer": AsyncProducer}
PATHS = (*PRODUCERS, *ROLES)
"""Producers first: when they have come to rest, nobody else is sent anything."""
NUMBERS = {path: FIRST_ACTOR + n for n, path in enumerate(PATHS)}
ADMINISTERED = [path for path in PATHS if "." not in path] + ["inner", "inner.first", "inner.second"]
KEEPER, POOL = NUMBERS["keeper"], NUMBERS["pool"]


def sink(path: str, ledger: str, canvas: Any) -> Child[Any]:
    """What plays at a path of ROLES."""
    role = ROLES[path]
    more = (canvas,) if role.kind is Artist else ()
    spec = child(role.kind, ledger, NUMBERS[path], *more)
    return spec.options(mailbox=role.mailbox, replicas=role.replicas, understudies=role.understudies)


def inner(ledger: str, canvas: Any, mailbox: Mailbox = Mailbox()) -> Tree:  # noqa: B008  # frozen
    """The nested supervisor, whose actors have such mailboxes."""
    paths = [path for path in ROLES if "." in path]
    children = {path.partition(".")[2]: sink(path, ledger, canvas).options(mailbox=mailbox) for path in paths}
    return tree(strategy="rest_for_one", children=children, **FLAT)


def targets(system: Any) -> list[Target]:
    """All that are sent messages by everybody, by this way into the system."""
    return [
        Target(NUMBERS[path], system.ref(path, role.kind), role.names, role.kind is AsyncSink, role.slow)
        for path, role in ROLES.items()
    ]


def producing(system: Any) -> list[Target]:
    """The producers, which only clients send to: twice, so that they are drawn more often."""
    return [
        Target(NUMBERS[path], system.ref(path, kind), ("produce", "note"), kind is AsyncProducer, 0.0)
        for path, kind in PRODUCERS.items()
    ] * 2
