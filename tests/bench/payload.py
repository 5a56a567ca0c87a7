"""The bench of payloads: an argument of growing size, bytes, array and lent array, against memcpy into a warm map.

The rows `cliff` compare what a byte costs on both sides of a frame: in the frame itself (3.5 KiB) and in shared memory.
"""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter_ns
from typing import Any

from actors import child, deadline
from runtime import Supervisor
from tests.bench.players import Tally
from tests.bench.row import AtLeast, AtMostTimes, Row, skipped
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale
from tests.bench.system import system
from tests.bench.yardstick import Copy

_SIZES = {"4 KiB": 1 << 12, "64 KiB": 1 << 16, "1 MiB": 1 << 20, "64 MiB": 1 << 26}
_STEPS = {"2 KiB": 2048, "4 KiB": 4096, "8 KiB": 8192, "16 KiB": 16384, "64 KiB": 65536}
_FRAMED = 3584  # the largest round size that goes in the frame
_BATCH_BYTES = 8 << 20  # in one repetition, at least one ask


def payload(scale: Scale) -> Iterator[Row]:
    """An ask with that argument: rate of its bytes, its time where it is lent."""
    kinds: dict[str, Callable[[int], Any]] = {"bytes": bytes}
    has_arrays = importlib.util.find_spec("numpy") is not None
    if has_arrays:
        kinds["array"] = lambda n: importlib.import_module("numpy").zeros(n, "uint8")
    else:
        yield skipped("payload", "array", "numpy is not installed")
    with system() as running, deadline(60):
        tally = running.start(child(Tally), name="tally")
        for label, nbytes in _SIZES.items():
            with contextlib.closing(Copy(nbytes)) as copy:
                for kind, make in kinds.items():
                    yield _row(scale, tally, f"{label} {kind}", make(nbytes), nbytes, copy)
        if has_arrays:
            for label, nbytes in _SIZES.items():
                yield _lent(scale, running, tally, label, nbytes)
        for kind, make in kinds.items():
            for label, nbytes in _STEPS.items():
                yield _step(scale, tally, f"{label} {kind}", make(nbytes), make(_FRAMED))


def _row(scale: Scale, tally: Tally, what: str, value: Any, nbytes: int, copy: Copy) -> Row:
    times = max(1, min(500, _BATCH_BYTES // nbytes)) if not scale.smoke else 1

    def rate() -> float:
        return nbytes * times / _elapsed_ns(partial(tally.take, value), times)

    rate()
    ours, theirs = in_turn(scale.of(5, smoke=1), rate, lambda: copy.rate(times))
    budgets = [AtLeast(5)] if what == "64 MiB array" else []
    rates = Sample(tuple(ours), "GB/s"), Sample(tuple(theirs), "GB/s")
    note = f"{nbytes / rates[0].median / 1e3:.0f} µs each"
    return Row("payload", what, *rates, "memcpy, warm map", budgets, note)


def _lent(scale: Scale, running: Supervisor, tally: Tally, label: str, nbytes: int) -> Row:
    """Time of `empty`, one byte written, an ask with it; the same with 4 KiB is the yardstick."""
    times = scale.of(100, smoke=1)

    def ask(size: int) -> None:
        array = running.empty(size)
        array[0] = 1
        tally.take(array)

    def each_us(size: int) -> float:
        return _elapsed_ns(partial(ask, size), times) / times / 1e3

    each_us(nbytes)
    ours, theirs = in_turn(scale.of(7, smoke=1), partial(each_us, nbytes), partial(each_us, _SIZES["4 KiB"]))
    times_taken = Sample(tuple(ours), "µs"), Sample(tuple(theirs), "µs")
    return Row("payload", f"{label} lent", *times_taken, "4 KiB lent", [AtMostTimes(2)], "filled in place, not copied")


def _step(scale: Scale, tally: Tally, what: str, value: Any, framed: Any) -> Row:
    """What a byte of an ask with that argument costs, and one of an argument that goes in the frame."""
    times = scale.of(100, smoke=1)

    def per_byte(argument: Any) -> float:
        return _elapsed_ns(partial(tally.take, argument), times) / times / memoryview(argument).nbytes

    per_byte(value)
    ours, theirs = in_turn(scale.of(15, smoke=1), partial(per_byte, value), partial(per_byte, framed))
    costs = Sample(tuple(ours), "ns/B"), Sample(tuple(theirs), "ns/B")
    return Row("payload", f"cliff {what}", *costs, "3.5 KiB, in the frame", [AtMostTimes(2)])


def _elapsed_ns(call: Callable[[], object], times: int) -> int:
    start = perf_counter_ns()
    for _ in range(times):
        call()
    return perf_counter_ns() - start
