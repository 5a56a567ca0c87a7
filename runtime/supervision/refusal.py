"""Refusals: what requests are told when what they ask for will not come.

RF-1  Whatever waits in a child, or in its supervisor's queue, is answered when that child or supervisor ends.
RF-2  A stop overtakes the starts of its child that were asked for before it and have not come: they are refused, and
      the stop is what stays.
"""

from actors.errors import StartFailed
from runtime.supervision.action import Answer, Done
from runtime.supervision.event import (
    Amend,
    CycleChild,
    DeleteChild,
    Event,
    Request,
    RestartChild,
    StartChild,
    TerminateChild,
)
from runtime.supervision.spec import Path
from runtime.supervision.tree import Child, Node, child_path, in_order
from runtime.supervision.turn import Turn


def refuse_not_running(turn: Turn, request: Request, path: Path) -> None:
    """Answer a request to a supervisor that is not there."""
    turn.refuse(request.request, turn.no_supervisor(path))


def refuse_queued(turn: Turn, node: Node) -> None:
    """A supervisor ends: requests that wait are told so; deaths are seen when their turn to stop comes (RF-1)."""
    for event in node.queue:
        match event:
            case StartChild() | TerminateChild() | RestartChild() | CycleChild() | DeleteChild() | Amend():
                refuse_not_running(turn, event, node.path)
            case _:
                pass
    node.queue = ()
    for name, known in in_order(node):
        if known.cycle is not None or known.followers or known.waiting:
            turn.start_will_not_come(turn.own(node, name) or known, turn.no_supervisor(node.path))


def refuse_overtaken(turn: Turn, node: Node, child: Child) -> None:
    """A child is to be stopped (RF-2)."""
    path = child_path(node, child.spec.name)
    error = StartFailed(path, "stopped on request meanwhile")

    def left(events: tuple[Event, ...]) -> tuple[Event, ...]:
        overtaken = [each for each in events if isinstance(each, CycleChild | RestartChild) and each.path == path]
        for event in overtaken:
            turn.refuse(event.request, error)
        return tuple(event for event in events if event not in overtaken) if overtaken else events

    child.waiting = left(child.waiting)
    node.queue = left(node.queue)
    turn.start_will_not_come(child, error)


def answer_stopped(turn: Turn, node: Node, child: Child) -> None:
    """A child that was to stop has ended: whoever waited for its start or its stop is told."""
    if child.asked is not None:
        path = child_path(node, child.spec.name)
        turn.refuse(child.asked.request, StartFailed(path, "stopped while it was starting"))
        child.asked = None
    for request in child.stoppers:
        turn.actions.append(Answer(request, Done()))
    child.stoppers = ()
    turn.wake(child)
