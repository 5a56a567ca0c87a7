"""The journal: where an actor reads its mailbox to, so that a crash loses nothing that was queued.

A read goes straight into the journal (`readv` into the map), only when all of it has been handled and with room for
the whole FIFO: so every read returns whole frames, and what left the kernel is in the page, kill -9 or not.

JO-1  Before a read the last extent is zeroed, its first length first: recovery never sees half of an old frame, and a
      kill in between leaves what recovery reads as empty.
JO-2  A frame's state is stored before its payload is touched, decoding included.
JO-3  Recovery walks whole frames to the first length that is none and zeroes what lies behind.
"""

import contextlib
import os

from runtime.wire.frame import CUT, DONE, DROPPED, QUEUED, STATE_AT, Header, is_whole, unpack_length, walk

_NO_LENGTH = bytes(4)
_ZEROS = bytes(4096)


class Journal:
    """One lane's journal in a page, for the actor that owns it: frames, whose states the actor stores in place."""

    __slots__ = ("_area", "_extent", "_iov", "_size")

    def __init__(self, area: memoryview) -> None:
        """Lay the journal over its area of the page, as large as its FIFO."""
        self._area = area
        self._iov = [area]
        self._size = len(area)
        self._extent = 0

    def recover(self) -> int:
        """Take over what an earlier incarnation left (JO-3); returns the extent: where its last frame ends."""
        headers = walk(self._area, 0, len(self._area))
        end = headers[-1].offset + headers[-1].length if headers else 0
        for at in range(end, self._size, len(_ZEROS)):
            self._area[at : at + len(_ZEROS)] = _ZEROS[: self._size - at]
        self._extent = end
        return end

    def fill(self, fd: int) -> int:
        """Read what the FIFO holds, at once; everything in the journal has been handled.

        Returns:
            The extent: bytes of whole frames; 0 when the FIFO is empty, or was when it was read last.
        """
        extent = self._extent
        if extent:
            self._clear()
            if extent < self._size:
                return 0  # the last read emptied the FIFO: the waiter's poll is cheaper than an EAGAIN
        try:
            self._extent = os.readv(fd, self._iov)
        except BlockingIOError:
            return 0
        return self._extent

    def fill_all(self, fd: int) -> int:
        """As `fill`, of a FIFO that was not the last that was read."""
        if self._extent:
            self._clear()
        return self.fill(fd)

    def fill_slot(self, fd: int, slot: int) -> int:
        """Read one slot of a FIFO that others read too (runtime.mailbox.poolqueue), at once.

        Returns:
            The extent: end of its frame; of more, where what is there was not written by slots (PQ-3); 0: it is empty.
        """
        if self._extent:
            self._clear()
        area = self._area
        try:
            extent = os.readv(fd, [area[:slot]])
        except BlockingIOError:
            return 0
        length = unpack_length(area, 0)[0]
        if extent == slot and is_whole(area, 0, length, slot):
            area[length:slot] = bytes(slot - length)  # what fills it up is no end of a journal (JO-3)
            self._extent = length
            return self._extent
        with contextlib.suppress(BlockingIOError):
            extent += os.readv(fd, [area[extent:]])
        self._extent = extent
        return extent

    def _clear(self) -> None:
        extent, area = self._extent, self._area
        area[0:4] = _NO_LENGTH  # JO-1
        area[:extent] = bytes(extent)
        self._extent = 0


def unfinished(area: memoryview) -> list[Header]:
    """The frames of a dead actor's journal that are queued or were started, in order. For the supervisor."""
    return [header for header in walk(area, 0, len(area)) if header.state < CUT]


def mark_done(area: memoryview, header: Header) -> None:
    """End a frame of a dead actor's journal whose message had been handled."""
    area[header.offset + STATE_AT] = DONE


def mark_ended(area: memoryview, header: Header) -> None:
    """End a frame of a dead actor's journal that will not be handled: its asker has been told."""
    area[header.offset + STATE_AT] = CUT if is_started(header) else DROPPED


def is_started(header: Header) -> bool:
    """Its handler may have begun (JO-2)."""
    return QUEUED < header.state < CUT
