"""An asyncio loop whose selector waits politely: it polls for a moment before it blocks (runtime.mailbox.patience)."""

import asyncio
import selectors
from time import monotonic_ns

from runtime.mailbox.patience import Board, Patience


class PoliteSelector(selectors.EpollSelector):
    """epoll, with polling rationed by the system's board."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._patience = Patience(board)
        self._found: list[tuple[selectors.SelectorKey, int]] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As `selectors.EpollSelector.select`; timeout in seconds, None: for ever."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        start = monotonic_ns()
        if self._patience.is_worth(start):
            until_ns = 0 if timeout is None else start + int(timeout * 1e9)
            if self._patience.spin(self._poll_once, start, until_ns):
                found, self._found = self._found, []
                return found
            if timeout is not None:
                timeout = max(0.0, timeout - (monotonic_ns() - start) / 1e9)
        found = super().select(timeout)
        self._patience.note(monotonic_ns() - start)
        return found

    def _poll_once(self, _milliseconds: int) -> list[tuple[int, int]]:
        self._found = super().select(0)
        return [(key.fd, events) for key, events in self._found]


def polite_loop(board: Board) -> asyncio.AbstractEventLoop:
    """A new event loop that waits politely."""
    return asyncio.SelectorEventLoop(PoliteSelector(board))
