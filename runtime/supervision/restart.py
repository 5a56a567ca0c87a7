"""Restarting: what the death of a child means, what it costs, and who is restarted with it.

RE-1  Every attempt costs one unit of the window, whatever its size: a death, and each retry of a failed restart.
RE-2  A group restart starts whatever is specified in its range: also what had stopped or been stopped (OTP, case 29).
RE-3  Backoff lies between the stop and the start. Meanwhile the supervisor is free, as between two attempts.
RE-4  A child that was recycled (it used up a limit, and ended in order) is started again alone, at once and for
      nothing, whatever its restart type.
RE-5  Children that ended together (`Reason.together`) cost one unit together.
RE-6  A request to start a child that waits for a restart, its own or its group's, makes that one due now.
RE-7  Of a group that waits for its restart a stop on request keeps that child down, and no other. OTP leaves all of
      them down; there the wait is a moment, between two attempts, here it is as long as the backoff says.
"""

from runtime.supervision.event import Reason
from runtime.supervision.start import launch, start_sequence
from runtime.supervision.stop import SHUTDOWN, discard, end, stop_next
from runtime.supervision.task import Ending, Regroup, StopSequence
from runtime.supervision.tree import Child, Node, child_path, in_order
from runtime.supervision.turn import Next, Turn
from runtime.supervision.window import add_restart, delay


def child_exited(turn: Turn, node: Node, child: Child, reason: Reason) -> None:
    """A child that ran has ended by itself: OTP's do_restart, clause by clause."""
    child.last = reason
    child.down = None
    if reason.kind == "recycled":  # RE-4
        child.restarts += 1
        launch(turn, node, child)
        return
    match child.spec.restart, reason.kind:
        case "permanent", _:
            turn.report("child_terminated", node, child, reason)
            restart(turn, node, child)
        case _, "normal" | "shutdown":
            discard(turn, node, child, is_closed=True)
            _auto_shutdown(turn, node, child)
        case "transient", _:
            turn.report("child_terminated", node, child, reason)
            restart(turn, node, child)
        case _:
            turn.report("child_terminated", node, child, reason)
            discard(turn, node, child, is_closed=True)
            _auto_shutdown(turn, node, child)


def restart(turn: Turn, node: Node, child: Child) -> None:
    """Restart a child that is not running, and its group, unless that is once too often (RE-1)."""
    spec = node.spec
    together = child.last.together if child.last is not None else 0
    if not together or together != node.paid_for:  # RE-5
        node.window = add_restart(node.window, turn.now, spec.max_seconds)
        node.paid_for = together
    if len(node.window) > spec.max_restarts:
        _give_up(turn, node, child)
        return
    turn.report("restart", node, child, child.last)
    nth = len(node.window)
    seconds = delay(spec.backoff, nth, turn.draw()) if spec.backoff is not None and nth > 1 else 0.0
    if node.is_group:
        _restart_group(turn, node, child, seconds)
    elif seconds > 0:
        _wait(turn, node, child, seconds)
    else:
        child.restarts += 1
        launch(turn, node, child)


def backoff_due(turn: Turn, node: Node, child: Child) -> None:
    """The delay before a restart is over; what it costs is paid."""
    if node.is_group:
        _restart_group(turn, node, child, 0.0)
    else:
        child.restarts += 1
        launch(turn, node, child)


def due_now(turn: Turn, node: Node, child: Child) -> None:
    """The restart that this child or its group waits for is asked for: it begins, and costs nothing more (RE-6)."""
    turn.cancel_timer(child)
    backoff_due(turn, node, child)


def waits_with(turn: Turn, node: Node, child: Child) -> Child | None:
    """The child whose restart a stopped one waits for, as it is of its group; None: nothing will start it."""
    if node.is_group:
        for name, other in in_order(node):
            if other.state == "restarting" and child.spec.name in _range(node, other):
                return turn.own(node, name)
    return None


def call_off(turn: Turn, node: Node, child: Child) -> None:
    """A child that waits for its restart is stopped instead; what its group had stopped is started (RE-7)."""
    turn.cancel_timer(child)
    discard(turn, node, child, is_closed=True)
    if node.is_group:
        group = _range(node, child)
        down = (name for name, other in in_order(node) if other.state == "stopped" and name in group)
        start_sequence(turn, node, tuple(name for name in down if name != child.spec.name))


def group_stopped(turn: Turn, node: Node, regroup: Regroup) -> None:
    """A group has been stopped: start it again, now or after the delay (RE-3)."""
    task = node.task
    if not isinstance(task, StopSequence) or task.then != regroup:
        return  # the supervisor was told to end meanwhile
    trigger = turn.own(node, regroup.trigger)
    if trigger is None:
        return
    if regroup.delay > 0:
        node.task = None
        _wait(turn, node, trigger, regroup.delay)
        turn.steps.append(Next(node.path))
    else:
        start_sequence(turn, node, _range(node, trigger))


def _restart_group(turn: Turn, node: Node, child: Child, seconds: float) -> None:
    child.state = "restarting"
    name = child.spec.name
    others = tuple(other for other in reversed(_range(node, child)) if other != name)
    node.task = StopSequence(others, 0, Regroup(name, seconds))
    stop_next(turn, node)


def _range(node: Node, trigger: Child) -> tuple[str, ...]:
    """Names of the trigger's group in start order (RE-2)."""
    least = trigger.position if node.spec.strategy == "rest_for_one" else 0
    return tuple(name for name, child in in_order(node) if child.position >= least)


def _wait(turn: Turn, node: Node, child: Child, seconds: float) -> None:
    child.state = "restarting"
    child.timer = turn.set_timer("backoff", child_path(node, child.spec.name), seconds)


def _give_up(turn: Turn, node: Node, child: Child) -> None:
    cause = child.last
    turn.report("max_restarts", node, child, cause)
    discard(turn, node, child, is_closed=False)
    # what its own supervisor sees is a clean "shutdown" (OTP), but with the certificate of the death behind it
    reason = Reason("shutdown", None if cause is None else cause.certificate)
    end(turn, node, Ending("gave_up", reason, cause, is_final=not node.path))


def _auto_shutdown(turn: Turn, node: Node, child: Child) -> None:
    if node.spec.auto_shutdown == "never" or not child.spec.significant:
        return
    if node.spec.auto_shutdown == "all_significant" and _has_significant(node):
        return
    turn.report("auto_shutdown", node, child, child.last)
    end(turn, node, Ending("auto_shutdown", SHUTDOWN, child.last, is_final=not node.path))


def _has_significant(node: Node) -> bool:
    """Whether a significant child lives or will; a start that is only asked for does not count before it succeeds."""
    return any(
        child.spec.significant and child.state != "stopped" and child.asked is None for child in node.children.values()
    )
