"""Random trees under random events: what must hold whatever happens.

The machine is slow and unfair on purpose: outcomes of launches and stops arrive in any order, late, or not at all until
the end, and timers come due only when time is let pass.
"""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.child import Backoff
from runtime.supervision.action import (
    Action,
    Answer,
    AskToStop,
    CancelTimer,
    Close,
    Forget,
    Halt,
    Import,
    Kill,
    Launch,
    Report,
    SetTimer,
)
from runtime.supervision.decide import decide
from runtime.supervision.event import (
    Begun,
    Boot,
    CycleChild,
    DeleteChild,
    Due,
    Event,
    Exited,
    Ignored,
    Imported,
    Queued,
    Reason,
    RestartChild,
    StartChild,
    Started,
    StartFailed,
    StopTree,
    TerminateChild,
    Timer,
)
from runtime.supervision.spec import Path, Spec, SupervisorSpec, WorkerSpec
from runtime.supervision.tree import find, find_supervisor, new_tree, which_children

RESTARTS = st.sampled_from(["permanent", "permanent", "transient", "temporary"])
SHUTDOWNS = st.sampled_from([0.5, 2.0, "kill", "infinity"])
BACKOFFS = st.sampled_from([None, None, Backoff(first=0.3, most=1.0)])


@st.composite
def workers(draw, name, auto="never"):
    restart = draw(RESTARTS)
    significant = auto != "never" and restart != "permanent" and draw(st.booleans())
    return WorkerSpec(name, restart, draw(SHUTDOWNS), draw(st.sampled_from([None, 1.0])), significant)


@st.composite
def supervisors(draw, name="root", depth=0):
    auto = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    strategy = draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one", "dynamic"][: 4 if depth else 3]))
    names = [] if strategy == "dynamic" else [f"c{i}" for i in range(draw(st.integers(0, 3 if depth else 4)))]
    children: list[Spec] = []
    for child in names:
        nested = depth < 2 and draw(st.integers(0, 3)) == 0
        children.append(draw(supervisors(child, depth + 1) if nested else workers(child, auto)))
    return SupervisorSpec(
        name,
        restart=draw(RESTARTS),
        shutdown=draw(SHUTDOWNS),
        strategy=strategy,
        max_restarts=draw(st.integers(0, 4)),
        max_seconds=5.0,
        backoff=draw(BACKOFFS),
        auto_shutdown=auto,
        children=tuple(children),
        template=draw(workers("t", auto)) if strategy == "dynamic" else None,
    )


@dataclass
class Seen:
    """What the actions so far amount to."""

    alive: dict[Path, int] = field(default_factory=dict)
    ready: set[Path] = field(default_factory=set)
    is_asked: set[Path] = field(default_factory=set)
    open: set[Path] = field(default_factory=set)
    last: dict[Path, int] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)
    imports: dict[int, Path] = field(default_factory=dict)
    timers: dict[Timer, float] = field(default_factory=dict)
    halts: int = 0


class TreeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.requests = 0
        self.seen = Seen()

    @initialize(spec=supervisors(), seed=st.integers(0, 9))
    def boot(self, spec, seed):
        self.spec = spec
        self.tree = new_tree(spec, seed)
        self.request(Boot)

    @rule(choice=st.integers(0), outcome=st.sampled_from(["ok", "ok", "ok", "fail", "ignore", "die"]))
    def a_launch_comes_to_something(self, choice, outcome):
        if path := self.pick(sorted(set(self.seen.alive) - self.seen.ready), choice):
            self.comes_to(path, outcome)

    @rule(choice=st.integers(0), kind=st.sampled_from([Queued, Begun]))
    def a_launch_waits_or_begins(self, choice, kind):
        if path := self.pick(sorted(set(self.seen.alive) - self.seen.ready), choice):
            self.send(kind(path, self.seen.alive[path]))

    @rule(limit=st.integers(1, 9))
    def launches_succeed(self, limit):
        for _ in range(limit):
            self.a_launch_comes_to_something(0, "ok")

    @rule(choice=st.integers(0), kind=st.sampled_from(["normal", "shutdown", "crash", "crash"]))
    def a_worker_dies(self, choice, kind):
        if path := self.pick(sorted(self.seen.ready), choice):
            self.exits(path, kind)

    @rule(choice=st.integers(0), kind=st.sampled_from(["shutdown", "shutdown", "crash"]))
    def a_worker_stops_as_asked(self, choice, kind):
        if path := self.pick(sorted(self.seen.is_asked), choice):
            self.exits(path, kind)

    @rule(seconds=st.sampled_from([0.0, 0.2, 0.6, 1.5, 6.0]))
    def time_passes(self, seconds):
        until = self.now + seconds
        for _ in range(50):
            due = [(at, timer.number, timer) for timer, at in self.seen.timers.items() if at <= until]
            if not due:
                break
            at, _, timer = min(due)
            self.now = max(self.now, at)
            del self.seen.timers[timer]
            self.send(Due(timer))
        self.now = until

    @rule(data=st.data(), choice=st.integers(0), name=st.sampled_from(["c0", "c1", "n0", "n1"]))
    def a_child_is_started(self, data, choice, name):
        path = self.pick(self.supervisors(), choice)
        spec = find_supervisor(self.tree, path).spec
        nested = data.draw(st.integers(0, 4)) == 0
        child = data.draw(supervisors(name, 2) if nested else workers(name, spec.auto_shutdown))
        self.request(StartChild, path, child)

    @rule(
        choice=st.integers(0),
        name=st.sampled_from(["c0", "c1", "c2", "n0"]),
        kind=st.sampled_from([TerminateChild, TerminateChild, RestartChild, CycleChild, CycleChild, DeleteChild]),
    )
    def a_child_is_administered(self, choice, name, kind):
        path = self.pick(self.supervisors(), choice)
        self.request(kind, f"{path}.{name}" if path else name)

    @rule(choice=st.integers(0), name=st.sampled_from(["c0", "c1", "c2", "n0"]))
    def a_child_is_started_again_on_new_code(self, choice, name):
        path = self.pick(self.supervisors(), choice)
        self.request(CycleChild, f"{path}.{name}" if path else name, True)

    @rule(choice=st.integers(0), failure=st.sampled_from([None, None, Reason("import")]))
    def an_import_comes_to_something(self, choice, failure):
        if request := self.pick(sorted(self.seen.imports), choice):
            self.send(Imported(self.seen.imports.pop(request), request, failure))

    @rule(chance=st.integers(0, 9))
    def the_tree_is_stopped(self, chance):
        if chance == 0:
            self.request(StopTree)

    @invariant()
    def running_children_have_processes_and_stopped_ones_have_none(self):
        if not hasattr(self, "tree"):
            return
        for path in self.supervisors():
            node = find_supervisor(self.tree, path)
            if node.phase == "down":
                continue
            for name, state in which_children(self.tree, path):
                child = f"{path}.{name}" if path else name
                if isinstance(find(self.tree, child).spec, WorkerSpec):
                    assert (child in self.seen.alive) == (state in ("starting", "running", "stopping"))
                    assert child in self.seen.open or state == "stopped"

    def teardown(self):
        """Stopped, every tree comes to its end: nothing runs, everything is answered, every mailbox is closed."""
        if not hasattr(self, "tree"):
            return
        self.request(StopTree)
        for _ in range(2000):
            if not self.seen.alive and not self.seen.timers:
                break
            for path in sorted(set(self.seen.alive) & self.seen.is_asked):
                if path in self.seen.alive:  # the end of one may have been the end of another
                    self.exits(path, "shutdown")
            self.time_passes(1.0)
            for path in sorted(set(self.seen.alive) - self.seen.ready - self.seen.is_asked):
                if path in self.seen.alive:
                    self.comes_to(path, "fail")
        assert self.seen.alive == {}
        assert self.seen.pending == set()
        assert self.seen.open == set()
        assert self.tree.phase == "down"
        assert self.seen.halts == 1

    def pick(self, options, choice):
        return options[choice % len(options)] if options else None

    def supervisors(self):
        return sorted(path for path, _ in self.tree.nodes.items())

    def request(self, kind, *arguments):
        self.requests += 1
        self.seen.pending.add(self.requests)
        self.send(kind(self.requests, *arguments))

    def comes_to(self, path, outcome):
        incarnation = self.seen.alive[path]
        if outcome == "ok":
            self.seen.ready.add(path)
            self.send(Started(path, incarnation))
            return
        self.gone(path)
        events: dict[str, Event] = {
            "fail": StartFailed(path, incarnation, Reason("crash")),
            "ignore": Ignored(path, incarnation),
            "die": Exited(path, incarnation, Reason("crash")),
        }
        self.send(events[outcome])

    def exits(self, path, kind):
        incarnation = self.seen.alive[path]
        self.gone(path)
        self.send(Exited(path, incarnation, Reason(kind)))

    def gone(self, path):
        del self.seen.alive[path]
        self.seen.ready.discard(path)
        self.seen.is_asked.discard(path)

    def send(self, event):
        before = self.tree
        self.tree, actions = decide(before, event, self.now)
        again = repr(decide(before, event, self.now)[1])  # errors are equal to themselves only
        assert again == repr(actions), "the tree that was given has been changed"
        killed = [action.path for action in actions if self.perform(action)]
        for path in killed:
            if path in self.seen.alive:
                self.exits(path, "killed")

    def perform(self, action: Action) -> bool:
        """Check one action against all before it; whether it kills."""
        seen = self.seen
        match action:
            case Launch(path, incarnation, spec):
                assert path not in seen.alive, "AC-3"
                assert incarnation == seen.last.get(path, 0) + 1
                assert isinstance(spec, WorkerSpec)
                seen.alive[path] = seen.last[path] = incarnation
                seen.open.add(path)
                self.order_is_kept(path)
            case Import(path, request):
                assert request in seen.pending
                seen.imports[request] = path
            case AskToStop(path, incarnation):
                assert seen.alive[path] == incarnation
                seen.is_asked.add(path)
            case Kill(path, incarnation):
                assert seen.alive[path] == incarnation
                return True
            case Close(path):
                assert path in seen.open, "AC-4"
                assert path not in seen.alive, "AC-4"
                seen.open.discard(path)
            case Forget(path):
                assert path not in seen.open, "AC-4"
                seen.last.pop(path, None)
            case SetTimer(timer, at):
                assert timer not in seen.timers
                seen.timers[timer] = at
            case CancelTimer(timer):
                seen.timers.pop(timer, None)
            case Answer(request, _):
                seen.pending.remove(request)  # AC-2
            case Halt():
                assert seen.alive == {}
                seen.halts += 1
            case Report():
                pass
        return False

    def order_is_kept(self, path):
        """A static child is launched after those before it have started (ST-1)."""
        parent = path.rpartition(".")[0]
        node = find_supervisor(self.tree, parent)
        if node.phase != "starting":
            return
        states = which_children(self.tree, parent)
        names = [name for name, _ in states]
        for name, state in states[: names.index(path.rpartition(".")[2])]:
            assert state in ("running", "stopped", "restarting"), name


TestTreeMachine = TreeMachine.TestCase
TestTreeMachine.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
