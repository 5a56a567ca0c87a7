"""Frames and clocks: what carries nothing, what is cut short, and that no clock of the wall decides anything."""

import ast
import os
import time
from pathlib import Path

import pytest

from actors import child, deadline
from actors.errors import DeadlineExceeded
from runtime import Supervisor
from runtime.mailbox import fifo
from runtime.wire import frame
from tests.runtime.cast import Gate, Start, Stopped

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
WALL_CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.localtime",
    "datetime.now",
    "datetime.utcnow",
    "time.CLOCK_REALTIME",
    "CLOCK_REALTIME",
    "signal.alarm",
}
SHOWING = {"runtime/letters.py"}  # says when, to people; decides nothing by it
WALL_CLOCK_CALLS = ("pthread_mutex_timedlock", "sem_timedwait", "pthread_cond_timedwait")


def test_an_empty_frame_is_a_wake_up_and_no_message(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    for lane in ("mailbox", "urgent"):
        fd = fifo.open_write(f"{system._endpoint._directory}/children/gate/{lane}")
        for _ in range(5):
            os.write(fd, frame.tell(0, b""))
        os.close(fd)

    assert gate.note(1) == 1
    (status,) = [status for status in system.children() if status.path == "gate"]
    assert (status.failed, status.expired, status.pid) == (0, 0, pid)


def test_half_a_frame_alone_in_a_mailbox_is_counted_and_never_run(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    whole = frame.tell(0, b"\x93\xc0\xa4note\x91\xb0" + b"cut short, never")
    fd = fifo.open_write(f"{system._endpoint._directory}/children/gate/mailbox")
    for size in range(1, len(whole)):
        os.write(fd, whole[:size])
        assert gate.notes() == []
    os.close(fd)

    assert gate.note(1) == 1
    (status,) = [status for status in system.children() if status.path == "gate"]
    assert status.failed > 0
    assert status.pid == pid


def test_a_frame_that_lacks_only_its_end_is_never_run_before_one_of_the_same_length(
    start: Start, system: Supervisor
) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    cut, whole = (frame.tell(0, b"\x93\xc0\xa4note\x91" + bytes([n])) for n in (1, 2))
    fd = fifo.open_write(f"{system._endpoint._directory}/children/gate/mailbox")
    with Stopped(pid):  # all are read at once
        for _ in range(3):
            os.write(fd, cut[: -frame.TRAILER])
            os.write(fd, whole)
    os.close(fd)

    assert gate.notes() == [2, 2, 2]
    (status,) = [status for status in system.children() if status.path == "gate"]
    assert status.failed >= 3
    assert status.pid == pid


def test_no_decision_is_made_by_the_clock_of_the_wall() -> None:
    found = []
    for path in sorted([*(ROOT / "actors").rglob("*.py"), *(ROOT / "runtime").rglob("*.py")]):
        if path.relative_to(ROOT).as_posix() in SHOWING:
            continue
        text = path.read_text()
        found += [f"{path}: {name}" for name in WALL_CLOCK_CALLS if f".{name}" in text]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if f"{owner}.{node.attr}" in WALL_CLOCKS:
                    found.append(f"{path}:{node.lineno}: {owner}.{node.attr}")
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                found += [f"{path}: {alias.name}" for alias in node.names if f"time.{alias.name}" in WALL_CLOCKS]

    assert not found


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_jump_of_the_wall_clock_moves_no_deadline(start: Start, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    gate = start(child(Gate))
    pid = gate.pid()
    real, begin = time.time, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: real() + jump)

    with Stopped(pid), deadline(0.2), pytest.raises(DeadlineExceeded):
        gate.note(1)

    assert 0.2 <= time.monotonic() - begin < 3.0
    assert gate.note(2) == 1
