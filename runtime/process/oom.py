"""Whether the kernel's out-of-memory killer was at work: its counters, compared before and after a death.

The counter of our cgroup where there is one (v2: `memory.events`, which counts for all cgroups below it too; v1:
`memory.oom_control`), else the whole machine's (`/proc/vmstat`). It counts processes, and says of none which: a hint.

Source: Documentation/admin-guide/cgroup-v2.rst, memory.events.
"""

import contextlib
import os
import re
from pathlib import Path

from runtime.process.cgroup import files_of

_COUNTERS_BYTES = 1 << 15
_OOM_KILL = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class OomCounter:
    """How many processes the kernel has killed for want of memory."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        """Find the counter, and remember what it says.

        Args:
            proc: where the process's own cgroup and the machine's counters are told.
            cgroups: where cgroup filesystems are mounted.
        """
        own = files_of(proc / "self/cgroup", cgroups, v2="memory.events", v1="memory.oom_control")
        candidates = [*own, proc / "vmstat"]
        file = next((file for file in candidates if _count_in(file) is not None), None)
        # kept open, for good: it is read while a restart waits
        self._fd = -1 if file is None else os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._seen = self._count()

    def has_grown(self) -> bool:
        """Whether it has killed somebody since the last time this was asked."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        if self._fd < 0:
            return 0
        with contextlib.suppress(OSError):  # its cgroup was removed
            return _count_of(os.pread(self._fd, _COUNTERS_BYTES, 0)) or 0
        return 0


def _count_in(file: Path) -> int | None:
    try:
        return _count_of(file.read_bytes())
    except OSError:
        return None


def _count_of(raw: bytes) -> int | None:
    found = _OOM_KILL.search(raw)
    return None if found is None else int(found[1])
