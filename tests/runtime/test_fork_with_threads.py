"""A program that forks while its other threads are in the midst of sending: the child is not held up by what they held."""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from actors import Actor, child, message
from runtime import Supervisor
from runtime.endpoint import Endpoint
from runtime.testing import wait_until

pytestmark = pytest.mark.process

LOCKS = (type(threading.Lock()), type(threading.RLock()))
LARGE = bytes(100_000)


class Scale(Actor):
    @message
    def weigh(self, load: bytes) -> int:
        return len(load)


def _parts_of(one: object) -> Iterator[object]:
    """An object of ours, and all that it has of ours and of plain containers."""
    seen: dict[int, object] = {}
    open_ones = [one]
    while open_ones:
        one = open_ones.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        yield one
        ours = type(one).__module__.partition(".")[0] in ("actors", "runtime")
        if (ours and not isinstance(one, type)) or isinstance(one, dict | list | set | tuple):
            open_ones += gc.get_referents(one)


def _locks_of(endpoint: Endpoint) -> list[Any]:
    return [part for part in _parts_of(endpoint) if isinstance(part, LOCKS)]


class Holder:
    """A thread that holds locks, for as long as the `with` lasts."""

    def __init__(self, locks: list[Any]) -> None:
        self._locks = locks
        self._held = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._held.wait(10)

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _hold(self) -> None:
        with ExitStack() as stack:
            for lock in self._locks:
                stack.enter_context(lock)
            self._held.set()
            self._done.wait(60)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_a_fork_while_threads_hold_whatever_lock_is_not_held_up_and_can_send(supervisor: Supervisor) -> None:
    scale = supervisor.start(child(Scale), name="scale")
    assert scale.weigh(LARGE) == len(LARGE)
    endpoint = supervisor._endpoint
    locks = _locks_of(endpoint)
    assert len(locks) >= 6  # of the endpoint, its lines (two), its routes, its arena and its stock

    with Holder(locks):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = 0 if scale.weigh(LARGE) == len(LARGE) and endpoint is supervisor._endpoint else 2
            finally:
                os._exit(code)
        has_ended = wait_until(lambda: _has_ended(pid), 20)
        if not has_ended:
            os.kill(pid, 9)
        status = os.waitpid(pid, 0)[1]

    assert has_ended
    assert os.waitstatus_to_exitcode(status) == 0
    assert scale.weigh(LARGE) == len(LARGE)


def test_the_child_of_a_fork_shares_no_lock_with_its_parent(supervisor: Supervisor) -> None:
    supervisor.start(child(Scale), name="scale").weigh(LARGE)
    endpoint = supervisor._endpoint
    before = {id(lock): lock for lock in _locks_of(endpoint)}

    pid = os.fork()
    if not pid:
        os._exit(sum(id(lock) in before for lock in _locks_of(endpoint)))

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
