"""One decision in the making: the copies it changes, and the actions and steps it collects.

A turn copies a node or a child when it first writes to it, and never again (TR-1). What one supervisor has to tell
another, or itself, is a step: it runs after what is being decided now. So nothing recurses over siblings, however many
start or stop without any process being involved.
"""

from collections import deque
from dataclasses import dataclass

from actors.certificate import DeathCertificate
from actors.errors import NotRunning, StartFailed, SupervisionError
from runtime.supervision.action import (
    Action,
    Answer,
    CancelTimer,
    Close,
    Forget,
    Refused,
    Report,
    ReportKind,
    Result,
    SetTimer,
)
from runtime.supervision.event import Event, Reason, Timer, TimerKind
from runtime.supervision.spec import Path, SupervisorSpec, joined
from runtime.supervision.task import Ending, Regroup
from runtime.supervision.tree import Child, Node, Tree, child_path, in_order, no_supervisor
from runtime.supervision.window import next_draw


@dataclass(frozen=True, slots=True)
class Up:
    """The supervisor at path runs: its own supervisor goes on."""

    path: Path


@dataclass(frozen=True, slots=True)
class Down:
    """The supervisor at path is gone: its own supervisor decides what that means."""

    path: Path
    reason: Reason


@dataclass(frozen=True, slots=True)
class End:
    """The supervisor at path has to end."""

    path: Path
    ending: Ending


@dataclass(frozen=True, slots=True)
class Restart:
    """The group of the supervisor at path is stopped, and to be started again."""

    path: Path
    regroup: Regroup


@dataclass(frozen=True, slots=True)
class Next:
    """The supervisor at path may take the next event from its queue."""

    path: Path


Step = Up | Down | End | Restart | Next


class Turn:
    """What one decision reads and writes."""

    __slots__ = ("_nodes", "_seed", "_spec", "_stamp", "_timers", "actions", "now", "steps")

    def __init__(self, tree: Tree, now: float) -> None:
        self.now = now
        self.actions: list[Action] = []
        self.steps: deque[Step | Event] = deque()
        self._spec = tree.spec
        self._nodes = tree.nodes
        self._seed = tree.seed
        self._stamp = tree.turns + 1
        self._timers = tree.timers

    def finished(self) -> Tree:
        """The tree as this turn leaves it; the turn must not be used again."""
        return Tree(self._spec, self._nodes, self._seed, self._stamp, self._timers)

    def node(self, path: Path) -> Node | None:
        """The supervisor at path, to be written to."""
        node = self._nodes.get(path)
        if node is None or node.stamp == self._stamp:
            return node
        node = node.copied(self._stamp)
        self._nodes = self._nodes.put(path, node)
        return node

    def put_node(self, node: Node) -> None:
        """Add or replace a supervisor."""
        node.stamp = self._stamp
        self._nodes = self._nodes.put(node.path, node)

    def own(self, node: Node, name: str) -> Child | None:
        """The child of a node, to be written to."""
        child = node.children.get(name)
        if child is None or child.stamp == self._stamp:
            return child
        child = child.copied(self._stamp)
        node.children = node.children.put(name, child)
        return child

    def add_child(self, node: Node, child: Child) -> None:
        """Add a child that its node did not have, at the end of the order."""
        child.stamp = self._stamp
        child.position = node.next_position
        node.next_position += 1
        node.children = node.children.put(child.spec.name, child)

    def remove_child(self, node: Node, child: Child) -> None:
        """Drop a child with its specification, and with all that is below it."""
        path = child_path(node, child.spec.name)
        self.start_will_not_come(child, StartFailed(path, "it is not specified any more"))
        node.children = node.children.drop(child.spec.name)
        self.close(node, child)
        if isinstance(child.spec, SupervisorSpec):
            self._forget_below(path, child.spec)
        else:
            self.actions.append(Forget(path))

    def close(self, node: Node, child: Child) -> None:
        """Nothing will start this child by itself: close it, or all that is below it (AC-4)."""
        path = child_path(node, child.spec.name)
        if isinstance(child.spec, SupervisorSpec):
            self.close_below(path)
        elif child.is_open:
            child.is_open = False
            self.actions.append(Close(path))

    def close_below(self, path: Path) -> None:
        """Close everything a supervisor that is down left open."""
        node = self.node(path)
        if node is None:
            return
        for name, child in in_order(node):
            if child.is_open or isinstance(child.spec, SupervisorSpec):
                self.close(node, self.own(node, name) or child)

    def start_came(self, child: Child, result: Result) -> None:
        """Answer the requests that waited for a start of this child which they did not cause."""
        for request in child.followers:
            self.actions.append(Answer(request, result))
        child.followers = ()

    def start_will_not_come(self, child: Child, error: SupervisionError) -> None:
        """Refuse the requests that wait for a start of this child, and handle those again that wait behind them."""
        self.start_came(child, Refused(error))
        if child.cycle is not None:
            self.refuse(child.cycle.request, error)
            child.cycle = None
        self.wake(child)

    def wake(self, child: Child) -> None:
        """Handle again what waited for this child to start or stop."""
        if child.waiting:
            self.steps.extend(child.waiting)
            child.waiting = ()

    def _forget_below(self, path: Path, spec: SupervisorSpec) -> None:
        node = self._nodes.get(path)
        below = spec.children if node is None else [child.spec for _, child in in_order(node)]
        for child in below:  # of one that was never started too: its workers may have been written to
            if isinstance(child, SupervisorSpec):
                self._forget_below(joined(path, child.name), child)
            else:
                self.actions.append(Forget(joined(path, child.name)))
        if node is not None:
            self._nodes = self._nodes.drop(path)

    def set_timer(self, kind: TimerKind, path: Path, seconds: float) -> Timer:
        """Ask for a point in time, seconds from now."""
        self._timers += 1
        timer = Timer(kind, path, self._timers)
        self.actions.append(SetTimer(timer, self.now + seconds))
        return timer

    def cancel_timer(self, child: Child) -> None:
        """Stop waiting for what this child waits for, if it does."""
        if child.timer is not None:
            self.cancel(child.timer)
            child.timer = None

    def cancel(self, timer: Timer) -> None:
        """A timer is not needed any more."""
        self.actions.append(CancelTimer(timer))

    def draw(self) -> float:
        """A random number in [0, 1)."""
        self._seed, number = next_draw(self._seed)
        return number

    def refuse(self, request: int, error: SupervisionError) -> None:
        """Answer a request with an error."""
        self.actions.append(Answer(request, Refused(error)))

    def report(self, kind: ReportKind, node: Node, child: Child, reason: Reason | None = None) -> None:
        """Tell of something that happened to a child."""
        spec = child.spec
        self.actions.append(Report(kind, node.path, spec.name, spec.restart, reason, child.incarnation))

    def report_supervisor(self, kind: ReportKind, node: Node, reason: Reason | None = None) -> None:
        """Tell of something that happened to a supervisor."""
        self.actions.append(Report(kind, node.path, "", node.spec.restart, reason, 0))

    def name_of(self, path: Path) -> str:
        """What errors call it: the root has a name, everything else its path."""
        return path or self._spec.name

    def no_supervisor(self, path: Path) -> NotRunning:
        """What to say of a supervisor that does not run."""
        return no_supervisor(self._nodes, path, self.name_of(path))


def start_failed(path: Path, reason: Reason) -> StartFailed:
    """The error for whoever asked for a start."""
    certificate = reason.certificate if isinstance(reason.certificate, DeathCertificate) else None
    return StartFailed(path, f"start failed: {reason.kind}", certificate)
