"""Samples of the supervisor while all is quiet: what it holds must not grow with time."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_LEAST = 40  # samples, below which a tenth says nothing
_SPARE_SHARE, _SPARE_KIB = 0.05, 1024  # what an allocator keeps goes up and down by that


@dataclass(frozen=True, slots=True)
class Sample:
    """The supervisor at rest.

    Attributes:
        seconds: since the soak began.
        memory_kib: resident and its own: anonymous memory (RssAnon).
        descriptors: open ones, slabs excepted.
        slabs, slabs_kib: memory for large payloads that is kept to be used again, and how much.
    """

    seconds: float
    memory_kib: int
    descriptors: int
    slabs: int
    slabs_kib: int


def take(pid: int, seconds: float) -> Sample:
    """Look at a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    [memory] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")]
    sizes, others = [], 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "understudy-slab" in os.readlink(entry):
                sizes.append(entry.stat().st_size)
            else:
                others += 1
    return Sample(seconds, memory, others, len(sizes), sum(sizes) // 1024)


def tenths(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first and the last tenth, of at least one each."""
    count = max(1, len(samples) // 10)
    return samples[:count], samples[-count:]


def growth(samples: Sequence[Sample]) -> tuple[int, int]:
    """By how much the last tenth has more memory (KiB) and descriptors than the first; 0 of a short soak."""
    if len(samples) < _LEAST:
        return 0, 0
    first, last = tenths(samples)
    before, after = (_mean(each, lambda sample: sample.memory_kib) for each in (first, last))
    most = max(sample.descriptors for sample in first)
    least = min(sample.descriptors for sample in last)
    return max(0, round(after - before * (1 + _SPARE_SHARE) - _SPARE_KIB)), max(0, least - most)


def summary(samples: Sequence[Sample]) -> list[str]:
    """Lines for a report: means of the first and the last tenth."""
    if not samples:
        return []
    lines = [f"{'at rest: mean of the':24}{'first tenth':>12}{'last tenth':>12}"]
    for what, of in (
        ("supervisor, KiB", lambda sample: sample.memory_kib),
        ("its descriptors", lambda sample: sample.descriptors),
        ("slabs kept", lambda sample: sample.slabs),
        ("slabs kept, KiB", lambda sample: sample.slabs_kib),
    ):
        first, last = (_mean(each, of) for each in tenths(samples))
        lines.append(f"{what:24}{first:>12,.1f}{last:>12,.1f}")
    return lines


def _mean(samples: Sequence[Sample], of: Callable[[Sample], int]) -> float:
    return sum(map(of, samples)) / len(samples)
