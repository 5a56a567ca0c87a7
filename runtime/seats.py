"""The seats at the board: which processes of a system poll, and how many may (runtime.mailbox.patience)."""

import os

from runtime.mailbox.patience import BOARD_BYTES, pollers
from runtime.memory.seal import allocated


class Seats:
    """The supervisor's side of the board.

    Attributes:
        fd: of the board; never closed, it is the system's.
        pollers: how many processes may poll at a time.
    """

    def __init__(self) -> None:
        self.fd = allocated("understudy-board", BOARD_BYTES)
        self.pollers = pollers()
        self._free = set(range(1, BOARD_BYTES))

    def take(self) -> int:
        """A seat; 0, which nobody reads, when all are taken."""
        return self._free.pop() if self._free else 0

    def leave(self, seat: int) -> None:
        """Its process is gone."""
        if seat:
            os.pwrite(self.fd, b"\0", seat)
            self._free.add(seat)
