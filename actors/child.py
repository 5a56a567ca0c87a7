"""Child specifications: what to run under a supervisor, and how. Data only.

`child(Counter, 10)` says which class with which constructor arguments; `.options(restart=…)` how it is supervised.
`tree(…)` and `dynamic(…)` make nested supervisors. The same model is built from Python and from a file.
"""

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, ParamSpec, Self, TypedDict, TypeVar, Unpack

from actors.actor import Actor, OnRaise
from actors.errors import BadActor, BadSpec
from actors.region import RegionSpec

A = TypeVar("A")
P = ParamSpec("P")

RestartType = Literal["permanent", "transient", "temporary"]
Shutdown = float | Literal["kill", "infinity"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
WhenFull = Literal["wait", "refuse"]
Drain = Literal["finish", "discard"]
DurableEvery = float | Literal["message"]
Host = Literal["process", "thread"]

MOST_TOGETHER = 1024  # tells in one commit; a mailbox of 32 KiB holds fewer
MOST_DEPTH = 64  # supervisors one in the other; what walks a tree is recursive, and Python's stack is not endless
MOST_COUNT = (1 << 63) - 1  # of restarts, children, messages, bytes: what 64 bits carry on every way
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """How much may wait for an actor, and what a sender meets when it is full.

    Attributes:
        size: bytes; rounded up by the kernel to a power of two of pages (F_SETPIPE_SZ), at least 4096.
        when_full: "wait": senders wait until their deadline; "refuse": `MailboxFull` at once.
    """

    size: int = 32 * 1024  # 8 pages: 16,384 pages of pipes are an unprivileged user's (pipe(7))
    when_full: WhenFull = "wait"


@dataclass(frozen=True, slots=True)
class Limits:
    """When an actor is restarted in order, between two messages: what its process may use up. None: no limit.

    Attributes:
        max_rss: bytes of resident memory, what it shares with others included.
        max_messages: handled and failed ones.
        max_age: seconds since it was ready.
        jitter: each limit is lowered by a random part of this, 0 to 1, drawn for each process.
    """

    max_rss: int | None = None
    max_messages: int | None = None
    max_age: float | None = None
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Durable:
    """Where a committed state is kept on disk, and when it is written there.

    Attributes:
        path: of a SQLite database, absolute.
        every: "message": before the message's answer is sent; or at most so many seconds after its commit.
    """

    path: str
    every: DurableEvery = "message"


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """How a child is supervised; the defaults are OTP's where OTP has them.

    Attributes:
        restart: "permanent" always, "transient" after an abnormal end, "temporary" never.
        shutdown: seconds for an ordered stop before SIGTERM and SIGKILL; "kill" at once; "infinity" waits.
        ready: seconds until `on_start` must have returned, from when its process exists. To import its module a start
            has as long before that; to wait for its turn behind other starts, a minute.
        mailbox: its bound.
        on_raise: "crash": a handler that raises also ends the process; None: as the class says.
        replicas: so many processes behind one reference, with one queue: whichever has nothing to do takes the next
            message. Order among messages of one sender is not promised.
        significant: its end may end the supervisor (`auto_shutdown`).
        drain: an ordered stop handles what is queued ("finish") or leaves it ("discard").
        understudies: so many imported processes kept waiting in the wings.
        watchdog: seconds a message may be in hand; then the actor's stacks are dumped and it is killed. None: for ever.
        heartbeat: seconds the event loop of an `async def` actor may be blocked, the same then. None: for ever.
        limits: restarts it in order, between two messages, when it has used them up.
        snapshot_every: of an actor with snapshots: so many tells that come one after the other share a commit.
        durable: file that the state of an actor with snapshots is also kept in, relative to the working directory of
            whoever starts it; the state then outlives the system. None: in shared memory only.
        durable_every: when it is written there: "message": before the message's answer is sent; or in the background,
            at most so many seconds after its commit.
        host: "process": one of its own; "thread": a thread of one that it shares with its supervisor's others of this
            kind: the same mailbox and verdicts, no isolation. What ends that process ends them all.
    """

    restart: RestartType = "permanent"
    shutdown: Shutdown = 5.0
    ready: float = 10.0
    mailbox: Mailbox = field(default_factory=Mailbox)
    on_raise: OnRaise | None = None
    replicas: int = 1
    significant: bool = False
    drain: Drain = "finish"
    understudies: int = 0
    watchdog: float | None = None
    heartbeat: float | None = None
    limits: Limits | None = None
    snapshot_every: int = 1
    durable: str | os.PathLike[str] | None = None
    durable_every: DurableEvery = "message"
    host: Host = "process"


class Options(TypedDict, total=False):
    """The fields of `ChildOptions` as keyword arguments, each of which may be left out."""

    restart: RestartType
    shutdown: Shutdown
    ready: float
    mailbox: Mailbox
    on_raise: OnRaise | None
    replicas: int
    significant: bool
    drain: Drain
    understudies: int
    watchdog: float | None
    heartbeat: float | None
    limits: Limits | None
    snapshot_every: int
    durable: str | os.PathLike[str] | None
    durable_every: DurableEvery
    host: Host


@dataclass(frozen=True, slots=True)
class Child(Generic[A]):
    """A worker: an actor class, its constructor arguments, and its options.

    Attributes:
        actor: the class.
        args: positional constructor arguments.
        kwargs: keyword constructor arguments.
        settings: how it is supervised.
    """

    actor: Callable[..., A]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    settings: ChildOptions = field(default_factory=ChildOptions)

    def options(self, **options: Unpack[Options]) -> Self:
        """A new child with these options changed.

        Raises:
            BadSpec: a value that cannot be; `.what` is OTP's word for it.
        """
        where = getattr(self.actor, "__qualname__", "child")
        for name in options.keys() - Options.__annotations__.keys():
            known = ", ".join(sorted(Options.__annotations__))
            raise BadSpec(where, "unknown_option", f"there is no option {name!r}; expected {known}")
        settings = checked(replace(self.settings, **options), where)
        return replace(self, settings=settings)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay before a restart: none for the first in a window, then `first`, doubling, at most `most` seconds.

    Attributes:
        jitter: each delay is multiplied by a random factor in 1 ± jitter.
    """

    first: float = 0.1
    most: float = 30.0
    jitter: float = 0.2


@dataclass(frozen=True, slots=True)
class Tree:
    """A supervisor: its strategy, its restart window, and its children (or, if dynamic, their template).

    Attributes:
        children: name → child or supervisor, in start order.
        strategy: who is restarted with a child that died.
        max_restarts: more than this many within max_seconds and the supervisor itself fails. 3 in 5 s is Elixir's.
        max_seconds: the sliding window, in seconds.
        backoff: delay between restarts; None: none.
        auto_shutdown: whether the end of significant children ends the supervisor.
        template: of a dynamic supervisor, the child its instances are made of.
        max_children: of a dynamic supervisor; None: no limit.
        restart, shutdown, significant: how this supervisor is supervised itself, when nested.
        regions: name → shared memory; made before any child is started. Of the root supervisor only.
        memory: bytes of shared memory that the whole system may have; None: half of the machine's, or of what the
            cgroup allows. Of the root supervisor only; a reload does not change it.
    """

    children: Mapping[str, "Child[Any] | Tree"] = field(default_factory=dict)
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    max_seconds: float = 5.0
    backoff: Backoff | None = field(default_factory=Backoff)
    auto_shutdown: AutoShutdown = "never"
    template: Child[Any] | None = None
    max_children: int | None = None
    restart: RestartType = "permanent"
    shutdown: Shutdown = "infinity"
    significant: bool = False
    regions: Mapping[str, RegionSpec] = field(default_factory=dict)
    memory: int | None = None


def child(actor: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> Child[A]:
    """Specify a worker: an actor class and the arguments its constructor will get, in its own process.

    Raises:
        BadActor: no Actor subclass, or arguments its constructor does not take.
    """
    if not is_actor(actor):
        raise BadActor(f"child: expected a subclass of Actor, got {actor!r}")
    try:
        inspect.signature(actor).bind(*args, **kwargs)
    except TypeError as exc:
        raise BadActor(f"child({getattr(actor, '__qualname__', actor)}, …): {exc}") from None
    return Child(actor, args, kwargs)


def tree(
    *,
    children: Mapping[str, Child[Any] | Tree] | None = None,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    backoff: Backoff | None = Backoff(),  # frozen
    auto_shutdown: AutoShutdown = "never",
    restart: RestartType = "permanent",
    shutdown: Shutdown = "infinity",
    significant: bool = False,
) -> Tree:
    """Specify a nested supervisor with its children, in start order."""
    return Tree(
        children=dict(children or {}),
        strategy=strategy,
        max_restarts=max_restarts,
        max_seconds=max_seconds,
        backoff=backoff,
        auto_shutdown=auto_shutdown,
        restart=restart,
        shutdown=shutdown,
        significant=significant,
    )


def dynamic(
    template: Child[Any],
    *,
    max_children: int | None = None,
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    backoff: Backoff | None = Backoff(),  # frozen
    auto_shutdown: AutoShutdown = "never",
    restart: RestartType = "permanent",
    shutdown: Shutdown = "infinity",
    significant: bool = False,
) -> Tree:
    """Specify a dynamic supervisor: many instances of one template, started on demand, stopped side by side."""
    return Tree(
        template=template,
        max_children=max_children,
        max_restarts=max_restarts,
        max_seconds=max_seconds,
        backoff=backoff,
        auto_shutdown=auto_shutdown,
        restart=restart,
        shutdown=shutdown,
        significant=significant,
    )


def is_actor(candidate: object) -> bool:
    """True for subclasses of Actor."""
    return isinstance(candidate, type) and issubclass(candidate, Actor)


def checked_child(name: str, spec: Child[A]) -> Child[A]:
    """The child itself, once it is found to be one: where no type checker looks, it is often the class.

    Raises:
        BadSpec: it is something else.
    """
    given: object = spec
    if not isinstance(given, Child):
        hint = f", as in child({given.__name__})" if isinstance(given, type) and is_actor(given) else ""
        raise BadSpec(name, "missing_start", f"expected child(…), tree(…) or dynamic(…){hint}, got {given!r}")
    return spec


def checked(options: ChildOptions, where: str) -> ChildOptions:
    """The options themselves, once every value has been found possible.

    Raises:
        BadSpec: the first that is not.
    """
    if options.restart not in ("permanent", "transient", "temporary"):
        raise BadSpec(where, "invalid_restart_type", f"expected permanent|transient|temporary, got {options.restart!r}")
    if not (options.shutdown in ("kill", "infinity") or _is_number(options.shutdown, 0)):
        raise BadSpec(where, "invalid_shutdown", f'expected seconds, "kill" or "infinity", got {options.shutdown!r}')
    if not (_is_number(options.ready, 0) and options.ready):
        raise BadSpec(where, "invalid_ready", f"expected seconds above 0, got {options.ready!r}")
    if options.on_raise not in (None, "survive", "crash"):
        raise BadSpec(where, "invalid_on_raise", f'expected "survive" or "crash", got {options.on_raise!r}')
    if not _is_whole(options.replicas, 1, 1024):
        raise BadSpec(where, "invalid_replicas", f"expected 1 to 1024, got {options.replicas!r}")
    if options.drain not in ("finish", "discard"):
        raise BadSpec(where, "invalid_drain", f'expected "finish" or "discard", got {options.drain!r}')
    if not _is_whole(options.understudies, 0, 64):
        raise BadSpec(where, "invalid_understudies", f"expected 0 to 64, got {options.understudies!r}")
    if options.mailbox.when_full not in ("wait", "refuse") or not 4096 <= options.mailbox.size <= 1 << 20:
        detail = f'expected 4096 to 1048576 bytes and "wait" or "refuse", got {options.mailbox!r}'
        raise BadSpec(where, "invalid_mailbox", detail)
    for name, seconds in (("watchdog", options.watchdog), ("heartbeat", options.heartbeat)):
        if seconds is not None and not (_is_number(seconds, 0) and seconds):
            raise BadSpec(where, f"invalid_{name}", f"expected seconds above 0, got {seconds!r}")
    if options.limits is not None:
        _check_limits(options.limits, where)
    _check_state(options, where)
    _check_host(options, where)
    return options


def _check_host(options: ChildOptions, where: str) -> None:
    """Refuse to a thread what only a process of its own can have."""
    if options.host not in ("process", "thread"):
        raise BadSpec(where, "invalid_host", f'expected "process" or "thread", got {options.host!r}')
    if options.host == "process":
        return
    beside = 'beside host = "thread"'
    if options.understudies:
        raise BadSpec(where, "invalid_understudies", f"expected none {beside}, got {options.understudies!r}")
    if options.shutdown == "kill":
        detail = f'expected seconds or "infinity" {beside}, since a thread cannot be killed alone, got "kill"'
        raise BadSpec(where, "invalid_shutdown", detail)
    if options.limits is not None and options.limits.max_rss is not None:
        detail = f"expected no max_rss {beside}, whose memory is its process's, got {options.limits.max_rss!r}"
        raise BadSpec(where, "invalid_limits", detail)


def _check_limits(limits: Limits, where: str) -> None:
    for name, value in (("max_rss", limits.max_rss), ("max_messages", limits.max_messages)):
        if value is not None and not _is_whole(value, 1, MOST_COUNT):
            raise BadSpec(where, "invalid_limits", f"expected a whole {name} from 1 to 2**63 - 1, got {value!r}")
    if limits.max_age is not None and not (_is_number(limits.max_age, 0) and limits.max_age):
        raise BadSpec(where, "invalid_limits", f"expected a max_age of seconds above 0, got {limits.max_age!r}")
    if not (_is_number(limits.jitter, 0) and limits.jitter <= 1):
        raise BadSpec(where, "invalid_limits", f"expected a jitter from 0 to 1, got {limits.jitter!r}")


def _check_state(options: ChildOptions, where: str) -> None:
    every = options.snapshot_every
    if not _is_whole(every, 1, MOST_TOGETHER):
        raise BadSpec(where, "invalid_snapshot_every", f"expected 1 to {MOST_TOGETHER}, got {every!r}")
    durable = options.durable
    if durable is not None and not (
        isinstance(durable, str | os.PathLike) and str(durable) and "\0" not in str(durable)
    ):
        raise BadSpec(where, "invalid_durable", f"expected the path of a file, got {options.durable!r}")
    if not (options.durable_every == "message" or (_is_number(options.durable_every, 0) and options.durable_every)):
        detail = f'expected "message" or seconds above 0, got {options.durable_every!r}'
        raise BadSpec(where, "invalid_durable_every", detail)
    if options.durable_every != "message" and options.durable is None:
        raise BadSpec(
            where, "invalid_durable_every", f"expected durable beside it, got {options.durable_every!r} alone"
        )


def checked_name(name: str) -> str:
    """The name itself, once it was found to be one.

    Raises:
        BadSpec: it is not of the form [A-Za-z_][A-Za-z0-9_-]{0,63}.
    """
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise BadSpec(str(name), "invalid_name", f"expected a name like [A-Za-z_][A-Za-z0-9_-]{{0,63}}, got {name!r}")
    return name


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: object, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least
