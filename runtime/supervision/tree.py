"""The state of a tree: one node per supervisor, one child per specification, and what can be asked about them.

A tree is a value: whoever holds one may keep it, ask it, decide on it again. Inside, nodes and children are plain
records that the turn of one decision copies before it changes them, once each (TR-1); frozen dataclasses would cost
more in `replace` than the decisions themselves.

TR-1  What a tree that was handed out can reach is never changed.
TR-2  Children have positions, growing in the order of specification: the start order. Stops go backwards.
TR-3  A supervisor that is down keeps its node: its static children's incarnations go on counting when it is restarted.
"""

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Literal

from actors.errors import NotRunning
from runtime.supervision.event import Event, Reason, Timer
from runtime.supervision.shards import Shards
from runtime.supervision.spec import Path, Spec, SupervisorSpec, joined
from runtime.supervision.task import Asked, Cycle, Ending, Task

ChildState = Literal["starting", "running", "stopping", "restarting", "stopped"]
Phase = Literal["down", "starting", "running", "stopping"]


@dataclass(slots=True)
class Child:
    """One child of a supervisor; read it, never write it (TR-1).

    Attributes:
        spec: what it is made of.
        position: in the start order.
        is_static: its supervisor's own specification has it, so it comes back with its supervisor.
        stamp: the turn that made this record.
        state: "stopped" is OTP's undefined; "restarting" waits for a retry or for its group.
        incarnation: of the last launch; 0 before the first.
        restarts: how often it was restarted by itself or with its group.
        is_open: launched and not closed since; "stopped" and open: its start failed, and it waits for the next.
        is_late: killed because its start took too long.
        down: it has exited, and its supervisor has not got round to it.
        last: the reason of its last death or failed start.
        timer: the one it waits for: ready, shutdown, retry or backoff, by its state.
        asked: the request its start is for.
        cycle: the request for which it is to be started again.
        followers: requests that wait for a start which would have come without them.
        stoppers: requests that wait for its end.
        waiting: requests about it, to be handled when it has started or stopped.
    """

    spec: Spec
    position: int
    is_static: bool
    stamp: int
    state: ChildState = "stopped"
    incarnation: int = 0
    restarts: int = 0
    is_open: bool = False
    is_late: bool = False
    down: Reason | None = None
    last: Reason | None = None
    timer: Timer | None = None
    asked: Asked | None = None
    cycle: Cycle | None = None
    followers: tuple[int, ...] = ()
    stoppers: tuple[int, ...] = ()
    waiting: tuple[Event, ...] = ()

    def copied(self, stamp: int) -> "Child":
        """A record of that turn's own."""
        child = Child(*_all_of_child(self))
        child.stamp = stamp
        return child


@dataclass(slots=True)
class Node:
    """One supervisor; read it, never write it (TR-1).

    Attributes:
        path: "" for the root.
        spec: what it is made of.
        stamp: the turn that made this record.
        phase: "down" before it is started and after its end.
        children: by name.
        next_position: of the next child to be added.
        window: times of the restarts that still count, oldest first.
        paid_for: of the last of them, what ended together with its child; 0: nothing.
        task: what it is doing; None: it can be asked for anything.
        queue: exits, timers and requests that came meanwhile, oldest first.
        ending: set while it ends.
        booting: of the root, the request that waits for its start.
        stoppers: of the root, the requests that wait for its end.
    """

    path: Path
    spec: SupervisorSpec
    stamp: int
    phase: Phase
    children: Shards[Child]
    next_position: int = 0
    window: tuple[float, ...] = ()
    task: Task | None = None
    queue: tuple[Event, ...] = ()
    ending: Ending | None = None
    booting: int | None = None
    stoppers: tuple[int, ...] = ()
    paid_for: int = 0

    def copied(self, stamp: int) -> "Node":
        """A record of that turn's own."""
        node = Node(*_all_of_node(self))
        node.stamp = stamp
        return node

    @property
    def is_group(self) -> bool:
        """Whether its children are restarted together, so that it does one thing at a time."""
        return self.spec.strategy in ("one_for_all", "rest_for_one")

    @property
    def is_dynamic(self) -> bool:
        """Whether its children are instances of one template."""
        return self.spec.strategy == "dynamic"


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole tree.

    Attributes:
        spec: of the root.
        nodes: one per supervisor, by path.
        seed: state of the random numbers for jitter.
        turns: how many events it has seen.
        timers: number of the last timer.
    """

    spec: SupervisorSpec
    nodes: Shards[Node]
    seed: int
    turns: int
    timers: int

    @property
    def phase(self) -> Phase:
        """The root's."""
        root = self.nodes.get("")
        return root.phase if root is not None else "down"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many children a supervisor has.

    Attributes:
        specs: specifications; 1 of a dynamic supervisor, its template.
        active: that run.
        supervisors: of all, the supervisors.
        workers: of all, the workers.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


def new_tree(spec: SupervisorSpec, seed: int = 0) -> Tree:
    """A tree that has not been started; `Boot` does that.

    Args:
        seed: of the jitter; the same seed and events give the same actions.
    """
    return Tree(spec, Shards[Node].of({"": Node("", spec, 0, "down", Shards[Child].of({}))}), seed, 0, 0)


def find(tree: Tree, path: Path) -> Child | None:
    """The child, worker or supervisor, at path; None if there is none (the root is no child)."""
    parent, _, name = path.rpartition(".")
    node = tree.nodes.get(parent)
    return None if node is None else node.children.get(name)


def find_specified(tree: Tree, path: Path) -> Child | None:
    """As `find`, and where a supervisor above has not been started for the first time yet, as it will be."""
    found = find(tree, path)
    parent, _, name = path.rpartition(".")
    if found is not None or not parent or tree.nodes.get(parent) is not None:
        return found
    above = find_specified(tree, parent)
    if above is None or above.incarnation or not isinstance(above.spec, SupervisorSpec):
        return None
    specs = {child.name: (position, child) for position, child in enumerate(above.spec.children)}
    if name not in specs:
        return None
    position, spec = specs[name]
    return Child(spec, position, is_static=True, stamp=0)


def find_supervisor(tree: Tree, path: Path) -> Node | None:
    """The supervisor at path, running or not; None if there is none."""
    return tree.nodes.get(path)


def which_children(tree: Tree, path: Path) -> tuple[tuple[str, ChildState], ...]:
    """Names and states of a supervisor's children, in start order.

    Raises:
        NotRunning: that supervisor is not running, or there is none.
    """
    return tuple((name, state_of(child)) for name, child in in_order(_up(tree, path)))


def count_children(tree: Tree, path: Path) -> Counts:
    """How many children a supervisor has.

    Raises:
        NotRunning: that supervisor is not running, or there is none.
    """
    node = _up(tree, path)
    size = len(node.children)
    supervisors = active = 0
    for child in node.children.values():
        supervisors += isinstance(child.spec, SupervisorSpec)
        active += state_of(child) == "running"
    return Counts(1 if node.is_dynamic else size, active, supervisors, size - supervisors)


def state_of(child: Child, *, is_gone: bool = False) -> ChildState:
    """The state to show: a death that its supervisor has yet to handle, or (is_gone) to hear of, is none of running."""
    if child.state == "running" and (is_gone or child.down is not None):
        return "stopped" if child.spec.restart == "temporary" else "restarting"
    return child.state


def in_order(node: Node) -> list[tuple[str, Child]]:
    """A supervisor's children by name, in start order (TR-2)."""
    return sorted(node.children.items(), key=_position)


def child_path(node: Node, name: str) -> Path:
    """The path of a child of a node."""
    return joined(node.path, name)


_all_of_child = attrgetter(*(field.name for field in fields(Child)))
_all_of_node = attrgetter(*(field.name for field in fields(Node)))


def _position(item: tuple[str, Child]) -> int:
    return item[1].position


def no_supervisor(nodes: Shards[Node], path: Path, name: str) -> NotRunning:
    """What to say of a supervisor that does not run: that it is down, is none, or is not there at all."""
    above, _, own = path.rpartition(".")
    parent = nodes.get(above) if path else None
    child = None if parent is None else parent.children.get(own)
    if child is not None and not isinstance(child.spec, SupervisorSpec):
        return NotRunning(name, "it is an actor, and no supervisor")
    if path and child is None:
        return NotRunning(name, "there is no such supervisor")
    return NotRunning(name)


def _up(tree: Tree, path: Path) -> Node:
    node = tree.nodes.get(path)
    if node is None or node.phase == "down":
        raise no_supervisor(tree.nodes, path, path or tree.spec.name)
    return node
