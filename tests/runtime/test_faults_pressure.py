"""Too much, too slow, stuck, interrupted: what a sender, a second lane and a stop still get."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, child, deadline, message
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Gate, Start, Stopped

pytestmark = pytest.mark.process


class Desk(Actor):
    """Has an ordinary message, an urgent one, and a cheap handler."""

    def __init__(self) -> None:
        self.count = 0

    @message
    def work(self) -> int:
        self.count += 1
        return self.count

    @message(urgent=True)
    def look(self) -> int:
        return self.count

    @message
    def pid(self) -> int:
        return os.getpid()


class Stuck(Actor):
    """Does not come back from a handler."""

    @message
    def hang(self, how: str) -> None:
        if how == "a loop":
            while True:
                pass
        if how == "a regular expression":
            re.match(r"(a+)+$", "a" * 64 + "b")
        if how == "a read":
            read, _ = os.pipe()
            os.read(read, 1)
        if how == "a lock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()

    @message
    def pid(self) -> int:
        return os.getpid()


class Alarmed(Actor):
    """Is interrupted a thousand times a second."""

    def __init__(self) -> None:
        self.rang = 0

    @message
    def begin(self) -> None:
        def ring(*_: Any) -> None:
            self.rang += 1

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    @message
    def echo(self, value: Any) -> Any:
        return value

    @message
    def count(self) -> int:
        return self.rang


@contextlib.contextmanager
def _flood(ref: Any, senders: int = 2) -> Iterator[None]:
    """Forked processes that tell as fast as they can."""
    pids = []
    for _ in range(senders):
        pid = os.fork()
        if pid == 0:
            try:
                with deadline(None):
                    while True:
                        ref.work.tell()
            finally:
                os._exit(0)
        pids.append(pid)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_slow_consumers_depth_and_the_age_of_what_it_does_are_seen_without_asking_it(
    start: Start, system: Supervisor, tmp_path: Path
) -> None:
    gate = start(child(Gate), "slow")
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    assert wait_until((tmp_path / "in").exists)
    for n in range(50):
        gate.note.tell(n)

    def status() -> Any:
        return next(status for status in system.children() if status.path == "slow")

    assert status().in_hand == "hold"
    assert status().queued_bytes >= 50 * 48
    assert wait_until(lambda: status().in_hand_seconds > 0.02)
    (tmp_path / "go").touch()
    assert held.result() == "held"
    assert gate.notes() == list(range(50))
    assert wait_until(lambda: (status().in_hand, status().queued_bytes) == ("", 0))


def test_while_others_flood_it_an_actor_answers_a_polite_sender_and_urgent_messages(start: Start) -> None:
    desk = start(child(Desk))
    waits = []
    with _flood(desk):
        assert wait_until(lambda: desk.look() > 1000)
        for _ in range(100):
            begin = time.monotonic()
            assert desk.work() > 0
            waits.append(time.monotonic() - begin)
        assert desk.look() > 1000

    assert sorted(waits)[98] < 0.5, "the promise is 0.05 s with a CPU to itself"


def test_a_stop_does_not_wait_for_a_flood_to_end(supervisor: Supervisor) -> None:
    desk = supervisor.start(child(Desk), name="desk", drain="discard", shutdown=5.0)
    with _flood(desk):
        assert wait_until(lambda: desk.look() > 1000)
        begin = time.monotonic()
        supervisor.stop("desk")

        assert time.monotonic() - begin < 2.0


@pytest.mark.parametrize("how", ["a loop", "a regular expression", "a read", "a lock", "SIGSTOP"])
def test_a_stuck_actor_is_stopped_within_its_shutdown_time(start: Start, system: Supervisor, how: str) -> None:
    stuck = start(child(Stuck), "stuck", shutdown=0.2)
    pid = stuck.pid()
    with deadline(20):
        reply = stuck.hang.ask(how)
    if how == "SIGSTOP":
        reply.result()
        os.kill(pid, signal.SIGSTOP)
    else:
        assert wait_until(lambda: any(status.in_hand == "hang" for status in system.children()))
    begin = time.monotonic()

    system.stop("stuck")

    assert time.monotonic() - begin < 2.0
    assert not Path(f"/proc/{pid}").exists()
    if how != "SIGSTOP":
        with pytest.raises(ActorDied) as caught:
            reply.result()
        assert (caught.value.delivered, caught.value.certificate.phase) == ("started", "stop")


def test_signals_disturb_neither_sending_nor_receiving(start: Start) -> None:
    alarmed = start(child(Alarmed))
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    alarmed.begin()
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        assert [alarmed.echo(n) for n in range(300)] == list(range(300))
        assert alarmed.echo(bytes(3 << 20)) == bytes(3 << 20)
        replies = [alarmed.echo.ask("x" * 3000) for _ in range(100)]
        assert {reply.result() for reply in replies} == {"x" * 3000}
        assert wait_until(lambda: alarmed.count() > 20 and len(rang) > 20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_signals_do_not_end_a_wait_for_room_early(start: Start) -> None:
    desk = start(child(Desk))
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        pid = desk.pid()
        sent = 0
        with Stopped(pid), deadline(0.3):
            begin = time.monotonic()
            with pytest.raises(Exception, match="no room"):
                while True:
                    desk.work.tell()
                    sent += 1
            assert time.monotonic() - begin > 0.29
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert desk.work() == sent + 1
    assert rang
