"""The Python API, end to end, over real processes."""

import os
import signal

import pytest

from actors import Actor, child, message
from runtime import Supervisor

pytestmark = pytest.mark.process


class Counter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @message
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @message
    def pid(self) -> int:
        return os.getpid()


def test_a_reference_is_called_like_the_actor_it_points_to(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter, 10), name="counter")

    counter.add.tell(1)

    assert counter.add(1) == 12
    assert counter.add.ask(1).result(timeout=1) == 13


def test_a_killed_actor_answers_again(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter, 10), name="counter")
    pid = counter.pid()

    os.kill(pid, signal.SIGKILL)

    assert counter.add(1) == 11
    assert counter.pid() != pid
