"""The mailboxes of all names under the supervisor: opened before a first start, held through restarts, closed for good.

    box_of, launch ─▶ open ─▶ the same box for every incarnation ─▶ close ─▶ what is left in it is ended

MB-1  When a mailbox is closed is decided in `supervision` alone: nothing else ends one, and what is committed with it.
MB-2  A mailbox that is open has a message table, its actor started or not: that of the class that was specified.
"""

from collections.abc import Callable, Iterator, Mapping

from runtime.mailbox import page
from runtime.mailbox.box import Box, directory_of
from runtime.mailbox.page import Table
from runtime.mailbox.poolqueue import MOST_BYTES, MOST_SHARES, PoolQueue, directory_in
from runtime.plan import Program
from runtime.process.payload import table_part
from runtime.reporter import Reporter
from runtime.supervision.spec import SupervisorSpec
from runtime.supervision.tree import Child
from runtime.undertaker import Undertaker
from runtime.worker import Worker


class Mailboxes:
    """All workers by path, each with its mailbox while that is open."""

    def __init__(self, root: str, reporter: Reporter, undertaker: Undertaker, closed: Callable[[str], None]) -> None:
        """Keep mailboxes below root.

        Args:
            undertaker: ends what is left in one that is closed.
            closed: told the path of each mailbox that was closed for good.
        """
        self._root = root
        self._reporter = reporter
        self._undertaker = undertaker
        self._closed = closed
        self._workers: dict[str, Worker] = {}
        self._queues: dict[str, PoolQueue] = {}

    def get(self, path: str) -> Worker | None:
        """The worker of that path, running or not; None when it is not known."""
        return self._workers.get(path)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def worker(self, path: str, payload: object) -> Worker:
        """The worker of that path, made now if it is not known, with the program it runs from now on.

        Raises:
            TypeError: the payload is no Program.
        """
        if not isinstance(payload, Program):
            raise TypeError(f"a worker's payload: expected a Program, got {payload!r}")
        worker = self._workers.get(path)
        if worker is None:
            worker = self._workers[path] = Worker(path, payload)
        worker.program = payload
        return worker

    def open(self, worker: Worker) -> Box:
        """The worker's mailbox, made now if there is none, and as its program says; its actor does not run.

        Raises:
            OSError: it cannot be made, or made larger.
        """
        wanted, box = worker.program.mailbox, worker.box
        before = 0 if box is None else box.mailbox_bytes
        table = table_part(worker.program.payload), 0  # MB-2
        queue = self._opened_queue(worker, table)
        if box is None:
            try:
                journal_bytes = 0 if queue is None else queue.slots_bytes
                box = worker.box = Box(self._root, directory_of(worker.path), wanted.size, journal_bytes)
            except OSError:
                self._close_queue(worker)
                raise
            box.page.publish(table)
            self._count_peers(worker)
        else:
            box.resize(wanted.size)
        box.set_refusing(wanted.when_full == "refuse")
        if box.mailbox_bytes < wanted.size and box.mailbox_bytes != before:
            self._reporter.mailbox_is_small(worker.path, box.mailbox_bytes, wanted.size)
        return box

    def queue_of(self, path: str) -> PoolQueue | None:
        """The queue of the pool at path; None where there is no pool, or none of its members has a mailbox."""
        return self._queues.get(path)

    def has_fellows(self, worker: Worker) -> bool:
        """It is of a pool of which others run."""
        pool = worker.path.rpartition(".")[0]
        others = (each for each in self if each is not worker and each.path.rpartition(".")[0] == pool)
        return bool(worker.program.pool) and any(each.is_ready and not each.is_asked for each in others)

    def queues(self) -> Mapping[str, PoolQueue]:
        """Of all pools that have one, by their paths."""
        return self._queues

    def box_of(self, path: str, child: Child | None) -> Box | None:
        """The open mailbox of a path; one whose actor is still to be started is opened now. None: closed for good."""
        worker = self._workers.get(path)
        if worker is not None and worker.box is not None:
            return worker.box
        if child is None or child.incarnation or (child.state == "stopped" and worker is not None):
            return None
        if isinstance(child.spec, SupervisorSpec):
            return None
        box = self.open(worker or self.worker(path, child.spec.payload))
        box.set_life(page.STARTING)
        return box

    def close(self, path: str) -> None:
        """It has stopped for good: end its mailbox."""
        worker = self._workers.get(path)
        if worker is None or worker.box is None:
            return
        box, worker.box = worker.box, None
        self._count_peers(worker)
        self._undertaker.close(worker, box)
        self._close_queue(worker)
        self._closed(path)

    def forget(self, path: str) -> None:
        """Its specification is gone."""
        self.close(path)  # of one that was written to and never started
        self._workers.pop(path, None)

    def restore(self) -> None:
        """Somebody has removed all names: make them again.

        Raises:
            OSError: they cannot be made.
        """
        for worker in self:
            if worker.box is not None:
                worker.box.restore()
        for queue in self._queues.values():
            queue.restore()

    def _opened_queue(self, worker: Worker, table: Table) -> PoolQueue | None:
        """The queue of a pool's member, made with the first of them, and as its program says."""
        program = worker.program
        if not program.pool:
            return None
        pool = worker.path.rpartition(".")[0]
        queue = self._queues.get(pool)
        nbytes = min(program.mailbox.size * min(program.pool, MOST_SHARES), MOST_BYTES)
        if queue is None:
            queue = self._queues[pool] = PoolQueue(self._root, directory_in(directory_of(pool)), nbytes, table)
        else:
            queue.resize(nbytes)
        queue.set_refusing(program.mailbox.when_full == "refuse")
        return queue

    def _close_queue(self, worker: Worker) -> None:
        """End the queue of a pool with its last member."""
        pool = worker.path.rpartition(".")[0]
        if not worker.program.pool or self._members_of(pool):
            return
        queue = self._queues.pop(pool, None)
        if queue is not None:
            self._undertaker.close_queue(pool, queue)

    def _members_of(self, pool: str) -> list[Box]:
        return [each.box for each in self if each.box is not None and each.path.rpartition(".")[0] == pool]

    def _count_peers(self, worker: Worker) -> None:
        """Tell the members of a pool how many they are: there are callers that know fewer."""
        if not worker.program.pool:
            return
        boxes = self._members_of(worker.path.rpartition(".")[0])
        for box in boxes:
            box.set_peers(len(boxes))
