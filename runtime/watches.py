"""Watches: who is told when an actor dies or stops. Told by a message in the watcher's second lane.

WA-1  A watch stays until it is undone or the watcher's incarnation ends: the next one watches anew in `on_start`.
WA-2  It fires for every death of the name, and once more when the name stops for good; at once for one that is not
      there.
"""

import msgspec

from actors.certificate import DeathCertificate
from runtime.troupe import Troupe
from runtime.wire import frame
from runtime.wire.codec import Codec

ON_DOWN = "on_down"
_CERTIFICATE_BYTES = 2400  # beside the names and the header in one frame


class Watches:
    """Watched path → the paths of its watchers."""

    def __init__(self, troupe: Troupe) -> None:
        self._troupe = troupe
        self._codec = Codec()
        self._watchers: dict[str, set[str]] = {}

    def add(self, path: str, watcher: str) -> None:
        """Watch; tells at once when there is nothing to watch."""
        worker = self._troupe.get(path)
        if worker is None or worker.box is None:
            self._tell(watcher, path, "not there", None)
        else:
            self._watchers.setdefault(path, set()).add(watcher)

    def remove(self, path: str, watcher: str) -> None:
        """Undo `add`."""
        self._watchers.get(path, set()).discard(watcher)

    def died(self, certificate: DeathCertificate) -> None:
        """An incarnation died: tell its watchers; its own watches are gone (WA-1)."""
        for watchers in self._watchers.values():
            watchers.discard(certificate.actor)
        for watcher in sorted(self._watchers.get(certificate.actor, ())):
            self._tell(watcher, certificate.actor, certificate.reason, certificate)

    def stopped(self, path: str) -> None:
        """A name stopped for good."""
        for watcher in sorted(self._watchers.pop(path, ())):
            self._tell(watcher, path, "stopped", None)

    def _tell(self, watcher: str, path: str, reason: str, certificate: DeathCertificate | None) -> None:
        worker = self._troupe.get(watcher)
        if worker is None or worker.box is None:
            return
        for nbytes in (_CERTIFICATE_BYTES, 0):
            plain = None
            if certificate is not None:
                plain = msgspec.msgpack.encode(certificate.trimmed(nbytes).to_dict())
            kind, payload = self._codec.encode_call(ON_DOWN, (path, reason[:200], plain), {}, ())
            if isinstance(payload, bytes) and len(payload) <= frame.MAX_PAYLOAD:
                worker.box.deliver(frame.tell(kind, payload))
                return
