"""Stopping: one child, a sequence in reverse order, instances side by side, a whole supervisor; and its end.

A child's stop is awaited by whoever asked for it: requests (`child.stoppers`), and the task of its supervisor.

SP-1  A sequence stops its children one after another, in reverse start order; a dynamic supervisor's children stop side
      by side under one deadline.
SP-2  A stop waits for no start: a child that is starting is asked to stop like one that runs.
SP-3  A supervisor is down only when no process is left below it.
SP-4  A supervisor that is killed takes its workers with it; supervisors below it lose theirs and stop in order by
      themselves, as OTP's do when their parent exits. OTP leaves them alone with that; here they are waited for, so a
      child that was asked already is killed too, and one that may take for ever has ORPHAN_SECONDS.
"""

from actors.errors import StartFailed
from runtime.supervision.action import Answer, AskToStop, Done, Halt, Kill
from runtime.supervision.event import Reason
from runtime.supervision.refusal import answer_stopped, refuse_queued
from runtime.supervision.spec import Path, SupervisorSpec, WorkerSpec
from runtime.supervision.start import launch_asked, release
from runtime.supervision.task import Asked, Cycle, Draining, Ending, Single, StopSequence
from runtime.supervision.tree import Child, Node, child_path, in_order
from runtime.supervision.turn import Down, Restart, Turn, start_failed

SHUTDOWN = Reason("shutdown")
ORPHAN_SECONDS = 5.0  # what a worker has that does not say otherwise (OTP's default)


def end(turn: Turn, node: Node, ending: Ending) -> None:
    """End a supervisor: stop its children, then be down. One that is ending already goes on with that."""
    if node.phase == "down":
        return
    if node.ending is not None:
        if ending.is_final and not node.ending.is_final:
            node.ending = Ending(node.ending.kind, node.ending.reason, node.ending.cause, True, node.ending.culprit)
        return
    node.phase = "stopping"
    node.ending = ending
    refuse_queued(turn, node)
    if node.is_dynamic:
        _drain(turn, node)
        return
    node.task = StopSequence(tuple(name for name, _ in reversed(in_order(node))), 0, None)
    stop_next(turn, node)


def stop_next(turn: Turn, node: Node) -> None:
    """Stop the next child of the sequence that lives; after the last one, go on to what the sequence was for (SP-1)."""
    task = node.task
    if not isinstance(task, StopSequence):
        return
    for index in range(task.index, len(task.names)):
        child = turn.own(node, task.names[index])
        if child is not None and _stop_or_settle(turn, node, child):
            node.task = StopSequence(task.names, index, task.then)
            return
    node.task = StopSequence(task.names, len(task.names), task.then)
    if task.then is None:
        _finish(turn, node)
    else:
        turn.steps.append(Restart(node.path, task.then))


def terminate(turn: Turn, node: Node, child: Child, request: int) -> None:
    """Stop one child because of a request; where children depend on each other, the others wait (RS-1)."""
    child.stoppers = (*child.stoppers, request)
    if child.state == "stopping":
        return
    if child.down is not None:  # it died before its supervisor got round to the request
        reason, child.down = child.down, None
        child_stopped(turn, node, child, reason)
        return
    if node.is_group:
        node.task = Single(child.spec.name)
    _stop(turn, node, child, is_final=True)


def cycle(turn: Turn, node: Node, child: Child, request: int) -> None:
    """Stop a child that runs or starts, and start it again: nothing is closed, so nothing that waits is lost."""
    if child.down is not None:  # it died before its supervisor got round to the request
        child.last, child.down = child.down, None
        launch_asked(turn, node, child, Asked(request, is_new=False))
        return
    child.cycle = Cycle(request, is_importing=False)
    if node.is_group:
        node.task = Single(child.spec.name)
    _stop(turn, node, child, is_final=False)


def child_stopped(turn: Turn, node: Node, child: Child, reason: Reason) -> None:
    """A child that was to stop has ended."""
    turn.cancel_timer(child)
    _report_stop(turn, node, child, reason)
    child.state = "stopped"
    if child.cycle is not None and not child.cycle.is_importing:
        asked, child.cycle = Asked(child.cycle.request, is_new=False), None
        launch_asked(turn, node, child, asked)
        return
    task = node.task
    is_closed = bool(child.stoppers) or (node.ending is not None and node.ending.is_final)
    if child.spec.restart == "temporary" or node.is_dynamic or (child.asked is not None and child.asked.is_new):
        turn.remove_child(node, child)
    elif is_closed:
        turn.close(node, child)
    answer_stopped(turn, node, child)
    if isinstance(task, Draining):
        node.task = Draining(task.left - 1, task.timer, task.reported)
        _drained(turn, node)
    elif isinstance(task, StopSequence) and _at(task) == child.spec.name:
        node.task = StopSequence(task.names, task.index + 1, task.then)
        stop_next(turn, node)
    else:
        release(turn, node, child)


def discard(turn: Turn, node: Node, child: Child, *, is_closed: bool) -> None:
    """A child has ended and is not restarted: its specification is kept, unless it is of no more use."""
    child.state = "stopped"
    if child.spec.restart == "temporary" or node.is_dynamic:
        turn.remove_child(node, child)
    elif is_closed:
        turn.close(node, child)


def shutdown_due(turn: Turn, node: Node, child: Child) -> None:
    """A child did not stop in time."""
    child.timer = None
    if isinstance(child.spec, SupervisorSpec):
        _kill_supervisor(turn, child_path(node, child.spec.name), is_final=False)
    else:
        turn.actions.append(Kill(child_path(node, child.spec.name), child.incarnation))


def drain_due(turn: Turn, node: Node, task: Draining) -> None:
    """The instances of a dynamic supervisor did not all stop in time."""
    node.task = Draining(task.left, None, task.reported)
    for name, child in in_order(node):
        turn.actions.append(Kill(child_path(node, name), child.incarnation))


def _stop(turn: Turn, node: Node, child: Child, *, is_final: bool) -> None:
    path = child_path(node, child.spec.name)
    if isinstance(child.spec, SupervisorSpec):
        child.state = "stopping"
        _stop_supervisor(turn, node, child, is_final=is_final)
        return
    _ask_or_kill(turn, path, child, is_final=is_final)
    seconds = _limit(node, child.spec)
    if seconds is not None:
        turn.cancel_timer(child)
        child.timer = turn.set_timer("shutdown", path, seconds)


def _ask_or_kill(turn: Turn, path: Path, child: Child, *, is_final: bool) -> None:
    child.state = "stopping"
    if child.spec.shutdown != "infinity":
        turn.cancel_timer(child)
    # else a start that hangs would hang for ever: its ready timer, if any, goes on and kills it (SP-2)
    if child.spec.shutdown == "kill":
        turn.actions.append(Kill(path, child.incarnation))
    else:
        turn.actions.append(AskToStop(path, child.incarnation, "shutdown", is_final))


def _limit(node: Node, spec: WorkerSpec | None) -> float | None:
    """Seconds between the polite request and the kill; None: no limit, or no request."""
    if spec is not None and not isinstance(spec.shutdown, str):
        return spec.shutdown
    is_endless = spec is not None and spec.shutdown == "infinity"
    return ORPHAN_SECONDS if is_endless and _is_orphan(node) else None


def _is_orphan(node: Node) -> bool:
    return node.ending is not None and node.ending.kind == "orphaned"


def _stop_supervisor(turn: Turn, node: Node, child: Child, *, is_final: bool) -> None:
    path = child_path(node, child.spec.name)
    shutdown = child.spec.shutdown
    if shutdown == "kill":
        _kill_supervisor(turn, path, is_final=is_final)
        return
    if shutdown != "infinity":
        child.timer = turn.set_timer("shutdown", path, shutdown)
    below = turn.node(path)
    if below is not None:
        end(turn, below, Ending("orphaned" if _is_orphan(node) else "asked", SHUTDOWN, None, is_final))


def _stop_or_settle(turn: Turn, node: Node, child: Child) -> bool:
    """Whether the child's end has to be waited for; a child without a process is settled here."""
    if child.state == "stopping":
        return True
    is_final = node.ending is not None and node.ending.is_final
    if child.state in ("running", "starting") and child.down is None:
        _stop(turn, node, child, is_final=is_final)
        return True
    if child.down is not None:  # it died before its turn came: that is what is reported
        _report_stop(turn, node, child, child.down)
        child.down = None
    turn.cancel_timer(child)
    child.state = "stopped"
    if child.spec.restart == "temporary" or node.is_dynamic:
        turn.remove_child(node, child)
    elif is_final:
        turn.close(node, child)
    return False


def _drain(turn: Turn, node: Node) -> None:
    left = 0
    for name, _ in in_order(node):
        child = turn.own(node, name)
        if child is None or not _is_alive(turn, node, child):
            continue
        left += 1
        if child.state != "stopping":
            _ask_or_kill(turn, child_path(node, name), child, is_final=True)  # what is dynamic is not started again
    seconds = _limit(node, node.spec.template)
    timer = turn.set_timer("drain", node.path, seconds) if left and seconds is not None else None
    node.task = Draining(left, timer, ())
    _drained(turn, node)


def _drained(turn: Turn, node: Node) -> None:
    if isinstance(node.task, Draining) and node.task.left == 0:
        if node.task.timer is not None:
            turn.cancel(node.task.timer)
        _finish(turn, node)


def _kill_supervisor(turn: Turn, path: Path, *, is_final: bool) -> None:
    """Kill its workers; what supervises below it is on its own (SP-4)."""
    node = turn.node(path)
    if node is None or node.phase == "down":
        return
    if isinstance(node.task, Draining) and node.task.timer is not None:
        turn.cancel(node.task.timer)
    was_final = node.ending is not None and node.ending.is_final
    node.phase = "stopping"
    node.ending = Ending("killed", Reason("killed"), None, is_final or was_final)
    refuse_queued(turn, node)
    left = 0
    for name, _ in reversed(in_order(node)):
        child = turn.own(node, name)
        if child is None or not _is_alive(turn, node, child):
            continue
        left += 1
        turn.cancel_timer(child)
        child.state = "stopping"
        if isinstance(child.spec, SupervisorSpec):
            _orphan(turn, child_path(node, name), is_final=node.ending.is_final)
        else:
            turn.actions.append(Kill(child_path(node, name), child.incarnation))
    node.task = Draining(left, None, ())
    _drained(turn, node)


def _orphan(turn: Turn, path: Path, *, is_final: bool) -> None:
    """The supervisor above was killed: end in order; whoever was asked already has had his time (SP-4)."""
    node = turn.node(path)
    if node is None or node.phase == "down":
        return
    ending = Ending("orphaned", Reason("killed"), None, is_final)
    if node.ending is None:
        end(turn, node, ending)
        return
    node.ending = ending
    if isinstance(node.task, Draining) and node.task.timer is not None:
        turn.cancel(node.task.timer)
        node.task = Draining(node.task.left, None, node.task.reported)
    for name, _ in in_order(node):
        child = turn.own(node, name)
        if child is None or child.state != "stopping":
            continue
        turn.cancel_timer(child)
        if isinstance(child.spec, SupervisorSpec):
            _orphan(turn, child_path(node, name), is_final=is_final)
        else:
            turn.actions.append(Kill(child_path(node, name), child.incarnation))


def _is_alive(turn: Turn, node: Node, child: Child) -> bool:
    """Whether a process of it is left; if not it is settled."""
    if child.state == "stopping":
        return True
    if child.state in ("running", "starting") and child.down is None:
        return True
    _stop_or_settle(turn, node, child)
    return False


def _finish(turn: Turn, node: Node) -> None:
    """No process is left below: the supervisor is down."""
    ending = node.ending or Ending("asked", SHUTDOWN, None, is_final=True)
    node.phase, node.task, node.ending, node.queue, node.window = "down", None, None, (), ()
    for name, child in in_order(node):
        if not child.is_static:  # what was added goes with the supervisor it was added to
            turn.remove_child(node, turn.own(node, name) or child)
    if ending.is_final:
        turn.close_below(node.path)
    if ending.kind != "start_failed":
        turn.report_supervisor("supervisor_terminated", node, ending.reason)
    if node.path:
        turn.steps.append(Down(node.path, ending.reason))
    else:
        _halt(turn, node, ending)


def _halt(turn: Turn, node: Node, ending: Ending) -> None:
    if node.booting is not None:
        is_failed = ending.kind == "start_failed"
        error = start_failed(ending.culprit, ending.reason) if is_failed else StartFailed(node.spec.name, "stopped")
        turn.refuse(node.booting, error)
    for request in node.stoppers:
        turn.actions.append(Answer(request, Done()))
    node.booting, node.stoppers = None, ()
    turn.actions.append(Halt(SHUTDOWN, ending.kind == "gave_up", ending.cause))


def _report_stop(turn: Turn, node: Node, child: Child, reason: Reason) -> None:
    """Report an end that is not the one that was asked for; in a dynamic supervisor's end, each kind once."""
    expected = "killed" if child.spec.shutdown == "kill" else "shutdown"
    is_clean = reason.kind in ("normal", "shutdown") and child.spec.restart != "permanent"
    if reason.kind in (expected, "recycled") or is_clean:
        return
    task = node.task
    if isinstance(task, Draining):
        if reason.kind in task.reported or (node.ending is not None and node.ending.kind == "killed"):
            return
        node.task = Draining(task.left, task.timer, (*task.reported, reason.kind))
    turn.report("shutdown_error", node, child, reason)


def _at(task: StopSequence) -> str:
    return task.names[task.index] if task.index < len(task.names) else ""
