"""Requests: what OTP's handle_call answers, clause by clause.

RS-1  The responsiveness rule. Where children depend on each other (one_for_all, rest_for_one) a supervisor does one
      thing at a time, and so does any supervisor that is starting: what comes meanwhile waits in its queue. Otherwise
      only what concerns a child that is itself starting or stopping waits, for that child: a start that hangs holds up
      nobody else.
RS-2  A stop of a child that is starting, on request or by itself, does not wait for the start (SP-2).
RS-3  Between two attempts of a restart the supervisor is free: stopping the child that is restarting ends the attempts.
RS-4  Requests about one child are taken one after the other, but for its stop, which waits for nothing: what was asked
      for before it and has not come is refused (`refusal`).
RS-5  A cycle is one decision: its stop closes nothing, and what comes meanwhile finds the child being restarted.
"""

from actors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    DynamicSupervisor,
    NotFound,
    Restarting,
    StartFailed,
    StillRunning,
)
from runtime.supervision.action import Answer, AskToStop, Done, Import
from runtime.supervision.amend import amend
from runtime.supervision.event import (
    Amend,
    CycleChild,
    DeleteChild,
    Imported,
    Request,
    RestartChild,
    StartChild,
    TerminateChild,
)
from runtime.supervision.refusal import refuse_not_running, refuse_overtaken
from runtime.supervision.restart import call_off, due_now, waits_with
from runtime.supervision.spec import Path, Spec, SupervisorSpec, WorkerSpec, check_child, joined
from runtime.supervision.start import launch_asked
from runtime.supervision.stop import cycle, discard, terminate
from runtime.supervision.task import Asked, Cycle, Single
from runtime.supervision.tree import Child, Node, child_path
from runtime.supervision.turn import Turn, start_failed

_INSTANCE = "an instance of a dynamic supervisor has no specification of its own: stop it, and start it anew"


def handle(turn: Turn, request: Request) -> None:
    """Grant, refuse or queue a request."""
    path = _supervisor_of(request)
    node = turn.node(path)
    if node is None or node.phase in ("down", "stopping"):
        refuse_not_running(turn, request, path)
        return
    if node.task is not None and not _is_interrupting(node, request):
        node.queue = (*node.queue, request)
        return
    match request:
        case StartChild():
            _start(turn, node, request)
        case TerminateChild():
            _terminate(turn, node, request)
        case RestartChild():
            _restart(turn, node, request)
        case CycleChild():
            _cycle(turn, node, request)
        case DeleteChild():
            _delete(turn, node, request)
        case Amend():
            amend(turn, node, request)


def _supervisor_of(request: Request) -> Path:
    match request:
        case StartChild():
            return request.supervisor
        case Amend():
            return request.path
        case _:
            return request.path.rpartition(".")[0]


def _start(turn: Turn, node: Node, request: StartChild) -> None:
    path = joined(node.path, request.spec.name)
    child = turn.own(node, request.spec.name)
    spec: Spec = request.spec
    if node.is_dynamic:
        spec = _instance(node, request.spec)
    else:
        try:
            check_child(spec, node.spec, node.path)
        except BadSpec as error:
            turn.refuse(request.request, error)
            return
    if child is not None:
        _start_known(turn, child, path, request)
        return
    most = node.spec.max_children
    if node.is_dynamic and most is not None and len(node.children) >= most:
        turn.refuse(request.request, StartFailed(path, f"there are max_children = {most} already"))
        return
    added = Child(spec, 0, is_static=request.place is not None, stamp=0)
    turn.add_child(node, added)
    if request.place is not None:
        added.position = request.place
    launch_asked(turn, node, added, Asked(request.request, is_new=True))


def _start_known(turn: Turn, child: Child, path: Path, request: StartChild) -> None:
    match child.state:
        case "starting" | "stopping":
            child.waiting = (*child.waiting, request)
        case "running":
            turn.refuse(request.request, AlreadyStarted(path))
        case "restarting" | "stopped":
            turn.refuse(request.request, AlreadyPresent(path))


def _instance(node: Node, spec: Spec) -> WorkerSpec:
    """An instance of the template: its own name and payload, all else the template's."""
    template = node.spec.template
    if template is None:
        raise BadSpec(node.path, "bad_start_spec")  # cannot be: checked when the supervisor started
    payload = spec.payload if isinstance(spec, WorkerSpec) and spec.payload is not None else template.payload
    return WorkerSpec(spec.name, template.restart, template.shutdown, template.ready, template.significant, payload)


def _terminate(turn: Turn, node: Node, request: TerminateChild) -> None:
    if node.is_dynamic and request.incarnation is None:
        turn.refuse(request.request, DynamicSupervisor(request.path, _INSTANCE))
        return
    child = turn.own(node, request.path.rpartition(".")[2])
    if isinstance(request.incarnation, int) and not _is_at(node, child, request.incarnation):
        _terminate_gone(turn, node, child, request, request.incarnation)
        return
    if child is None:
        turn.refuse(request.request, NotFound(request.path))
        return
    was_cycling = child.cycle is not None and not child.cycle.is_importing
    refuse_overtaken(turn, node, child)
    match child.state:
        case "starting" | "running" | "stopping":
            terminate(turn, node, child, request.request)
            if was_cycling and not isinstance(child.spec, SupervisorSpec):  # it was asked to leave what is queued
                turn.actions.append(AskToStop(request.path, child.incarnation, "shutdown", is_final=True))
        case "restarting":
            call_off(turn, node, child)
            turn.actions.append(Answer(request.request, Done()))
        case "stopped":
            discard(turn, node, child, is_closed=True)
            turn.actions.append(Answer(request.request, Done()))


def _is_at(node: Node, child: Child | None, incarnation: int) -> bool:
    return node.is_dynamic and child is not None and child.incarnation == incarnation


def _terminate_gone(turn: Turn, node: Node, child: Child | None, request: TerminateChild, incarnation: int) -> None:
    """By incarnation, and not the present one: of a dynamic supervisor's child it is gone, which is what was wanted."""
    if node.is_dynamic and incarnation > 0 and (child is None or incarnation < child.incarnation):
        turn.actions.append(Answer(request.request, Done()))
    else:
        turn.refuse(request.request, NotFound(request.path))


def _restart(turn: Turn, node: Node, request: RestartChild) -> None:
    child = _idle_child(turn, node, request)
    if child is not None:
        launch_asked(turn, node, child, Asked(request.request, is_new=False))


def _cycle(turn: Turn, node: Node, request: CycleChild) -> None:
    child = _static_child(turn, node, request)
    if child is None:
        return
    if child.state == "stopping" or child.asked is not None or child.cycle is not None or child.followers:
        child.waiting = (*child.waiting, request)  # RS-4
    elif request.code:
        child.cycle = Cycle(request.request, is_importing=True)
        turn.actions.append(Import(request.path, request.request, child.spec))
    else:
        _start_again(turn, node, child, request.request)


def imported(turn: Turn, node: Node, child: Child, event: Imported) -> None:
    """The code that a cycle waits for is there, or cannot be: then nothing has happened to the child."""
    child.cycle = None
    if event.failure is not None:
        turn.refuse(event.request, start_failed(event.path, event.failure))
        turn.wake(child)
    elif child.state == "stopping" or child.asked is not None or child.followers:
        child.waiting = (CycleChild(event.request, event.path), *child.waiting)
    else:
        _start_again(turn, node, child, event.request)


def _start_again(turn: Turn, node: Node, child: Child, request: int) -> None:
    match child.state:
        case "starting" | "running" | "stopping":
            cycle(turn, node, child, request)
        case "restarting":
            child.followers = (request,)
            due_now(turn, node, child)
        case "stopped" if (first := waits_with(turn, node, child)) is not None:
            child.followers = (request,)
            due_now(turn, node, first)
        case "stopped":
            launch_asked(turn, node, child, Asked(request, is_new=False))


def _delete(turn: Turn, node: Node, request: DeleteChild) -> None:
    child = _idle_child(turn, node, request)
    if child is not None:
        turn.remove_child(node, child)
        turn.actions.append(Answer(request.request, Done()))


def _static_child(turn: Turn, node: Node, request: RestartChild | CycleChild | DeleteChild) -> Child | None:
    """The child a request is about; None when it is refused."""
    if node.is_dynamic:
        turn.refuse(request.request, DynamicSupervisor(request.path, _INSTANCE))
        return None
    child = turn.own(node, request.path.rpartition(".")[2])
    if child is None:
        turn.refuse(request.request, NotFound(request.path))
    return child


def _idle_child(turn: Turn, node: Node, request: RestartChild | DeleteChild) -> Child | None:
    """The stopped child a request is about; None when it is refused or has to wait."""
    child = _static_child(turn, node, request)
    if child is None:
        return None
    match child.state:
        case "stopped" if child.cycle is not None:
            child.waiting = (*child.waiting, request)
        case "stopped":
            return child
        case "restarting":
            turn.refuse(request.request, Restarting(request.path))
        case "running":
            turn.refuse(request.request, StillRunning(request.path))
        case "starting" | "stopping":
            child.waiting = (*child.waiting, request)
    return None


def _is_interrupting(node: Node, request: Request) -> bool:
    """Whether a request stops the very child whose requested start or stop keeps the supervisor busy (RS-2)."""
    if node.task is None or not isinstance(request, TerminateChild):
        return False
    return isinstance(node.task, Single) and child_path(node, node.task.name) == request.path
