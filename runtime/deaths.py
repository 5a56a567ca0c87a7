"""Deaths: the last death certificate of each name, for whoever asks later why."""

from actors.certificate import DeathCertificate

MOST_NAMES = 1000
_TEXT_BYTES = 32 * 1024


class Deaths:
    """Dotted path → its last death certificate; of the names that died longest ago, none."""

    def __init__(self) -> None:
        self._certificates: dict[str, DeathCertificate] = {}

    def add(self, certificate: DeathCertificate) -> None:
        """A process died that was not asked to."""
        self._certificates.pop(certificate.actor, None)  # the order is that of the deaths
        self._certificates[certificate.actor] = certificate.trimmed(_TEXT_BYTES)
        if len(self._certificates) > MOST_NAMES:
            del self._certificates[next(iter(self._certificates))]

    def last(self, path: str) -> DeathCertificate | None:
        """The last death of an actor; of a supervisor or a pool, the last one below it; None when there was none."""
        known = self._certificates.get(path)
        if known is not None:
            return known
        below = f"{path}."
        return next(
            (each for each in reversed(self._certificates.values()) if not path or each.actor.startswith(below)), None
        )
