"""The mailboxes of all names under the supervisor: opened before a first start, held through restarts, closed for good.

    box_of, launch ─▶ open ─▶ the same box for every incarnation ─▶ close ─▶ what is left in it is ended

MB-1  A name is held while it is restarted by hand: its mailbox outlives a stop that would have been for good.
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
        self._held: set[str] = set()
        self._forgotten: set[str] = set()  # of those that are held

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
        self._forgotten.discard(path)
        worker.program = payload
        return worker

    def open(self, worker: Worker) -> Box:
        """The worker's mailbox, made now if there is none.

        Raises:
            OSError: it cannot be made.
        """
        if worker.box is None:
            wanted = worker.program.mailbox.size
            worker.box = Box(self._root, directory_of(worker.path), wanted)
            worker.box.page.publish((table_part(worker.program.payload), 0))  # MB-2
            self._count_peers(worker)
            if worker.box.mailbox_bytes < wanted:
                self._reporter.mailbox_is_small(worker.path, worker.box.mailbox_bytes, wanted)
        return worker.box

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

    def refuses(self, path: str) -> bool:
        """A full mailbox refuses at once."""
        return self._workers[path].program.mailbox.when_full == "refuse"

    def close(self, path: str) -> None:
        """Nothing will restart it: end its mailbox. One that is held is only being restarted by hand (MB-1)."""
        worker = self._workers.get(path)
        if worker is None or worker.box is None:
            return
        if path in self._held:
            worker.box.set_life(page.RESTARTING)
            return
        box, worker.box = worker.box, None
        self._count_peers(worker)
        self._undertaker.close(worker, box)
        self._closed(path)

    def forget(self, path: str) -> None:
        """Its specification is gone. Of one that is held it may come back at once."""
        if path in self._held:
            self._forgotten.add(path)
            return
        self.close(path)  # of one that was written to and never started
        self._workers.pop(path, None)

    def hold(self, path: str) -> None:
        """Keep the mailboxes at and below path through the next stop (MB-1)."""
        self._held.update(p for p in self._workers if p == path or p.startswith(f"{path}."))

    def is_held(self, path: str) -> bool:
        """It is being restarted by hand."""
        return path in self._held

    def release(self, path: str) -> None:
        """Undo `hold`; what was not started again is closed now."""
        released = {p for p in self._held if p == path or p.startswith(f"{path}.")}
        self._held -= released
        for name in released:
            worker = self._workers.get(name)
            if worker is not None and not worker.pid and not worker.token:
                self.close(name)
            if name in self._forgotten:
                self._forgotten.discard(name)
                self.forget(name)

    def _count_peers(self, worker: Worker) -> None:
        """Tell the members of a pool how many they are: there are callers that know fewer."""
        if not worker.program.pool:
            return
        above = worker.path.rpartition(".")[0]
        boxes = [each.box for each in self if each.box is not None and each.path.rpartition(".")[0] == above]
        for box in boxes:
            box.words[page.PEERS] = len(boxes)
