"""References: called like the actor, equal by place, nothing else."""

import copy
import pickle

import pytest

from actors import Actor, ActorError, NotAMessage, is_ref, message, name_of
from actors.interfaces import attach, current_machine, detach, machine_for, using
from actors.message import messages_of
from actors.ref import Ref
from tests.actors.fake import FakeMachine


class Counter(Actor):
    value = 3

    @message
    def add(self, n: int) -> int:
        return n


@pytest.fixture
def machine():
    return FakeMachine()


def test_a_message_is_bound_once_with_its_row(machine):
    ref = Ref(machine, "a.b", Counter)

    assert ref.add(1) == ref.add(2) == "add"
    ref.add.tell(n=3)

    assert machine.bound == [("a.b", "add", messages_of(Counter)["add"])]
    assert machine.sent[2] == ("tell", "a.b", "add", (), {"n": 3})


def test_without_the_class_the_machine_looks_the_message_up(machine):
    Ref(machine, "a.b").whatever(1)

    assert machine.bound == [("a.b", "whatever", None)]


@pytest.mark.parametrize("name", ["value", "context", "on_start", "missing", "__len__", "__messages__"])
def test_anything_but_a_message_is_not_a_message(machine, name):
    with pytest.raises(NotAMessage):
        getattr(Ref(machine, "a.b", Counter), name)
    assert not hasattr(Ref(machine, "a.b", Counter), name)


def test_setting_and_deleting_are_refused(machine):
    ref = Ref(machine, "a.b", Counter)

    with pytest.raises(NotAMessage):
        ref.value = 1
    with pytest.raises(NotAMessage):
        del ref.add


def test_a_reference_is_no_instance(machine):
    ref = Ref(machine, "a.b", Counter)

    assert not isinstance(ref, Counter)
    assert is_ref(ref)
    assert not is_ref(Counter())
    assert name_of(ref) == "a.b"
    with pytest.raises(TypeError):
        name_of(Counter())


def test_references_compare_by_system_and_name(machine):
    ref = Ref(machine, "a.b", Counter)

    assert ref == Ref(FakeMachine(), "a.b")
    assert hash(ref) == hash(Ref(FakeMachine(), "a.b"))
    assert ref != Ref(FakeMachine("other"), "a.b")
    assert ref != Ref(machine, "a.c")
    assert ref != "a.b"


def test_its_repr_says_class_path_and_system(machine):
    assert repr(Ref(machine, "a.b", Counter)) == "<ref Counter 'a.b' in 'fake'>"
    assert repr(Ref(machine, "a.b")) == "<ref actor 'a.b' in 'fake'>"


def test_a_reference_that_travels_binds_to_the_machine_at_the_other_end(machine):
    payload = pickle.dumps(Ref(machine, "a.b", Counter))
    there = FakeMachine()

    with using(there):
        arrived = pickle.loads(payload)

    arrived.add(1)
    assert there.sent[0][:3] == ("call", "a.b", "add")


def test_copies_are_the_reference_itself(machine):
    ref = Ref(machine, "a.b", Counter)

    assert copy.copy(ref) is copy.deepcopy(ref) is ref


def test_the_current_machine_is_the_contexts_own_else_the_last_attached(machine):
    other = FakeMachine("other")
    attach(machine)
    attach(other)
    try:
        assert current_machine() is machine_for("nowhere") is other
        assert machine_for("fake") is machine
        with using(machine):
            assert current_machine() is machine
        assert current_machine() is other
    finally:
        detach(other)
        detach(machine)
        detach(machine)


def test_without_any_machine_there_is_no_system():
    with pytest.raises(ActorError, match="no system here"):
        current_machine()
