"""Whether the kernel's out-of-memory killer was at work: its counters, compared before and after a death.

The counter of our cgroup where there is one (v2: `memory.events`, which counts for all cgroups below it too; v1:
`memory.oom_control`), else the whole machine's (`/proc/vmstat`). It counts processes, and says of none which: a hint.

Source: Documentation/admin-guide/cgroup-v2.rst, memory.events.
"""

from pathlib import Path

from runtime.process.cgroup import files_of


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
        self._file = next((file for file in candidates if _count_in(file) is not None), None)
        self._seen = self._count()

    def has_grown(self) -> bool:
        """Whether it has killed somebody since the last time this was asked."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        count = None if self._file is None else _count_in(self._file)
        return 0 if count is None else count


def _count_in(file: Path) -> int | None:
    try:
        fields = (line.split() for line in file.read_text().splitlines())
        return next((int(field[1]) for field in fields if field[:1] == ["oom_kill"]), None)
    except (OSError, ValueError, IndexError):
        return None
