"""Definitions that go by value (classes of `__main__`, of a notebook), stored once per system under a number."""

import os
from functools import partial

from runtime.eventloop import current_loop
from runtime.memory.seal import sealed
from runtime.wire.control import Define, Definition
from runtime.wire.late import Late
from runtime.wire.line import Lines


class Store:
    """The system's definitions as one process sees them; what is kept of them is the codec's."""

    __slots__ = ("_kept", "_lines")

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._kept: dict[int, bytes] = {}  # fetched in the stead of who could not wait, until he comes for them

    def number_of(self, blob: bytes, key: str) -> int | None:
        """Store a definition; returns its number, of a key that is known the one it has.

        None in an event loop where the supervisor is late: it travels whole, and is stored another time.
        """
        fd = sealed(blob)
        try:
            value, _ = self._lines.prepare(Define(key=key), [fd], is_hurried=current_loop() is not None)
        except Late:
            if current_loop() is None:
                raise
            return None
        finally:
            os.close(fd)
        return int(value)

    def blob_of(self, number: int) -> bytes:
        """The definition of that number.

        Raises:
            Late: the supervisor did not answer until the ambient deadline.
        """
        kept = self._kept.pop(number, None)
        return kept if kept is not None else self._fetched(number)

    def _fetched(self, number: int) -> bytes:
        request, again = Definition(number=number), partial(self._keep, number)
        _, (fd,) = self._lines.prepare(request, again=again, is_hurried=current_loop() is not None)
        try:
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    def _keep(self, number: int) -> None:
        self._kept[number] = self._fetched(number)
