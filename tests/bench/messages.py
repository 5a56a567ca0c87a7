"""Benches of messages: ask, tell, address, pipelined, fanin."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from time import perf_counter_ns, sleep
from typing import Any

from actors import child, deadline
from tests.bench.players import Driver, Partner, Tally
from tests.bench.row import AtLeast, AtLeastTimes, AtMost, AtMostTimes, Row, skipped
from tests.bench.sample import Sample, in_turn, latencies
from tests.bench.scale import Scale
from tests.bench.system import apart, on_cpus, system
from tests.bench.yardstick import peer

_WIDTH = 64


def ask(scale: Scale) -> Iterator[Row]:
    """One caller that waits for each answer."""
    count = scale.of(2000, smoke=20)
    with on_cpus(1):
        yield _ask(scale, "all on one CPU", count, AtMostTimes(1.6))
    yield _ask(scale, "idle CPUs", count, AtMostTimes(0.25), AtMost(15))
    if len(os.sched_getaffinity(0)) > 1:
        yield _ask(scale, "each on a CPU of its own", count, AtMostTimes(0.25), AtMost(15), is_apart=True)
    else:
        yield skipped("ask", "p50, each on a CPU of its own", "there is one CPU")


def _ask(scale: Scale, where: str, count: int, *budgets: AtMost | AtMostTimes, is_apart: bool = False) -> Row:
    """The p50 of each round, in µs; is_apart: the kernel may not put both sides on one CPU, as it does of its own."""
    tails: list[float] = []

    def p50(call: Callable[[], object]) -> float:
        taken = latencies(call, count)
        tails.append(taken[count * 99 // 100])
        return taken[count // 2]

    with ExitStack() as stack:
        running, pong = stack.enter_context(system()), stack.enter_context(peer("pong"))
        tally = running.start(child(Tally), name="tally")
        add = tally.add
        if is_apart:
            stack.enter_context(apart(tally.pid(), pong.pid))
        p50(lambda: add(1))
        p50(pong.ask)
        tails.clear()
        ours, theirs = in_turn(scale.rounds, lambda: p50(lambda: add(1)), lambda: p50(pong.ask))
    note = f"p99 {sorted(tails[::2])[len(tails) // 4]:.0f} µs"
    against = "pipes + msgpack ping-pong"
    return Row("ask", f"p50, {where}", Sample(tuple(ours), "µs"), Sample(tuple(theirs), "µs"), against, budgets, note)


def tell(scale: Scale) -> Iterator[Row]:
    """One sender that never waits but for room; until the last message is handled."""
    count = scale.of(50_000, smoke=500)
    with system() as running, peer("count") as counting:
        tally = running.start(child(Tally), name="tally")
        _tell(tally, count)
        ours, theirs = in_turn(scale.rounds, lambda: _tell(tally, count), lambda: counting.tell(count))
    rates = Sample(tuple(ours), "/s"), Sample(tuple(theirs), "/s")
    yield Row("tell", "one sender, sustained", *rates, "pipe, streaming Unpacker", [AtLeastTimes(0.5)])


def _tell(tally: Tally, count: int) -> float:
    send = tally.add.tell
    start = perf_counter_ns()
    for _ in range(count):
        send(1)
    with deadline(60):
        tally.add(0)
    return count / (perf_counter_ns() - start) * 1e9


def address(scale: Scale) -> Iterator[Row]:
    """Ping-pong by tells: each brings the address for the next one, or it is known beforehand."""
    count = scale.of(20_000, smoke=200)
    with system() as running:
        one, two = (running.start(child(Partner), name=name) for name in ("one", "two"))

        def game(serve: Callable[[], None]) -> float:
            one.meet(two)
            two.meet(one)
            start = perf_counter_ns()
            serve()
            while not (one.has_ended() or two.has_ended()):
                sleep(0.001)
            return (perf_counter_ns() - start) / count / 1000

        def with_address() -> float:
            return game(lambda: one.addressed.tell(two, count))

        def without() -> float:
            return game(lambda: one.known.tell(count))

        with_address()
        ours, theirs = in_turn(scale.rounds, with_address, without)
    taken = Sample(tuple(ours), "µs"), Sample(tuple(theirs), "µs")
    yield Row("address", "a reference in each tell", *taken, "known beforehand", [AtMostTimes(1.3)])


def pipelined(scale: Scale) -> Iterator[Row]:
    """An event loop with 64 asks under way: as 64 tasks, and as one that awaits 64 replies."""
    rounds = scale.of(60, smoke=3)
    with system() as running, peer("window") as window:
        tally = running.start(child(Tally), name="tally")

        def by_hand() -> float:
            start = perf_counter_ns()
            window.ask_window(rounds, _WIDTH)
            return rounds * _WIDTH / (perf_counter_ns() - start) * 1e9

        def in_loop(body: Callable[[Tally, int], Coroutine[Any, Any, None]]) -> Callable[[], float]:
            return lambda: asyncio.run(_timed(body, tally, rounds))

        by_hand()
        replies, tasks, theirs = in_turn(scale.rounds, in_loop(_replies), in_loop(_tasks), by_hand)
    against = f"pipes, {_WIDTH} by hand"
    yardstick = Sample(tuple(theirs), "/s")
    yield Row("pipelined", "one task, 64 replies", Sample(tuple(replies), "/s"), yardstick, against, [AtLeast(100_000)])
    yield Row("pipelined", "64 tasks", Sample(tuple(tasks), "/s"), yardstick, against, [AtLeast(100_000)])


async def _timed(body: Callable[[Tally, int], Coroutine[Any, Any, None]], tally: Tally, rounds: int) -> float:
    await body(tally, 1)
    start = perf_counter_ns()
    await body(tally, rounds)
    return rounds * _WIDTH / (perf_counter_ns() - start) * 1e9


async def _replies(tally: Tally, rounds: int) -> None:
    add = tally.add.ask
    for _ in range(rounds):
        for reply in [add(1) for _ in range(_WIDTH)]:
            await reply


async def _tasks(tally: Tally, rounds: int) -> None:
    add = tally.add.ask

    async def one() -> None:
        for _ in range(rounds):
            await add(1)

    await asyncio.gather(*(one() for _ in range(_WIDTH)))


def fanin(scale: Scale) -> Iterator[Row]:
    """Four senders, each an actor, to one actor; beside one such sender."""
    count = scale.of(24_000, smoke=400)
    senders = 4
    with ExitStack() as stack:
        running = stack.enter_context(system())
        stack.enter_context(deadline(60))
        tally = running.start(child(Tally), name="tally")
        drivers = [running.start(child(Driver, tally), name=f"driver{n}") for n in range(senders)]

        def rate(by: list[Driver]) -> float:
            start = perf_counter_ns()
            for reply in [driver.tell_often.ask(count // len(by)) for driver in by]:
                reply.result()
            tally.add(0)
            return count / (perf_counter_ns() - start) * 1e9

        rate(drivers)
        four, one = in_turn(scale.rounds, lambda: rate(drivers), lambda: rate(drivers[:1]))
    rates = Sample(tuple(four), "/s"), Sample(tuple(one), "/s")
    yield Row("fanin", "4 senders → 1 actor", *rates, "1 sender", [AtLeastTimes(1.0)])
