"""Trees and children as scripts write them, made into specifications.

Values that are not valid are carried over as they are, or as something equally invalid, so that the supervisor itself
says what is wrong with them. OTP counts milliseconds and whole seconds; other numbers are as wrong as other types.
"""

from collections.abc import Mapping
from typing import Any

from runtime.supervision.spec import Spec, SupervisorSpec, WorkerSpec

_INVALID = -1.0


def parse_tree(name: str, tree: Mapping[str, Any], child: Mapping[str, Any] | None = None) -> SupervisorSpec:
    """The supervisor that a TREE describes; child: how it is supervised itself, when nested."""
    own = child or {}
    is_dynamic = tree.get("strategy") == "dynamic"
    template = tree.get("template") if is_dynamic else None
    return SupervisorSpec(
        name=name,
        restart=own.get("restart", "permanent"),
        shutdown=_shutdown(own.get("shutdown", "infinity")),
        significant=own.get("significant", False),
        strategy=tree.get("strategy", "one_for_one"),
        max_restarts=tree.get("max_restarts", 1),
        max_seconds=_whole(tree.get("max_seconds", 5)),
        auto_shutdown=tree.get("auto_shutdown", "never"),
        children=() if is_dynamic else tuple(parse_child(child) for child in tree.get("children", ())),
        template=None if template is None else _worker("", template),
    )


def parse_child(child: Mapping[str, Any]) -> Spec:
    """The worker or supervisor that a CHILD describes."""
    name = child.get("id", "")
    if "tree" in child:
        return parse_tree(name, child["tree"], child)
    return _worker(name, child)


def _worker(name: str, child: Mapping[str, Any]) -> WorkerSpec:
    return WorkerSpec(
        name=name,
        restart=child.get("restart", "permanent"),
        shutdown=_shutdown(child.get("shutdown", 5000)),
        significant=child.get("significant", False),
    )


def _shutdown(value: Any) -> Any:
    if value in ("kill", "infinity"):
        return value
    return value / 1000 if _is_integer(value) else _INVALID


def _whole(value: Any) -> float:
    return float(value) if _is_integer(value) else _INVALID


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
