"""Limits that recycle: an actor that has used up what it is allowed is restarted in order, between two messages.

    every LOOK_SECONDS, only those that have limits ─▶ exceeded ─▶ asked to end ─▶ exit 0 ─▶ "recycled": launched again

LI-1  Never in the middle of a message: it is asked, and ends when the message in hand has; its queue stays. Only an
      `on_stop` that takes longer than the child's `shutdown` is killed.
LI-2  Of a pool one at a time: the next only when all others are ready.
LI-3  It is no death: it costs nothing of the restart window, no watcher hears of it, and it is the same for every
      restart type and under every supervisor.
LI-4  A limit is a most: the jitter only lowers it, for each process anew, so that what was started together is not
      recycled together.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

from actors.child import Limits
from runtime.mailbox import page
from runtime.worker import Worker

LOOK_SECONDS = 0.5
_STOP_SECONDS = 5.0  # for on_stop, where `shutdown` is no number
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has used.

    Attributes:
        rss: resident bytes; 0 where that does not matter.
        messages: handled and failed ones.
        age: in seconds.
    """

    rss: int
    messages: int
    age: float


def exceeded(limits: Limits, usage: Usage, draw: float) -> str:
    """Which limit is used up, in words; "" for none.

    Args:
        draw: random in [0, 1), the same for the whole life of the process (LI-4).
    """
    part = 1 - limits.jitter * draw
    if limits.max_rss is not None and usage.rss >= limits.max_rss * part:
        return f"resident memory of {usage.rss} bytes"
    if limits.max_messages is not None and usage.messages >= limits.max_messages * part:
        return f"{usage.messages} messages"
    if limits.max_age is not None and usage.age >= limits.max_age * part:
        return f"age of {usage.age:.0f} s"
    return ""


@dataclass(slots=True)
class _Tracked:
    worker: Worker
    incarnation: int
    began: float
    handled_before: int
    draw: float
    idle_since: float = 0.0  # once it was asked to end: with no message in hand


class Recycler:
    """Looks after the workers that have limits."""

    def __init__(self, workers: Callable[[], Iterable[Worker]], told: Callable[[str, str], None]) -> None:
        """Look after workers.

        Args:
            workers: all there are, to find the others of a pool.
            told: given the path of an actor that is recycled, and why.
        """
        self._workers = workers
        self._told = told
        self._tracked: dict[str, _Tracked] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, worker: Worker) -> None:
        """A worker's process is ready: look after it, if it has limits."""
        if worker.program.limits is None or worker.box is None:
            return
        handled = _handled(worker)
        # not for secrets: it spreads restarts
        tracked = _Tracked(worker, worker.incarnation, monotonic(), handled, random.random())  # noqa: S311
        self._tracked.pop(worker.path, None)  # to the end: of a pool, those that wait longest come first
        self._tracked[worker.path] = tracked
        if self._timer is None:
            self._set_timer()

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        for tracked in list(self._tracked.values()):
            worker = tracked.worker
            if worker.incarnation != tracked.incarnation or not worker.is_ready or worker.box is None:
                del self._tracked[worker.path]
            elif worker.is_recycled:
                _see_it_end(tracked, now)
            else:
                self._judge(tracked, now)
        if self._tracked:
            self._set_timer()

    def _judge(self, tracked: _Tracked, now: float) -> None:
        worker, limits = tracked.worker, tracked.worker.program.limits
        if limits is None or worker.box is None or worker.is_asked:
            return
        rss = resident_bytes(worker.pid) if limits.max_rss is not None else 0
        usage = Usage(rss, _handled(worker) - tracked.handled_before, now - tracked.began)
        why = exceeded(limits, usage, tracked.draw)
        if why and self._may_go(worker):
            worker.is_recycled = True
            worker.box.set_control(page.STOP_DISCARD)
            self._told(worker.path, why)

    def _may_go(self, worker: Worker) -> bool:
        """LI-2."""
        if not worker.program.pool:
            return True
        pool = worker.path.rpartition(".")[0]
        others = [each for each in self._workers() if each.path.rpartition(".")[0] == pool and each is not worker]
        return all(each.is_ready and not each.is_recycled for each in others if each.box is not None)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, what it shares included; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _handled(worker: Worker) -> int:
    return worker.box.words[page.HANDLED] + worker.box.words[page.FAILED] if worker.box is not None else 0


def _see_it_end(tracked: _Tracked, now: float) -> None:
    """It was asked to end: wait for its message for ever, for its `on_stop` as long as any ordered stop (LI-1)."""
    worker = tracked.worker
    if worker.box is None or worker.box.is_handling():
        tracked.idle_since = 0.0
    elif not tracked.idle_since:
        tracked.idle_since = now
    elif worker.shutdown != "infinity":
        seconds = _STOP_SECONDS if isinstance(worker.shutdown, str) else worker.shutdown
        if now - tracked.idle_since > seconds:
            worker.send_signal(signal.SIGKILL)
