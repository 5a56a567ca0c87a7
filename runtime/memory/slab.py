"""Slabs: shared memory for one large payload at a time, made once and used again and again.

    0     state, holder's pid, bytes used, generation, address: words of 8 bytes
    4096  the payload

    FREE ─ its owner takes it ─▶ FILLING ─ filled ─▶ SENT ─ the receiver maps it ─▶ HELD ─ its last view goes ─▶ FREE

Fresh pages cost several times what copying into warm ones does, so slabs are kept. Whoever owns the present state
stores the next one: nothing is sent to give a slab back.

SL-1  A slab belongs to its message from SENT on, not to its sender: it outlives it.
SL-2  Only FREE and FILLING go with their owner; SENT is stored just before the frame is written. The supervisor frees
      what a dead receiver held.
SL-3  A message names its slab and the generation in which it is the message's: a receiver that has copied what it needs
      gives the slab back long before its handler ends, and by the time it dies another message may be in it.
SL-4  An answer's slab has its asker's address: should its sender die before it could write the frame, it goes with the
      asker.
SL-5  A process is known as its holder by its pid. A thread that is an actor has a number beside it, in the upper half:
      what a dead thread held is told apart from what the others hold, and what must outlive it has no pid any more.
"""

import mmap
import os

FREE, FILLING, SENT, HELD = 0, 1, 2, 3
STATE, HOLDER, USED, GENERATION, ADDRESS = 0, 1, 2, 3, 4
DATA_AT = 4096
SMALLEST = 16 * 1024
_NUMBER_BITS = 40  # of the 64 that a frame has for a body
_NUMBERS = (1 << _NUMBER_BITS) - 1
_GENERATIONS = (1 << 24) - 1
_PIDS = (1 << 32) - 1


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


def next_generation(generation: int) -> int:
    """They go round after 16 million."""
    return (generation + 1) & _GENERATIONS


def body_of(number: int, generation: int) -> int:
    """What a frame says of a slab (SL-3)."""
    return number | generation << _NUMBER_BITS


def holder_of(pid: int, thread: int) -> int:
    """What a slab says of its holder; pid 0: a thread that is gone (SL-5)."""
    return pid | thread << 32


def is_holder(held_by: int, gone: int) -> bool:
    """Who is gone, a process with all of its threads or one thread, is that holder."""
    return gone in (held_by, held_by & _PIDS)


def parted(body: int) -> tuple[int, int]:
    """Number and generation of a slab."""
    return body & _NUMBERS, body >> _NUMBER_BITS


def state_of(fd: int) -> tuple[int, int]:
    """State and holder, without mapping it. For the supervisor."""
    raw = os.pread(fd, 16, 0)
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


def is_of(fd: int, generation: int) -> bool:
    """The message of that generation has not ended (SL-3). For the supervisor, when nobody else can end it."""
    raw = os.pread(fd, 32, 0)
    return raw[0] in (SENT, HELD) and int.from_bytes(raw[24:], "little") == generation


def is_for(fd: int, address: int) -> bool:
    """It holds an answer for that asker, which has not taken it (SL-4). For the supervisor, when the asker is gone."""
    raw = os.pread(fd, 40, 0)
    return raw[0] == SENT and int.from_bytes(raw[32:], "little") == address


def holder_for(fd: int, address: int) -> int:
    """Pid of the process that holds an answer for that asker in it; 0 when none does. For the supervisor."""
    raw = os.pread(fd, 40, 0)
    is_held = raw[0] == HELD and int.from_bytes(raw[32:], "little") == address
    return int.from_bytes(raw[8:12], "little") if is_held else 0  # SL-5


def set_free(fd: int) -> None:
    """Give it back in somebody's stead. For the supervisor."""
    os.pwrite(fd, FREE.to_bytes(8, "little"), 0)
