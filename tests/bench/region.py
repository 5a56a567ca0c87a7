"""The bench of regions: a snapshot, a look at one field, a commit, of 4 KiB and of 1 MiB; beside a copy of as much."""

import contextlib
from collections.abc import Callable, Iterator
from time import perf_counter_ns

from actors import Layout, array, field
from runtime.memory.region import Region
from tests.bench.row import Row
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale
from tests.bench.system import system

_LAYOUTS: dict[str, type[Layout]] = {
    label: type("Table", (Layout,), {"content": array("u1", nbytes - 8), "n": field("u8")})
    for label, nbytes in {"4 KiB": 1 << 12, "1 MiB": 1 << 20}.items()
}


def region(scale: Scale) -> Iterator[Row]:
    """How long each takes, by one process that nobody disturbs."""
    with system() as running:
        for n, (label, layout) in enumerate(_LAYOUTS.items()):
            with contextlib.closing(running.region(f"table{n}", layout)) as table:
                times = scale.of(2000 if n == 0 else 50, smoke=2)
                yield from _rows(scale, table, label, times)


def _rows(scale: Scale, table: Region[Layout], label: str, times: int) -> Iterator[Row]:
    source = bytearray(table.layout.__shape__.nbytes)
    calls: dict[str, Callable[[], object]] = {
        "read": table.read,
        "peek": lambda: table.peek(_n),
        "commit": lambda: table.update(_n),
    }
    for what, call in calls.items():
        ours, theirs = in_turn(scale.rounds, lambda: _us(call, times), lambda: _us(lambda: bytes(source), times))  # noqa: B023  # called in this turn
        yield Row("region", f"{label} {what}", Sample(tuple(ours), "µs"), Sample(tuple(theirs), "µs"), "a copy")


def _n(view: Layout) -> int:
    return int(view.n)  # type: ignore[attr-defined]  # of the layouts above


def _us(call: Callable[[], object], times: int) -> float:
    start = perf_counter_ns()
    for _ in range(times):
        call()
    return (perf_counter_ns() - start) / 1e3 / times
