"""Amending: a supervisor gets a new specification while it runs. No process is touched: OTP's code_change.

Its flags apply at once. A child that both specifications have is made of the new one when it is started next. A child
that only the old one has stays as it is, like one that was started on request, until it is deleted or its supervisor
starts anew. A child that only the new one has is not started. A specification that is not valid changes nothing.

AM-1  The start order is the new one; what the new specification does not have comes behind it.
AM-2  The specifications above agree with it: it is what a supervisor further up will start it by.
AM-3  A group that was waiting to be started again still is, whatever its new strategy says of groups.

Source: code_change and update_childspec of OTP's supervisor.erl; changing to or from simple_one_for_one is refused,
which OTP leaves undefined.
"""

from dataclasses import replace

from actors.errors import BadSpec
from runtime.supervision.action import Answer, Done
from runtime.supervision.event import Amend
from runtime.supervision.reload import is_same_kind
from runtime.supervision.spec import Path, SupervisorSpec, check_supervisor
from runtime.supervision.tree import Node, child_path, in_order
from runtime.supervision.turn import Turn


def amend(turn: Turn, node: Node, request: Amend) -> None:
    """Give the supervisor of node its new specification, or refuse it."""
    spec = request.spec
    try:
        _check(node, spec)
    except BadSpec as error:
        turn.refuse(request.request, error)
        return
    if node.is_group and spec.strategy != node.spec.strategy:
        _ungroup(turn, node)
    node.spec = spec
    _amend_children(turn, node)
    _tell_above(turn, node.path, spec)
    turn.actions.append(Answer(request.request, Done()))


def _check(node: Node, spec: SupervisorSpec) -> None:
    check_supervisor(spec, node.path)
    if not is_same_kind(node.spec, spec):
        detail = "a supervisor that runs cannot become dynamic, or cease to be"
        raise BadSpec(node.path or spec.name, "invalid_strategy", detail)


def _amend_children(turn: Turn, node: Node) -> None:
    places = {child.name: place for place, child in enumerate(node.spec.children)}
    behind = len(places)
    for name, _ in in_order(node):
        child = turn.own(node, name)
        if child is None:
            continue
        place = places.get(name) if child.is_static else None
        if place is not None and is_same_kind(child.spec, node.spec.children[place]):
            child.spec = node.spec.children[place]
            child.position = place
        else:
            child.is_static = False
            child.position = behind  # AM-1
            behind += 1
    node.next_position = behind


def _tell_above(turn: Turn, path: Path, spec: SupervisorSpec) -> None:
    """AM-2."""
    while path:
        path, _, name = path.rpartition(".")
        node = turn.node(path)
        child = None if node is None else turn.own(node, name)
        if node is None or child is None:
            return
        child.spec = spec
        if not child.is_static:
            return
        children = tuple(spec if one.name == name else one for one in node.spec.children)
        spec = node.spec = replace(node.spec, children=children)


def _ungroup(turn: Turn, node: Node) -> None:
    """Whoever a group restart would have started is started by a restart of its own, which costs nothing (AM-3)."""
    triggers = [child.position for _, child in in_order(node) if child.state == "restarting"]
    if not triggers:
        return
    least = min(triggers) if node.spec.strategy == "rest_for_one" else 0
    for name, known in in_order(node):
        if known.state == "stopped" and known.position >= least:
            child = turn.own(node, name) or known
            child.state = "restarting"
            child.timer = turn.set_timer("backoff", child_path(node, name), 0.0)
