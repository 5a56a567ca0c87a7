"""Slabs: shared memory for one large payload at a time, made once and used again and again.

    0     state, holder's pid, bytes used: words of 8 bytes
    4096  the payload

    FREE ─ its owner takes it ─▶ FILLING ─ filled ─▶ SENT ─ the receiver maps it ─▶ HELD ─ its last view goes ─▶ FREE

Fresh pages cost several times what copying into warm ones does, so slabs are kept. Whoever owns the present state
stores the next one: nothing is sent to give a slab back.

SL-1  A slab belongs to its message from SENT on, not to its sender: it outlives it.
SL-2  Only FREE and FILLING go with their owner. The supervisor frees what a dead receiver held.
"""

import mmap
import os

FREE, FILLING, SENT, HELD = 0, 1, 2, 3
STATE, HOLDER, USED = 0, 1, 2
DATA_AT = 4096
SMALLEST = 16 * 1024


class Slab:
    """One process's mapping of a slab; unmapped when its last view is gone."""

    __slots__ = ("__weakref__", "data", "number", "words")

    def __init__(self, number: int, fd: int) -> None:
        """Map it; the descriptor stays the caller's."""
        mapping = mmap.mmap(fd, os.fstat(fd).st_size)
        self.number = number
        view = memoryview(mapping)
        self.words = view[:64].cast("Q")
        self.data = view[DATA_AT:]


def rounded(nbytes: int) -> int:
    """The size of slab for so many bytes: a power of two, so that slabs of one size serve many payloads."""
    return DATA_AT + max(SMALLEST, 1 << (nbytes - 1).bit_length())


def state_of(fd: int) -> tuple[int, int]:
    """State and holder, without mapping it. For the supervisor."""
    raw = os.pread(fd, 16, 0)
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


def set_free(fd: int) -> None:
    """Give it back in somebody's stead. For the supervisor."""
    os.pwrite(fd, FREE.to_bytes(8, "little"), 0)
