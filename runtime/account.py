"""The account: what shared memory a system has, and whether a frame anywhere names a slab.

AC-1  A frame of a dead sender is where it was written, or nowhere: nobody moves it while the supervisor looks, but its
      receiver, which takes it from a FIFO to a journal, and from there into its hands; then the slab says so itself.
"""

import contextlib
from collections.abc import Iterable

from runtime.callers import Callers
from runtime.estate import Estate
from runtime.letters import Letters
from runtime.mailbox.poolqueue import PoolQueue
from runtime.memory.allowance import Allowance
from runtime.vault import Vault
from runtime.wire.answer import MemoryStatus
from runtime.worker import Worker


def is_named(
    body: int,
    address: int,
    workers: Iterable[Worker],
    queues: Iterable[PoolQueue],
    callers: Callers,
    letters: Letters,
) -> bool:
    """Whether a frame names that body: in a mailbox, in a dead letter, or on its way to the asker at that address."""
    if body in letters.bodies():
        return True
    with contextlib.suppress(OSError):  # a FIFO that cannot be looked into whole
        if address and callers.names(address, body):
            return True
        return any(queue.names(body) for queue in queues) or any(
            worker.box is not None and worker.box.names(body) for worker in workers
        )
    return True


def snapshot_bytes(workers: Iterable[Worker]) -> int:
    """Bytes of all snapshots together."""
    return sum(worker.box.snapshot_bytes() for worker in workers if worker.box is not None)


def memory_status(allowance: Allowance, vault: Vault, estate: Estate, workers: Iterable[Worker]) -> MemoryStatus:
    """What there is."""
    return MemoryStatus(allowance.limit, allowance.used, vault.used(), snapshot_bytes(workers), dict(estate.regions()))
