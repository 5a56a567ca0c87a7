"""Repeated measurements: the machine is noisy and shared, so nothing is measured once."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure, measured several times.

    Attributes:
        values: one for each repetition, in unit.
        unit: "µs", "ms", "s", "/s", "GB/s", "MiB", "%".
    """

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """What the row shows."""
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        """Of all repetitions."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """Of all repetitions."""
        return max(self.values)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "median": self.median,
            "min": self.lowest,
            "max": self.highest,
            "n": len(self.values),
            "unit": self.unit,
        }


def in_turn(rounds: int, *measures: Callable[[], T]) -> list[list[T]]:
    """Call each in each round, so that whatever else the machine does hits them alike; the values of each."""
    values: list[list[T]] = [[] for _ in measures]
    for _ in range(rounds):
        for taken, measure in zip(values, measures, strict=True):
            taken.append(measure())
    return values


def latencies(call: Callable[[], object], count: int) -> list[float]:
    """How long each of so many calls took, in µs, sorted."""
    taken = []
    for _ in range(count):
        start = perf_counter_ns()
        call()
        taken.append((perf_counter_ns() - start) / 1e3)
    return sorted(taken)


def seconds(call: Callable[[], object]) -> float:
    """How long one call took."""
    start = perf_counter_ns()
    call()
    return (perf_counter_ns() - start) / 1e9


def ratio_of(values: Sequence[float], others: Sequence[float]) -> float:
    """Median of the ratios of what was measured in the same round."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))
