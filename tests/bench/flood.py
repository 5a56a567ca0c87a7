"""The flood bench: how long one polite sender waits while another tells as fast as it can."""

from collections.abc import Iterator
from contextlib import ExitStack
from time import perf_counter_ns

from actors import child, deadline
from runtime.wire.codec import Codec
from runtime.wire.frame import OVERHEAD
from tests.bench.players import Busy, Driver
from tests.bench.row import AtMost, Row
from tests.bench.sample import Sample
from tests.bench.scale import Scale
from tests.bench.system import system


def flood(scale: Scale) -> Iterator[Row]:
    """Asks one after the other, to an actor whose handler takes 10 µs and whose mailbox is full all the time.

    The yardstick is the promise: what can be before a message that has got in, which is a FIFO and a journal full of
    messages, times what a message took in that round.
    """
    count = scale.of(100_000, smoke=1000)
    p99s: list[float] = []
    bounds: list[float] = []
    with ExitStack() as stack:
        running = stack.enter_context(system())
        stack.enter_context(deadline(60))
        busy = running.start(child(Busy), name="busy")
        driver = running.start(child(Driver, busy), name="driver")
        in_queue = 2 * running.children()[0].mailbox_bytes / _frame_bytes()
        for _ in range(scale.of(7, smoke=2)):
            start = perf_counter_ns()
            flooding = driver.tell_often.ask(count)
            taken = [_milliseconds(busy)]
            while not flooding.done():
                taken.append(_milliseconds(busy))
            flooding.result()
            busy.add(0)
            per_message = (perf_counter_ns() - start) / 1e6 / (count + len(taken))
            p99s.append(sorted(taken)[len(taken) * 99 // 100])
            bounds.append(in_queue * per_message)
    ours, theirs = Sample(tuple(p99s), "ms"), Sample(tuple(bounds), "ms")
    yield Row("flood", "a polite ask's p99", ours, theirs, "(FIFO + journal) × time a message", [AtMost(50)])


def _milliseconds(busy: Busy) -> float:
    start = perf_counter_ns()
    busy.add(1)
    return (perf_counter_ns() - start) / 1e6


def _frame_bytes() -> int:
    """Of one tell of the flood."""
    _, payload = Codec().encode_call("add", (1,), {}, ())
    return OVERHEAD + len(payload)
