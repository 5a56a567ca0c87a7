"""The crowd: all connections of a front, of which there is room for so many.

CR-1  A newcomer is always let in. When there is no room, those go that have kept us waiting longest; never one whose
      answer is being made. So silent connections, slow heads and bodies that drip lock nobody out, however many.
"""

import heapq
from typing import Protocol

_SHARE = (
    8  # as nginx (ngx_drain_connections): an eighth of those that may go, at most 32; so that few are looked at often
)
_MOST = 32


class Guest(Protocol):
    """A connection, as the crowd sees it."""

    def lag(self) -> float | None:
        """How long its client has kept us waiting, in seconds; None while it is we who owe it an answer."""
        ...

    def evict(self) -> None:
        """Close it now."""
        ...


class Crowd:
    """Connections that are open, at most so many (CR-1).

    Attributes:
        asking: those of them that have sent a whole request and wait for its answer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._guests: set[Guest] = set()
        self.asking: set[Guest] = set()

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, newcomer: Guest) -> None:
        """Let one in; others may have to go."""
        if len(self._guests) >= self._most:
            self._make_room()
        self._guests.add(newcomer)

    def leave(self, guest: Guest) -> None:
        """It is closed."""
        self._guests.discard(guest)
        self.asking.discard(guest)

    def _make_room(self) -> None:
        waiting = [(lag, id(guest), guest) for guest in self._guests if (lag := guest.lag()) is not None]
        for _, _, guest in heapq.nlargest(max(1, min(_MOST, len(waiting) // _SHARE)), waiting):
            self._guests.discard(guest)
            guest.evict()
