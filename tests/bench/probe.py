"""Measurements that need a process of their own, for another environment or user: `python -m tests.bench.probe NAME …`

A probe sets itself up, says "ready", and answers every line on its standard input with a list of numbers.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from time import perf_counter, perf_counter_ns

from actors import child
from tests.bench.players import Driver, Link, Tally
from tests.bench.system import Meter, on_cpus, processes, pss_mib, system
from tests.bench.yardstick import ROOT

Numbers = list[float]
Measure = Callable[[], Numbers]


class Probe:
    """A probe's process, as the bench knows it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def measure(self) -> Numbers:
        """Have it measure once more.

        Raises:
            RuntimeError: it has ended; what it said goes to standard error.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.read()

    def read(self) -> Numbers:
        """What it says next."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"the probe ended with code {self._process.wait()}")
        numbers: Numbers = json.loads(said)
        return numbers


@contextlib.contextmanager
def probe(name: str, *arguments: int, prefix: Sequence[str] = (), **environment: str) -> Iterator[Probe]:
    """Start a probe, by another command if asked for, and end it."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.bench.probe", name, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    try:
        found = Probe(process)
        found.read()
        yield found
    finally:
        process.communicate()


def chain(stack: ExitStack, asks: int) -> Measure:
    """Asks through a chain of three: asks/s, and CPU µs of all processes for each."""
    stack.enter_context(on_cpus(2))
    running = stack.enter_context(system())
    last = running.start(child(Tally), name="last")
    middle = running.start(child(Link, last), name="middle")
    first = running.start(child(Link, middle), name="first")
    meter = Meter([*processes(running), os.getpid()])

    def measure() -> Numbers:
        meter.seconds()
        start = perf_counter()
        for _ in range(asks):
            first.add(1)
        return [asks / (perf_counter() - start), meter.seconds() / asks * 1e6]

    return measure


def pairs(stack: ExitStack, asks: int, count: int) -> Measure:
    """Pairs that ask at once on two CPUs: asks/s of all, and CPU µs for each."""
    stack.enter_context(on_cpus(2))
    running = stack.enter_context(system())
    tallies = [running.start(child(Tally), name=f"tally{n}") for n in range(count)]
    drivers = [running.start(child(Driver, tally), name=f"driver{n}") for n, tally in enumerate(tallies)]
    meter = Meter(processes(running))

    def measure() -> Numbers:
        meter.seconds()
        start = perf_counter()
        replies = [driver.ask_often.ask(asks) for driver in drivers]
        for reply in replies:
            reply.result()
        total = asks * count
        return [total / (perf_counter() - start), meter.seconds() / total * 1e6]

    return measure


def crowd(stack: ExitStack, count: int) -> Measure:
    """So many actors: s until all are started and have answered, PSS MiB of the system."""

    def measure() -> Numbers:
        start = perf_counter_ns()
        with system() as running:
            tallies = [running.start(child(Tally), name=f"tally{n}") for n in range(count)]
            assert [tally.add(1) for tally in tallies] == [1] * count
            taken = (perf_counter_ns() - start) / 1e9
            return [taken, sum(map(pss_mib, processes(running)))]

    return measure


_PROBES: dict[str, Callable[..., Measure]] = {"chain": chain, "pairs": pairs, "crowd": crowd}


def main(name: str, *arguments: str) -> None:
    """Be a probe until standard input ends."""
    with ExitStack() as stack:
        measure = _PROBES[name](stack, *map(int, arguments))
        print("[]", flush=True)
        for _ in sys.stdin:
            print(json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
