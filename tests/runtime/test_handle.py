"""Handles of supervisors: what is below them, instances of templates, and what is no supervisor."""

import operator
from collections.abc import Callable
from typing import Any

import pytest

from actors import Actor, Mailbox, child, dynamic, message, tree
from actors.errors import BadSpec, DynamicSupervisor, NotRunning
from runtime import Supervisor
from runtime.facade import AsyncHandle
from runtime.testing import wait_until
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process


class Named(Actor):
    def __init__(self, name: str = "") -> None:
        self.name = name

    @message
    def told(self) -> str:
        return self.name

    @message
    def fail(self) -> None:
        raise ValueError("told to")


class Kept(Actor):
    """One with snapshots."""

    def snapshot(self) -> int:
        return 0

    def restore(self, state: int) -> None:
        assert state == 0


def test_an_instance_with_arguments_of_its_own_has_the_templates_options(supervisor: Supervisor) -> None:
    options = child(Named).options(host="thread", mailbox=Mailbox(8192), on_raise="crash", restart="transient")
    instances = supervisor.start(dynamic(options, max_restarts=10), name="d")
    instances.start_instance("plain")
    own = instances.start(child(Named, "mine"), name="own")

    plain_status, own_status = instances.children()
    assert own_status.pid == plain_status.pid
    assert own_status.mailbox_bytes == plain_status.mailbox_bytes == 8192
    assert own_status.restart == "transient"
    with pytest.raises(ValueError, match="told to"):
        own.fail()
    assert wait_until(lambda: instances.children()[1].incarnation == 2)
    assert own.told() == "mine"


def test_what_the_options_of_a_template_do_not_fit_is_refused(supervisor: Supervisor) -> None:
    with pytest.raises(BadSpec, match="expected 1 in the template"):
        supervisor.start(dynamic(child(Named).options(replicas=2)), name="r")

    instances = supervisor.start(dynamic(child(Kept).options(snapshot_every=2)), name="d")
    with pytest.raises(BadSpec, match="expected an actor with snapshot and restore"):
        instances.start(child(Named), name="a")
    with pytest.raises(BadSpec, match="are of its template"):
        instances.start(tree(children={"x": child(Kept)}), name="b")
    with pytest.raises(BadSpec, match="expected no replicas"):
        instances.start(child(Kept).options(replicas=2), name="c")
    assert instances.children() == []


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
