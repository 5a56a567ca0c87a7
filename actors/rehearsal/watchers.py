"""Who is told when an actor of the Stage dies or stops, and who of each dead letter.

WA-1  A watch stays until it is undone or the watcher's incarnation ends.
WA-2  It fires for every death of the name, and once more when the name stops for good; at once if nobody is there.
WA-3  Nobody is told of a dead letter of its own.
"""

from collections.abc import Callable

from actors.actor import Down
from actors.certificate import DeathCertificate
from actors.letter import Letter
from actors.role import ON_DOWN, ON_LETTER


class Watchers:
    """Watched path → the paths of its watchers."""

    def __init__(self, tell: Callable[[str, str, Down | Letter], None]) -> None:
        """Keep watches.

        Args:
            tell: given a watcher, the name of its hook, and what it is to be told.
        """
        self._tell = tell
        self._watchers: dict[str, set[str]] = {}
        self._readers: set[str] = set()

    def add(self, path: str, watcher: str, *, is_there: bool) -> None:
        """Watch; tells at once when there is nothing to watch."""
        if is_there:
            self._watchers.setdefault(path, set()).add(watcher)
        else:
            self._tell(watcher, ON_DOWN, Down(path, "not there"))

    def remove(self, path: str, watcher: str) -> None:
        """Undo `add`."""
        self._watchers.get(path, set()).discard(watcher)

    def add_reader(self, watcher: str) -> None:
        """Tell an actor of every dead letter from now on."""
        self._readers.add(watcher)

    def remove_reader(self, watcher: str) -> None:
        """Undo `add_reader`."""
        self._readers.discard(watcher)

    def letter(self, letter: Letter) -> None:
        """There is one more dead letter."""
        for reader in sorted(self._readers - {letter.actor}):  # WA-3
            self._tell(reader, ON_LETTER, letter)

    def ended(self, path: str, certificate: DeathCertificate | None) -> None:
        """An incarnation ended: its own watches are gone (WA-1); of a death, tell its watchers."""
        self._readers.discard(path)
        for watchers in self._watchers.values():
            watchers.discard(path)
        if certificate is not None:
            for watcher in sorted(self._watchers.get(path, ())):
                self._tell(watcher, ON_DOWN, Down(path, certificate.reason, certificate))

    def stopped(self, path: str) -> None:
        """A name stopped for good."""
        for watcher in sorted(self._watchers.pop(path, ())):
            self._tell(watcher, ON_DOWN, Down(path, "stopped"))
