"""The vault: memory without a name that the supervisor holds for others: large bodies, and definitions.

VA-1  What is stored outlives who stored it; a body goes when its message is ended, a definition with the system.
VA-2  All bodies together stay within an allowance; over it a sender is refused, and everything else lives.
"""

import itertools
import os

from actors.errors import OutOfMemory
from runtime.memory.seal import allocated


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Vault:
    """Memfds by number. Owns them all."""

    def __init__(self, allowance: int | None = None) -> None:
        """Hold bodies of at most allowance bytes together; None: half of the machine's memory."""
        self._allowance = machine_memory() // 2 if allowance is None else allowance
        self._used = 0
        self._bodies: dict[int, tuple[int, int]] = {}
        self._definitions: dict[int, int] = {}
        self._keys: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def make_body(self, nbytes: int) -> tuple[int, int]:
        """Memory for a body: its number and its descriptor (the vault's).

        Raises:
            OutOfMemory: the allowance, or the machine, does not hold it.
        """
        left = self._allowance - self._used
        if nbytes > left:
            raise OutOfMemory(nbytes, left, "the system's allowance for large payloads is used up")
        try:
            fd = allocated("understudy-body", nbytes)
        except OSError as exc:
            raise OutOfMemory(nbytes, left, os.strerror(exc.errno or 0)) from exc
        number = next(self._numbers)
        self._bodies[number] = (fd, nbytes)
        self._used += nbytes
        return number, fd

    def body(self, number: int) -> int | None:
        """The descriptor of a body; None when it was freed."""
        held = self._bodies.get(number)
        return None if held is None else held[0]

    def free_body(self, number: int) -> None:
        """Its message is ended; freeing twice is no error."""
        held = self._bodies.pop(number, None)
        if held is not None:
            os.close(held[0])
            self._used -= held[1]

    def define(self, key: str, fd: int) -> int:
        """Keep a definition (a descriptor of its own) under its key; of a known key, the number it has."""
        number = self._keys.get(key)
        if number is None:
            number = self._keys[key] = next(self._numbers)
            self._definitions[number] = os.dup(fd)
        return number

    def definition(self, number: int) -> int | None:
        """The descriptor of a definition."""
        return self._definitions.get(number)

    def used(self) -> int:
        """Bytes of all bodies together."""
        return self._used
