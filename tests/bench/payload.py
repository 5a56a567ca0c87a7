"""The bench of payloads: an argument of growing size, bytes and array, against memcpy into a warm map."""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

from actors import child, deadline
from tests.bench.players import Tally
from tests.bench.row import AtLeast, Row, skipped
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale
from tests.bench.system import system
from tests.bench.yardstick import Copy

_SIZES = {"4 KiB": 1 << 12, "64 KiB": 1 << 16, "1 MiB": 1 << 20, "64 MiB": 1 << 26}
_BATCH_BYTES = 8 << 20  # in one repetition, at least one ask


def payload(scale: Scale) -> Iterator[Row]:
    """An ask with that argument: rate of its bytes."""
    kinds: dict[str, Callable[[int], Any]] = {"bytes": bytes}
    if importlib.util.find_spec("numpy") is None:
        yield skipped("payload", "array", "numpy is not installed")
    else:
        kinds["array"] = lambda n: importlib.import_module("numpy").zeros(n, "uint8")
    with system() as running, deadline(60):
        tally = running.start(child(Tally), name="tally")
        for label, nbytes in _SIZES.items():
            with contextlib.closing(Copy(nbytes)) as copy:
                for kind, make in kinds.items():
                    yield _row(scale, tally, f"{label} {kind}", make(nbytes), nbytes, copy)


def _row(scale: Scale, tally: Tally, what: str, value: Any, nbytes: int, copy: Copy) -> Row:
    times = max(1, min(500, _BATCH_BYTES // nbytes)) if not scale.smoke else 1

    def rate() -> float:
        start = perf_counter_ns()
        for _ in range(times):
            assert tally.take(value) == nbytes
        return nbytes * times / (perf_counter_ns() - start)

    rate()
    ours, theirs = in_turn(scale.of(5, smoke=1), rate, lambda: copy.rate(times))
    budgets = [AtLeast(5)] if what == "64 MiB array" else []
    rates = Sample(tuple(ours), "GB/s"), Sample(tuple(theirs), "GB/s")
    note = f"{nbytes / rates[0].median / 1e3:.0f} µs each"
    return Row("payload", what, *rates, "memcpy, warm map", budgets, note)
