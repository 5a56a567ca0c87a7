"""Deadlines are ambient: DL-1, with a machine whose clock stands."""

import contextvars

import pytest

from actors import deadline
from actors.deadline import NEVER, NOTHING, ambient
from actors.interfaces import using
from tests.actors.fake import FakeMachine

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def machine():
    machine = FakeMachine(now=10 * SECOND)
    with using(machine):
        yield machine


def until() -> int | None:
    return ambient.get()[0]


def test_without_a_deadline_there_is_the_default():
    assert ambient.get() == NOTHING


def test_a_deadline_is_absolute_and_ends_with_its_block():
    with deadline(0.5):
        assert until() == 10.5 * SECOND
    assert until() is None


def test_a_nested_deadline_can_only_come_earlier():
    with deadline(2.0):
        with deadline(5.0):
            assert until() == 12 * SECOND
        with deadline(1.0):
            assert until() == 11 * SECOND
        assert until() == 12 * SECOND


def test_none_lifts_the_default_but_never_an_inherited_deadline():
    with deadline(None):
        assert until() == NEVER
        with deadline(3.0):
            assert until() == 13 * SECOND
            with deadline(None):
                assert until() == 13 * SECOND


def test_a_deadline_keeps_the_chain_of_askers():
    ambient.set((None, ("a", "b")))
    try:
        with deadline(1.0):
            assert ambient.get() == (11 * SECOND, ("a", "b"))
    finally:
        ambient.set(NOTHING)


def test_a_deadline_ends_with_its_block_when_the_block_raises():
    with pytest.raises(ValueError, match="out"), deadline(1.0):
        raise ValueError("out")
    assert until() is None


def test_a_deadline_belongs_to_its_context():
    with deadline(1.0):
        assert contextvars.Context().run(ambient.get) == NOTHING


@pytest.mark.parametrize("seconds", [1e18, float("inf")])
def test_a_deadline_that_never_comes_fits_into_a_frame(seconds: float):
    with deadline(seconds):
        assert SECOND * 1_000_000_000 < (until() or 0) < 1 << 63


def test_what_is_no_number_is_no_deadline():
    with pytest.raises(ValueError, match="expected a number of seconds, got nan"), deadline(float("nan")):
        pass
