"""A state that there is no memory for: its message has done nothing, its actor goes on from the last commit."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import Actor, OutOfMemory, child, message
from actors.child import Host
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Counter, bodies_of

pytestmark = pytest.mark.process

MIB = 1 << 20


class Growing(Actor):
    """Its state grows with what it is told."""

    def __init__(self) -> None:
        self.state = b""
        self.ended: list[str] = []

    def snapshot(self) -> bytes:
        return self.state

    def restore(self, state: bytes) -> None:
        self.state = state

    @message(retry=3)
    def grow(self, nbytes: int) -> int:
        self.state += bytes(nbytes)
        return len(self.state)

    @message(snapshot=False)
    def size(self) -> tuple[int, int]:
        return len(self.state), self.context.incarnation

    @message
    def grow_and_answer(self, nbytes: int) -> bytes:
        self.state += bytes(nbytes)
        return bytes(MIB)

    @message
    def grow_and_raise(self, nbytes: int) -> None:
        self.state += bytes(nbytes)
        raise ValueError("grown all the same")

    @message
    def grow_later(self, nbytes: int) -> None:
        self.context.after(0.0, self.grow, nbytes)


@pytest.fixture
def small(nothing_left: Path) -> Iterator[Supervisor]:
    assert nothing_left.parent.exists()
    with Supervisor("test", memory=8 * MIB) as running:
        yield running


@pytest.mark.parametrize("host", ["process", "thread"])
def test_a_state_that_does_not_fit_is_out_of_memory_for_its_asker_and_all_else_lives(
    small: Supervisor, host: Host
) -> None:
    growing = small.start(child(Growing), name="growing", host=host, restart="temporary")
    counter = small.start(child(Counter), name="counter", host=host)
    committed = growing.grow(MIB)

    for attempt in range(2, 8):  # more often than a supervisor lets an actor die
        with pytest.raises(OutOfMemory, match="snapshots of growing"):
            growing.grow(4 * MIB)
        assert growing.size() == (committed, attempt)

    assert counter.add(1) == 1
    assert growing.grow(1) == committed + 1
    assert small.letters() == []


@pytest.mark.parametrize("name", ["grow_and_answer", "grow_and_raise", "grow_later"])
def test_whatever_made_a_state_too_large_has_not_happened(small: Supervisor, name: str) -> None:
    growing = small.start(child(Growing), name="growing")
    assert growing.grow(5) == 5

    is_told = name != "grow_later"  # nobody waits for a timer
    with pytest.raises(OutOfMemory) if is_told else contextlib.nullcontext():
        getattr(growing, name)(16 * MIB)

    assert wait_until(lambda: growing.size() == (5, 2))
    assert bodies_of(small) == 0


@pytest.mark.parametrize("snapshot_every", [1, 10])
def test_a_tell_that_made_the_state_too_large_is_a_dead_letter_after_its_retries(
    small: Supervisor, snapshot_every: int
) -> None:
    growing = small.start(child(Growing), name="growing", snapshot_every=snapshot_every)
    assert growing.grow(5) == 5

    growing.grow.tell(16 * MIB)

    assert wait_until(lambda: len(small.letters()) == 1)
    letter = small.letters()[0]
    assert (letter.message, letter.attempt) == ("grow", 4)
    assert "its state could not be committed" in letter.why
    sizes = itertools.dropwhile(lambda size: size[1] < 5, iter(growing.size, None))
    assert next(sizes) == (5, 5)
