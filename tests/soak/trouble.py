"""Trouble: kills and stops the processes of the tree at random, by a seed, until it is told to end.

TR-1  Only processes of this very system are signalled: by pidfd, after a look at their environment.
TR-2  Every kill is in the ledger before it happens, so that the judge can blame it.
"""

import contextlib
import heapq
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from time import monotonic

from runtime import Supervisor
from runtime.testing import processes_of
from tests.soak.callers import Nursery
from tests.soak.judge import CALLERS, ZYGOTE
from tests.soak.ledger import KILLED, Ledger
from tests.soak.report import Report

_PAUSE_SECONDS = 0.03  # mean, between two troubles
_POOL_SHARE = 0.1  # of the trouble that others get: a pool's restarts are delayed more and more
_STOPPED_SECONDS = 0.15  # at most
_CALLERS = 3  # at one time


class Trouble:
    """One round of it. Owns the descriptors of what it has stopped."""

    def __init__(
        self,
        supervisor: Supervisor,
        directory: Path,
        ledger: Ledger,
        numbers: Mapping[str, int],
        nursery: Nursery,
        chance: Random,
        report: Report,
    ) -> None:
        """Trouble the actors whose paths have numbers (or whose pool has)."""
        self._supervisor = supervisor
        self._directory = directory
        self._ledger = ledger
        self._numbers = numbers
        self._nursery = nursery
        self._chance = chance
        self._report = report
        self._enough = threading.Event()
        self._stopped: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._run, name="trouble", daemon=True)

    def start(self) -> None:
        """Cause trouble from now on."""
        self._thread.start()

    def end(self) -> None:
        """No more, from now on; what was stopped goes on."""
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(self._chance.expovariate(1 / _PAUSE_SECONDS)):
            self._draw()()
            self._resume(monotonic())
        self._resume(None)

    def _draw(self) -> Callable[[], None]:
        kinds: Mapping[Callable[[], None], int] = {
            self._kill: 50,
            self._kill_many: 4,
            self._stop: 30,
            self._kill_zygote: 2,
            self._stop_zygote: 3,
            self._kill_caller: 10,
        }
        return self._chance.choices(list(kinds), list(kinds.values()))[0]

    def _kill(self) -> None:
        self._kill_each(1)

    def _kill_many(self) -> None:
        self._kill_each(4)

    def _kill_each(self, count: int) -> None:
        victims = self._victims()
        for path, number, pid, incarnation in self._chance.sample(victims, min(count, len(victims))):
            fd = self._pidfd(pid)
            if fd is None:
                continue
            self._ledger.put(KILLED, actor=number, pid=pid, incarnation=incarnation)  # TR-2
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                self._report.kills += 1
            os.close(fd)

    def _stop(self) -> None:
        victims = self._victims()
        if victims and self._stop_one(self._chance.choice(victims)[2]):
            self._report.stops += 1

    def _stop_zygote(self) -> None:
        for pid in self._zygotes():
            self._report.zygote_stops += self._stop_one(pid)

    def _stop_one(self, pid: int) -> bool:
        fd = self._pidfd(pid)
        if fd is None:
            return False
        heapq.heappush(self._stopped, (monotonic() + self._chance.random() * _STOPPED_SECONDS, fd))
        try:
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
        except ProcessLookupError:
            return False
        return True

    def _resume(self, now: float | None) -> None:
        while self._stopped and (now is None or self._stopped[0][0] <= now):
            _, fd = heapq.heappop(self._stopped)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGCONT)
            os.close(fd)

    def _kill_zygote(self) -> None:
        for pid in self._zygotes():
            fd = self._pidfd(pid)
            if fd is not None:
                self._ledger.put(KILLED, actor=ZYGOTE, pid=pid)  # TR-2
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    self._report.zygote_kills += 1
                os.close(fd)

    def _zygotes(self) -> list[int]:
        found = []
        for pid in processes_of(self._directory):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "understudy-zyg":
                    found.append(pid)
        return found

    def _kill_caller(self) -> None:
        """End one, and have another: at first there is none."""
        pid = self._nursery.kill(self._chance) if self._nursery.count() >= _CALLERS else 0
        if pid:
            self._ledger.put(KILLED, actor=CALLERS, pid=pid)
            self._report.callers_killed += 1
        self._nursery.fork()

    def _victims(self) -> list[tuple[str, int, int, int]]:
        """Path, number, pid and incarnation of every actor that runs."""
        found = []
        for status in self._supervisor.status():
            number = self._numbers.get(status.path, self._numbers.get(status.path.rpartition(".")[0]))
            is_spared = status.path.startswith("pool.") and self._chance.random() > _POOL_SHARE
            if status.pid and number is not None and not is_spared:
                found.append((status.path, number, status.pid, status.incarnation))
        return found

    def _pidfd(self, pid: int) -> int | None:
        """A descriptor of a process of ours (TR-1); None when it has ended."""
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        with contextlib.suppress(OSError):
            if f"UNDERSTUDY_DIR={self._directory}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return fd
        os.close(fd)
        return None
