"""Where concurrent messages are while they are in hand: set aside in the page, so that their lanes can be read on.

    journal  frame, started ──copied──▶ slots of its own, started; in the journal it ends as MOVED

A journal is read to only when all of it has been handled. One message that takes long would therefore hold up all that
come after it, those included that it waits for. Slots are for actors with concurrent messages only: the memory is a
hole in the page until the first of them allocates it, and nobody looks at it before the page's word ASIDE says so.

AS-1  A frame lies in as many slots in a row as it needs, from the beginning of one. The first store is one word, its
      length with the state MOVED: from then on nobody takes its inside for the beginning of a frame.
AS-2  Neither lost nor there twice: the page's word MOVING names both places until the frame in the journal has ended.
      Whoever finds it set after a death lets the frame in the journal stand, unless it has ended.
AS-3  A slot that is free begins with a word of zero, or with that of a frame that has ended.
AS-4  At most MOST messages, and as many bytes as there are slots for. The last RESERVED slots are the second lane's.
AS-5  Its words are bounded before use: a stray store of the actor's is no reason for anybody to look beyond the area.
"""

from runtime.mailbox.page import ASIDE, ASIDE_BYTES, MOVING, URGENT_LANE, Page
from runtime.wire.frame import CUT, MOVED, OVERHEAD, PIPE_BUF, STATE_AT, Header, is_whole, unpack_header

SLOT = 256
MOST = ASIDE_BYTES // SLOT
RESERVED = PIPE_BUF // SLOT  # what the largest frame needs
_STATE_BITS = STATE_AT * 8
_ALL = (1 << MOST) - 1
_OPEN_TO_ALL = (1 << MOST - RESERVED) - 1


class Aside:
    """The slots of one actor, for the actor itself."""

    __slots__ = ("_area", "_free", "_heads", "_words")

    def __init__(self, page: Page) -> None:
        """Allocate them, take over what an earlier incarnation left, and zero the rest (AS-3).

        Raises:
            OSError: the memory cannot be had.
        """
        page.allocate_aside()
        self._words = page.words
        self._area = page.aside
        self._heads = self._area.cast("Q")
        self._free = _ALL
        end = 0
        for header in unfinished(page):
            self._free &= ~_slots_of(header.offset, header.length)
            end = header.offset + header.length
        for slot in range(-(-_extent(page) // SLOT)):
            if self._free >> slot & 1:
                self._heads[slot * SLOT // 8] = 0
        self._words[ASIDE] = end

    def has_room(self, *, urgent: bool = False) -> bool:
        """A frame of any size can be set aside (AS-4)."""
        return _first_run(self._free if urgent else self._free & _OPEN_TO_ALL, RESERVED) >= 0

    def put(self, view: memoryview, at: int, length: int, lane: int) -> int:
        """Set a frame aside that lies at `at` of a lane's journal (AS-1, AS-2); returns where it lies now."""
        words, heads = self._words, self._heads
        slot = _first_run(self._free if lane == URGENT_LANE else self._free & _OPEN_TO_ALL, -(-length // SLOT))
        place = slot * SLOT
        words[ASIDE] = max(words[ASIDE], place + length)
        head = int.from_bytes(view[at : at + 8], "little")
        heads[place >> 3] = head & ~(0xFF << _STATE_BITS) | MOVED << _STATE_BITS
        self._area[place + 8 : place + length] = view[at + 8 : at + length]
        words[MOVING] = place + 1 << 32 | at + 1 | lane
        heads[place >> 3] = head
        view[at + STATE_AT] = MOVED
        words[MOVING] = 0
        self._free &= ~_slots_of(place, length)
        return place

    def free(self, place: int) -> None:
        """The frame there has ended: its slots may be used again."""
        length = self._heads[place >> 3] & 0xFFFFFFFF
        for inside in range(place + SLOT, place + length, SLOT):  # AS-3: what it carried is anybody's idea of a frame
            self._heads[inside >> 3] = 0
        self._free |= _slots_of(place, length)


def frames(page: Page) -> list[Header]:
    """The frames that are set aside, those included that have ended and whose slots are not used yet; for anybody."""
    area, end = page.aside, _extent(page)
    headers: list[Header] = []
    at = 0
    while at < end:
        fields = unpack_header(area, at)
        length: int = fields[0]
        if not OVERHEAD <= length <= PIPE_BUF:
            at += SLOT
            continue
        if is_whole(area, at, length, len(area)):
            headers.append(Header(at, *fields))
        at += -(-length // SLOT) * SLOT
    return headers


def unfinished(page: Page) -> list[Header]:
    """Those that have not ended."""
    return [header for header in frames(page) if header.state < CUT]


def settle(page: Page) -> None:
    """After a death: of a frame that was being set aside one of the two places counts from now on (AS-2)."""
    moving = page.words[MOVING]
    if moving:
        journal = page.urgent_journal if moving & URGENT_LANE else page.journal
        origin = (moving & 0xFFFFFFFF) - 1
        place = ((moving & ~URGENT_LANE) >> 32) - 1
        is_sane = 0 <= origin < len(journal) - OVERHEAD and 0 <= place < ASIDE_BYTES - OVERHEAD  # AS-5
        if is_sane and journal[origin + STATE_AT] < CUT:
            page.aside[place + STATE_AT] = MOVED
        page.words[MOVING] = 0


def _extent(page: Page) -> int:
    """Bytes that may hold frames (AS-5)."""
    return min(page.words[ASIDE], ASIDE_BYTES)


def _slots_of(place: int, length: int) -> int:
    return (1 << -(-length // SLOT)) - 1 << place // SLOT


def _first_run(free: int, count: int) -> int:
    """The first of so many free slots in a row; -1 when there are none."""
    have = 1
    while have < count:
        step = min(have, count - have)
        free &= free >> step
        have += step
    return (free & -free).bit_length() - 1
