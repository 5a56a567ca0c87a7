"""The queue of launches: those that wait for their turn, and those that are with the zygote, in order.

    launch ─▶ waiting ─▶ with the zygote, behind another one ─▶ at the head: the zygote is at it ─▶ done

QU-1  What the zygote has yet to import goes to it alone: nothing is with it before, nothing is sent behind it. An
      import may take long, or never return: whom it holds up waits here, and can be taken out.
QU-2  Of what need only be forked the next one is with the zygote while it forks: it never waits for us.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from runtime.process.order import Gather, Launch

_DEPTH = 2  # QU-2


@dataclass(slots=True, eq=False)
class Flight:
    """A launch that has not ended.

    Attributes:
        launch: the order.
        fds: that go with it; the caller's.
        what: has to be imported for it (`stock.what_of`).
        crashed: how many zygotes ended by themselves while they were at it.
        killed: how many were killed.
        is_cancelled: it takes too long.
    """

    launch: Launch | Gather
    fds: list[int]
    what: bytes
    crashed: int = 0
    killed: int = 0
    is_cancelled: bool = False


class Queue:
    """Who is next."""

    def __init__(self, imports: Callable[[Flight], bool]) -> None:
        """Nobody waits; imports(flight) says whether the zygote would have to import something for it."""
        self._imports = imports
        self._waiting: deque[Flight] = deque()
        self._sent: deque[Flight] = deque()

    @property
    def head(self) -> Flight | None:
        """What the zygote is at."""
        return self._sent[0] if self._sent else None

    def add(self, flight: Flight) -> None:
        """It waits for its turn behind all others."""
        self._waiting.append(flight)

    def next(self) -> Flight | None:
        """What may be sent to the zygote now; None: nothing, for the moment."""
        if not self._waiting or len(self._sent) >= _DEPTH:
            return None
        if self._sent and (self._imports(self._sent[-1]) or self._imports(self._waiting[0])):  # QU-1
            return None
        return self._waiting[0]

    def sent(self) -> None:
        """The next one has been sent."""
        self._sent.append(self._waiting.popleft())

    def remove(self, flight: Flight) -> None:
        """It has ended, wherever it was."""
        for line in (self._waiting, self._sent):
            if flight in line:
                line.remove(flight)

    def is_waiting(self, flight: Flight) -> bool:
        """The zygote knows nothing of it."""
        return flight in self._waiting

    def again(self, flight: Flight) -> None:
        """It is to be sent once more, to the next zygote, before all others."""
        self._sent.remove(flight)
        self._waiting.appendleft(flight)

    def take_back(self) -> None:
        """The zygote is gone: what was with it is next."""
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
