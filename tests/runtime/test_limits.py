"""Limits that recycle: an ordered restart between two messages, that is no death."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, BadSpec, Limits, child, dynamic, message
from runtime import Supervisor
from runtime.limits import Usage, exceeded, resident_bytes
from runtime.testing import wait_until
from tests.runtime.cast import Gate, Start

USED = Usage(rss=1000, messages=100, age=60.0)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(), ""),
        (Limits(max_rss=1001, max_messages=101, max_age=60.1), ""),
        (Limits(max_rss=1000), "resident memory of 1000 bytes"),
        (Limits(max_messages=100), "100 messages"),
        (Limits(max_age=60.0), "age of 60 s"),
    ],
)
def test_a_limit_is_used_up_when_it_is_reached(limits: Limits, why: str) -> None:
    assert exceeded(limits, USED, draw=0.0) == why


def test_the_jitter_only_lowers_a_limit() -> None:
    limits = Limits(max_messages=110, jitter=0.2)

    assert exceeded(limits, USED, draw=0.0) == ""
    assert exceeded(limits, USED, draw=0.4) == ""
    assert exceeded(limits, USED, draw=0.5) == "100 messages"
    assert exceeded(Limits(max_messages=100, jitter=0.0), USED, draw=0.99) == "100 messages"


def test_resident_memory_is_read_and_of_nobody_is_none() -> None:
    assert resident_bytes(os.getpid()) > 1 << 20
    assert resident_bytes(1 << 22) == 0


@pytest.mark.parametrize(
    "limits",
    [Limits(max_rss=0), Limits(max_messages=0), Limits(max_messages=True), Limits(max_age=0), Limits(jitter=2)],
)
def test_limits_that_cannot_be_are_refused(limits: Limits) -> None:
    with pytest.raises(BadSpec):
        child(Hoarder).options(limits=limits)


class Hoarder(Actor):
    """Counts what this process has handled, and may hoard memory."""

    def __init__(self, slow: float = 0.0) -> None:
        self.count = 0
        self.hoard = b""
        self.slow = slow

    def on_stop(self, reason: str) -> None:
        if self.slow:
            time.sleep(self.slow)

    @message
    def add(self) -> int:
        self.count += 1
        return self.count

    @message
    def keep(self, nbytes: int) -> int:
        self.hoard = b"x" * nbytes
        return os.getpid()

    @message
    def pid(self) -> int:
        return os.getpid()

    @message
    def incarnation(self) -> int:
        return self.context.incarnation


def is_recycled(actor: Any, pid: int) -> Callable[[], bool]:
    return lambda: actor.pid() != pid


@pytest.mark.process
def test_an_actor_that_has_handled_enough_is_restarted_and_no_message_is_lost(start: Start) -> None:
    hoarder = start(child(Hoarder).options(limits=Limits(max_messages=50)))
    pid = hoarder.pid()
    counts: list[int] = []

    assert wait_until(lambda: counts.append(hoarder.add()) is None and hoarder.pid() != pid)

    assert counts[:40] == list(range(1, 41))
    first = len(counts) if 1 not in counts[1:] else counts.index(1, 1)
    assert counts == [*range(1, first + 1), *range(1, len(counts) - first + 1)]


@pytest.mark.process
def test_an_actor_that_has_grown_too_large_is_restarted(start: Start) -> None:
    hoarder = start(child(Hoarder).options(limits=Limits(max_rss=256 << 20)))

    pid = hoarder.keep(1 << 20)
    grown = hoarder.keep(300 << 20)

    assert grown == pid
    assert wait_until(is_recycled(hoarder, pid))


@pytest.mark.process
def test_an_actor_that_has_grown_old_is_restarted(start: Start) -> None:
    hoarder = start(child(Hoarder).options(limits=Limits(max_age=0.3)))

    assert wait_until(is_recycled(hoarder, hoarder.pid()))


@pytest.mark.process
def test_a_message_in_hand_is_never_cut_short_and_the_queue_is_kept(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate).options(limits=Limits(max_age=0.1), shutdown=0.1))
    pid = gate.pid()
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    queued = [gate.pid.ask() for _ in range(3)]
    assert wait_until((tmp_path / "in").exists)

    threading.Event().wait(1.3)  # several looks, and longer than its shutdown
    (tmp_path / "go").touch()

    assert held.result() == "held"
    assert pid not in [reply.result() for reply in queued]


@pytest.mark.process
def test_a_recycled_actor_is_no_death_and_costs_nothing_of_the_window(nothing_left: Path) -> None:
    with Supervisor("test", max_restarts=0) as supervisor:
        hoarder = supervisor.start(child(Hoarder), name="hoarder", limits=Limits(max_age=0.1))
        pid = hoarder.pid()

        assert wait_until(is_recycled(hoarder, pid))

        assert wait_until(lambda: supervisor.children()[0].state == "running")
        assert supervisor.children()[0].restarts >= 1
        assert supervisor.why("hoarder") is None


@pytest.mark.process
def test_an_actor_under_a_dynamic_supervisor_is_recycled_too(supervisor: Supervisor) -> None:
    template = child(Hoarder).options(restart="temporary", limits=Limits(max_age=0.1))
    hoarder = supervisor.start(dynamic(template), name="sessions").start(child(Hoarder), name="one")

    assert wait_until(is_recycled(hoarder, hoarder.pid()))


@pytest.mark.process
def test_the_members_of_a_pool_are_recycled_one_at_a_time(supervisor: Supervisor) -> None:
    slow = child(Hoarder, slow=0.3).options(limits=Limits(max_age=0.1, jitter=0.0), replicas=3)
    supervisor.start(slow, name="pool")
    first = {status.path: status.pid for status in supervisor.children("pool")}
    least = len(first)

    def are_all_new() -> bool:
        nonlocal least
        statuses = supervisor.children("pool")
        least = min(least, sum(_runs(status.pid) and status.state == "running" for status in statuses))
        return all(status.pid not in (0, first[status.path]) for status in statuses)

    assert wait_until(are_all_new, 10.0)
    assert least >= 2


def _runs(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


@pytest.mark.process
def test_an_on_stop_that_takes_too_long_is_killed(start: Start, system: Supervisor) -> None:
    hoarder = start(child(Hoarder, slow=60.0).options(limits=Limits(max_age=0.1), shutdown=0.2), "slow")
    pid = hoarder.pid()

    assert wait_until(lambda: not _runs(pid))

    assert wait_until(lambda: system.why("slow") is not None)
    os.kill(hoarder.pid(), signal.SIGKILL)  # its on_stop would hold up the end of the test
