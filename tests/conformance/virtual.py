"""The pure decisions, driven under virtual time, with workers that are nothing but their behaviour."""

import heapq
from collections import deque

from actors.errors import NotRunning
from runtime.supervision.action import (
    Action,
    Answer,
    AskToStop,
    CancelTimer,
    Halt,
    IgnoredStart,
    Kill,
    Launch,
    Refused,
    Result,
    SetTimer,
)
from runtime.supervision.decide import decide
from runtime.supervision.event import (
    Boot,
    DeleteChild,
    Due,
    Event,
    Exited,
    Ignored,
    Reason,
    RestartChild,
    StartChild,
    Started,
    StartFailed,
    StopTree,
    TerminateChild,
    Timer,
)
from runtime.supervision.spec import Path, Spec, SupervisorSpec
from runtime.supervision.tree import ChildState, Counts, Tree, count_children, new_tree, which_children
from tests.conformance.driver import Record, StartBehaviour, StartOutcome, StopBehaviour

CRASH = Reason("crash")


class NeverEnds(RuntimeError):
    """An operation waits for something that no time will bring."""


class VirtualDriver:
    """The decisions, their timers, and the workers' processes: path → incarnation of those that are alive."""

    def __init__(self) -> None:
        self._now = 0.0
        self._tree: Tree | None = None
        self._exit: str | None = None
        self._alive: dict[Path, int] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._results: dict[int, Result] = {}
        self._requests = 0
        self._starts: dict[str, tuple[StartBehaviour, int | None]] = {}
        self._stops: dict[str, StopBehaviour] = {}
        self._trace: list[Record] = []

    def start_tree(self, spec: SupervisorSpec) -> None:
        before, self._exit = self._exit, None
        self._tree = new_tree(spec)
        result = self._ask(Boot(self._next_request()))
        if isinstance(result, Refused):
            self._tree, self._exit = None, before
            raise result.error

    def stop(self) -> None:
        self._granted(StopTree(self._next_request()))

    def status(self) -> str | None:
        return self._exit if self._tree is None else "running"

    def behave_start(self, worker: str, behaviour: StartBehaviour, times: int | None) -> None:
        self._starts[worker] = (behaviour, times)

    def behave_stop(self, worker: str, behaviour: StopBehaviour) -> None:
        self._stops[worker] = behaviour

    def start_child(self, supervisor: Path, spec: Spec) -> StartOutcome:
        return self._granted(StartChild(self._next_request(), supervisor, spec))

    def terminate_child(self, path: Path) -> None:
        self._granted(TerminateChild(self._next_request(), path))

    def restart_child(self, path: Path) -> StartOutcome:
        return self._granted(RestartChild(self._next_request(), path))

    def delete_child(self, path: Path) -> None:
        self._granted(DeleteChild(self._next_request(), path))

    def die(self, path: Path, reason: str) -> None:
        incarnation = self._alive.pop(path, None)
        if incarnation is None:
            raise NotRunning(path)
        self._settle(Exited(path, incarnation, Reason(reason)))

    def which_children(self, supervisor: Path) -> tuple[tuple[str, ChildState], ...]:
        return which_children(self._running(), supervisor)

    def count_children(self, supervisor: Path) -> Counts:
        return count_children(self._running(), supervisor)

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            self._settle(self._due())
        self._now = until

    def take_trace(self) -> list[Record]:
        trace, self._trace = self._trace, []
        return trace

    def _running(self) -> Tree:
        if self._tree is None:
            raise NotRunning("root")
        return self._tree

    def _next_request(self) -> int:
        self._requests += 1
        return self._requests

    def _granted(self, event: StopTree | StartChild | TerminateChild | RestartChild | DeleteChild) -> StartOutcome:
        self._running()
        match self._ask(event):
            case Refused(error):
                raise error
            case IgnoredStart():
                return "ignored"
            case _:
                return "ok"

    def _ask(self, event: Boot | StopTree | StartChild | TerminateChild | RestartChild | DeleteChild) -> Result:
        self._settle(event)
        if event.request not in self._results:
            raise NeverEnds(event)
        return self._results.pop(event.request)

    def _settle(self, event: Event) -> None:
        """Run until nothing more happens without time passing, and let time pass for what waits for it."""
        events = deque([event])
        while self._tree is not None and (events or self._timers):
            self._tree, actions = decide(self._tree, events.popleft() if events else self._due(), self._now)
            for action in actions:
                events.extend(self._perform(action))

    def _due(self) -> Due:
        at, _, timer = heapq.heappop(self._timers)
        self._now = max(self._now, at)
        return Due(timer)

    def _perform(self, action: Action) -> tuple[Event, ...]:
        match action:
            case Launch(path, incarnation):
                return (self._launch(path, incarnation),)
            case AskToStop(path, incarnation):
                return self._ask_to_stop(path, incarnation)
            case Kill(path, incarnation):
                return self._exited(path, incarnation, "killed")
            case SetTimer(timer, at):
                heapq.heappush(self._timers, (at, timer.number, timer))
            case CancelTimer(timer):
                self._timers = [entry for entry in self._timers if entry[2] != timer]
                heapq.heapify(self._timers)
            case Answer(request, result):
                self._results[request] = result
            case Halt(reason):
                self._tree, self._exit = None, reason.kind
                self._timers.clear()
            case _:
                pass
        return ()

    def _launch(self, path: Path, incarnation: int) -> Event:
        worker = path.rpartition(".")[2]
        behaviour, times = self._starts.get(worker, ("ok", None))
        if times is not None:
            self._starts[worker] = (behaviour, times - 1) if times > 1 else ("ok", None)
        match behaviour:
            case "fail":
                self._trace.append(("startfail", worker))
                return StartFailed(path, incarnation, CRASH)
            case "ignore":
                self._trace.append(("ignore", worker))
                return Ignored(path, incarnation)
            case "ok":
                self._trace.append(("start", worker))
                self._alive[path] = incarnation
                return Started(path, incarnation)

    def _ask_to_stop(self, path: Path, incarnation: int) -> tuple[Event, ...]:
        worker = path.rpartition(".")[2]
        if self._alive.get(path) != incarnation:
            return ()
        match self._stops.get(worker, "ok"):
            case "hang":
                self._trace.append(("hang", worker))
                return ()
            case "crash":
                self._trace.append(("stopcrash", worker))
                return self._exited(path, incarnation, "crash")
            case "ok":
                self._trace.append(("stop", worker))
                return self._exited(path, incarnation, "shutdown")

    def _exited(self, path: Path, incarnation: int, reason: str) -> tuple[Event, ...]:
        if self._alive.get(path) != incarnation:
            return ()
        del self._alive[path]
        return (Exited(path, incarnation, Reason(reason)),)
