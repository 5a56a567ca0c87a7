"""xoscar: an actor in a sub-pool's process of its own, driven from an event loop.

Source: https://xoscar.dev/en/latest/reference/user_guide/. Its pools can restart a process and create its actors anew
(auto_recover); the caller then holds a reference to what is no more, so that there is no next answer to time.
"""

import asyncio
from time import perf_counter_ns

import xoscar

from tests.bench.field.measured import Measured


class Tally(xoscar.Actor):
    """Counts."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def add(self, n: int) -> int:
        """The small message."""
        self.total += n
        return self.total


def measure(asks: int, kills: int) -> Measured:
    """One actor in another process than the caller's pool."""
    del kills
    return asyncio.run(_measure(asks))


async def _measure(asks: int) -> Measured:
    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=1)
    async with pool:
        tally = await xoscar.create_actor(Tally, address=next(iter(pool.sub_processes)))
        taken = []
        for _ in range(asks + asks // 10):
            begun = perf_counter_ns()
            await tally.add(1)
            taken.append((perf_counter_ns() - begun) / 1e3)
    return {"ask_us": sorted(taken[asks // 10 :])[asks // 2], "recover_ms": []}
