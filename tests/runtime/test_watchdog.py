"""Watchdogs: who hangs is dumped and killed, who is only busy is left alone."""

import asyncio
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, BadActor, BadSpec, Down, StartFailed, child, message
from runtime import Supervisor
from runtime.testing import wait_until
from runtime.watchdog import HEARTBEAT, WATCHDOG, Allowance, Glance, next_due
from tests.runtime.cast import Counter, Gate, Start

NEVER = (0, "")


def test_an_idle_actor_is_looked_at_again_after_its_limit() -> None:
    assert next_due(Glance(None, 0, 0), Allowance(50, {}, 0, 0), now_ns=1000) == (1050, WATCHDOG)


def test_a_message_is_due_its_limit_after_it_was_taken() -> None:
    assert next_due(Glance(1, 980, 0), Allowance(50, {}, 0, 0), now_ns=1000) == (1030, WATCHDOG)
    assert next_due(Glance(1, 900, 0), Allowance(50, {}, 0, 0), now_ns=1000) == (950, WATCHDOG)


def test_a_limit_of_its_own_stands_for_the_actors() -> None:
    allowance = Allowance(50, {2: 500}, 0, 0)

    assert next_due(Glance(2, 900, 0), allowance, now_ns=1000) == (1050, WATCHDOG)  # a look; it is due at 1400
    assert next_due(Glance(2, 400, 0), allowance, now_ns=1000) == (900, WATCHDOG)
    assert next_due(Glance(1, 940, 0), allowance, now_ns=1000) == (990, WATCHDOG)


def test_a_message_without_a_limit_is_never_due_and_the_next_one_is_not_missed() -> None:
    assert next_due(Glance(1, 10, 0), Allowance(0, {2: 50}, 0, 0), now_ns=1000) == (1050, WATCHDOG)
    assert next_due(Glance(1, 10, 0), Allowance(0, {}, 0, 0), now_ns=1000) == NEVER


def test_an_event_loop_is_due_its_heartbeat_after_it_last_ran() -> None:
    assert next_due(Glance(None, 0, 970), Allowance(0, {}, 100, 0), now_ns=1000) == (1070, HEARTBEAT)
    assert next_due(Glance(None, 0, 0), Allowance(0, {}, 100, 0), now_ns=1000) == NEVER  # it has none


def test_nothing_counts_from_before_the_time_it_counts_from() -> None:
    assert next_due(Glance(1, 10, 20), Allowance(50, {}, 40, 990), now_ns=1000) == (1030, HEARTBEAT)


class Stuck(Actor):
    """Hangs in every way there is."""

    @message
    def spin(self) -> None:
        while True:
            pass

    @message
    def match(self) -> None:
        re.match(r"(a+)+$", "a" * 60 + "b")

    @message
    def receive(self) -> None:
        ours, _theirs = socket.socketpair()
        ours.recv(1)

    @message
    def lock(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    @message(watchdog=0.2)
    def spin_with_a_limit(self) -> None:
        self.spin()

    @message(watchdog=30.0)
    def sleep_with_a_limit(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    @message
    def pid(self) -> int:
        return os.getpid()


class AsyncStuck(Actor):
    """Hangs with its event loop running, and without."""

    @message
    async def wait(self) -> None:
        await self._for_ever()

    async def _for_ever(self) -> None:
        await asyncio.Event().wait()

    @message
    async def block(self) -> None:
        time.sleep(60)  # noqa: ASYNC251  # which is what blocks the loop

    @message
    async def nap(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @message
    async def pid(self) -> int:
        return os.getpid()


@pytest.mark.process
@pytest.mark.parametrize("how", ["spin", "match", "receive", "lock"])
def test_a_message_that_hangs_is_killed_with_its_stack_in_the_certificate(start: Start, how: str) -> None:
    stuck = start(child(Stuck).options(watchdog=0.2))
    begin = time.monotonic()

    with pytest.raises(ActorDied) as caught:
        getattr(stuck, how)()

    assert time.monotonic() - begin < 1.5
    certificate = caught.value.certificate
    assert caught.value.delivered == "started"
    assert (certificate.cause, certificate.signal, certificate.phase) == ("watchdog", "SIGABRT", "run")
    assert f"in {how}" in certificate.native_stack
    assert certificate.in_hand is not None
    assert certificate.in_hand.name == how
    assert 0.2 <= certificate.in_hand.age_seconds < 1.5
    assert stuck.pid() != certificate.pid


@pytest.mark.process
def test_a_stopped_process_is_dumped_and_killed(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate).options(watchdog=0.3))
    pid = gate.pid()
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    assert wait_until((tmp_path / "in").exists)

    os.kill(pid, signal.SIGSTOP)

    with pytest.raises(ActorDied) as caught:
        held.result(timeout=3)
    assert caught.value.certificate.cause == "watchdog"
    assert "in hold" in caught.value.certificate.native_stack


@pytest.mark.process
def test_a_message_has_a_limit_of_its_own(start: Start) -> None:
    stuck = start(child(Stuck))

    with pytest.raises(ActorDied) as caught:
        stuck.spin_with_a_limit()

    assert caught.value.certificate.cause == "watchdog"


@pytest.mark.process
def test_a_longer_limit_of_its_own_stands_for_the_actors(start: Start) -> None:
    stuck = start(child(Stuck).options(watchdog=0.1))

    assert stuck.sleep_with_a_limit(0.4) == 0.4


@pytest.mark.process
def test_an_actor_that_is_busy_with_many_short_messages_is_left_alone(start: Start) -> None:
    stuck = start(child(Stuck).options(watchdog=0.1))
    pid = stuck.pid()
    end = time.monotonic() + 0.6

    while time.monotonic() < end:
        for _ in range(200):
            stuck.sleep_with_a_limit.tell(0.0001)
        assert stuck.pid() == pid


@pytest.mark.process
def test_an_async_message_that_hangs_leaves_the_stack_of_its_task(start: Start) -> None:
    stuck = start(child(AsyncStuck).options(watchdog=0.2))

    with pytest.raises(ActorDied) as caught:
        stuck.wait.ask().result(timeout=3)

    certificate = caught.value.certificate
    assert certificate.cause == "watchdog"
    assert "in _for_ever" in certificate.native_stack
    assert "Current thread" in certificate.native_stack


@pytest.mark.process
def test_a_blocked_event_loop_is_caught_by_its_heartbeat(start: Start) -> None:
    stuck = start(child(AsyncStuck).options(heartbeat=0.3))

    with pytest.raises(ActorDied) as caught:
        stuck.block.ask().result(timeout=3)

    certificate = caught.value.certificate
    assert certificate.cause == "heartbeat"
    assert "in block" in certificate.native_stack


@pytest.mark.process
def test_an_event_loop_that_runs_is_left_alone_by_its_heartbeat(start: Start) -> None:
    stuck = start(child(AsyncStuck).options(heartbeat=0.15))

    assert stuck.nap.ask(0.6).result() == 0.6


@pytest.mark.process
def test_a_process_that_ignores_its_abort_is_killed(start: Start) -> None:
    deaf = start(child(Deaf).options(watchdog=0.1))

    with pytest.raises(ActorDied) as caught:
        deaf.spin()

    certificate = caught.value.certificate
    assert (certificate.cause, certificate.signal) == ("watchdog", "SIGKILL")


class Deaf(Actor):
    @message
    def spin(self) -> None:
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
        while True:
            pass


class Late(Actor):
    def __init__(self) -> None:
        self._wait_for_nothing()

    def _wait_for_nothing(self) -> None:
        threading.Event().wait()


class AsyncLate(Actor):
    async def on_start(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.process
@pytest.mark.parametrize(("kind", "where"), [(Late, "_wait_for_nothing"), (AsyncLate, "on_start")])
def test_a_start_that_takes_too_long_is_dumped_first(start: Start, kind: Any, where: str) -> None:
    with pytest.raises(StartFailed) as caught:
        start(child(kind), ready=0.3)

    certificate = caught.value.certificate
    assert certificate is not None
    assert certificate.cause == "start timeout"
    assert f"in {where}" in certificate.native_stack
    assert "start timeout" in str(caught.value)


class Idler(Actor):
    """Hangs where no message is in hand."""

    def __init__(self, where: str = "") -> None:
        self.where = where
        if where == "__init__":
            self._hang()

    def _hang(self) -> None:
        threading.Event().wait()

    def on_start(self) -> None:
        if self.where == "on_start":
            self._hang()

    def on_down(self, down: Down) -> None:
        self._hang()

    def on_error(self, failure: Exception) -> None:
        if self.where == "on_error":
            self._hang()

    def on_stop(self, reason: str) -> None:
        if self.where == "on_stop":
            self._hang()

    @message
    def begin(self) -> None:
        if self.where in ("tick", "tock"):
            self.context.after(0.01, getattr(self, self.where))
        elif self.where == "on_down":
            self.context.watch(self.context.ref_to("nobody"))
        elif self.where == "on_error":
            raise ValueError
        else:
            self.context.stop()

    @message
    def tick(self) -> None:
        self._hang()

    @message(watchdog=0.2)
    def tock(self) -> None:
        self._hang()


class AsyncIdler(Idler):
    """The same on asyncio."""

    @message
    async def begin(self) -> None:  # type: ignore[override]
        super().begin()


@pytest.mark.process
@pytest.mark.parametrize("kind", [Idler, AsyncIdler])
@pytest.mark.parametrize("where", ["tick", "on_down", "on_error", "on_stop"])
def test_what_hangs_between_messages_is_named_dumped_and_killed(
    start: Start, system: Supervisor, kind: Any, where: str
) -> None:
    name = f"{kind.__name__}-{where}".replace("_", "-")
    idler = start(child(kind, where).options(watchdog=0.4), name)

    idler.begin.tell()

    assert wait_until(lambda: _status_of(system, name).in_hand == where)
    assert wait_until(lambda: system.why(name) is not None)
    certificate = system.why(name)
    assert certificate is not None
    assert certificate.cause == "watchdog"
    assert "in _hang" in certificate.native_stack
    assert certificate.in_hand is not None
    assert certificate.in_hand.name == where
    assert certificate.in_hand.age_seconds >= 0.4


@pytest.mark.process
def test_a_timer_has_the_limit_of_the_message_it_runs(start: Start, system: Supervisor) -> None:
    start(child(Idler, "tock"), "timed").begin.tell()

    assert wait_until(lambda: system.why("timed") is not None)
    certificate = system.why("timed")
    assert certificate is not None
    assert certificate.in_hand is not None
    assert (certificate.cause, certificate.in_hand.name) == ("watchdog", "tock")


@pytest.mark.process
@pytest.mark.parametrize("where", ["__init__", "on_start"])
def test_the_status_says_where_a_start_is(start: Start, system: Supervisor, where: str) -> None:
    starting = threading.Thread(target=_fail_to_start, args=(system, where))
    starting.start()

    assert wait_until(lambda: any(status.in_hand == where for status in system.children()))
    starting.join()


@pytest.mark.process
def test_an_ordered_stop_has_its_own_time_and_not_the_watchdogs(start: Start, system: Supervisor) -> None:
    slow = start(child(SlowToStop).options(watchdog=0.1), "slow")
    pid = slow.pid()

    system.stop("slow")

    assert not Path(f"/proc/{pid}").exists()
    assert system.why("slow") is None


class SlowToStop(Counter):
    """Takes longer to stop than a message may take."""

    def on_stop(self, reason: str) -> None:
        threading.Event().wait(0.4)


def _fail_to_start(system: Supervisor, where: str) -> None:
    with pytest.raises(StartFailed):
        system.start(child(Idler, where), name="hanging", ready=1.0)


def _status_of(system: Supervisor, path: str) -> Any:
    return next(status for status in system.children() if status.path == path)


@pytest.mark.process
def test_a_stack_that_is_too_long_is_cut_and_harms_no_queued_message(start: Start) -> None:
    crowd = start(child(Crowd).options(watchdog=0.3))
    crowd.gather(60)
    hanging = crowd.hang.ask()
    queued = [crowd.echo.ask(n) for n in range(20)]

    with pytest.raises(ActorDied) as caught:
        hanging.result(timeout=4)

    assert len(caught.value.certificate.native_stack) > 500
    assert [reply.result() for reply in queued] == list(range(20))


class Crowd(Actor):
    """Many threads with deep stacks: more text than the page has room for."""

    @message
    def gather(self, count: int) -> None:
        for _ in range(count):
            threading.Thread(target=self._deep, args=(40,), daemon=True).start()

    def _deep(self, more: int) -> None:
        if more:
            self._deep(more - 1)
        else:
            threading.Event().wait()

    @message
    def hang(self) -> None:
        threading.Event().wait()

    @message
    def echo(self, value: int) -> int:
        return value


@pytest.mark.process
def test_the_whole_session_may_be_stopped_for_longer_than_any_limit(start: Start, system: Supervisor) -> None:
    stuck = start(child(Stuck).options(watchdog=0.8))
    pid = stuck.pid()
    reply = stuck.spin.ask()
    stopped = [pid, system.pid]
    assert wait_until(lambda: system.status()[-1].in_hand == "spin")

    for each in stopped:
        os.kill(each, signal.SIGSTOP)
    threading.Event().wait(1.6)  # twice the limit
    resumed = time.monotonic()
    for each in reversed(stopped):
        os.kill(each, signal.SIGCONT)

    with pytest.raises(ActorDied):
        reply.result(timeout=5)
    assert time.monotonic() - resumed > 0.5


@pytest.mark.parametrize("options", [{"watchdog": 0}, {"watchdog": -1.0}, {"heartbeat": 0}, {"watchdog": "soon"}])
def test_a_limit_that_cannot_be_is_refused(options: Any) -> None:
    with pytest.raises(BadSpec, match="expected seconds above 0"):
        child(Stuck).options(**options)


def test_a_limit_of_a_message_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadActor, match="watchdog"):
        message(watchdog=0.0)


@pytest.mark.parametrize("seconds", [float("inf"), 1e300])
def test_a_watchdog_that_never_bites_lets_its_actor_start(start: Start, seconds: float) -> None:
    assert start(child(Counter).options(watchdog=seconds)).add(1) == 1
