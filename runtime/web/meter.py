"""The meter of a connection: what its client has sent of a request, and how far it is behind. Pure: time is given.

    IDLE ──first byte──▶ HEAD ──blank line──▶ BODY ──last byte──▶ IDLE

ME-1  What is neither head nor body (chunk sizes and their extensions, trailers) is bounded like a head: so many bytes
      in a row, without one of the body among them.
ME-2  A body may be long; it is late when it comes slower than a modem, after a start of `grace` seconds. mod_reqtimeout
      of Apache httpd has the same rule and, by default, the same figures.
"""

import enum

FRAMING_BYTES = 64 * 1024  # h11's default for an incomplete event is 16 KiB; browsers send cookies of several times 4
LEAST_RATE = 500.0  # bytes/s; Apache's RequestReadTimeout body=20,MinRate=500


class Phase(enum.Enum):
    """Where in a request a client is."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


class Meter:
    """Counts the bytes of one connection.

    Attributes:
        phase: of the request that comes in.
        since: when that phase began, in seconds of the loop's clock.
    """

    __slots__ = ("_body_bytes", "_framing_bytes", "_has_body", "phase", "since")

    def __init__(self, now: float) -> None:
        self.begin(Phase.IDLE, now)

    def begin(self, phase: Phase, now: float) -> None:
        """Count from here: that phase begins."""
        self.phase = phase
        self.since = now
        self._framing_bytes = 0
        self._body_bytes = 0
        self._has_body = False

    def add_body(self, nbytes: int) -> None:
        """Of what is being fed, so much is body."""
        self._body_bytes += nbytes
        self._has_body = True

    def add(self, nbytes: int) -> bool:
        """So many bytes were fed, of the body or not; whether that is bearable (ME-1)."""
        self._framing_bytes = 0 if self._has_body else self._framing_bytes + nbytes
        self._has_body = False
        return self._framing_bytes <= FRAMING_BYTES

    def has_begun(self) -> bool:
        """Whether anything of a request has come that is not there as a whole."""
        return self.phase is not Phase.IDLE

    def lag(self, now: float) -> float:
        """Seconds that the client has kept us waiting in this phase; what it sent of a body counts for it (ME-2)."""
        return now - self.since - self._body_bytes / LEAST_RATE
