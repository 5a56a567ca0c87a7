"""Arrays that are lent by `empty`, filled in place and sent without a copy."""

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Any

import numpy
import pytest

from actors import Actor, ActorDied, Mailbox, MailboxFull, NotFound, OutOfMemory, child, message
from actors.testing import Stage
from runtime import Supervisor, connect
from runtime.memory.slab import LENT_AT, parted
from runtime.testing import wait_until
from tests.runtime.cast import Gate, Start, Stopped, bodies_of

pytestmark = pytest.mark.process

MIB = 1 << 20


class Painter(Actor):
    """Has arrays, and gives them."""

    def __init__(self) -> None:
        self.kept: Any = None

    @message
    def total(self, value: Any) -> int:
        return int(value.sum())

    @message
    def totals(self, values: dict[str, Any]) -> dict[str, int]:
        return {key: int(value.sum()) for key, value in values.items()}

    @message
    def keep(self, value: Any) -> None:
        self.kept = value

    @message
    def kept_total(self) -> int:
        return int(self.kept.sum())

    @message
    def drop(self) -> None:
        self.kept = None

    @message
    def paint(self, nbytes: int) -> Any:
        array = self.context.empty(nbytes)
        array[:] = 3
        return array

    @message(retry=1)
    def die_once(self, value: Any) -> int:
        if not self.context.redelivered:
            os.kill(os.getpid(), signal.SIGKILL)
        return int(value.sum())

    @message
    def die(self, value: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def pid(self) -> int:
        return os.getpid()


class AsyncPainter(Actor):
    @message
    async def paint(self, nbytes: int) -> Any:
        array = self.context.empty((nbytes // 4,), "f4")
        array[:] = 1
        return array


def copied_bytes(system: Supervisor) -> int:
    """Bytes in use for what is not lent: the largest slab that is no loan would show here."""
    return system.memory().large


def test_an_array_is_filled_in_place_and_arrives_without_a_copy(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty((4, MIB), "u1")
    array[:] = 1
    before = system.memory().large

    assert painter.total(array) == 4 * MIB

    assert system.memory().large - before < MIB, "a second slab of its size was made: it was copied"


def test_what_was_sent_is_read_only_for_its_sender(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty(MIB)
    array[:] = 1
    assert array.flags.writeable

    painter.total(array)

    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


def test_sent_a_second_time_it_is_copied(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty(MIB)
    array[:] = 1

    painter.keep(array)
    assert painter.total(array) == MIB
    assert painter.kept_total() == MIB
    painter.drop()
    del array
    gc.collect()

    assert wait_until(lambda: bodies_of(system) == 0)


def test_several_arrays_and_parts_of_one_go_in_one_message(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    one, two = system.empty(MIB), system.empty((MIB, 2), "u2")
    one[:], two[:] = 1, 2
    plain = numpy.full(MIB, 3, "u1")

    values = {"one": one[: MIB // 2], "rest": one[MIB // 2 :], "two": two, "plain": plain, "small": one[:10]}
    assert painter.totals(values) == {
        "one": MIB // 2,
        "rest": MIB // 2,
        "two": 4 * MIB,
        "plain": 3 * MIB,
        "small": 10,
    }

    del one, two, values
    gc.collect()
    assert wait_until(lambda: bodies_of(system) == 0)


def test_an_answer_is_lent_as_well(start: Start, system: Supervisor) -> None:
    painter, other = start(child(Painter)), start(child(AsyncPainter))

    painted = painter.paint(MIB)
    assert (painted == 3).all()
    assert not painted.flags.writeable
    assert asyncio.run(_awaited(other)) == MIB // 4

    del painted
    gc.collect()
    assert wait_until(lambda: bodies_of(system) == 0)


async def _awaited(other: Any) -> float:
    return float((await other.paint(MIB)).sum())


def test_dropped_unsent_its_memory_is_used_again(system: Supervisor) -> None:
    array = system.empty(3 * MIB)
    assert wait_until(lambda: bodies_of(system) == 1)
    before = system.memory().large

    del array
    gc.collect()

    assert wait_until(lambda: bodies_of(system) == 0)
    again = system.empty(3 * MIB)
    assert system.memory().large == before
    assert again.nbytes == 3 * MIB


def test_its_memory_is_not_used_again_while_its_sender_still_looks_at_it(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty(MIB)
    array[:] = 7
    painter.total(array)
    assert wait_until(lambda: bodies_of(system) == 0)

    other = system.empty(MIB)
    other[:] = 9
    painter.total(numpy.zeros(MIB, "u1"))

    assert (array == 7).all()


def test_what_could_not_be_sent_may_be_filled_on(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate).options(mailbox=Mailbox(size=4096, when_full="refuse")))
    array = system.empty(MIB)
    pid = gate.pid()
    with Stopped(pid):
        with pytest.raises(MailboxFull):
            for _ in range(10_000):
                gate.note.tell(0)
        with pytest.raises(MailboxFull):
            gate.note.tell(array)
    assert wait_until(lambda: sum(status.queued_bytes for status in system.children()) == 0)

    array[:] = 5
    gate.note(array)

    assert int(gate.notes()[-1].sum()) == 5 * MIB


def test_a_message_that_is_run_again_has_it_again(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty(MIB)
    array[:] = 2

    assert painter.die_once(array) == 2 * MIB

    del array
    gc.collect()
    assert wait_until(lambda: bodies_of(system) == 0)


def test_a_receiver_that_dies_gives_it_back(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty(MIB)

    with pytest.raises(ActorDied):
        painter.die(array)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_a_letter_keeps_it_and_frees_it(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate).options(restart="temporary"), "gate")
    array = system.empty(MIB)
    pid = gate.pid()
    with Stopped(pid):
        gate.note.tell(array)
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: any(letter.nbytes > MIB for letter in system.letters("gate")))

    [letter] = [letter for letter in system.letters("gate") if letter.nbytes > MIB]
    system.drop(letter.id)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_a_sender_that_dies_with_one_it_was_filling_leaves_nothing(start: Start, system: Supervisor) -> None:
    start(child(Painter))
    pid = os.fork()
    if pid == 0:
        try:
            array = system.empty(MIB)
            array[:] = 1
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)

    assert wait_until(lambda: bodies_of(system) == 0)


def test_a_child_of_a_fork_copies_what_its_parent_was_lent(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty(MIB)
    array[:] = 1
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = int(painter.total(array) != MIB)
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0

    array[:] = 2
    assert painter.total(array) == 2 * MIB


def test_a_small_one_is_an_ordinary_array(start: Start, system: Supervisor) -> None:
    painter = start(child(Painter))
    array = system.empty((3,), "u8")
    array[:] = 1

    assert painter.total(array) == 3
    assert array.flags.writeable
    assert bodies_of(system) == 0


@pytest.mark.parametrize(("shape", "dtype"), [((-1,), "u1"), ((1 << 20,), "O")])
def test_what_cannot_be_is_refused(system: Supervisor, shape: Any, dtype: str) -> None:
    with pytest.raises(ValueError, match="empty: expected"):
        system.empty(shape, dtype)


def test_more_than_a_payload_may_have_is_refused_with_what_may_be_had(system: Supervisor) -> None:
    with pytest.raises(OutOfMemory) as refused:
        system.empty(1 << 31)

    assert (refused.value.wanted, refused.value.left) == (1 << 31, 1 << 30)


def test_the_async_face_and_clients_have_it_too(supervisor: Supervisor) -> None:
    painter = supervisor.start(child(Painter), name="painter")

    async def main() -> int:
        async with connect("test") as running:
            array = await running.empty(MIB)
            array[:] = 1
            assert (await running.memory()).large > MIB
            return int(await painter.total.ask(array))

    assert asyncio.run(main()) == MIB
    with connect("test") as client:
        array = client.empty(MIB)
        array[:] = 1
        assert client.ref("painter", Painter).total(array) == MIB


def test_without_numpy_it_is_a_memoryview(start: Start, system: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.form.numpy", lambda: None)
    echo = start(child(Gate))
    view = system.empty((MIB, 2), "u4")
    assert (view.shape, view.format, view.readonly) == ((MIB, 2), "I", False)
    view[MIB - 1, 1] = 8
    before = system.memory().large

    echo.note(view)

    assert system.memory().large - before < MIB
    [arrived] = echo.notes()
    assert (arrived[MIB - 1, 1], arrived.readonly) == (8, True)


def test_on_a_stage_it_is_an_ordinary_array(tmp_path: Path) -> None:
    with Stage() as stage:
        painter = stage.start(child(Painter), name="painter")
        array = stage.empty((10, 1000), "f8")
        array[:] = 1

        assert painter.total(array) == 10_000
        assert (painter.paint(5000) == 3).all()


def test_what_was_lent_for_another_message_is_never_taken_for_this_one(start: Start, system: Supervisor) -> None:
    """A first slab that names a lent one as it was a message ago: its body is gone, nothing else's is opened."""
    painter = start(child(Painter))
    pid = painter.pid()
    arena = system._endpoint.arena
    real = arena.sending

    def age(body: int, *, is_sent: bool) -> None:
        real(body, is_sent=is_sent)
        words = arena._own[parted(body)[0]].words
        words[LENT_AT] += 1 << 40  # the next generation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena, "sending", age)
        with pytest.raises(NotFound, match="its message has ended"):
            painter.total(system.empty(MIB))

    assert painter.pid() == pid
