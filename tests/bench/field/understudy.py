"""Understudy, measured as the others are."""

from actors import child
from tests.bench.field.measured import Measured, p50, recovered
from tests.bench.players import Tally
from tests.bench.system import system


def measure(asks: int, kills: int) -> Measured:
    """One actor in a process of its own, restarted by its supervisor."""
    with system() as running:
        tally = running.start(child(Tally), name="tally")
        return {"ask_us": p50(lambda: tally.add(1), asks), "recover_ms": recovered(tally.pid, kills)}
