"""Orders: what a worker's process is told when it is launched, and its understudy ahead of that."""

from dataclasses import dataclass

import msgspec

from runtime.mailbox.box import directory_of
from runtime.mailbox.poolqueue import directory_in
from runtime.process.order import Launch
from runtime.worker import Worker


@dataclass(frozen=True, slots=True)
class Orders:
    """What is the same in all of them.

    Attributes:
        root: the system's runtime directory.
        system: its name.
        events: descriptor of the pipe to the supervisor.
        pollers: how many processes may poll at a time.
    """

    root: str
    system: str
    events: int
    pollers: int

    def of(self, worker: Worker) -> Launch:
        """For its present incarnation, token and seat."""
        program = worker.program
        address = worker.path.rpartition(".")[0] if program.pool else worker.path
        queue = directory_in(directory_of(address)) if program.pool else ""
        return Launch(
            token=worker.token,
            path=worker.path,
            address=address,
            incarnation=worker.incarnation,
            system=self.system,
            directory=self.root,
            mailbox=directory_of(worker.path),
            crash_on_raise=program.crash_on_raise,
            warm=True,
            events=self.events,
            seat=worker.seat,
            pollers=self.pollers,
            heartbeat=program.heartbeat or 0.0,
            notice_key=worker.box.notice_key if worker.box is not None else 0,
            snapshot_every=program.snapshot_every,
            durable=program.durable,
            queue=queue,
            drains=program.drain == "finish" and worker.restart != "permanent",
        )

    def next_of(self, worker: Worker, token: int, seat: int) -> Launch:
        """For the incarnation after the present one."""
        return msgspec.structs.replace(self.of(worker), incarnation=worker.incarnation + 1, token=token, seat=seat)
