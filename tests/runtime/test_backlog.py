"""Slow consumers: one warning for an episode, from what the pages and the kernel tell."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Mailbox
from runtime.backlog import FULL_NS, LOOK_SECONDS, OLD_NS, Backlog, Backlogs, Sight, looked
from runtime.mailbox import page
from runtime.mailbox.box import Box
from runtime.mailbox.poolqueue import PoolQueue
from runtime.plan import Program
from runtime.wire import frame
from runtime.worker import Worker

ROOT = Path(__file__).parents[2]
SIZE = 32768
STEP = FULL_NS


def seen(*sights: Sight, before: Backlog | None = None) -> Backlog:
    """What is known after these looks, STEP apart."""
    known = before or Backlog()
    for n, sight in enumerate(sights, 1):
        known = looked(known, sight, n * STEP)
    return known


def full(filling: int = 0, part: float = 1.0) -> Sight:
    return Sight(int(SIZE * part), int(SIZE * part), SIZE, (filling, 0))


EMPTY = Sight(0, 0, SIZE)


def test_a_mailbox_that_is_nearly_full_at_one_look_is_not_slow_yet() -> None:
    assert not seen(full()).is_slow
    assert seen(full(1), full(2)).is_slow
    assert not seen(full(1), EMPTY, full(2)).is_slow


def test_a_mailbox_of_a_few_messages_is_slow_once_they_have_waited_for_long() -> None:
    waiting = Sight(0, 100, SIZE, (200, 7))
    looks = OLD_NS // STEP + 1

    assert not seen(*[waiting] * looks).is_slow
    assert seen(*[waiting] * (looks + 1)).is_slow


def test_what_is_another_filling_of_the_journal_has_not_waited_yet() -> None:
    assert not seen(*(Sight(0, 100, SIZE, (200, n)) for n in range(10))).is_slow


def test_an_episode_ends_below_a_lower_threshold_than_it_began_at() -> None:
    slow = Backlog(is_slow=True)

    assert seen(full(1, part=0.4), full(2, part=0.3), before=slow).is_slow
    assert not seen(full(1, part=0.2), before=slow).is_slow
    assert not seen(full(1, part=0.4), full(2, part=0.4)).is_slow


def test_a_pipe_that_takes_no_frame_counts_as_full_whatever_the_size_of_frames(tmp_path: Path) -> None:
    for nbytes in (48, 100, 1000, 2049, 2800, 4096):
        box = Box(str(tmp_path), f"children/of{nbytes}", SIZE)
        while box.post(b"x" * nbytes):
            pass

        assert looked(Backlog(), Sight(box.fifo_bytes(), 1, box.mailbox_bytes), 1).full_ns
        box.discard()


class Heard:
    """Who is told."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def slow_consumer(self, *said: Any) -> None:
        self.said.append(said)

    def caught_up(self, path: str) -> None:
        self.said.append((path,))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """One with a mailbox and no process."""
    payload = os.open("/dev/null", os.O_RDONLY)
    box = Box(str(tmp_path), "children/slow", SIZE)
    made = Worker("slow", Program("Slow", payload, Mailbox(SIZE), None, "finish", 0), box)
    yield made
    if made.box is not None:
        made.box.discard()


def test_an_episode_is_told_once_whatever_the_number_of_looks_and_once_that_it_is_over(
    worker: Worker, tmp_path: Path
) -> None:
    assert worker.box is not None
    heard = Heard()
    backlogs = Backlogs(lambda: [worker], dict, heard)
    while worker.box.post(frame.tell(0, b"x" * 100)):
        pass

    for n in range(1, 20):
        backlogs.look(n * STEP)
    said = worker.box.fifo_bytes()
    worker.box.close(lambda *_: None)
    worker.box = Box(str(tmp_path), "children/slow", SIZE)
    backlogs.look(20 * STEP)

    assert heard.said == [("slow", said, SIZE, LOOK_SECONDS), ("slow",)]


def test_time_in_which_nobody_looked_makes_nobody_slow(worker: Worker) -> None:
    assert worker.box is not None
    heard = Heard()
    backlogs = Backlogs(lambda: [worker], dict, heard)
    worker.box.post(frame.tell(0, b"x"))

    backlogs.look(STEP)
    backlogs.look(100 * STEP)

    assert heard.said == []


def test_what_is_behind_the_message_in_hand_waits_and_it_itself_does_not(tmp_path: Path) -> None:
    box = Box(str(tmp_path), "children/a", SIZE)
    one, two = frame.tell(0, b"x" * 100), frame.tell(0, b"x" * 200)
    box.page.journal[: len(one)], box.page.journal[len(one) : len(one + two)] = one, two
    box.words[page.EXTENT] = len(one + two)

    assert box.journal_bytes() == 0
    box.words[page.IN_HAND] = 1
    assert box.journal_bytes() == len(two)
    box.words[page.IN_HAND] = 1 + len(one)
    assert box.journal_bytes() == 0
    box.discard()


SLOW = """
from actors import Mailbox, MailboxFull, child
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Gate, Stopped

with Supervisor("slow") as supervisor:
    gate = supervisor.start(child(Gate), name="slow", mailbox=Mailbox(4096, "refuse"))
    with Stopped(gate.pid()):
        try:
            while True:
                gate.note.tell(1)
        except MailboxFull:
            pass
        assert wait_until(lambda: supervisor.children()[0].waiting_seconds > 4.5, 10.0)
    assert wait_until(lambda: supervisor.children()[0].waiting_seconds == 0.0)
"""


@pytest.mark.process
def test_a_slow_consumer_is_warned_of_once_and_its_status_says_how_long_messages_wait(runtime_directory: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, timeout=30, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    [warning] = map(json.loads, done.stderr.splitlines())
    assert (warning["level"], warning["actor"], warning["mailbox_bytes"]) == ("warning", "slow", 4096)
    assert warning["event"].startswith("slow consumer")
    assert warning["waiting_bytes"] >= 2048


def test_the_queue_of_a_pool_waits_only_while_none_of_its_members_goes_on(worker: Worker, tmp_path: Path) -> None:
    assert worker.box is not None
    worker.path = "pool.r1"
    queue = PoolQueue(str(tmp_path), "children/pool/queue", SIZE, (b"", 0))
    heard = Heard()
    backlogs = Backlogs(lambda: [worker], lambda: {"pool": queue}, heard)
    queue.post(frame.tell(0, b"x"))

    for n in range(1, 10):
        worker.box.words[page.HANDLED] += 1
        backlogs.look(n * STEP)
    assert heard.said == []
    for n in range(10, 20):
        backlogs.look(n * STEP)
    queue.discard()

    assert [said[0] for said in heard.said] == ["pool"]
