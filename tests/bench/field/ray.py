"""Ray: an actor in a worker process, restarted for ever, calls not retried.

Source: https://docs.ray.io/en/latest/ray-core/actors.html and …/fault_tolerance/actors.html.
"""

import os

import ray

from tests.bench.field.measured import Measured, p50, recovered


@ray.remote(max_restarts=-1, max_task_retries=0, num_cpus=0)
class Tally:
    """Counts."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, n: int) -> int:
        """The small message."""
        self.total += n
        return self.total

    def pid(self) -> int:
        """Of its process."""
        return os.getpid()


def measure(asks: int, kills: int) -> Measured:
    """One actor on a cluster of this machine, started for it."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        tally = Tally.remote()
        ask = p50(lambda: ray.get(tally.add.remote(1)), asks)
        return {"ask_us": ask, "recover_ms": recovered(lambda: int(ray.get(tally.pid.remote())), kills)}
    finally:
        ray.shutdown()
