"""The bench of the supervisor's decisions: pure, so what it costs is CPU of the supervisor alone."""

from collections.abc import Iterator
from time import perf_counter_ns

from runtime.supervision.action import Launch
from runtime.supervision.decide import decide as decided
from runtime.supervision.event import Boot, Exited, Reason, Started
from runtime.supervision.spec import SupervisorSpec, WorkerSpec
from runtime.supervision.tree import Tree, find, new_tree
from tests.bench.row import Row
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale


def decide(scale: Scale) -> Iterator[Row]:
    """A death and the start that follows, among 1,000 children; beside 10."""
    few, many = 10, scale.of(1000, smoke=20)
    deaths = scale.of(200, smoke=5)
    ours, theirs = in_turn(scale.rounds, lambda: _per_event(many, deaths), lambda: _per_event(few, deaths))
    what = f"µs per event, {many} children"
    yield Row("decide", what, Sample(tuple(ours), "µs"), Sample(tuple(theirs), "µs"), f"{few} children")


def _per_event(children: int, deaths: int) -> float:
    tree, now = _running(children), 1000.0
    victims = [f"child{n * 7 % children}" for n in range(deaths)]
    events = 0
    start = perf_counter_ns()
    for path in victims:
        now += 10.0  # each in a window of its own: the restart is immediate
        child = find(tree, path)
        assert child is not None
        tree, actions = decided(tree, Exited(path, child.incarnation, Reason("killed")), now)
        launch = next(action for action in actions if isinstance(action, Launch))
        tree, _ = decided(tree, Started(path, launch.incarnation), now)
        events += 2
    return (perf_counter_ns() - start) / events / 1e3


def _running(children: int) -> Tree:
    """A tree whose children have all said that they are ready."""
    specs = tuple(WorkerSpec(f"child{n}", "permanent") for n in range(children))
    tree, actions = decided(new_tree(SupervisorSpec("", children=specs)), Boot(1), 0.0)
    waiting = list(actions)
    while waiting:
        action = waiting.pop()
        if isinstance(action, Launch):
            tree, actions = decided(tree, Started(action.path, action.incarnation), 0.0)
            waiting.extend(actions)
    return tree
