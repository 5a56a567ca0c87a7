"""Waiting for a commit: threads, processes, event loops."""

import asyncio
import os
import signal
import threading
import time

import pytest

from actors.errors import RegionError
from runtime.memory import futex, lock
from runtime.testing import wait_until


def write(region):
    region.update(lambda view: setattr(view, "n", view.n + 1))


def sleepers(region):
    return [thread for thread in threading.enumerate() if thread.name == f"newer-{region.name}"]


def test_a_commit_that_is_there_is_not_waited_for(region):
    write(region)

    assert region.wait_newer(0, timeout=0) is True


def test_without_a_commit_it_ends_at_the_timeout(region):
    start = time.monotonic()

    assert region.wait_newer(0, timeout=0.12) is False
    assert 0.12 <= time.monotonic() - start < 1.0


def test_a_commit_wakes_who_waits(region, monkeypatch):
    monkeypatch.setattr(futex, "SLICE_SECONDS", 30.0)  # so that nothing but the wake ends it in time
    found = []
    waiting = [threading.Thread(target=lambda: found.append(region.wait_newer(0, timeout=20.0))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert wait_until(lambda: all(_sleeps(thread.native_id) for thread in waiting))

    write(region)

    for thread in waiting:
        thread.join(5.0)
    assert found == [True, True, True]


@pytest.mark.process
def test_a_commit_of_another_process_wakes_too(region, farm):
    farmed = farm()
    farmed.fork("commit")

    assert region.wait_newer(0, timeout=5.0) is True
    assert region.read().n == 1
    farmed.reap()


def test_signals_are_handled_while_waiting(region):
    class Rang(Exception):
        pass

    def ring(*_):
        raise Rang

    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    due = time.monotonic() + 0.05
    try:
        with pytest.raises(Rang):
            region.wait_newer(0)
        assert time.monotonic() - due < 0.4
    finally:
        signal.signal(signal.SIGALRM, old)


def test_an_event_loop_awaits_a_commit_and_runs_on(region, monkeypatch):
    monkeypatch.setattr(futex, "SLICE_SECONDS", 30.0)

    async def main():
        waiting = asyncio.ensure_future(region.newer(0))
        while not any(_sleeps(thread.native_id) for thread in sleepers(region)):  # no event: the kernel
            await asyncio.sleep(0)
        write(region)
        assert await asyncio.wait_for(waiting, 5.0) is True
        assert await region.newer(0) is True
        assert await region.newer(1, timeout=0.01) is False

    asyncio.run(main())
    assert wait_until(lambda: not sleepers(region))


def test_a_cancelled_wait_ends_its_thread(region):
    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(region.newer(0), 0.03)

    asyncio.run(main())
    assert wait_until(lambda: not sleepers(region), 1.0)


def test_a_region_closed_meanwhile_ends_the_wait(region):
    async def main():
        waiting = asyncio.ensure_future(region.newer(0))
        await asyncio.sleep(0)
        region.close()
        with pytest.raises(RegionError, match="closed"):
            await waiting

    asyncio.run(main())


def test_a_machine_without_a_known_futex_says_so(make, monkeypatch):
    monkeypatch.setattr(futex, "_NUMBER", -1)

    with pytest.raises(OSError, match="expected one of x86_64, aarch64"):
        make()


def test_a_libc_without_clocklock_waits_too(make, region, monkeypatch):
    monkeypatch.setattr(lock, "_clocklock", None)
    other = make(again=True)
    took = []

    def take():
        try:
            with other.write(timeout=0.05):
                took.append("early")
        except TimeoutError:
            took.append("busy")
        with other.write(timeout=5.0):
            took.append("taken")

    thread = threading.Thread(target=take)
    with region.write():
        thread.start()
        assert wait_until(lambda: took == ["busy"])
    thread.join(5.0)

    assert took == ["busy", "taken"]


def test_no_wait_counts_the_wall_clock():
    for module in (lock, futex):
        with open(module.__file__) as file:
            source = file.read()
        assert ".pthread_mutex_timedlock" not in source
        assert "time.time(" not in source


def _sleeps(thread_id):
    """The thread waits for something; one that has not begun to may be taken for it, and then finds the commit."""
    with open(f"/proc/{os.getpid()}/task/{thread_id}/stat") as file:
        return file.read().rpartition(") ")[2].startswith("S")
