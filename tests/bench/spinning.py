"""Benches of polite spinning where it could hurt: a chain of three asks, eight pairs on two CPUs; beside none."""

from collections.abc import Iterator

from tests.bench.probe import probe
from tests.bench.row import AtLeastTimes, Row
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale

_PAIRS = 8


def chain(scale: Scale) -> Iterator[Row]:
    """caller → actor → actor → actor."""
    yield from _both(scale, "chain", "3 actors", scale.of(1000, smoke=10))


def pairs(scale: Scale) -> Iterator[Row]:
    """Eight actors that ask, eight that answer."""
    yield from _both(scale, "pairs", f"{_PAIRS} pairs on 2 CPUs", scale.of(1500, smoke=10), _PAIRS)


def _both(scale: Scale, bench: str, what: str, *arguments: int) -> Iterator[Row]:
    with probe(bench, *arguments) as spinning, probe(bench, *arguments, UNDERSTUDY_SPIN_US="0") as blocking:
        spinning.measure()
        blocking.measure()
        sides = in_turn(scale.rounds, spinning.measure, blocking.measure)
    for at, (label, unit) in enumerate((("asks", "/s"), ("CPU for each ask", "µs"))):
        on, off = (Sample(tuple(numbers[at] for numbers in side), unit) for side in sides)
        budgets = [AtLeastTimes(0.95)] if unit == "/s" else []
        yield Row(bench, f"{what}: {label}", on, off, "spinning off", budgets)
