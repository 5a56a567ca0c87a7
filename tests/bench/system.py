"""Systems under measurement, and what the kernel knows of their processes."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from runtime import Supervisor

_numbers = itertools.count(1)


def system() -> Supervisor:
    """A system of its own name whose children may be killed as often as one likes, without a delay."""
    return Supervisor(f"bench-{os.getpid()}-{next(_numbers)}", max_restarts=1_000_000, backoff=None)


@contextlib.contextmanager
def on_cpus(count: int) -> Iterator[None]:
    """This process, and what it starts meanwhile, on the first so many of its CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def apart(*pids: int) -> Iterator[None]:
    """This process on its first CPU, those on the second."""
    before = os.sched_getaffinity(0)
    first, second, *_ = sorted(before)
    for pid in pids:
        os.sched_setaffinity(pid, [second])
    os.sched_setaffinity(0, [first])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processes(supervisor: Supervisor) -> list[int]:
    """Pids of the whole system: warden, supervisor, zygote, actors; not of this process."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents():
        below.setdefault(parent, []).append(pid)
    found = [parent for pid, parent in _parents() if pid == supervisor.pid]  # the warden
    for pid in found:
        found.extend(below.get(pid, ()))
    return found


def pss_mib(pid: int) -> float:
    """Proportional set size of a process, in MiB; 0 of one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Meter:
    """CPU time that processes use, all threads, by the scheduler's own count (in ns, not ticks)."""

    def __init__(self, pids: list[int]) -> None:
        self._used = {pid: _cpu_ns(pid) for pid in pids}

    def seconds(self) -> float:
        """Used since the last call, or since it was made; of a process that has ended: nothing."""
        total = 0
        for pid, before in self._used.items():
            self._used[pid] = now = _cpu_ns(pid)
            total += max(0, now - before)
        return total / 1e9


def _cpu_ns(pid: int) -> int:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return sum(int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) for task in tasks)
    except OSError:  # it has ended
        return 0


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                stat = Path(f"/proc/{entry}/stat").read_bytes()
                yield int(entry), int(stat[stat.rindex(b")") + 4 :].split(b" ", 1)[0])
