"""The canvas: a region that many processes paint at once and are killed in the midst of it.

Every transaction draws the next number into each of its cells, half of them before it takes a while and half after; so a
change that was committed in part, or over another's, shows.
"""

import time
from typing import Any

from actors import Layout, array, field
from actors.errors import RegionBusy
from tests.soak.ledger import PAINTED, TORN, Ledger

_CELLS = 8192
_WAIT_SECONDS = 5.0
_LEAST_SECONDS = 0.001  # long enough to be killed in


class Canvas(Layout):
    """The number, and every cell of it: 64 KiB."""

    number = field("u8")
    cells = array("u8", _CELLS)


class Painter:
    """One process's way to paint; keeps what it has seen last."""

    def __init__(self, region: Any, ledger: Ledger, number: int) -> None:
        """Paint this region as the actor, or caller, of that number."""
        self._region = region
        self._ledger = ledger
        self._number = number
        self._seen = 0

    def paint(self, seconds: float) -> None:
        """Draw the next number, which takes about so long; nothing when others hold it too long."""
        try:
            with self._region.write(timeout=_WAIT_SECONDS) as view:
                self._check(view)
                number = int(view.number) + 1
                view.cells[: _CELLS // 2] = number
                view.number = number
                time.sleep(max(seconds, _LEAST_SECONDS))
                view.cells[_CELLS // 2 :] = number
        except RegionBusy:
            return
        self._seen = number
        self._ledger.put(PAINTED, actor=self._number, detail=number)

    def look(self) -> None:
        """See that the last commit is whole."""
        self._check(self._region.read())

    def _check(self, view: Any) -> None:
        number = int(view.number)
        if number < self._seen or not bool((view.cells == number).all()):
            self._ledger.put(TORN, actor=self._number, detail=number)
        self._seen = max(self._seen, number)
