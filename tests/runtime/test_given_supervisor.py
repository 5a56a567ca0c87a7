"""A supervisor as an argument: actors start children where they are told to; templates are started as they stand."""

from typing import Any

import pytest

from actors import Actor, AlreadyStarted, BadSpec, child, dynamic, message, tree
from runtime import Supervisor

pytestmark = pytest.mark.process


class Session(Actor):
    def __init__(self, owner: str = "nobody") -> None:
        self.owner = owner

    @message
    def who(self) -> tuple[str, str]:
        return self.owner, self.context.name


class Receptionist(Actor):
    def __init__(self, sessions: Any) -> None:
        self.sessions = sessions

    @message
    def admit(self, name: str, owner: str) -> Session:
        return self.sessions.start(child(Session, owner), name=name)


def test_an_actor_starts_children_under_a_supervisor_it_was_given(supervisor: Supervisor) -> None:
    sessions = supervisor.start(dynamic(child(Session).options(restart="temporary")), name="sessions")
    receptionist = supervisor.start(child(Receptionist, sessions), name="receptionist")

    first = receptionist.admit("s1", "ada")

    assert first.who() == ("ada", "sessions.s1")
    assert supervisor.ref("sessions.s1", Session) == first


def test_a_template_is_started_as_it_stands(supervisor: Supervisor) -> None:
    sessions = supervisor.start(dynamic(child(Session, "the house")), name="sessions")

    assert sessions.start_instance("s1").who() == ("the house", "sessions.s1")
    with pytest.raises(AlreadyStarted):
        sessions.start_instance("s1")
    with pytest.raises(BadSpec):
        sessions.start_instance("no name")
    assert [status.path for status in supervisor.children("sessions")] == ["sessions.s1"]


def test_a_supervisor_without_a_template_has_no_instances(supervisor: Supervisor) -> None:
    group = supervisor.start(tree(children={}), name="group")

    with pytest.raises(BadSpec, match="not dynamic"):
        group.start_instance("s1")
