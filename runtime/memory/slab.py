"""Slabs: shared memory for one large payload at a time, made once and used again and again.

    0     words of 8 bytes: state, holder's pid, bytes used, generation, address, number of lent slabs, and the
          generation whose frame was written
    64    the lent slabs of the same message, as a frame would name them
    4096  the payload

    FREE ─ its owner takes it ─▶ FILLING ─ filled ─▶ SENT ─ the receiver maps it ─▶ HELD ─ its last view goes ─▶ FREE

Fresh pages cost several times what copying into warm ones does, so slabs are kept. Whoever owns the present state
stores the next one: nothing is sent to give a slab back.

SL-1  A slab belongs to its message from SENT on, not to its sender: it outlives it.
SL-2  Only FREE and FILLING go with their owner; SENT is stored just before the frame is written, the generation written
      right after it. Of a dead sender's slab that is SENT and not known to be written the supervisor looks whether
      any frame names it. It frees what a dead receiver held.
SL-3  A message names its slab and the generation in which it is the message's: a receiver that has copied what it needs
      gives the slab back long before its handler ends, and by the time it dies another message may be in it.
SL-4  An answer's slab has its asker's address: one that is not taken goes with the asker.
SL-5  A process is known as its holder by its pid. A thread that is an actor has a number beside it, in the upper half:
      what a dead thread held is told apart from what the others hold, and what must outlive it has no pid any more.
SL-6  What the program filled in place is in slabs of its own; the frame names the message's first slab, and that one
      names them. Each comes back by itself; where a message ends unread, all do.
"""

import ctypes
import functools
import mmap
import os
import struct
from dataclasses import dataclass

from actors.errors import OutOfMemory
from runtime.commons import Commons, identity_of

FREE, FILLING, SENT, HELD = 0, 1, 2, 3
STATE, HOLDER, USED, GENERATION, ADDRESS, LENT, WRITTEN, LENT_AT = 0, 1, 2, 3, 4, 5, 6, 8
DATA_AT = 4096
MOST_LENT = DATA_AT // 8 - LENT_AT  # slabs that one message may name
SMALLEST = 16 * 1024
_NUMBER_BITS = 40  # of the 64 that a frame has for a body
_NUMBERS = (1 << _NUMBER_BITS) - 1
_GENERATIONS = (1 << 24) - 1
_PIDS = (1 << 32) - 1


class Slab:
    """A mapping of a slab, one for all threads of a process; unmapped when its last view is gone."""

    __slots__ = ("__weakref__", "data", "number", "words")

    def __init__(self, number: int, fd: int) -> None:
        """Map it; the descriptor stays the caller's.

        Raises:
            OutOfMemory: this process has no address space for it, or no descriptor (mmap(2) keeps one).
        """
        nbytes = os.fstat(fd).st_size
        try:
            mapping = mmap.mmap(fd, nbytes)
        except OSError as exc:
            raise OutOfMemory(
                nbytes, 0, f"a large payload cannot be mapped in process {os.getpid()}: {exc.strerror}"
            ) from exc
        self.number = number
        view = memoryview(mapping)
        self.words = view[:DATA_AT].cast("Q")
        self.data = view[DATA_AT:]


_slabs: Commons[tuple[int, int], Slab] = Commons(lambda _slab: None)  # a child goes on reading what it maps


def slab_of(number: int, fd: int) -> Slab:
    """This process's mapping of a slab; the descriptor stays the caller's."""
    return _slabs.get(identity_of(fd), lambda: Slab(number, fd))


@functools.cache
def array_type(nbytes: int) -> type[ctypes.Array[ctypes.c_char]]:
    """What looks at the data of a slab and can be referred to weakly; made once for each size, it costs 20 µs."""
    return ctypes.c_char * nbytes


def rounded(nbytes: int) -> int:
    """The size of slab for so many bytes: one of four from a power of two to the next, so that many share one."""
    step = max(SMALLEST, 1 << max(0, (nbytes - 1).bit_length() - 3))
    return DATA_AT + max(1, -(-nbytes // step)) * step


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


@dataclass(frozen=True, slots=True)
class Look:
    """What a slab says of itself, read without mapping it. For the supervisor."""

    state: int
    holder: int
    used: int
    generation: int
    address: int
    lent: int
    written: int

    def is_of(self, generation: int) -> bool:
        """The message of that generation has not ended (SL-3)."""
        return self.state in (SENT, HELD) and self.generation == generation

    def is_for(self, address: int) -> bool:
        """It holds an answer for that asker, which has not taken it (SL-4)."""
        return self.state == SENT and self.address == address

    def is_held_for(self, address: int) -> bool:
        """A process, `pid`, holds an answer for that asker in it."""
        return self.state == HELD and self.address == address and bool(self.pid)

    @property
    def pid(self) -> int:
        """Of its holder; 0: a thread that is gone (SL-5)."""
        return self.holder & _PIDS

    def is_doubtful(self) -> bool:
        """Its sender may have died before its frame was written (SL-2)."""
        return self.state == SENT and self.written != self.generation


_LOOK = struct.Struct("<7Q")


def look_at(fd: int) -> Look:
    """What that slab says of itself."""
    return Look(*_LOOK.unpack(os.pread(fd, _LOOK.size, 0)))


def lent_by(fd: int, look: Look) -> tuple[int, ...]:
    """The other slabs of the message in that one, as a frame would name them (SL-6)."""
    count = min(look.lent, MOST_LENT)
    return struct.unpack(f"<{count}Q", os.pread(fd, 8 * count, 8 * LENT_AT)) if count else ()


def set_free(fd: int) -> None:
    """Give it back in somebody's stead."""
    os.pwrite(fd, FREE.to_bytes(8, "little"), 0)
