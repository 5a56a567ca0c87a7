"""THE decisions: what has happened to a tree, and what is to be done about it.

Erlang/OTP's supervisor for a whole tree at once: only workers are processes; supervisors are nodes of the tree, whose
starts, stops and exits are decided here as well. Pure: no clock, no process, no randomness but the tree's own seed.

    event ──▶ decide ──▶ (tree, actions)
                │ dispatch: whose is it, and is that supervisor free to handle it?
                ├── start      a child, a sequence, a supervisor; what a start comes to
                ├── restart    what a death means and costs, and who is restarted with it
                ├── stop       a child, a sequence, all side by side; a supervisor's end
                ├── request    start, terminate, restart, cycle, delete
                └── amend      a new specification for a supervisor that runs
              then the steps that this led to, one after another, until there are none

An event that fits nothing in the tree (an older incarnation, a cancelled timer, an unknown path) changes nothing.

Source: lib/stdlib/src/supervisor.erl of Erlang/OTP 25. Deliberate differences: backoff (RE-3), and the two rules that
keep one loop for all supervisors responsive (RS-1, SP-2), where OTP's supervisor waits for each start.
"""

from actors.errors import AlreadyStarted, NotRunning
from runtime.supervision import request, restart, start, stop
from runtime.supervision.action import Action, Kill
from runtime.supervision.event import (
    Amend,
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
)
from runtime.supervision.spec import Path
from runtime.supervision.task import Cycle, Draining, Ending
from runtime.supervision.tree import Child, Node, Tree
from runtime.supervision.turn import Down, End, Next, Restart, Step, Turn, Up


def decide(tree: Tree, event: Event, now: float) -> tuple[Tree, tuple[Action, ...]]:
    """What to do about an event.

    Args:
        tree: as the last decision left it; it is not changed.
        event: what happened.
        now: monotonic time in seconds.
    Returns:
        The new tree, and what to do, in this order.
    """
    turn = Turn(tree, now)
    _dispatch(turn, event)
    while turn.steps:
        _dispatch(turn, turn.steps.popleft())
    return turn.finished(), tuple(turn.actions)


def _dispatch(turn: Turn, event: Event | Step) -> None:
    match event:
        case Exited() | StartFailed():
            _ended(turn, event)
        case Queued() | Begun():
            _launching(turn, event)
        case Started():
            _started(turn, event.path, event.incarnation)
        case Ignored():
            _ignored(turn, event)
        case Due():
            _due(turn, event)
        case StartChild() | TerminateChild() | RestartChild() | CycleChild() | DeleteChild() | Amend():
            request.handle(turn, event)
        case Imported():
            _imported(turn, event)
        case Boot():
            _boot(turn, event.request)
        case StopTree():
            _stop_tree(turn, event.request)
        case _:
            _step(turn, event)


def _step(turn: Turn, step: Step) -> None:
    match step:
        case Up(path):
            _started(turn, path, None)
        case Down(path, reason):
            _down(turn, path, reason)
        case End(path, ending):
            node = turn.node(path)
            if node is not None:
                stop.end(turn, node, ending)
        case Restart(path, regroup):
            node = turn.node(path)
            if node is not None:
                restart.group_stopped(turn, node, regroup)
        case Next(path):
            _next(turn, path)


def _started(turn: Turn, path: Path, incarnation: int | None) -> None:
    node, child = _child_at(turn, path)
    if node is None or child is None or child.state != "starting" or child.is_late:
        return
    if incarnation is None or child.incarnation == incarnation:
        start.child_up(turn, node, child)


def _launching(turn: Turn, event: Queued | Begun) -> None:
    node, child = _child_at(turn, event.path)
    if node is None or child is None or child.incarnation != event.incarnation or child.is_late:
        return
    is_limited = child.timer is not None and child.timer.kind in ("queue", "ready")  # still, if it was asked to stop
    if child.state == "starting" or is_limited:
        start.set_limit(turn, node, child, is_queued=isinstance(event, Queued))


def _ignored(turn: Turn, event: Ignored) -> None:
    node, child = _child_at(turn, event.path)
    if node is None or child is None or child.incarnation != event.incarnation:
        return
    match child.state:
        case "starting":
            start.child_ignored(turn, node, child)
        case "stopping":
            stop.child_stopped(turn, node, child, stop.SHUTDOWN)
        case _:
            pass


def _ended(turn: Turn, event: Exited | StartFailed) -> None:
    node, child = _child_at(turn, event.path)
    if node is None or child is None or child.incarnation != event.incarnation:
        return
    match child.state:
        case "running":
            _exited(turn, node, child, event)
        case "starting":
            reason = Reason("timeout", event.reason.certificate) if child.is_late else event.reason
            start.child_failed(turn, node, child, reason)
        case "stopping":
            stop.child_stopped(turn, node, child, event.reason)
        case _:
            pass


def _exited(turn: Turn, node: Node, child: Child, event: Exited | StartFailed) -> None:
    if node.task is None:
        restart.child_exited(turn, node, child, event.reason)
    elif child.down is None:
        child.down = event.reason
        node.queue = (*node.queue, event)


def _down(turn: Turn, path: Path, reason: Reason) -> None:
    node, child = _child_at(turn, path)
    if node is not None and child is not None:
        _ended(turn, Exited(path, child.incarnation, reason))


def _imported(turn: Turn, event: Imported) -> None:
    node, child = _child_at(turn, event.path)
    if node is None or child is None or child.cycle != Cycle(event.request, is_importing=True):
        return  # it was refused meanwhile
    if node.task is None:
        request.imported(turn, node, child, event)
    else:
        node.queue = (*node.queue, event)


def _due(turn: Turn, due: Due) -> None:
    timer = due.timer
    if timer.kind == "drain":
        node = turn.node(timer.path)
        if node is not None and isinstance(node.task, Draining) and node.task.timer == timer:
            stop.drain_due(turn, node, node.task)
        return
    node, child = _child_at(turn, timer.path)
    if node is None or child is None or child.timer != timer:
        return
    match timer.kind:
        case "queue" | "ready":
            child.timer = None
            child.is_late = True
            turn.actions.append(Kill(timer.path, child.incarnation, is_late=True))
        case "shutdown":
            stop.shutdown_due(turn, node, child)
        case _ if node.task is not None:
            node.queue = (*node.queue, due)
        case "retry":
            child.timer = None
            restart.restart(turn, node, child)
        case "backoff":
            child.timer = None
            restart.backoff_due(turn, node, child)


def _next(turn: Turn, path: Path) -> None:
    """A supervisor is free again: one event from its queue, and the next one if it still is."""
    node = turn.node(path)
    if node is None or node.phase != "running" or node.task is not None or not node.queue:
        return
    event, node.queue = node.queue[0], node.queue[1:]
    _dispatch(turn, event)
    turn.steps.append(Next(path))


def _boot(turn: Turn, number: int) -> None:
    root = turn.node("")
    if root is None:
        return
    if root.phase == "down":
        start.boot(turn, "", root.spec, number)
    else:
        turn.refuse(number, AlreadyStarted(root.spec.name))


def _stop_tree(turn: Turn, number: int) -> None:
    root = turn.node("")
    if root is None:
        return
    if root.phase == "down":
        turn.refuse(number, NotRunning(root.spec.name))
        return
    root.stoppers = (*root.stoppers, number)
    stop.end(turn, root, Ending("asked", stop.SHUTDOWN, None, is_final=True))


def _child_at(turn: Turn, path: Path) -> tuple[Node | None, Child | None]:
    parent, _, name = path.rpartition(".")
    node = turn.node(parent) if path else None
    return node, None if node is None else turn.own(node, name)
