"""A supervisor that is stopped (SIGSTOP, a debugger, a machine that swaps): nobody waits for it past his deadline."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import Actor, child, deadline, message
from actors.errors import DeadlineExceeded
from runtime import Supervisor, connect
from runtime.testing import wait_until

pytestmark = pytest.mark.process


class Echo(Actor):
    """Says it again."""

    @message
    def say(self, what: object) -> object:
        return what


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """While the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_first_ask_ends_at_its_deadline_and_later_ones_work(supervisor: Supervisor) -> None:
    supervisor.start(child(Echo), name="echo")
    with connect(supervisor.name) as client:
        echo = client.ref("echo", Echo)
        with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded) as told:
            echo.say(1)
        assert told.value.delivered == "no"
        assert echo.say(2) == 2


def test_an_ask_from_a_thread_that_never_asked_ends_at_its_deadline(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    told: list[str] = []

    def ask() -> None:
        with deadline(0.2):
            try:
                echo.say(1)
            except DeadlineExceeded as exc:
                told.append(exc.delivered)

    asking = threading.Thread(target=ask)
    with stopped(supervisor.pid):
        asking.start()
        asking.join(20)
    assert told == ["no"]
    assert echo.say(2) == 2


def test_a_payload_that_needs_new_memory_ends_at_its_deadline(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    large = bytes(300_000)
    with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded) as told:
        echo.say(large)
    assert told.value.delivered == "no"
    for _ in range(3):
        assert echo.say(large) == large


def test_those_who_wait_behind_each_other_all_end_at_their_deadlines(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    told: list[str] = []

    def ask(seconds: float) -> None:
        with deadline(seconds):
            try:
                echo.say(1)
            except DeadlineExceeded as exc:
                told.append(exc.delivered)

    threads = [threading.Thread(target=ask, args=(seconds,)) for seconds in (1.0, 0.2, 0.2, 0.2)]
    with stopped(supervisor.pid):
        for each in threads:
            each.start()
        assert wait_until(lambda: len(told) == 4)
    for each in threads:
        each.join(20)
    assert told == ["no"] * 4
    assert echo.say(2) == 2


def test_who_attaches_is_told_after_the_deadline(supervisor: Supervisor) -> None:
    with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded, match="did not answer in time"):
        connect(supervisor.name).open()
    with connect(supervisor.name) as client:
        assert client.count()["specs"] == 0


def test_a_client_can_be_closed_while_a_thread_of_it_waits(supervisor: Supervisor) -> None:
    supervisor.start(child(Echo), name="echo")
    client = connect(supervisor.name).open()
    echo = client.ref("echo", Echo)
    assert echo.say(0) == 0
    ended = threading.Event()

    def ask() -> None:
        with contextlib.suppress(Exception), deadline(60):
            echo.say(1)
        ended.set()

    with stopped(supervisor.pid):
        threading.Thread(target=ask, daemon=True).start()
        assert not ended.wait(0.1)
        client.close()
        assert ended.wait(20)


def test_a_supervisor_that_takes_no_connections_holds_up_nobody(
    supervisor: Supervisor, runtime_directory: Path
) -> None:
    supervisor.start(child(Echo), name="echo")
    waiting: list[socket.socket] = []
    with connect(supervisor.name) as client, stopped(supervisor.pid):
        with contextlib.suppress(BlockingIOError):  # the queue is full
            while True:
                waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(runtime_directory / supervisor.name / "control"))
        with deadline(0.2), pytest.raises(DeadlineExceeded):
            client.ref("echo", Echo).say(1)
    for each in waiting:
        each.close()
    assert supervisor.ref("echo", Echo).say(2) == 2


def test_memory_that_came_too_late_is_given_back(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded):
        echo.say(bytes(20 << 20))
    assert len(echo.say(bytes(1 << 20))) == 1 << 20  # type: ignore[arg-type]
    assert supervisor.memory().large < 20 << 20


def test_an_interrupted_request_leaves_the_next_ones_their_own_answers(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with stopped(supervisor.pid):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt), deadline(20):
                echo.say(bytes(300_000))
    finally:
        signal.signal(signal.SIGALRM, before)
    for size in (300_000, 600_000, 1_200_000):
        assert echo.say(bytes(size)) == bytes(size)
