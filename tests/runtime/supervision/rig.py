"""A bench for the decisions: workers that start, hang, fail and stop as told, and a clock that stands still."""

import heapq
from collections import deque

from runtime.supervision.action import (
    Action,
    Answer,
    AskToStop,
    CancelTimer,
    Close,
    Done,
    Forget,
    Halt,
    Import,
    Kill,
    Launch,
    Refused,
    Report,
    Result,
    SetTimer,
)
from runtime.supervision.decide import decide
from runtime.supervision.event import (
    Boot,
    ChildRequest,
    CycleChild,
    DeleteChild,
    Due,
    Event,
    Exited,
    Ignored,
    Imported,
    Reason,
    RestartChild,
    StartChild,
    Started,
    StartFailed,
    StopTree,
    TerminateChild,
    Timer,
)
from runtime.supervision.spec import Path, Spec, Strategy, SupervisorSpec, WorkerSpec
from runtime.supervision.tree import ChildState, find, new_tree, which_children


def worker(name: str, restart: str = "permanent", **options: object) -> WorkerSpec:
    """A worker; the rest as WorkerSpec."""
    return WorkerSpec(name, restart, **options)  # type: ignore[arg-type]  # tests also say what is not valid


def supervisor(name: str, *children: Spec, strategy: Strategy = "one_for_one", **options: object) -> SupervisorSpec:
    """A supervisor; the rest as SupervisorSpec."""
    return SupervisorSpec(name, strategy=strategy, children=children, **options)  # type: ignore[arg-type]  # as above


class Rig:
    """A tree with pretended workers. `trace` is what they would record; time passes in `advance` only.

    A start or a stop goes as `starts` and `stops` say: "ok", "fail", "ignore", "hang"; "ok", "hang", "crash", or the
    kind of another exit. A list is used up from its front. An import goes as `imports` says: "ok", "fail", "hang".
    """

    def __init__(self, spec: SupervisorSpec, seed: int = 0) -> None:
        self.tree = new_tree(spec, seed)
        self.now = 100.0
        self.trace: list[str] = []
        self.actions: list[Action] = []
        self.results: dict[int, Result] = {}
        self.alive: dict[Path, int] = {}
        self.starts: dict[Path, str | list[str]] = {}
        self.stops: dict[Path, str] = {}
        self.imports: dict[Path, str] = {}
        self.halt: Halt | None = None
        self._imports: dict[Path, int] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._events: deque[Event] = deque()
        self._requests = 0

    @classmethod
    def up(cls, spec: SupervisorSpec, seed: int = 0) -> "Rig":
        """A rig whose tree runs."""
        rig = cls(spec, seed)
        assert rig.boot() == Done()
        rig.take()
        return rig

    def take(self) -> list[str]:
        """The trace since the last call; forgets the actions too."""
        trace, self.trace = self.trace, []
        self.actions.clear()
        return trace

    def boot(self) -> Result | None:
        return self.ask(Boot(self.number()))

    def stop(self) -> Result | None:
        return self.ask(StopTree(self.number()))

    def start(self, parent: Path, spec: Spec) -> Result | None:
        return self.ask(StartChild(self.number(), parent, spec))

    def terminate(self, path: Path, incarnation: int | None = None) -> Result | None:
        return self.ask(TerminateChild(self.number(), path, incarnation))

    def restart(self, path: Path) -> Result | None:
        return self.ask(RestartChild(self.number(), path))

    def cycle(self, path: Path, *, code: bool = False) -> Result | None:
        return self.ask(CycleChild(self.number(), path, code))

    def delete(self, path: Path) -> Result | None:
        return self.ask(DeleteChild(self.number(), path))

    @property
    def last(self) -> int:
        """Number of the last request."""
        return self._requests

    def number(self) -> int:
        self._requests += 1
        return self._requests

    def ask(self, event: Boot | StopTree | ChildRequest) -> Result | None:
        """The answer; None if there is none yet, and then `results` gets it."""
        self.send(event)
        return self.results.get(event.request)

    def die(self, *paths: Path, kind: str = "crash", certificate: object = None, together: int = 0) -> None:
        """Workers die by themselves, all before any of it is handled."""
        self.send(*(Exited(path, self.alive.pop(path), Reason(kind, certificate, together)) for path in paths))

    def started(self, path: Path) -> None:
        """A start that hung succeeds."""
        self.send(Started(path, self.alive[path]))

    def imported(self, path: Path) -> None:
        """An import that hung succeeds."""
        self.send(Imported(path, self._imports.pop(path)))

    def exits(self, path: Path, kind: str = "shutdown") -> None:
        """A process that was asked to stop, and hung, ends."""
        self._exit(path, self.alive[path], kind)
        self.send()

    def send(self, *events: Event) -> None:
        """Handle events and what follows from them without time passing."""
        self._events.extend(events)
        while self._events or (self._timers and self._timers[0][0] <= self.now):
            event = self._events.popleft() if self._events else Due(heapq.heappop(self._timers)[2])
            self.step(event)

    def step(self, event: Event) -> tuple[Action, ...]:
        """One decision and what the workers do about it."""
        self.tree, actions = decide(self.tree, event, self.now)
        for action in actions:
            self._perform(action)
        return actions

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self.now = max(self.now, self._timers[0][0])
            self.send()
        self.now = until

    def states(self, path: Path = "") -> dict[str, ChildState]:
        return dict(which_children(self.tree, path))

    def incarnation(self, path: Path) -> int:
        child = find(self.tree, path)
        assert child is not None
        return child.incarnation

    def error(self, result: Result | None) -> object:
        """What a refused request is told."""
        assert isinstance(result, Refused)
        return result.error

    def reports(self, *kinds: str) -> list[Report]:
        return [action for action in self.actions if isinstance(action, Report) and action.kind in kinds]

    def closed(self) -> list[str]:
        return [action.path for action in self.actions if isinstance(action, Close)]

    def forgotten(self) -> list[str]:
        return [action.path for action in self.actions if isinstance(action, Forget)]

    def due_in(self) -> list[float]:
        """Seconds until each timer that is set."""
        return sorted(at - self.now for at, _, _ in self._timers)

    def _perform(self, action: Action) -> None:
        self.actions.append(action)
        match action:
            case Launch(path, incarnation):
                self._launch(path, incarnation)
            case AskToStop(path, incarnation):
                self._ask_to_stop(path, incarnation)
            case Kill(path, incarnation):
                self.trace.append(f"kill {path}")
                self._exit(path, incarnation, "killed")
            case Import(path, request):
                self.trace.append(f"import {path}")
                how = self.imports.get(path, "ok")
                if how == "hang":
                    self._imports[path] = request
                else:
                    self._events.append(Imported(path, request, None if how == "ok" else Reason("import")))
            case SetTimer(timer, at):
                heapq.heappush(self._timers, (at, timer.number, timer))
            case CancelTimer(timer):
                self._timers = sorted(entry for entry in self._timers if entry[2] != timer)
            case Answer(request, result):
                assert request not in self.results, "answered twice"
                self.results[request] = result
            case Halt():
                self.halt = action
            case _:
                pass

    def _launch(self, path: Path, incarnation: int) -> None:
        assert path not in self.alive, f"{path} is launched while it lives"
        plan = self.starts.get(path, "ok")
        behaviour = (plan.pop(0) if plan else "ok") if isinstance(plan, list) else plan
        match behaviour:
            case "ok":
                self.trace.append(f"start {path}")
                self.alive[path] = incarnation
                self._events.append(Started(path, incarnation))
            case "hang":
                self.trace.append(f"begin {path}")
                self.alive[path] = incarnation
            case "ignore":
                self.trace.append(f"ignore {path}")
                self._events.append(Ignored(path, incarnation))
            case kind:
                self.trace.append(f"fail {path}")
                self._events.append(StartFailed(path, incarnation, Reason(kind)))

    def _ask_to_stop(self, path: Path, incarnation: int) -> None:
        self.trace.append(f"stop {path}")
        match self.stops.get(path, "ok"):
            case "hang":
                pass
            case "ok":
                self._exit(path, incarnation, "shutdown")
            case kind:
                self._exit(path, incarnation, kind)

    def _exit(self, path: Path, incarnation: int, kind: str) -> None:
        if self.alive.get(path) == incarnation:
            del self.alive[path]
            self._events.append(Exited(path, incarnation, Reason(kind)))
