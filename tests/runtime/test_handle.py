"""Handles of supervisors: what is below them, and what is no supervisor."""

import operator
from collections.abc import Callable
from typing import Any

import pytest

from actors import child, dynamic, tree
from actors.errors import DynamicSupervisor, NotRunning
from runtime import Supervisor
from runtime.facade import AsyncHandle
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process


def test_what_is_below_a_supervisor_can_be_asked_for_by_in_and_for(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="a")
    supervisor.start(tree(children={"x": child(Counter)}), name="t")
    supervisor.start(dynamic(child(Counter)), name="d").start_instance("i")

    assert list(supervisor) == ["a", "t", "d"]
    assert list(supervisor.at("t")) == ["x"]
    for there in ("a", "t", "t.x", "d.i"):
        assert there in supervisor
    for nowhere in ("", "b", "a.x", "t.y", "u.x", 5):
        assert nowhere not in supervisor
    assert list(supervisor.supervisors) == list(dict(supervisor.supervisors)) == ["t", "d"]
    assert "t" in supervisor.supervisors
    assert "a" not in supervisor.supervisors
    assert "a.x" not in supervisor.supervisors


def test_the_async_face_says_that_it_cannot_be_gone_through(supervisor: Supervisor) -> None:
    handle: Any = AsyncHandle(supervisor)

    with pytest.raises(TypeError, match="not iterable"):
        iter(handle)
    with pytest.raises(TypeError, match="not a container"):
        operator.contains(handle, "a")


@pytest.mark.parametrize(
    ("path", "what"), [("a", "it is an actor, and no supervisor"), ("nowhere", "there is no such supervisor")]
)
def test_what_is_asked_of_no_supervisor_is_refused_with_what_it_is(
    supervisor: Supervisor, path: str, what: str
) -> None:
    supervisor.start(child(Counter), name="a")
    handle = supervisor.at(path)
    asked: list[Callable[[], object]] = [
        handle.count,
        lambda: handle.start(child(Counter), name="x"),
        lambda: handle.stop("x"),
        lambda: supervisor.restart(f"{path}.x"),
    ]

    for ask in asked:
        with pytest.raises(NotRunning, match=what):
            ask()


def test_an_instance_is_not_restarted_by_name_and_the_error_says_what_to_do(supervisor: Supervisor) -> None:
    supervisor.start(dynamic(child(Counter)), name="d").start_instance("i")

    for ask in (supervisor.restart, supervisor.delete):
        with pytest.raises(DynamicSupervisor, match="stop it, and start it anew"):
            ask("d.i")
