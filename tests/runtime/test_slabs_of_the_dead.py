"""Slabs whose sender or holder was killed: none is lost, and none is taken from a message that was sent."""

import contextlib
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, child, message
from runtime import Supervisor, connect
from runtime.mailbox import fifo
from runtime.mailbox.box import Box
from runtime.memory.snapshots import Snapshots
from runtime.testing import wait_until
from runtime.wire import frame
from tests.runtime.cast import Gate, Start, Stopped, bodies_of
from tests.runtime.test_journal import CrashAt

pytestmark = pytest.mark.process

LARGE = bytes(range(256)) * 400


class Sender(Actor):
    """Sends and answers what is large, and dies of it where it is told to."""

    def __init__(self, crash: CrashAt | None = None) -> None:
        self.crash = crash

    @message
    def pass_on(self, gate: Any) -> None:
        gate.note.tell(LARGE)

    @message
    def pass_on_lent(self, gate: Any) -> None:
        lent = self.context.empty(len(LARGE))
        lent[:] = memoryview(LARGE)
        gate.note.tell(lent)

    @message
    def give(self) -> bytes:
        return LARGE

    @message
    def give_array(self, nbytes: int) -> Any:
        return self.context.empty(nbytes)

    @message
    def pid(self) -> int:
        return os.getpid()


@pytest.mark.parametrize("message_name", ["pass_on", "pass_on_lent"])
def test_a_sender_killed_before_its_frame_was_written_leaves_no_slab(
    start: Start, system: Supervisor, message_name: str
) -> None:
    gate, sender = start(child(Gate)), start(child(Sender, CrashAt("slab-sent")))

    with pytest.raises(ActorDied):
        getattr(sender, message_name)(gate)

    assert wait_until(lambda: bodies_of(system) == 0)
    assert gate.notes() == []


@pytest.mark.parametrize("message_name", ["pass_on", "pass_on_lent"])
def test_a_sender_killed_after_its_frame_was_written_leaves_the_message_its_slab(
    start: Start, system: Supervisor, message_name: str
) -> None:
    gate, sender = start(child(Gate)), start(child(Sender, CrashAt("slab-written")))
    with Stopped(gate.pid()), pytest.raises(ActorDied):
        getattr(sender, message_name)(gate)

    sender.pid()

    assert [bytes(note) for note in gate.notes()] == [LARGE]


def test_a_letter_written_by_a_killed_sender_keeps_its_slab(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate).options(restart="temporary"), "gate")
    sender = start(child(Sender, CrashAt("slab-written")))
    pid = gate.pid()
    with Stopped(pid):
        with pytest.raises(ActorDied):
            sender.pass_on(gate)
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: any(letter.nbytes > len(LARGE) for letter in system.letters("gate")))
    sender.pid()

    [letter] = [letter for letter in system.letters("gate") if letter.nbytes > len(LARGE)]
    system.drop(letter.id)
    assert wait_until(lambda: bodies_of(system) == 0)


@pytest.mark.parametrize("point", ["slab-sent", "slab-written"])
def test_one_killed_as_it_answers_leaves_no_slab(start: Start, system: Supervisor, point: str) -> None:
    sender = start(child(Sender, CrashAt(point)))

    with contextlib.suppress(ActorDied):  # killed after the write, it has answered
        assert sender.give() == LARGE
        assert point == "slab-written"

    assert wait_until(lambda: bodies_of(system) == 0)
    assert sender.give() == LARGE


def test_a_client_killed_while_it_holds_answers_gives_them_back(start: Start, system: Supervisor) -> None:
    sender = start(child(Sender))
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            held = [sender.give_array(1 << 20) for _ in range(3)]
            os.write(write, bytes([len(held)]))
            signal.pause()
        finally:
            os._exit(1)
    assert os.read(read, 1) == b"\3"
    assert bodies_of(system) >= 3

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert wait_until(lambda: bodies_of(system) == 0)
    os.close(read)
    os.close(write)


def test_a_client_that_has_detached_keeps_what_it_still_looks_at(supervisor: Supervisor) -> None:
    supervisor.start(child(Sender), name="sender")
    with connect("test") as client:
        held = client.ref("sender", Sender).give_array(1 << 20)

    assert wait_until(lambda: bodies_of(supervisor) == 1)

    del held
    gc.collect()
    assert wait_until(lambda: bodies_of(supervisor) == 0)


@pytest.fixture
def box(tmp_path: Path) -> Any:
    made = Box(str(tmp_path), "one", 32 * 1024)
    yield made
    made.discard()


def _queued(box: Box, raw: bytes) -> None:
    assert box.post(raw)


def _in_the_second_lane(box: Box, raw: bytes) -> None:
    assert box.deliver(raw)


def _read(box: Box, raw: bytes) -> None:
    box.page.journal[: len(raw)] = raw


def _committed(box: Box, raw: bytes) -> None:
    snapshots = Snapshots(box.open_snapshots(), lambda _: -1)
    snapshots.commit(1, 1, 7, raw, 0, b"state")


@pytest.mark.parametrize("put", [_queued, _in_the_second_lane, _read, _committed])
def test_a_mailbox_knows_what_is_named_anywhere_in_it(box: Box, put: Callable[[Box, bytes], None]) -> None:
    body = 0x0102_0304_0506
    raw = frame.large(0, 0, 0, 0, body)
    assert not box.names(body)

    put(box, raw)

    assert box.names(body)
    assert not box.names(body + 1)


def test_what_is_looked_at_stays_in_its_fifo(tmp_path: Path) -> None:
    fd, _ = fifo.create(str(tmp_path / "fifo"), 32 * 1024)
    for n in range(200):
        os.write(fd, bytes([n]) * 100)

    looked = fifo.peek(fd)

    assert looked == b"".join(bytes([n]) * 100 for n in range(200)) == fifo.drain(fd)
    assert fifo.peek(fd) == b""
    os.close(fd)
