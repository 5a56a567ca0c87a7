"""Plans: what a program writes is checked as a whole before any of it is sent, and arrives as what is decided on."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors import Actor, child, dynamic, message, tree
from actors.child import Backoff
from actors.errors import BadSpec
from runtime.plan import Packer, unpacked_tree
from runtime.supervision.spec import SupervisorSpec


class Clerk(Actor):
    @message
    def greet(self) -> str:
        return "hello"


@pytest.fixture
def packer() -> Iterator[Packer]:
    packer = Packer()
    yield packer
    packer.close()


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ({"strategy": "all_for_one"}, "invalid_strategy"),
        ({"max_restarts": "3"}, "invalid_intensity"),
        ({"max_restarts": -1}, "invalid_intensity"),
        ({"max_seconds": None}, "invalid_period"),
        ({"backoff": 3}, "invalid_backoff"),
        ({"backoff": Backoff(first=-1.0)}, "invalid_backoff"),
        ({"backoff": Backoff(jitter=1.5)}, "invalid_backoff"),
        ({"auto_shutdown": True}, "invalid_auto_shutdown"),
        ({"restart": "always"}, "invalid_restart_type"),
        ({"shutdown": -1}, "invalid_shutdown"),
    ],
)
def test_a_wrong_flag_of_a_nested_supervisor_is_told_with_its_path_before_anything_is_sent(
    packer: Packer, flags: dict[str, Any], what: str
) -> None:
    with pytest.raises(BadSpec) as caught:
        packer.pack_tree("shop", tree(children={"payments": tree(children={"cards": tree(**flags)})}), "eu")

    assert (caught.value.name, caught.value.what) == ("eu.payments.cards", what)
    assert packer.fds == []


def test_a_significant_child_where_none_may_be_is_told_with_its_path(packer: Packer) -> None:
    spec = tree(children={"payments": tree(children={"clerk": child(Clerk).options(significant=True)})})

    with pytest.raises(BadSpec, match=r"payments\.clerk: significant, but its supervisor's auto_shutdown is never"):
        packer.pack_tree("shop", spec)


def test_a_template_is_checked_too(packer: Packer) -> None:
    with pytest.raises(BadSpec, match="expected seconds"):
        packer.pack_tree("shop", tree(children={"sessions": dynamic(child(Clerk).options(shutdown=-1))}))


@pytest.mark.parametrize("backoff", [None, Backoff(first=0.5)])
def test_a_pool_has_the_backoff_of_the_supervisor_above_it(packer: Packer, backoff: Backoff | None) -> None:
    spec = tree(children={"clerks": child(Clerk).options(replicas=3)}, backoff=backoff)

    pool = unpacked_tree(packer.pack_tree("shop", spec), packer.fds).children[0]

    assert isinstance(pool, SupervisorSpec)
    assert (pool.backoff, len(pool.children)) == (backoff, 3)
