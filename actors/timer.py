"""Timers of one incarnation: messages to itself, due later, run between messages.

TI-1  A timer never piles up: `every` is set anew after each delivery, from the time of the delivery.
TI-2  Timers due at the same time run in the order in which they were set.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any


class Timer:
    """A message to be delivered later. Held by whoever may want to cancel it; dies with the incarnation."""

    __slots__ = ("_cancelled", "args", "due_ns", "every_ns", "handler", "name")

    def __init__(
        self, name: str, handler: Callable[..., Any], args: tuple[Any, ...], due_ns: int, every_ns: int
    ) -> None:
        self.name = name
        self.handler = handler
        self.args = args
        self.due_ns = due_ns
        self.every_ns = every_ns
        self._cancelled = False

    def cancel(self) -> bool:
        """Do not deliver it (again); False when it was delivered for the last time or cancelled before."""
        was_live = not self._cancelled
        self._cancelled = True
        return was_live

    def is_live(self) -> bool:
        """False once it was cancelled or, set by `after`, delivered."""
        return not self._cancelled


class Timers:
    """All timers of one actor, as a heap by due time; time is passed in."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []  # one list for good: the loop looks at it
        self._count = 0

    @property
    def pending(self) -> Sequence[object]:
        """Empty while no timer is set; the same object for good."""
        return self._heap

    def add(self, timer: Timer) -> Timer:
        """Set a timer; it is delivered by `take` once its time has come."""
        self._count += 1
        heapq.heappush(self._heap, (timer.due_ns, self._count, timer))
        return timer

    def next_due_ns(self) -> int | None:
        """When the next live timer is due; None when there is none."""
        while self._heap and not self._heap[0][2].is_live():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now_ns: int) -> Timer | None:
        """The next timer that is due, or None; one set by `every` is set anew (TI-1)."""
        due_ns = self.next_due_ns()
        if due_ns is None or due_ns > now_ns:
            return None
        timer = heapq.heappop(self._heap)[2]
        if timer.every_ns:
            timer.due_ns = now_ns + timer.every_ns
            self.add(timer)
        else:
            timer.cancel()
        return timer
