"""What is measured of each library, and how."""

import os
import signal
from collections.abc import Callable
from time import perf_counter_ns
from typing import TypedDict

from tests.bench.sample import latencies


class Measured(TypedDict):
    """What a library's file returns.

    Attributes:
        ask_us: p50 of one caller that waits for each answer of an actor in another process, or thread.
        recover_ms: from SIGKILL of the actor's process to the next answer under its reference, for each kill; empty for
            a library that does not restart actors.
    """

    ask_us: float
    recover_ms: list[float]


def p50(ask: Callable[[], object], count: int) -> float:
    """Of so many asks, in µs, after a warm-up of a tenth of them."""
    latencies(ask, max(1, count // 10))
    return latencies(ask, count)[count // 2]


def recovered(pid: Callable[[], int], kills: int) -> list[float]:
    """Kill the process that pid() answers from, and ask until another answers; ms for each kill.

    Args:
        pid: asks the actor for its process; may raise while there is none.
        kills: how many times.
    """
    taken = []
    for _ in range(kills):
        victim = pid()
        begun = perf_counter_ns()
        os.kill(victim, signal.SIGKILL)
        while _answer(pid) in (None, victim):
            pass
        taken.append((perf_counter_ns() - begun) / 1e6)
    return taken


def _answer(pid: Callable[[], int]) -> int | None:
    try:
        return pid()
    except Exception:  # each library has its own errors for an actor that is not there yet
        return None
