"""Pykka: actors are threads of one process; nothing to kill, nothing restarted.

Source: https://pykka.readthedocs.io/stable/quickstart/.
"""

import pykka

from tests.bench.field.measured import Measured, p50


class Tally(pykka.ThreadingActor):
    """Counts."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def add(self, n: int) -> int:
        """The small message."""
        self.total += n
        return self.total


def measure(asks: int, kills: int) -> Measured:
    """One actor behind a proxy, as the quickstart asks it."""
    del kills
    proxy = Tally.start().proxy()
    try:
        return {"ask_us": p50(lambda: proxy.add(1).get(), asks), "recover_ms": []}
    finally:
        pykka.ActorRegistry.stop_all()
