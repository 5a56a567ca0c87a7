"""How long the supervisor is waited for, and the error of one that is late.

LA-1  A blocking caller waits until the ambient deadline, the default of an ask where there is none.
LA-2  Where others wait meanwhile and what is asked for can be awaited, it has but HURRY_SECONDS; in an event loop where
      it cannot, as for a tell, LOOP_SECONDS. Having missed them, it is asked in that way no more for REST_SECONDS,
      unless it answers somebody.
"""

from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import Any

from actors.deadline import DEFAULT_SECONDS, NEVER, ambient
from actors.errors import DeadlineExceeded
from runtime.eventloop import current_loop

HURRY_SECONDS = 0.1  # what asyncio's debug mode calls slow; an answer takes a thousandth of it
LOOP_SECONDS = 0.5  # a supervisor that has much to do is not late yet
REST_SECONDS = 1.0  # so a loop that does nothing but ask for what it has not is not held up all the time
_MOST_SECONDS = 1e9  # thirty years: a lock and a socket refuse what is past 2^63 ns with an OverflowError
_LEAST_SECONDS = 0.05  # far more than an answer takes: a deadline that is nearly over is no supervisor that is stopped


class Late(DeadlineExceeded):
    """The supervisor did not say in time what was needed first. Nothing was sent.

    In an event loop that time is short, so that nothing there stands still: who can wait in another way calls `again`
    in a thread of `runtime.clerk`, awaits it, and goes on from where he was.

    Attributes:
        again: asks once more, and blocks until the ambient deadline; what it gets is kept for who needs it.
    """

    def __init__(self, system: str, again: Callable[[], object]) -> None:
        super().__init__(system, "no", "the supervisor did not answer in time")
        self.again = again

    def __reduce__(self) -> tuple[Any, ...]:
        """Elsewhere it is what it says."""
        return DeadlineExceeded, self.args


class Missed(DeadlineExceeded):
    """What an answer needed was not to be had until its ask's deadline: nobody waits for it any more."""

    def __init__(self, late: Late) -> None:
        super().__init__(*late.args)  # without what it came of: that may be what needs the memory


GOES_THROUGH = (KeyboardInterrupt, Late)
"""What is raised while something that arrived is decoded, and is not its fault."""


class Hurry:
    """How long one process waits for its supervisor."""

    __slots__ = ("_rests_until", "_system")

    def __init__(self, system: str) -> None:
        self._system = system
        self._rests_until = 0.0

    def patience(self, again: Callable[[], object], *, is_hurried: bool = False) -> float | None:
        """Seconds that it has for an answer; None: as long as it takes.

        Args:
            again: how to ask once more.
            is_hurried: others wait meanwhile (LA-2).
        Raises:
            Late: it has none.
        """
        seconds = patience_seconds()
        if not is_hurried and current_loop() is None:
            return seconds
        if monotonic() < self._rests_until:
            raise Late(self._system, again)
        most = HURRY_SECONDS if is_hurried else LOOP_SECONDS
        return most if seconds is None else min(seconds, most)

    def late(self, again: Callable[[], object], *, is_hurried: bool = False) -> Late:
        """It has not answered in that time; the error to raise."""
        if is_hurried or current_loop() is not None:
            self._rests_until = monotonic() + REST_SECONDS
        return Late(self._system, again)

    def answered(self) -> None:
        """It has."""
        self._rests_until = 0.0


def is_over() -> bool:
    """The ambient deadline, if there is one, has passed."""
    until_ns, _ = ambient.get()
    return until_ns is not None and until_ns != NEVER and monotonic_ns() >= until_ns


def patience_seconds() -> float | None:
    """LA-1; None: for ever."""
    until_ns, _ = ambient.get()
    if until_ns is None:
        return DEFAULT_SECONDS
    if until_ns == NEVER:
        return None
    return min(max(_LEAST_SECONDS, (until_ns - monotonic_ns()) / 1e9), _MOST_SECONDS)
