"""The one writer of a region that has only one: a process, known by its pid and when it was started."""

import os
from dataclasses import dataclass

_STATE, _STARTED = 0, 19  # fields 3 and 22 of /proc/<pid>/stat, counted after the name


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes.

    Attributes:
        pid: of it; 0 for nobody.
        started: in clock ticks since boot: a pid is used again, a pid with a start time is not.
        name: it gave itself; "" for none.
    """

    pid: int
    started: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.name else f"pid {self.pid}"

    def is_alive(self) -> bool:
        """The process still runs; one that is dead and not reaped does not."""
        return self.pid != 0 and started_at(self.pid) == self.started


def this_process(name: str) -> Writer:
    """Ourselves."""
    return Writer(os.getpid(), started_at(os.getpid()), name)


def started_at(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 when it does not run."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:  # there is none
        return 0
    return 0 if fields[_STATE] in (b"Z", b"X") else int(fields[_STARTED])
