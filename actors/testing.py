"""The Stage: actors in one thread, without processes, under virtual time; the same actors and the same references.

    with Stage() as stage:
        counter = stage.start(child(Counter, 10), name="counter")
        assert counter.add(1) == 11
        stage.advance(5.0)                        # timers fire, deadlines expire; nobody waits
        stage.crash(counter)                      # as kill -9: the next incarnation has the queue, not the state

It plays THE loop of `actors.loop`, so hooks, failures, timers, deadlines and ask cycles are those of a real system.

ST-1  Time moves in `advance`, and in a wait that nothing else can end: then to the next timer, wake-up or deadline.
ST-2  A wait runs the actor it waits for first, then whatever that one waits for, then the others in start order.
ST-3  A tell is queued; it is handled in the next wait, `run` or `advance`.
ST-4  Restarts are by restart type, at once; more than max_restarts in max_seconds stop the name for good.
ST-5  One thread: an actor in a blocking wait goes on only when the waits above it have ended.
"""

from collections.abc import Iterator
from typing import Any, Self, TypeVar, Unpack, overload

from actors.certificate import DeathCertificate
from actors.child import Child, Options, Tree, checked_child, checked_name
from actors.errors import NoSuchMessage
from actors.form import form_of
from actors.interfaces import attach, detach
from actors.layout import Layout
from actors.message import messages_of
from actors.ref import Ref, is_ref, name_of
from actors.region import Region, Writers
from actors.rehearsal.letter import DeadLetter
from actors.rehearsal.play import Play
from actors.rehearsal.player import ActorStatus

A = TypeVar("A")
L = TypeVar("L", bound=Layout)


class StageSupervisor:
    """The supervisor of one branch of the Stage: what `context.supervisor` is there."""

    def __init__(self, play: Play, path: str) -> None:
        self._play = play
        self._path = path

    @overload
    def start(self, spec: Child[A], *, name: str, **options: Unpack[Options]) -> A: ...
    @overload
    def start(self, spec: Tree, *, name: str) -> "StageSupervisor": ...
    def start(self, spec: Child[Any] | Tree, *, name: str, **options: Unpack[Options]) -> Any:
        """Start an actor and return its reference once it is ready; of a tree, its children in order.

        Raises:
            StartFailed: with the certificate of the start that failed.
            AlreadyStarted, AlreadyPresent: the name is taken.
            BadSpec: a name or an option that cannot be.
            StartCycle: called by an actor that is itself being started here.
        """
        for part in name.split("."):
            checked_name(part)
        path = self._joined(name)
        if isinstance(spec, Tree):
            branch = StageSupervisor(self._play, path)
            for child_name, child_spec in spec.children.items():
                branch.start(child_spec, name=child_name)
            return branch
        self._play.start(path, checked_child(name, spec).options(**options))
        return self.ref(name, self._play.known(path).actor)

    def stop(self, actor: object) -> None:
        """Stop an actor in order: what is queued is handled, `on_stop` is called. Its name stays taken."""
        self._play.stop(self._path_of(actor))

    def restart(self, actor: object) -> None:
        """Stop an actor and start it again; what is queued stays."""
        self._play.restart(self._path_of(actor))

    def children(self) -> list[ActorStatus]:
        """How the actors of this branch are, in start order."""
        prefix = f"{self._path}." if self._path else ""
        return [player.status() for path, player in self._play.players.items() if path.startswith(prefix)]

    @overload
    def ref(self, path: str) -> Any: ...
    @overload
    def ref(self, path: str, actor: type[A]) -> A: ...
    def ref(self, path: str, actor: type[Any] | None = None) -> Any:
        """A reference to the actor at path; typed and checked when its class is given."""
        return Ref(self._play, self._joined(path), actor)

    @overload
    def region(self, name: str) -> Region[Any]: ...
    @overload
    def region(self, name: str, layout: type[L], *, writers: Writers | None = None) -> Region[L]: ...
    def region(self, name: str, layout: type[Any] | None = None, *, writers: Writers | None = None) -> Region[Any]:
        """The shared region of that name; with a layout it is made if there is none. `writers` makes no difference."""
        del writers
        return self._play.region(name, layout)

    def empty(self, shape: int | tuple[int, ...], dtype: Any = "u1") -> Any:
        """An ordinary array: a Stage has no memory to share. See `actors.context.Context.empty`."""
        return form_of(shape, dtype).private()

    def __getitem__(self, path: str) -> Any:
        """An untyped reference to the actor at path."""
        return self.ref(path)

    def __contains__(self, path: object) -> bool:
        """Whether there is something at that path below this supervisor, running or not."""
        below = self._joined(path) if isinstance(path, str) and path else "."
        return any(known == below or known.startswith(f"{below}.") for known in self._play.players)

    def __iter__(self) -> Iterator[str]:
        """Names of its children, in start order."""
        prefix = f"{self._path}." if self._path else ""
        below = (path.removeprefix(prefix) for path in self._play.players if path.startswith(prefix))
        return iter(dict.fromkeys(name.partition(".")[0] for name in below))

    def at(self, path: str) -> "StageSupervisor":
        """The supervisor of a branch below."""
        return StageSupervisor(self._play, self._joined(path))

    def _joined(self, path: str) -> str:
        return f"{self._path}.{path}" if self._path and path else self._path or path

    def _path_of(self, actor: object) -> str:
        return name_of(actor) if is_ref(actor) else self._joined(str(actor))


class Stage(StageSupervisor):
    """Where actors play for a test. Use it in a `with`; leaving it stops all actors in reverse order.

    Actors are named by their reference or by their path. Names may have dots: `start(…, name="payments.gateway")`.
    """

    def __init__(self, *, room: int = 256, max_restarts: int = 3, max_seconds: float = 5.0) -> None:
        """Set the stage.

        Args:
            room: messages that a mailbox holds.
            max_restarts, max_seconds: an actor restarted more often than that stops for good (ST-4).
        """
        self._opened_ns = 0
        super().__init__(Play(room, max_restarts, max_seconds, self.at), "")

    def __enter__(self) -> Self:
        attach(self._play)
        self._opened_ns = self._play.now_ns()
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self._play.close()
        finally:
            detach(self._play)

    @property
    def now(self) -> float:
        """Virtual seconds since the Stage was opened."""
        return (self._play.now_ns() - self._opened_ns) / 1e9

    @property
    def deaths(self) -> tuple[DeathCertificate, ...]:
        """The death certificates so far, oldest first."""
        return tuple(self._play.deaths)

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The tells that were left when their actor died or stopped for good, oldest first."""
        return tuple(self._play.dead_letters)

    def run(self) -> None:
        """Handle everything that is queued or due, and what comes of it. Time stands still.

        Raises:
            ActorError: it never comes to rest.
        """
        self._play.run()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: timers, sleeps and deadlines, each at its time."""
        if not seconds >= 0:
            raise ValueError(f"advance: expected seconds from 0 on, got {seconds!r}")
        self._play.advance(seconds)

    def status(self, actor: object) -> ActorStatus:
        """How an actor is.

        Raises:
            NotFound: there is none of that name.
        """
        return self._play.known(self._path_of(actor)).status()

    def log_lines(self, actor: object) -> tuple[str, ...]:
        """What the current incarnation of an actor has logged, oldest first."""
        return tuple(self._play.known(self._path_of(actor)).log_lines)

    def crash(self, actor: object, *, before: str = "", after: str = "") -> None:
        """Kill an actor, as kill -9 would: now, or at a certain message.

        The asker of the message in hand gets `ActorDied(delivered="started")`; what is queued stays.

        Args:
            actor: whom.
            before: when it next begins the message of this name; its handler never runs.
            after: when it has next handled the message of this name; its answer never leaves.
        Raises:
            NoSuchMessage: it has none of that name, and would never be killed.
        """
        player = self._play.known(self._path_of(actor))
        for name, trap in ((before, player.inbox.trap_before), (after, player.inbox.trap_after)):
            if name:
                if name not in messages_of(player.actor):
                    raise NoSuchMessage(f"{player.path}: the actor has no message {name!r}")
                trap.add(name)
        if not before and not after:
            self._play.kill(player)

    def suspend(self, actor: object) -> None:
        """Let an actor hang: it handles nothing, its mailbox fills, its askers meet their deadlines."""
        self._play.known(self._path_of(actor)).is_suspended = True

    def resume(self, actor: object) -> None:
        """Undo `suspend`."""
        self._play.known(self._path_of(actor)).is_suspended = False
