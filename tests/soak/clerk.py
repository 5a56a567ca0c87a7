"""The clerk: lists the dead letters all the time, writes each to the ledger, and drops it.

CL-1  Letters are bounded: whoever lists them rarely does not see all. What the supervisor drops for want of room is in its
      log, and is a fault of the soak.
"""

import threading
from collections.abc import Mapping

from actors.errors import NotFound
from runtime import Client, Letter
from tests.soak.ledger import ASK, DIED_OF, LEFT, LEFT_IN_HAND, LETTER, UNREAD, Ledger

_PAUSE_SECONDS = 0.1


class Clerk:
    """One soak's clerk. Owns its thread; the client and the ledger are the stage's."""

    def __init__(self, client: Client, ledger: Ledger, numbers: Mapping[str, int]) -> None:
        """Account for the letters of the actors whose paths have numbers (or whose pool has)."""
        self._client = client
        self._ledger = ledger
        self._numbers = numbers
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)

    def start(self) -> None:
        """List them from now on."""
        self._thread.start()

    def end(self) -> None:
        """List them for the last time."""
        self._enough.set()
        self._thread.join()
        self.list()

    def list(self) -> None:
        """Account for all there are."""
        for letter in self._client.letters():
            try:
                self._client.drop(letter.id)
            except NotFound:  # CL-1
                continue
            number = self._numbers.get(letter.actor) or self._numbers[letter.actor.rpartition(".")[0]]
            self._ledger.put(LETTER, actor=number, flags=ASK if letter.asked else 0, detail=_why(letter))

    def _run(self) -> None:
        while not self._enough.wait(_PAUSE_SECONDS):
            self.list()


def _why(letter: Letter) -> int:
    if letter.why.startswith("its actor died of it"):
        return DIED_OF
    if letter.why.startswith("its actor stopped for good"):
        return LEFT_IN_HAND if letter.why.endswith("while it was in hand") else LEFT
    return UNREAD
