"""Benches of lives: start and restart, each with an actor whose module imports numpy too; boot."""

import importlib
import importlib.util
import itertools
import os
import signal
import time
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

from actors import child, deadline
from tests.bench.players import Tally
from tests.bench.row import AtMost, Row, skipped
from tests.bench.sample import Sample, in_turn, seconds
from tests.bench.scale import Scale
from tests.bench.system import system
from tests.bench.yardstick import peer, python_pass

_PAUSE_SECONDS = 0.05  # actors rarely start or die right after one another; a spare is forked meanwhile
_AGAINST = "os.fork, first byte"
_AGAINST_END = "SIGKILL to a fork as large, until reaped"


def start(scale: Scale) -> Iterator[Row]:
    """One more actor, its modules imported: until `start` returns, which is once it is ready."""
    yield _start(scale, "one more", Tally, [AtMost(3)])
    yield _start(scale, "one more, back to back", Tally, [], pause=0.0)
    numeric = _numeric()
    what = "one more, numpy"
    yield _start(scale, what, numeric, [AtMost(3)]) if numeric else _no_numpy("start", what)


def _start(scale: Scale, what: str, actor: type[Any], budgets: list[AtMost], pause: float = _PAUSE_SECONDS) -> Row:
    numbers = itertools.count()
    with system() as running, peer("fork") as forking:

        def one_more() -> float:
            name = f"one{next(numbers)}"
            time.sleep(pause)
            return seconds(lambda: running.start(child(actor), name=name)) * 1e3

        one_more()
        forking.turn()
        ours, theirs = in_turn(scale.of(30, smoke=2), one_more, forking.turn)
    return Row("start", what, Sample(tuple(ours), "ms"), Sample(tuple(theirs), "ms"), _AGAINST, budgets)


def restart(scale: Scale) -> Iterator[Row]:
    """From SIGKILL to the answer of the next incarnation."""
    yield _restart(scale, "SIGKILL → next answer", Tally, [AtMost(5)])
    yield _restart(scale, "the same, with an understudy", Tally, [AtMost(2)], understudies=1)
    yield _restart(scale, "the same, back to back", Tally, [], pause=0.0)
    numeric = _numeric()
    what = "SIGKILL → next answer, numpy"
    yield _restart(scale, what, numeric, [AtMost(5)]) if numeric else _no_numpy("restart", what)


def _restart(
    scale: Scale,
    what: str,
    actor: type[Any],
    budgets: list[AtMost],
    pause: float = _PAUSE_SECONDS,
    understudies: int = 0,
) -> Row:
    with system() as running, peer("kill") as ending:
        victim = running.start(child(actor), name="victim", understudies=understudies)

        def killed() -> float:
            pid = victim.pid()
            time.sleep(pause)
            begun = perf_counter_ns()
            os.kill(pid, signal.SIGKILL)
            with deadline(30):
                assert victim.pid() != pid
            return (perf_counter_ns() - begun) / 1e6

        killed()
        ending.turn()
        ours, theirs = in_turn(scale.of(30, smoke=2), killed, ending.turn)
    return Row("restart", what, Sample(tuple(ours), "ms"), Sample(tuple(theirs), "ms"), _AGAINST_END, budgets)


def boot(scale: Scale) -> Iterator[Row]:
    """From `with Supervisor()` to the first answer of its first actor."""

    def first_answer() -> float:
        begun = perf_counter_ns()
        with system() as running:
            assert running.start(child(Tally), name="tally").add(1) == 1
            return (perf_counter_ns() - begun) / 1e6

    ours, theirs = in_turn(scale.of(7, smoke=1), first_answer, python_pass)
    values = Sample(tuple(ours), "ms"), Sample(tuple(theirs), "ms")
    yield Row("boot", "Supervisor() to first answer", *values, "python -c pass", [AtMost(300)])


def _numeric() -> type[Any] | None:
    """The actor whose module imports numpy; None without numpy."""
    if importlib.util.find_spec("numpy") is None:
        return None
    found: type[Any] = importlib.import_module("tests.bench.numeric").Numeric
    return found


def _no_numpy(bench: str, what: str) -> Row:
    return skipped(bench, what, "numpy is not installed")
