"""Snapshots: what an actor has committed survives kill -9, once for each message."""

import os
import random
import signal
import threading
import time

import pytest

from actors import Actor, ActorDied, BadActor, child, deadline, message
from runtime import Supervisor

pytestmark = pytest.mark.process

SOAK_SECONDS = float(os.environ.get("UNDERSTUDY_SOAK_SECONDS", "3"))


class Counter(Actor):
    def __init__(self) -> None:
        self.total = 0
        self.ballast = b""
        self.unsaved = 0

    def snapshot(self) -> tuple[int, bytes]:
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


def test_one_hook_without_the_other_is_refused(supervisor: Supervisor) -> None:
    with pytest.raises(BadActor, match="expected both snapshot"):
        supervisor.start(child(HalfHearted), name="half")


def test_concurrent_messages_are_refused_with_snapshots(supervisor: Supervisor) -> None:
    with pytest.raises(BadActor, match="concurrent"):
        supervisor.start(child(Crowded), name="crowded")


def test_every_message_counts_exactly_once_under_random_kills(nothing_left: object) -> None:
    """Retried messages and committed state: the sum is what was sent, and each answer that came is in it."""
    assert nothing_left
    with Supervisor("test", backoff=None, max_restarts=1_000_000) as supervisor:
        counter = supervisor.start(child(Counter), name="counter")
        stop = threading.Event()
        kills = 0

        def kill() -> None:
            nonlocal kills
            choice = random.Random(7)
            while not stop.wait(choice.random() * 0.02):
                for status in supervisor.children():
                    if status.pid:
                        try:
                            os.kill(status.pid, signal.SIGKILL)
                            kills += 1
                        except ProcessLookupError:
                            continue

        killer = threading.Thread(target=kill)
        killer.start()
        sent, answered, until = 0, 0, time.monotonic() + SOAK_SECONDS
        try:
            with deadline(30):
                while time.monotonic() < until:
                    sent += 1
                    if sent % 3:
                        counter.add.tell(1)
                    else:
                        answer = counter.add(1)
                        assert answer == sent
                        answered = answer
        finally:
            stop.set()
            killer.join()

        assert counter.look()[0] == sent >= answered
        assert kills > 20
