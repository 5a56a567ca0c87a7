"""Reloading: what lies between the specification a supervisor runs by and a new one. Pure; nothing is started here.

    changes(old, new)  ─▶  Removed …, then FlagsChanged, Added, Changed, Replaced …, in the order to apply them

Two workers are the same when their specifications are equal, payloads included: whoever makes payloads says by their
`==` what it means to run the same. Supervisors are walked: a difference deep down concerns the children there.

RL-1  Removed children come first, the last started first; the rest follows in the new start order.
RL-2  A child keeps its place and its mailbox only as what it is: a worker that becomes a supervisor, or a supervisor
      that becomes dynamic, is replaced.
RL-3  Children that were started on request are in no specification of a supervisor: no reload concerns them.
RL-4  A child whose last start failed is started by the next reload: what is specified runs, unless it was stopped.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, fields, replace

from runtime.supervision.spec import Path, Spec, SupervisorSpec, WorkerSpec, joined
from runtime.supervision.tree import Tree, child_path


@dataclass(frozen=True, slots=True)
class Removed:
    """A child that the new specification does not have."""

    path: Path


@dataclass(frozen=True, slots=True)
class Added:
    """A child that only the new specification has; place is its rank among its siblings there."""

    path: Path
    spec: Spec
    place: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A child that is to be started again.

    Attributes:
        spec: of a worker that runs something else, or otherwise; of a child that is down, whatever it is.
        place: as of `Added`.
        is_down: its last start failed.
    """

    path: Path
    spec: Spec
    place: int
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Replaced:
    """A child that becomes something of another kind (RL-2)."""

    path: Path
    spec: Spec
    place: int


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    """A supervisor that decides otherwise, "max_restarts: 3 → 5"; its children are not touched."""

    path: Path
    flags: tuple[str, ...]


Change = Removed | Added | Changed | Replaced | FlagsChanged

_NO_FLAGS = ("name", "children", "template", "pool")


def changes(
    old: SupervisorSpec, new: SupervisorSpec, path: Path = "", down: Container[Path] = ()
) -> tuple[Change, ...]:
    """What to do to turn a supervisor into another of the same kind, in this order (RL-1).

    Args:
        down: children whose last start failed: they are started, changed or not (RL-4).
    """
    return (*reversed(list(_removed(old, new, path))), *_changed(old, new, path, down))


def is_same_kind(old: Spec, new: Spec) -> bool:
    """Whether one can become the other without being stopped and forgotten first (RL-2)."""
    if isinstance(old, SupervisorSpec) and isinstance(new, SupervisorSpec):
        return old.pool == new.pool and (old.strategy == "dynamic") == (new.strategy == "dynamic")
    return isinstance(old, WorkerSpec) and isinstance(new, WorkerSpec)


def amended(old: SupervisorSpec, new: SupervisorSpec, path: Path = "") -> Iterator[tuple[Path, SupervisorSpec]]:
    """The supervisors that both have and that are not the same, outer ones first, as they are to be."""
    if old == new:
        return
    yield path, new
    before = {child.name: child for child in old.children}
    for child in new.children:
        known = before.get(child.name)
        if isinstance(child, SupervisorSpec) and isinstance(known, SupervisorSpec) and is_same_kind(known, child):
            yield from amended(known, child, joined(path, child.name))


def merged(old: SupervisorSpec, new: SupervisorSpec) -> SupervisorSpec:
    """The new specification, made of the old one's own objects where they are equal: a payload is held once."""
    before = {child.name: child for child in old.children}
    children = tuple(_merged_child(before.get(child.name), child) for child in new.children)
    template = old.template if old.template == new.template else new.template
    return replace(new, children=children, template=template)


def reverted(old: SupervisorSpec, new: SupervisorSpec, failed: frozenset[Path], path: Path = "") -> SupervisorSpec:
    """The new specification, with the children at these paths as they were, or without those that were not."""
    before = {child.name: child for child in old.children}
    children: list[Spec] = []
    for child in new.children:
        known = before.get(child.name)
        where = joined(path, child.name)
        if where in failed:
            children += [] if known is None else [known]
        elif isinstance(child, SupervisorSpec) and isinstance(known, SupervisorSpec):
            children.append(reverted(known, child, failed, where))
        else:
            children.append(child)
    return replace(new, children=tuple(children))


def children_down(tree: Tree, path: Path) -> frozenset[Path]:
    """Children at any depth below a supervisor whose last start failed: their mailboxes wait for the next."""
    node = tree.nodes.get(path)
    if node is None or node.task is not None:
        return frozenset()  # it is at it
    if node.is_group and any(child.state == "restarting" for child in node.children.values()):
        return frozenset()  # a group that waits for its restart waits for no request
    found: set[Path] = set()
    for name, child in node.children.items():
        below = children_down(tree, child_path(node, name))
        is_down = child.state == "stopped" and (child.is_open or bool(below))
        found |= {child_path(node, name)} if is_down else below
    return frozenset(found)


def _removed(old: SupervisorSpec, new: SupervisorSpec, path: Path) -> Iterator[Removed]:
    after = {child.name: child for child in new.children}
    for child in old.children:
        where = joined(path, child.name)
        kept = after.get(child.name)
        if kept is None:
            yield Removed(where)
        elif isinstance(child, SupervisorSpec) and isinstance(kept, SupervisorSpec) and is_same_kind(child, kept):
            yield from _removed(child, kept, where)


def _changed(old: SupervisorSpec, new: SupervisorSpec, path: Path, down: Container[Path]) -> Iterator[Change]:
    flags = tuple(_flags(old, new))
    if flags:
        yield FlagsChanged(path, flags)
    before = {child.name: child for child in old.children}
    for place, child in enumerate(new.children):
        where = joined(path, child.name)
        match before.get(child.name), child:
            case None, _:
                yield Added(where, child, place)
            case known, _ if where in down and is_same_kind(known, child):
                yield Changed(where, child, place, is_down=True)
            case WorkerSpec() as known, WorkerSpec():
                if known != child:
                    yield Changed(where, child, place)
            case SupervisorSpec() as known, SupervisorSpec() if is_same_kind(known, child):
                yield from _changed(known, child, where, down)
            case _:
                yield Replaced(where, child, place)


def _flags(old: SupervisorSpec, new: SupervisorSpec) -> Iterator[str]:
    for field in fields(SupervisorSpec):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name not in _NO_FLAGS and before != after:
            yield f"{field.name}: {before} → {after}"
    if old.template != new.template:
        yield "template"


def _merged_child(old: Spec | None, new: Spec) -> Spec:
    if isinstance(old, SupervisorSpec) and isinstance(new, SupervisorSpec):
        return merged(old, new)
    return old if old is not None and old == new else new
