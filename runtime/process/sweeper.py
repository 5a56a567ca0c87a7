"""The sweeper: ends what dead processes left behind, and reaps what the end of its parent handed to us, the subreaper.

    a child of ours that is known                        its end is told to whoever started it
    … unknown, marked by itself (runtime.process.mark)   one of ours, which waits or was forked just now: left alone
    … marked by a process that lives                     a helper of an actor, or of the zygote: left alone
    … marked by one that is gone, or by nobody           left behind: killed

SW-1  A helper goes with the actor that started it, and with no other.
SW-2  While a start is in flight a process without a mark is left alone: it may be one of ours.
SW-3  What is to be swept is gone within SWEEP_SECONDS of the last death, but for SW-2.
SW-4  Whatever was handed to us and has ended is reaped within SWEEP_SECONDS, whoever lives.
"""

import asyncio
import contextlib
import enum
from collections.abc import Callable

from runtime.process import exit as process_exit
from runtime.process import mark
from runtime.process.launch import Launcher

SWEEP_SECONDS = 0.1


class _Whose(enum.Enum):
    KNOWN = enum.auto()
    OURS = enum.auto()
    LIVING = enum.auto()
    NOBODYS = enum.auto()


class Sweeper:
    """Sweeps, a moment after it was asked to, until nothing is left."""

    def __init__(self, launcher: Launcher, known: Callable[[], set[int]], system: int) -> None:
        """Sweep.

        Args:
            launcher: whose zygote's process group waits for orders.
            known: pids of the processes whose ends others tell, the zygote among them.
            system: that the marks are of.
        """
        self._launcher = launcher
        self._known = known
        self._system = system
        self._sweeping: asyncio.TimerHandle | None = None
        self._reaping: asyncio.TimerHandle | None = None

    def sweep_soon(self) -> None:
        """Somebody has died."""
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def reap_soon(self) -> None:
        """A child has ended (SIGCHLD), maybe one that nobody knows."""
        if self._reaping is None:
            self._reaping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._reap)

    def sweep_unreported(self) -> set[int]:
        """The zygote is gone: end what came of it that nobody was told of, and what it started; returns the pids."""
        swept: set[int] = set()
        while strangers := [pid for pid, whose, _ in self._children() if whose in (_Whose.OURS, _Whose.NOBODYS)]:
            for pid in strangers:
                process_exit.kill(pid)
                process_exit.reap_nowait(pid)
            swept.update(strangers)
            process_exit.pause()
        return swept

    def sweep_all(self) -> None:
        """The tree is down: kill what is left, now."""
        for timer in (self._sweeping, self._reaping):
            if timer is not None:
                timer.cancel()
        process_exit.end_children()

    def _sweep(self) -> None:
        self._sweeping = None
        with contextlib.suppress(OSError):  # no descriptor to read /proc by: later
            if not self._has_swept():
                return
        self.sweep_soon()

    def _has_swept(self) -> bool:
        """Kill what was left behind, reap what has ended; whether something is to be looked at again."""
        again = False
        for pid, whose, is_zombie in self._children():
            match whose:
                case _Whose.NOBODYS:
                    process_exit.kill(pid)
                    process_exit.reap_nowait(pid)
                    again = True
                case _Whose.OURS if self._launcher.is_busy:
                    again = again or is_zombie  # its pid is yet to be reported: its end is told then
                case _Whose.OURS | _Whose.LIVING if is_zombie:
                    process_exit.reap_nowait(pid)
        return again

    def _reap(self) -> None:
        """Reap what has ended without looking through /proc, where nobody else has to hear of it (SW-4)."""
        self._reaping = None
        known = self._known()
        while pid := process_exit.ended_child():
            if pid in known or self._launcher.is_busy:
                self.sweep_soon()
                return
            process_exit.reap_nowait(pid)

    def _children(self) -> list[tuple[int, _Whose, bool]]:
        """Pid, whose it is, and whether it has ended, of each."""
        known = self._known()
        return [
            (each.pid, self._whose(each, known), each.is_zombie)
            for each in process_exit.own_children()
            if not process_exit.is_held(each)
        ]

    def _whose(self, child: process_exit.Child, known: set[int]) -> _Whose:
        if child.pid in known:
            return _Whose.KNOWN
        owner = mark.owner_of(child.entry, self._system)
        waits = child.group == self._launcher.pid or (not owner and self._launcher.is_busy)  # SW-2
        if waits or owner == child.pid:
            return _Whose.OURS
        return _Whose.LIVING if owner in known else _Whose.NOBODYS  # SW-1
