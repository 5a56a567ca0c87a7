"""Samples of the supervisor while all is quiet: what it holds must not grow with time."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.testing import processes_of

_LEAST = 40  # samples, below which a tenth says nothing
_SPARE_SHARE, _SPARE_KIB = 0.05, 1024  # what an allocator keeps goes up and down by that


@dataclass(frozen=True, slots=True)
class Sample:
    """The supervisor at rest.

    Attributes:
        seconds: since the soak began.
        memory_kib: resident and its own: anonymous memory (RssAnon).
        descriptors: open ones, slabs excepted.
        names: entries below the runtime directory.
        processes: of the system.
        slabs, slabs_kib: memory for large payloads that is kept to be used again, and how much.
    """

    seconds: float
    memory_kib: int
    descriptors: int
    names: int
    processes: int
    slabs: int
    slabs_kib: int


def take(pid: int, directory: Path, seconds: float) -> Sample:
    """Look at a supervisor's process, and its runtime directory."""
    status = Path(f"/proc/{pid}/status").read_text()
    [memory] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")]
    sizes, others = [], 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "understudy-slab" in os.readlink(entry):
                sizes.append(entry.stat().st_size)
            else:
                others += 1
    names, processes = len(list(directory.rglob("*"))), len(processes_of(directory))
    return Sample(seconds, memory, others, names, processes, len(sizes), sum(sizes) // 1024)


def tenths(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first and the last tenth, of at least one each."""
    count = max(1, len(samples) // 10)
    return samples[:count], samples[-count:]


def growth(samples: Sequence[Sample]) -> tuple[int, int, int, int]:
    """By how much the last tenth has more memory (KiB), descriptors, names and processes; 0 of a short soak."""
    if len(samples) < _LEAST:
        return 0, 0, 0, 0
    first, last = tenths(samples)
    before, after = (_mean(each, lambda sample: sample.memory_kib) for each in (first, last))
    return (
        max(0, round(after - before * (1 + _SPARE_SHARE) - _SPARE_KIB)),
        _more(first, last, lambda sample: sample.descriptors),
        _more(first, last, lambda sample: sample.names),
        _more(first, last, lambda sample: sample.processes),
    )


def summary(samples: Sequence[Sample]) -> list[str]:
    """Lines for a report: means of the first and the last tenth."""
    if not samples:
        return []
    lines = [f"{'at rest: mean of the':24}{'first tenth':>12}{'last tenth':>12}"]
    for what, of in (
        ("supervisor, KiB", lambda sample: sample.memory_kib),
        ("its descriptors", lambda sample: sample.descriptors),
        ("names", lambda sample: sample.names),
        ("processes", lambda sample: sample.processes),
        ("slabs kept", lambda sample: sample.slabs),
        ("slabs kept, KiB", lambda sample: sample.slabs_kib),
    ):
        first, last = (_mean(each, of) for each in tenths(samples))
        lines.append(f"{what:24}{first:>12,.1f}{last:>12,.1f}")
    return lines


def _more(first: Sequence[Sample], last: Sequence[Sample], of: Callable[[Sample], int]) -> int:
    """How many more there are, of what goes up and down by what is on its way: none before had as many."""
    return max(0, min(map(of, last)) - max(map(of, first)))


def _mean(samples: Sequence[Sample], of: Callable[[Sample], int]) -> float:
    return sum(map(of, samples)) / len(samples)
