"""The mailboxes of all names under the supervisor: opened before a first start, held through restarts, closed for good.

    box_of, launch ─▶ open ─▶ the same box for every incarnation ─▶ close ─▶ what is left in it is ended

MB-1  When a mailbox is closed is decided in `supervision` alone: nothing else ends one, and what is committed with it.
MB-2  A mailbox that is open has a message table, its actor started or not: that of the class that was specified.
"""

from collections.abc import Callable, Iterator

from runtime.mailbox import page
from runtime.mailbox.box import Box, directory_of
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
        if box is None:
            box = worker.box = Box(self._root, directory_of(worker.path), wanted.size)
            box.page.publish((table_part(worker.program.payload), 0))  # MB-2
            self._count_peers(worker)
        else:
            box.resize(wanted.size)
        box.set_refusing(wanted.when_full == "refuse")
        if box.mailbox_bytes < wanted.size and box.mailbox_bytes != before:
            self._reporter.mailbox_is_small(worker.path, box.mailbox_bytes, wanted.size)
        return box

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
        self._closed(path)

    def forget(self, path: str) -> None:
        """Its specification is gone."""
        self.close(path)  # of one that was written to and never started
        self._workers.pop(path, None)

    def _count_peers(self, worker: Worker) -> None:
        """Tell the members of a pool how many they are: there are callers that know fewer."""
        if not worker.program.pool:
            return
        above = worker.path.rpartition(".")[0]
        boxes = [each.box for each in self if each.box is not None and each.path.rpartition(".")[0] == above]
        for box in boxes:
            box.set_peers(len(boxes))
