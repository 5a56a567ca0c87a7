"""Large bodies: payloads over the frame limit, each in a memfd of its own that the supervisor holds.

The sender has one made, fills it and names it in the frame; whoever ends the message frees it. So a body outlives its
sender, and goes with the system at the latest.
"""

import mmap
import os

from actors.errors import Unencodable
from runtime.wire.control import FreeBody, MakeBody, OpenBody
from runtime.wire.line import Lines

MAX_BYTES = 1 << 30


class Bodies:
    """Large bodies as one process sees them, through its lines."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def put(self, payload: bytes) -> int:
        """Store a payload; returns its number. It is the message's from then on.

        Raises:
            Unencodable: it is over MAX_BYTES.
            OutOfMemory: the system's allowance or the machine's memory does not hold it.
        """
        if len(payload) > MAX_BYTES:
            raise Unencodable("payload", f"{len(payload)} bytes, more than {MAX_BYTES}")
        number, (fd,) = self._lines.request(MakeBody(nbytes=len(payload)))
        try:
            with mmap.mmap(fd, len(payload)) as target:
                target[:] = payload
        finally:
            os.close(fd)
        return int(number)

    def take(self, number: int) -> bytes:
        """Read a body and free it."""
        _, (fd,) = self._lines.request(OpenBody(number=number))
        try:
            payload = os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
        self.free(number)
        return payload

    def free(self, number: int) -> None:
        """Its message is ended."""
        self._lines.request(FreeBody(number=number))
