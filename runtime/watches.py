"""Watches: who is told when an actor dies or stops, and who of each dead letter. Told by notices.

WA-1  A watch stays until it is undone or the watcher's incarnation ends: the next one watches anew in `on_start`.
WA-2  It fires for every death of the name, and once more when the name stops for good; at once for one that is not
      there.
WA-3  Nobody is told of a dead letter of its own: what it did about it could make the next one, for ever.
"""

from dataclasses import astuple

import msgspec

from actors.certificate import DeathCertificate
from actors.letter import Letter
from actors.role import ON_DOWN, ON_LETTER
from runtime.notices import Notices
from runtime.troupe import Troupe

_CERTIFICATE_BYTES = 2400  # beside the names and the header in one frame


class Watches:
    """Watched path → its watchers' paths, each with the incarnation that watches; and who watches letters."""

    def __init__(self, troupe: Troupe, notices: Notices) -> None:
        self._troupe = troupe
        self._notices = notices
        self._watchers: dict[str, dict[str, int]] = {}
        self._readers: dict[str, int] = {}

    def add(self, path: str, watcher: str) -> None:
        """Watch; tells at once when there is nothing to watch."""
        worker = self._troupe.get(path)
        if worker is None or worker.box is None:
            self._tell(watcher, path, "not there", None)
        else:
            self._watchers.setdefault(path, {})[watcher] = self._incarnation(watcher)

    def remove(self, path: str, watcher: str) -> None:
        """Undo `add`."""
        self._watchers.get(path, {}).pop(watcher, None)

    def add_reader(self, watcher: str) -> None:
        """Tell an actor of every dead letter from now on."""
        self._readers[watcher] = self._incarnation(watcher)

    def remove_reader(self, watcher: str) -> None:
        """Undo `add_reader`."""
        self._readers.pop(watcher, None)

    def died(self, certificate: DeathCertificate) -> None:
        """An incarnation died: tell its watchers; its own watches are gone (WA-1)."""
        self._forget(certificate.actor)
        for watcher in self._present(self._watchers.get(certificate.actor, {})):
            self._tell(watcher, certificate.actor, certificate.reason, certificate)

    def stopped(self, path: str) -> None:
        """A name stopped for good."""
        self._forget(path)
        for watcher in self._present(self._watchers.pop(path, {})):
            self._tell(watcher, path, "stopped", None)

    def letter(self, letter: Letter) -> None:
        """There is one more dead letter."""
        for reader in self._present(self._readers):
            if reader != letter.actor:  # WA-3
                self._notices.send(reader, ON_LETTER, astuple(letter))

    def _forget(self, watcher: str) -> None:
        self._readers.pop(watcher, None)
        for watchers in self._watchers.values():
            watchers.pop(watcher, None)

    def _present(self, watchers: dict[str, int]) -> list[str]:
        """Those whose incarnation is still the one that watches (WA-1)."""
        return sorted(path for path, incarnation in watchers.items() if incarnation == self._incarnation(path))

    def _incarnation(self, path: str) -> int:
        worker = self._troupe.get(path)
        return 0 if worker is None else worker.incarnation

    def _tell(self, watcher: str, path: str, reason: str, certificate: DeathCertificate | None) -> None:
        for nbytes in (_CERTIFICATE_BYTES, 0):
            plain = None
            if certificate is not None:
                plain = msgspec.msgpack.encode(certificate.trimmed(nbytes).to_dict())
            if self._notices.send(watcher, ON_DOWN, (path, reason[:200], plain)):
                return
