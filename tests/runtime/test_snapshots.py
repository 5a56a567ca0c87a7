"""Snapshots: what an actor has committed survives kill -9, once for each message."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from actors import Actor, ActorDied, BadActor, BadSpec, child, deadline, message
from actors.child import Options
from runtime import Supervisor
from runtime.testing import wait_until

pytestmark = pytest.mark.process

KILLS = int(os.environ.get("UNDERSTUDY_KILLS", "30"))


class Counter(Actor):
    def __init__(self) -> None:
        self.total = 0
        self.ballast = b""
        self.taken = 0

    def snapshot(self) -> tuple[int, bytes]:
        self.taken += 1
        return self.total, self.ballast

    def restore(self, state: tuple[int, bytes]) -> None:
        self.total, self.ballast = state

    @message(retry=100)
    def add(self, n: int) -> int:
        self.total += n
        return self.total

    @message
    def add_and_die(self, n: int) -> None:
        self.total += n
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def add_and_raise(self, n: int) -> None:
        self.total += n
        raise ValueError("counted all the same")

    @message
    def fatten(self, nbytes: int) -> None:
        self.ballast = b"x" * nbytes

    @message(snapshot=False)
    def scribble(self, n: int) -> None:
        self.total += n

    @message(snapshot=False)
    def look(self) -> tuple[int, int, int]:
        return self.total, len(self.ballast), self.context.incarnation

    @message
    def add_once(self, n: int) -> None:
        self.total += n

    @message(urgent=True)
    def add_ahead(self, n: int) -> None:
        self.total += n

    @message(snapshot=False)
    def hold(self, entered: str, until: str) -> None:
        Path(entered).touch()
        while not Path(until).exists():
            os.sched_yield()

    @message(snapshot=False)
    def commits(self) -> int:
        return self.taken

    @message
    def add_later(self, n: int) -> None:
        self.context.after(0.01, self.add, n)

    @message
    def pid(self) -> int:
        return os.getpid()


class HalfHearted(Actor):
    def snapshot(self) -> int:
        return 1


class Crowded(Actor):
    def snapshot(self) -> int:
        return 1

    def restore(self, state: int) -> None:
        assert state == 1

    @message(concurrent=True)
    async def work(self) -> None: ...


@contextlib.contextmanager
def holding(counter: Any, directory: Path) -> Iterator[None]:
    """What is sent inside the `with` is read at once, after it."""
    entered, until = directory / "entered", directory / "until"
    for path in (entered, until):
        path.unlink(missing_ok=True)
    counter.hold.tell(str(entered), str(until))
    assert wait_until(entered.exists)
    try:
        yield
    finally:
        until.touch()


def test_the_next_incarnation_starts_from_the_last_commit(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add(5)

    os.kill(counter.pid(), signal.SIGKILL)

    assert counter.look() == (5, 0, 2)


def test_what_was_not_committed_did_not_happen(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add(5)

    with pytest.raises(ActorDied) as caught:
        counter.add_and_die(100)

    assert caught.value.delivered == "started"
    assert counter.look()[0] == 5


def test_a_handler_that_raises_commits_what_it_did(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")

    with pytest.raises(ValueError, match="counted all the same"):
        counter.add_and_raise(3)
    os.kill(counter.pid(), signal.SIGKILL)

    assert counter.look()[0] == 3


def test_a_message_without_a_snapshot_is_committed_with_the_next_one(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.scribble(7)
    counter.look()
    pid = [status.pid for status in supervisor.children()][0]

    os.kill(pid, signal.SIGKILL)
    assert counter.look()[0] == 0

    counter.scribble(7)
    counter.add(1)
    os.kill(counter.pid(), signal.SIGKILL)
    assert counter.look()[0] == 8


def test_a_state_that_outgrows_its_memory_gets_more(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    for nbytes in (100_000, 3_000_000, 10):
        counter.add(1)
        counter.fatten(nbytes)

        os.kill(counter.pid(), signal.SIGKILL)

        assert counter.look()[1] == nbytes
    assert counter.look()[0] == 3


def test_what_a_timer_did_is_committed(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add_later(9)
    until = time.monotonic() + 5
    while counter.look()[0] != 9 and time.monotonic() < until:
        continue

    os.kill([status.pid for status in supervisor.children()][0], signal.SIGKILL)

    assert counter.look()[0] == 9


def test_a_restart_by_hand_keeps_the_state_and_a_new_start_does_not(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter")
    counter.add(5)

    supervisor.restart("counter")
    assert counter.look()[0] == 5

    supervisor.stop("counter")
    supervisor.delete("counter")
    assert supervisor.start(child(Counter), name="counter").look()[0] == 0


def test_tells_that_wait_together_are_committed_together(supervisor: Supervisor, tmp_path: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", snapshot_every=10)

    with holding(counter, tmp_path):
        for _ in range(100):
            counter.add.tell(1)

    assert counter.add(1) == 101
    assert counter.commits() == 11
    os.kill(counter.pid(), signal.SIGKILL)
    assert counter.look()[0] == 101


def test_a_tell_that_nothing_follows_is_committed_alone(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter", snapshot_every=10)
    pid = counter.pid()

    counter.add.tell(1)
    assert wait_until(lambda: supervisor.children()[0].handled == 2)
    os.kill(pid, signal.SIGKILL)

    assert counter.look()[0] == 1


@pytest.mark.parametrize("urgent", [False, True])
def test_of_a_group_that_was_not_committed_all_or_nothing_happened(
    supervisor: Supervisor, tmp_path: Path, urgent: bool
) -> None:
    """With a retry each is run again, once; without one each is a dead letter, as the one in hand is."""
    counter = supervisor.start(child(Counter), name="counter", snapshot_every=1000)
    with holding(counter, tmp_path):  # all of them are in one filling of the journal
        for _ in range(5):
            counter.add.tell(1)
            counter.add_once.tell(100)
        counter.add_and_die.tell(1000)
        if urgent:
            counter.add_ahead.tell(10)

    assert counter.look() == (15 if urgent else 5, 0, 2)
    names = [letter.message for letter in supervisor.letters()]
    assert sorted(names) == ["add_and_die", *["add_once"] * 5]


def test_a_group_ends_before_an_answer_is_sent_and_in_an_orderly_stop(supervisor: Supervisor, tmp_path: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", snapshot_every=1000)
    pid = counter.pid()
    with holding(counter, tmp_path):
        for _ in range(5):
            counter.add_once.tell(1)
    assert counter.look()[0] == 5
    os.kill(pid, signal.SIGKILL)
    assert counter.look()[0] == 5

    with holding(counter, tmp_path):
        for _ in range(5):
            counter.add_once.tell(1)
    supervisor.restart("counter")
    assert counter.look()[0] == 10
    assert "add_once" not in {letter.message for letter in supervisor.letters()}  # a look may have been in hand


@pytest.mark.parametrize("value", [0, 1025, True, 1.5, "10"])
def test_how_many_share_a_commit_is_a_number(value: Any) -> None:
    with pytest.raises(BadSpec, match="expected 1 to 1024"):
        child(Counter).options(snapshot_every=value)


def test_one_hook_without_the_other_is_refused(supervisor: Supervisor) -> None:
    with pytest.raises(BadActor, match="expected both snapshot"):
        supervisor.start(child(HalfHearted), name="half")


def test_concurrent_messages_are_refused_with_snapshots(supervisor: Supervisor) -> None:
    with pytest.raises(BadActor, match="concurrent"):
        supervisor.start(child(Crowded), name="crowded")


@dataclass
class Killer:
    """Kills whatever plays under a supervisor, at random moments, in a thread, until it has done so often enough."""

    supervisor: Supervisor
    most: int
    kills: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        choice = random.Random(7)
        while self.kills < self.most and not self._stop.wait(choice.random() * 0.05):
            for status in self.supervisor.children():
                if status.pid:  # 0 would be ourselves
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(status.pid, signal.SIGKILL)
                        self.kills += 1


KEPT: dict[str, Options] = {
    "memory": {},
    "in groups": {"snapshot_every": 20},
    "background": {"durable_every": 0.05},
    "each message": {"durable_every": "message"},
    "in groups on disk": {"snapshot_every": 20, "durable_every": "message"},
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_every_message_counts_exactly_once_under_random_kills(
    nothing_left: Path, tmp_path: Path, kept: Options
) -> None:
    """Retried messages and committed state: the sum is what was sent, and each answer that came is in it."""
    assert nothing_left
    if "durable_every" in kept:
        kept = {**kept, "durable": tmp_path / "state.db"}
    asks_every = 50 if "snapshot_every" in kept else 3
    sent = answered = 0
    with Supervisor("test", backoff=None, max_restarts=1_000_000) as supervisor:
        counter = supervisor.start(child(Counter), name="counter", **kept)
        with Killer(supervisor, KILLS) as killer:
            while not killer.is_done:
                sent += 1
                with deadline(30):
                    if sent % asks_every:
                        counter.add.tell(1)
                    else:
                        answered = counter.add(1)
                        assert answered == sent

        assert counter.look()[0] == sent >= answered
    print(f"{killer.kills} kills, {sent} messages: the counter ended at {sent}")
    if "durable" in kept:
        with Supervisor("test") as supervisor:
            assert supervisor.start(child(Counter), name="counter", **kept).look()[0] == sent
