"""Who is told when an actor of the Stage dies or stops.

WA-1  A watch stays until it is undone or the watcher's incarnation ends.
WA-2  It fires for every death of the name, and once more when the name stops for good; at once if nobody is there.
"""

from collections.abc import Callable

from actors.actor import Down
from actors.certificate import DeathCertificate


class Watchers:
    """Watched path → the paths of its watchers."""

    def __init__(self, tell: Callable[[str, Down], None]) -> None:
        """Keep watches.

        Args:
            tell: puts a `Down` into a watcher's mailbox.
        """
        self._tell = tell
        self._watchers: dict[str, set[str]] = {}

    def add(self, path: str, watcher: str, *, is_there: bool) -> None:
        """Watch; tells at once when there is nothing to watch."""
        if is_there:
            self._watchers.setdefault(path, set()).add(watcher)
        else:
            self._tell(watcher, Down(path, "not there"))

    def remove(self, path: str, watcher: str) -> None:
        """Undo `add`."""
        self._watchers.get(path, set()).discard(watcher)

    def ended(self, path: str, certificate: DeathCertificate | None) -> None:
        """An incarnation ended: its own watches are gone (WA-1); of a death, tell its watchers."""
        for watchers in self._watchers.values():
            watchers.discard(path)
        if certificate is not None:
            for watcher in sorted(self._watchers.get(path, ())):
                self._tell(watcher, Down(path, certificate.reason, certificate))

    def stopped(self, path: str) -> None:
        """A name stopped for good."""
        for watcher in sorted(self._watchers.pop(path, ())):
            self._tell(watcher, Down(path, "stopped"))
