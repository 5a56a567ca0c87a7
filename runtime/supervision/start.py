"""Starting: one child, a sequence of children, a whole supervisor; and what a start comes to.

Three things ask for a start, and its outcome goes back to the one that did: a request (`child.asked`), the sequence of
a supervisor or of its group (`node.task`), or, with neither of them, the automatic restart of this one child.

ST-1  In a sequence each child is launched only when the one before it has started.
ST-2  A launch that waits behind others has QUEUE_SECONDS to get its turn, and from then on its own `ready`, which
      counts anew once its process exists: neither the queue nor an import uses it up.
ST-3  A failed restart is tried again through a timer that is due at once: what else has happened comes first.
ST-4  Requests may follow a start that comes without them (`child.followers`): they hear what comes of it, no more.
"""

from actors.errors import BadSpec
from runtime.supervision.action import Answer, Done, Halt, IgnoredStart, Launch, Refused
from runtime.supervision.event import Reason
from runtime.supervision.shards import Shards
from runtime.supervision.spec import Path, Spec, SupervisorSpec, WorkerSpec, check_supervisor
from runtime.supervision.task import Asked, Ending, Single, StartSequence
from runtime.supervision.tree import Child, Node, child_path
from runtime.supervision.turn import Down, End, Next, Turn, Up, start_failed

QUEUE_SECONDS = 60.0  # several imports of the heaviest libraries, of 10 s each, may stand in front


def boot(turn: Turn, path: Path, spec: SupervisorSpec, request: int | None = None) -> None:
    """Start a supervisor and all its static children; ends in the step Up, or Down.

    Its children's incarnations go on from those it had before, if it had (TR-3).
    """
    before = turn.node(path)
    children = {} if before is None else dict(before.children.items())
    kept = {
        child.name: _continued(child, position, children.get(child.name))
        for position, child in enumerate(spec.children)
    }
    node = Node(path, spec, 0, "starting", Shards[Child].of(kept), len(kept), booting=request)
    turn.put_node(node)
    try:
        check_supervisor(spec, path)
    except BadSpec as error:
        _refuse_spec(turn, node, error)
        return
    node.task = StartSequence(tuple(kept), 0, is_restart=False)
    start_next(turn, node)


def start_sequence(turn: Turn, node: Node, names: tuple[str, ...]) -> None:
    """Start a group again, in this order."""
    node.task = StartSequence(names, 0, is_restart=True)
    start_next(turn, node)


def start_next(turn: Turn, node: Node) -> None:
    """Launch the next child of the sequence; after the last one the supervisor is free (ST-1)."""
    task = node.task
    if not isinstance(task, StartSequence):
        return
    if task.index < len(task.names):
        child = turn.own(node, task.names[task.index])
        if child is not None:
            child.restarts += task.is_restart
            launch(turn, node, child)
        return
    node.task = None
    if node.phase == "starting":
        node.phase = "running"
        turn.report_supervisor("supervisor_started", node)
        if node.booting is not None:
            turn.actions.append(Answer(node.booting, Done()))
            node.booting = None
        turn.steps.append(Up(node.path))
    turn.steps.append(Next(node.path))


def launch(turn: Turn, node: Node, child: Child) -> None:
    """Start a child that has no process: a worker is launched, a supervisor is booted."""
    path = child_path(node, child.spec.name)
    child.state = "starting"
    child.incarnation += 1
    child.is_late = False
    child.down = None
    if isinstance(child.spec, SupervisorSpec):
        boot(turn, path, child.spec)
        return
    child.is_open = True
    turn.actions.append(Launch(path, child.incarnation, child.spec))
    set_limit(turn, node, child, is_queued=False)


def set_limit(turn: Turn, node: Node, child: Child, *, is_queued: bool) -> None:
    """Let the time count that a launch has, from now on (ST-2)."""
    turn.cancel_timer(child)
    path = child_path(node, child.spec.name)
    if is_queued:
        child.timer = turn.set_timer("queue", path, QUEUE_SECONDS)
    elif isinstance(child.spec, WorkerSpec) and child.spec.ready is not None:
        child.timer = turn.set_timer("ready", path, child.spec.ready)


def launch_asked(turn: Turn, node: Node, child: Child, asked: Asked) -> None:
    """Start a child because of a request; where children depend on each other, the others wait (RS-1)."""
    child.asked = asked
    if node.is_group:
        node.task = Single(child.spec.name)
    launch(turn, node, child)


def child_up(turn: Turn, node: Node, child: Child) -> None:
    """A start succeeded."""
    turn.cancel_timer(child)
    child.state = "running"
    if not isinstance(child.spec, SupervisorSpec):
        turn.report("child_started", node, child)
    turn.start_came(child, Done(child.incarnation))
    if child.asked is not None:
        turn.actions.append(Answer(child.asked.request, Done(child.incarnation)))
        child.asked = None
        release(turn, node, child)
        return
    turn.wake(child)
    _advance(turn, node, child)


def child_ignored(turn: Turn, node: Node, child: Child) -> None:
    """A start came to nothing, and that is fine: specified and not running; what is not restarted is not kept."""
    turn.cancel_timer(child)
    child.state = "stopped"
    asked, child.asked = child.asked, None
    turn.start_came(child, IgnoredStart())
    if child.spec.restart == "temporary" or node.is_dynamic:
        turn.remove_child(node, child)
    else:
        turn.close(node, child)
    if asked is not None:
        turn.actions.append(Answer(asked.request, IgnoredStart()))
        release(turn, node, child)
        return
    turn.wake(child)
    _advance(turn, node, child)


def child_failed(turn: Turn, node: Node, child: Child, reason: Reason) -> None:
    """A start failed, and nothing of it is left."""
    turn.cancel_timer(child)
    child.last = reason
    turn.report("start_error", node, child, reason)
    path = child_path(node, child.spec.name)
    turn.start_came(child, Refused(start_failed(path, reason)))
    if child.asked is not None:
        _fail_asked(turn, node, child, child.asked, reason)
    elif node.phase == "starting":
        child.state = "stopped"
        ending = Ending("start_failed", reason, reason, is_final=not node.path, culprit=path)
        turn.steps.append(End(node.path, ending))
    elif node.phase == "stopping":
        child.state = "stopped"  # its turn to stop has not come, and need not
    else:
        child.state = "restarting"
        child.timer = turn.set_timer("retry", path, 0.0)  # ST-3
        turn.wake(child)
        if isinstance(node.task, StartSequence):
            _break_off(turn, node, node.task, Refused(start_failed(path, reason)))


def release(turn: Turn, node: Node, child: Child) -> None:
    """What was asked of one child is done: the events that waited for it go on."""
    turn.wake(child)
    if isinstance(node.task, Single):
        node.task = None
        turn.steps.append(Next(node.path))


def _continued(spec: Spec, position: int, before: Child | None) -> Child:
    child = Child(spec, position, is_static=True, stamp=0)
    if before is not None:
        child.incarnation = before.incarnation
        child.restarts = before.restarts
        child.is_open = before.is_open
    return child


def _refuse_spec(turn: Turn, node: Node, error: BadSpec) -> None:
    node.phase = "down"
    reason = Reason(f"bad specification: {error}")
    if node.booting is None:
        turn.steps.append(Down(node.path, reason))
        return
    turn.refuse(node.booting, error)
    node.booting = None
    turn.actions.append(Halt(reason, False, reason))


def _break_off(turn: Turn, node: Node, task: StartSequence, result: Refused) -> None:
    """The group's start is over for now; those behind the one that failed wait for the next attempt."""
    for name in task.names[task.index + 1 :]:
        if (child := turn.own(node, name)) is not None:
            turn.start_came(child, result)
    node.task = None
    turn.steps.append(Next(node.path))


def _fail_asked(turn: Turn, node: Node, child: Child, asked: Asked, reason: Reason) -> None:
    child.state = "stopped"
    child.asked = None
    if asked.is_new or child.spec.restart == "temporary":
        turn.remove_child(node, child)  # else its mailbox stays, for whoever starts it next (AC-4)
    turn.refuse(asked.request, start_failed(child_path(node, child.spec.name), reason))
    release(turn, node, child)


def _advance(turn: Turn, node: Node, child: Child) -> None:
    task = node.task
    if isinstance(task, StartSequence) and task.names[task.index] == child.spec.name:
        node.task = StartSequence(task.names, task.index + 1, task.is_restart)
        start_next(turn, node)
