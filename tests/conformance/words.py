"""The words that scripts are written in: operations and trees, as the protocol has them."""

from typing import Any

from tests.conformance.answers import Operation

Child = dict[str, Any]


def worker(name: str, restart: str = "permanent", **options: Any) -> Child:
    """A worker; the rest as in a CHILD."""
    return {"id": name, "restart": restart, **options}


def nested(name: str, tree: Operation, **options: Any) -> Child:
    """A supervisor as a child."""
    return {"id": name, "tree": tree, **options}


def tree(*children: str | Child, strategy: str = "one_for_one", most: int = 10, **flags: Any) -> Operation:
    """A tree; a string is a worker with OTP's defaults."""
    plain = [{"id": child} if isinstance(child, str) else child for child in children]
    return {"strategy": strategy, "max_restarts": most, "max_seconds": 300, "children": plain, **flags}


def dynamic(most: int = 10, auto_shutdown: str = "never", **template: Any) -> Operation:
    """A dynamic supervisor."""
    flags = {"max_restarts": most, "max_seconds": 300, "auto_shutdown": auto_shutdown}
    return {"strategy": "dynamic", "template": template, **flags}


def start(tree: Operation) -> Operation:
    """Start a tree."""
    return {"op": "start_tree", "tree": tree}


def add(child: str | Child, sup: str = "root") -> Operation:
    """Add a child."""
    return {"op": "start_child", "sup": sup, "child": {"id": child} if isinstance(child, str) else child}


def terminate(name: str, sup: str = "root") -> Operation:
    """Stop a child."""
    return {"op": "terminate_child", "sup": sup, "id": name}


def restart(name: str, sup: str = "root") -> Operation:
    """Start a stopped child."""
    return {"op": "restart_child", "sup": sup, "id": name}


def delete(name: str, sup: str = "root") -> Operation:
    """Drop a stopped child's specification."""
    return {"op": "delete_child", "sup": sup, "id": name}


def die(name: str, reason: str = "crash") -> Operation:
    """A worker exits by itself."""
    return {"op": "die", "id": name, "reason": reason}


def starts(name: str, how: str) -> Operation:
    """How the next starts of a worker go."""
    return {"op": "behave", "id": name, "start": how}


def stops(name: str, how: str) -> Operation:
    """How a worker takes a polite stop."""
    return {"op": "behave", "id": name, "stop": how}


def look(sup: str = "root") -> list[Operation]:
    """Children and counts of a supervisor."""
    return [{"op": op, "sup": sup} for op in ("which_children", "count_children")]


def advance(seconds: float) -> Operation:
    """Time passes."""
    return {"op": "advance", "seconds": seconds}


STATUS: Operation = {"op": "status"}
STOP: Operation = {"op": "stop"}
ALL_FOUR = ("a", "b", "d", "e")
TYPES = ("permanent", "transient", "temporary")
REASONS = ("normal", "shutdown", "crash")
GROUPS = ("one_for_all", "rest_for_one")
