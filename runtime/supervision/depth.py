"""How deep a tree may be: checked in a loop, before anything that is recursive walks down it."""

from typing import Any

from actors.child import MOST_DEPTH, Child, Tree
from actors.errors import BadSpec
from runtime.supervision.spec import Path, joined

_MOST_PATH = 3000  # characters; a mailbox's file is named for it, and Linux knows paths of 4,096 bytes
_MOST_SHOWN = 60


def check_depth(name: str, spec: Child[Any] | Tree, path: Path) -> None:
    """Whether a tree is too deep, or the path of an actor in it too long.

    Args:
        name: of what is to be started.
        spec: what it is.
        path: where it will be; "" for the root.
    Raises:
        BadSpec: it is.
    """
    level: list[tuple[int, Path, object]] = [(path.count(".") + 1 if path else 0, path, spec)]
    while level:
        depth, where, below = level.pop()
        shown = where if len(where) <= _MOST_SHOWN else f"{where[:_MOST_SHOWN]}…"
        if isinstance(below, Tree) and depth >= MOST_DEPTH:
            expected = f"at most {MOST_DEPTH} supervisors one in the other"
            raise BadSpec(shown or name, "too_deep", f"expected {expected}, got more")
        if len(where) > _MOST_PATH:
            expected = f"a path of at most {_MOST_PATH} characters"
            raise BadSpec(shown, "path_too_long", f"expected {expected}, got {len(where)}")
        if isinstance(below, Tree):
            level += [(depth + 1, joined(where, str(child)), inner) for child, inner in below.children.items()]
