"""Definitions that go by value (classes of `__main__`, of a notebook), stored once per system under a number."""

import os

from runtime.memory.seal import sealed
from runtime.wire.control import Define, Definition
from runtime.wire.line import Lines


class Store:
    """The system's definitions as one process sees them; what is kept of them is the codec's."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def number_of(self, blob: bytes, key: str) -> int:
        """Store a definition; returns its number, of a key that is known the one it has."""
        fd = sealed(blob)
        try:
            value, _ = self._lines.prepare(Define(key=key), [fd])
        finally:
            os.close(fd)
        return int(value)

    def blob_of(self, number: int) -> bytes:
        """The definition of that number."""
        _, (fd,) = self._lines.request(Definition(number=number))
        try:
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
