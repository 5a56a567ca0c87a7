"""The names of a running system: kept, and made again when somebody has removed them.

At the end of a user's last session systemd-logind removes what he has in /dev/shm (RemoveIPC), under programs that run
on too. What is open stays open: mailboxes, pages, connections. But whoever comes later finds nothing by its name.

NA-1  Each request, each start of an actor and each second finds out. The lock is had first, so that a system of that
      name that was started meanwhile is left alone; then this one has no names any more, and says so.
"""

import asyncio
from collections.abc import Callable

from actors.errors import ActorError
from runtime.claim import Claim, claim
from runtime.directory import marks_in
from runtime.reporter import Reporter

LOOK_SECONDS = 1.0


class Names:
    """Looks after the names of one system, in its supervisor."""

    def __init__(self, claimed: Claim, restore: Callable[[], None], reporter: Reporter) -> None:
        """Look after what is in a directory that this process, or its parent, has claimed.

        Args:
            restore: makes all names in the directory, which is empty.
        """
        self._claimed = claimed
        self._restore = restore
        self._reporter = reporter
        self._is_lost = False
        self._is_whole = True

    def watch(self) -> None:
        """Look each second, from now on."""
        self.look()
        asyncio.get_running_loop().call_later(LOOK_SECONDS, self.watch)

    def look(self) -> None:
        """Make the names again if they are gone (NA-1)."""
        is_there = self._claimed.is_there()
        if self._is_lost or (is_there and self._is_whole):
            return
        self._is_whole = False
        try:
            if is_there:  # they could not all be made
                self._claimed.clear()
            else:
                self._claim_again()
            self._restore()
        except (ActorError, OSError) as exc:
            self._is_lost = isinstance(exc, ActorError)  # else it is tried again
            self._reporter.names_lost(str(self._claimed.root), str(exc))
        else:
            self._is_whole = True
            self._reporter.names_restored(str(self._claimed.root))

    def _claim_again(self) -> None:
        claimed = claim(self._claimed.root.name, patience=0)
        claimed.note(marks_in(self._claimed.lock))
        self._claimed.close()
        self._claimed = claimed

    def note(self, marks: int) -> None:
        """See `Claim.note`."""
        self._claimed.note(marks)

    def remove(self) -> None:
        """Remove them, at the system's end, in the warden's place."""
        self._claimed.remove()
