"""How deep a tree may be."""

from typing import Any

import pytest

from actors import Actor, BadSpec, child, tree
from actors.child import MOST_COUNT, MOST_DEPTH, Child, Limits, Tree
from runtime.plan import Packer


class Leaf(Actor):
    pass


def nested(depth: int, name: str = "n") -> Tree:
    """So many supervisors one in the other, and an actor in the innermost."""
    made = tree(children={"leaf": child(Leaf)})
    for _ in range(depth - 1):
        made = tree(children={name: made})
    return made


def refusal(name: str, spec: Child[Leaf] | Tree, path: str = "") -> BadSpec:
    packer = Packer()
    try:
        with pytest.raises(BadSpec) as caught:
            packer.pack(name, spec, path)
    finally:
        packer.close()
    return caught.value


def test_a_tree_may_be_as_deep_as_is_said_and_no_deeper() -> None:
    packer = Packer()
    packer.pack_tree("system", nested(MOST_DEPTH))
    packer.close()

    assert refusal("system", nested(MOST_DEPTH + 1)).what == "too_deep"


def test_a_tree_of_any_depth_is_refused_in_the_same_way() -> None:
    refused = refusal("system", nested(100_000))

    assert (refused.what, len(str(refused)) < 200) == ("too_deep", True)


def test_depth_counts_from_the_root() -> None:
    path = ".".join("n" * (MOST_DEPTH - 1))

    assert refusal("n", nested(2), path).what == "too_deep"
    assert refusal("leaf", child(Leaf), ".".join(["name" * 15] * 60)).what == "path_too_long"


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ({"limits": Limits(max_messages=MOST_COUNT + 1)}, "invalid_limits"),
        ({"limits": Limits(max_rss=MOST_COUNT + 1)}, "invalid_limits"),
        ({"durable": "a\0b"}, "invalid_durable"),
    ],
)
def test_an_option_that_64_bits_or_a_path_cannot_hold_is_a_bad_spec(option: dict[str, Any], what: str) -> None:
    with pytest.raises(BadSpec) as caught:
        child(Leaf).options(**option)

    assert caught.value.what == what


def test_more_restarts_than_64_bits_can_count_are_a_bad_spec() -> None:
    assert refusal("a", tree(max_restarts=MOST_COUNT + 1)).what == "invalid_intensity"
