"""`@message(copy=True)`: large arguments arrive as private, writable copies, and their memory is given back at once."""

from typing import Any

import numpy
import pytest

from actors import Actor, BadActor, child, message
from runtime import Supervisor
from tests.runtime.cast import Start, bodies_of

pytestmark = pytest.mark.process

MIB = 1 << 20


class Owner(Actor):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    @message(copy=True)
    def own(self, value: Any) -> bool:
        self.kept.append(value)
        return bool(value.flags.writeable)

    @message(copy=True)
    def own_within(self, values: dict[str, list[Any]]) -> list[bool]:
        self.kept.append(values)
        return [bool(value.flags.writeable) for inner in values.values() for value in inner]

    @message(copy=True)
    def own_view(self, value: memoryview) -> bool:
        self.kept.append(value)
        return value.readonly

    @message
    def borrow(self, value: Any) -> bool:
        self.kept.append(value)
        return bool(value.flags.writeable)

    @message
    def lend_on(self, value: Any, other: "Owner") -> bool:
        """Sends on what arrived read-only."""
        return other.own(value)

    @message
    def write(self, n: int) -> int:
        """Into what is kept."""
        self.kept[-1][:] = n
        return int(self.kept[-1].sum())


def test_an_argument_is_writable_and_its_memory_is_free_while_it_is_kept(start: Start, system: Supervisor) -> None:
    owner = start(child(Owner))
    array = numpy.ones(MIB, "u1")

    assert owner.own(array)

    assert bodies_of(system) == 0
    assert owner.write(2) == 2 * MIB
    assert int(array.sum()) == MIB


def test_without_it_an_argument_is_read_only_and_holds_its_memory(start: Start, system: Supervisor) -> None:
    owner = start(child(Owner))

    assert not owner.borrow(numpy.ones(MIB, "u1"))

    assert bodies_of(system) == 1


def test_arrays_inside_containers_are_copied_too(start: Start, system: Supervisor) -> None:
    owner = start(child(Owner))
    values = {"a": [numpy.ones(MIB, "u1"), numpy.ones(2 * MIB, "f4")], "b": [system.empty(MIB)]}

    assert owner.own_within(values) == [True, True, True]

    assert bodies_of(system) <= 1, "what is lent is its sender's as long as that keeps it"


def test_what_was_read_only_where_it_was_sent_is_writable_as_well(start: Start, system: Supervisor) -> None:
    owner, other = start(child(Owner)), start(child(Owner))
    array = numpy.ones(MIB, "u1")
    array.flags.writeable = False

    assert owner.own(array)
    assert owner.lend_on(numpy.ones(MIB, "u1"), other)
    assert other.write(3) == 3 * MIB


def test_a_view_is_writable(start: Start, system: Supervisor) -> None:
    owner = start(child(Owner))

    assert owner.own_view(memoryview(bytearray(MIB))) is False
    assert owner.own_view(memoryview(bytes(MIB))) is False

    assert bodies_of(system) == 0


def test_an_instance_of_a_class_that_goes_by_value_is_copied_too(start: Start) -> None:
    owner = start(child(Owner))

    class Local(numpy.ndarray):  # type: ignore[misc]
        """Of this function, so that it goes by value."""

    array = numpy.ones(MIB, "u1")
    array.flags.writeable = False

    assert owner.own_within({"a": [array.view(Local)]}) == [True]


def test_an_option_that_is_no_bool_is_refused() -> None:
    with pytest.raises(BadActor, match=r"copy=.*expected True or False"):
        message(copy=1)  # type: ignore[call-overload]
