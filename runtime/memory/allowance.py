"""The allowance: how many bytes of shared memory one system may have altogether, and how many it has.

AL-1  What is asked for is taken before it is made: nothing is ever begun that would not fit.
"""

import os
from collections.abc import Callable
from pathlib import Path

from actors.errors import OutOfMemory
from runtime.memory.seal import most_nbytes
from runtime.process.cgroup import files_of

_SHARE = 2  # half of what there is: the actors need memory of their own


def memory_of_machine(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory this process may use: the machine's, or its cgroup's limit (v2 or v1) where that is smaller.

    Args:
        proc: where the process's own cgroup is told.
        cgroups: where cgroup filesystems are mounted.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    files = files_of(proc / "self/cgroup", cgroups, v2="memory.max", v1="memory.limit_in_bytes", above=True)
    return min([machine, *(limit for file in files if (limit := _limit_in(file)) is not None)])


def _limit_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such cgroup; "max"
        return None


class Allowance:
    """Bytes of shared memory: at most `limit` of them.

    Attributes:
        limit: bytes that the system may have altogether.
    """

    __slots__ = ("_besides", "_taken", "limit")

    def __init__(self, limit: int | None = None, besides: Callable[[], int] | None = None) -> None:
        """Allow so many bytes; None: half of `memory_of_machine`.

        Args:
            besides: counts bytes that are in use and were not taken here: what comes and goes with its owner.
        """
        self.limit = memory_of_machine() // _SHARE if limit is None else limit
        self._besides = besides or _none
        self._taken = 0

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._taken + self._besides()

    @property
    def left(self) -> int:
        """Bytes that may still be had."""
        return max(0, self.limit - self.used)

    def check(self, nbytes: int, what: str) -> None:
        """See that so many bytes are left.

        Raises:
            OutOfMemory: with what was asked for and what is left.
        """
        left = self.left
        if nbytes > left:
            raise OutOfMemory(nbytes, left, f"{what}: over the system's limit of {self.limit} bytes")

    def take(self, nbytes: int, what: str) -> None:
        """Take so many bytes, or raise as `check` does."""
        self.check(nbytes, what)
        self._taken += nbytes

    def give(self, nbytes: int) -> None:
        """Give bytes back that were taken."""
        self._taken -= nbytes

    def refusal(self, nbytes: int, what: str, error: OSError) -> OutOfMemory:
        """The error of what the kernel did not grant, though it was left."""
        return OutOfMemory(nbytes, most_nbytes(self.left), f"{what}: {os.strerror(error.errno or 0)}")


def _none() -> int:
    return 0
