"""How a waiter waits: it polls politely for a moment while answers come quickly, and then blocks.

On an idle machine a blocking wait costs 60–70 µs of CPU wake-up in each exchange, more than all of our code. Polling
(`poll(0)` and `sched_yield`) finds an answer in 5 µs, but spends a CPU; so it is rationed:

PA-1  At most `CPUs − 1` processes of one system poll at a time (CPUs by affinity and cgroup quota), one thread in each.
      With one CPU nobody does. Each process has a flag in the board, a shared memory of the system; the flags are
      counted. Two that look at the same moment may both go on: a ration, not a lock.
PA-2  Only while the recent median wait is under WORTH_NS. Waits are counted in a small ring of quick and slow.
PA-3  Two that both block never find out that both could be quick. So in one of 64 slices of the common monotonic clock
      (1 ms each) everybody who waits tries again: slices coincide for all, so both try at once.
PA-4  Whoever shares its CPU with the one it waits for should let it run: a yield that takes long says so, twice and
      the waiter blocks.
PA-5  UNDERSTUDY_SPIN_US sets the longest polling; 0 switches it off.
"""

import mmap
import os
import select
from collections.abc import Callable
from time import monotonic_ns

SPIN_NS = int(float(os.environ.get("UNDERSTUDY_SPIN_US", "80")) * 1000)
WORTH_NS = 30_000
BOARD_BYTES = 4096
_LONG_NS = 8_000  # a yield and a poll take 1 µs on a CPU of one's own
_GRACE = 3  # polls before the board is asked: who has just answered is about to lower its flag
_MEMORY = 0b1111111  # the last seven waits, a bit each: 1 quick
_HALF = 4


def cpus() -> int:
    """CPUs this process may use, by affinity and by the cgroup's quota, rounded up; at least 1."""
    count = len(os.sched_getaffinity(0))
    quota = _cgroup_quota()
    return max(1, min(count, quota) if quota else count)


def _cgroup_quota() -> int | None:
    for path, separate in (
        ("/sys/fs/cgroup/cpu.max", ""),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "cpu.cfs_period_us"),
    ):
        try:
            with open(path) as file:
                words = file.read().split()
            if separate:
                with open(os.path.join(os.path.dirname(path), separate)) as file:
                    words += file.read().split()
            if words[0] in ("max", "-1"):
                return None
            return -(-int(words[0]) // int(words[1]))
        except (OSError, ValueError, IndexError):  # no cgroup of that version here
            continue
    return None


def pollers() -> int:
    """How many processes of a system may poll at a time (PA-1, PA-5)."""
    return cpus() - 1 if SPIN_NS > 0 else 0


class Board:
    """Who polls now: a byte for each process of the system, in memory they share; and this process's seat at it."""

    __slots__ = ("_map", "limit", "seat", "view")

    def __init__(self, fd: int | None, seat: int, limit: int) -> None:
        """Map the board; fd stays the caller's. None: nobody polls here.

        Args:
            limit: how many processes may poll at a time; see `pollers`.
        """
        self.seat = seat
        self.limit = limit
        self._map = mmap.mmap(fd, BOARD_BYTES) if fd is not None else mmap.mmap(-1, BOARD_BYTES)
        self.view = memoryview(self._map)

    def close(self) -> None:
        """Let go of it: it is unmapped once nobody polls any more."""
        self.limit = 0
        self.view = memoryview(bytearray(BOARD_BYTES))
        self._map = mmap.mmap(-1, BOARD_BYTES)

    def is_free(self) -> bool:
        """No other thread of this process polls."""
        return self.limit > 0 and not self.view[self.seat]

    def is_crowded(self) -> bool:
        """More processes poll than may."""
        return self._map[:].count(1) > self.limit


class Patience:
    """Decides, for one waiting thread or loop, whether to poll before blocking, and keeps the record it decides by."""

    __slots__ = ("_board", "_quick")

    def __init__(self, board: Board) -> None:
        self._board = board
        self._quick = _MEMORY

    def wait(self, poll: select.poll, until_ns: int) -> list[tuple[int, int]]:
        """Wait for one of the descriptors; [] once until_ns (CLOCK_MONOTONIC, 0: never) has passed."""
        if not self._board.limit:
            return poll.poll(None if not until_ns else max(0.0, (until_ns - monotonic_ns()) / 1e6))
        start = monotonic_ns()
        if self.is_worth(start):
            found = self.spin(poll.poll, start, until_ns)
            if found:
                return found
        found = poll.poll(None if not until_ns else max(0.0, (until_ns - monotonic_ns()) / 1e6))
        self.note(monotonic_ns() - start)
        return found

    def is_worth(self, now_ns: int) -> bool:
        """Polling may pay now (PA-1, PA-2, PA-3)."""
        return (self._quick.bit_count() >= _HALF or not now_ns >> 20 & 63) and self._board.is_free()

    def spin(self, poll: Callable[[int], list[tuple[int, int]]], start: int, until_ns: int) -> list[tuple[int, int]]:
        """Call `poll(0)` for at most SPIN_NS; [] when nothing came or the ration is used up."""
        board = self._board
        stop = start + SPIN_NS if not until_ns else min(start + SPIN_NS, until_ns)
        flags, seat = board.view, board.seat
        flags[seat] = 1
        try:
            tries = long = 0
            last = start
            found = poll(0)
            while not found:
                tries += 1
                if tries == _GRACE and board.is_crowded():
                    return []
                os.sched_yield()
                found = poll(0)
                now = monotonic_ns()
                long += now - last > _LONG_NS
                if not found and (now > stop or long > 1):  # PA-4
                    return []
                last = now
        finally:
            flags[seat] = 0
        self.note(monotonic_ns() - start)
        return found

    def note(self, waited_ns: int) -> None:
        """Remember how long a wait took."""
        self._quick = (self._quick << 1 | (waited_ns < WORTH_NS)) & _MEMORY
