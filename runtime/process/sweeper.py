"""The sweeper: ends what dead processes left behind and what was handed to us, the subreaper, at their death.

SW-1  Not while a start is in flight: what is not known may be one of ours.
SW-2  What is to be swept is gone within SWEEP_SECONDS of the last death, but for SW-1.
"""

import asyncio
import contextlib
import select
from collections.abc import Callable

from runtime.process import exit as process_exit
from runtime.process.launch import Launcher

SWEEP_SECONDS = 0.1


class Sweeper:
    """Sweeps, a moment after it was asked to, until nothing is left."""

    def __init__(self, launcher: Launcher, known: Callable[[], set[int]]) -> None:
        """Sweep all but the known processes and the zygote's group."""
        self._launcher = launcher
        self._known = known
        self._timer: asyncio.TimerHandle | None = None

    def sweep_soon(self) -> None:
        """Somebody has died."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        with contextlib.suppress(OSError):  # no descriptor to read /proc by: later
            if not self._launcher.is_busy and not process_exit.sweep(self._known(), self._launcher.pid):
                return
        self.sweep_soon()

    def sweep_all(self) -> None:
        """The tree is down: kill what is left, now."""
        if self._timer is not None:
            self._timer.cancel()
        sweep_all_but(set())


def sweep_all_but(known: set[int]) -> None:
    """Kill and reap everything else, as often as it takes."""
    while process_exit.sweep(known):
        select.select([], [], [], 0.001)
