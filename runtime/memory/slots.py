"""The memory of a region: a header and two slots, of which one holds the last commit. No lock in here.

    0      words of 8 bytes: magic, sizes, fingerprint; `generation` (128), `writing` (192) and the records of the two
           slots (256, 320) on cache lines of their own; recoveries and the only writer (384)
    512    the lock (runtime.memory.lock)
    1024   the layout as text, then slot 0 and slot 1, each aligned to 64

Commit number g lies in slot g % 2. A writer, who holds the lock, writes:

    writing = g+1 │ the other slot = a copy of the last commit, then the user's changes │ its record: crc, time │
    generation = g+1

and a reader, who holds nothing, reads:

    g = generation │ a copy of slot g % 2, its record │ writing ≤ g+1, and the crc of the copy: taken; else once more

SL-1  `generation` is published by one aligned 8-byte store (`memoryview.cast("Q")`): a writer that dies at any
      instruction has published either nothing or everything.
SL-2  A slot is overwritten only when `writing` says so first. x86-64 keeps the order of stores and of loads, so there
      the reader's look at `writing` is proof.
SL-3  arm64 keeps no such order and Python has no fence. So the crc, seeded with generation and time, is always
      compared: what was seen out of order is a retry, never a torn read.
"""

import mmap
import zlib
from dataclasses import dataclass

from actors.errors import LayoutMismatch, RegionDamaged
from actors.shape import Shape, aligned, difference
from runtime.memory import lock
from runtime.memory.writer import Writer

LOCK_AT = 512
GENERATION_AT = 128
_TEXT_AT = LOCK_AT + lock.NBYTES
_MAGIC = 0x316E6F6967655255  # "URegion1"; the last thing written at creation
_MASK = 0xFFFFFFFF

_MAGIC_WORD, _TOTAL, _SLOT, _SLOTS_AT, _TEXT, _FINGERPRINT, _ONE_WRITER = 0, 1, 2, 3, 4, 5, 7  # the fingerprint is 2
_GENERATION, _WRITING, _RECORDS, _RECORD = GENERATION_AT // 8, 24, 32, 8
_CRC, _COMMITTED_NS = 0, 1
_RECOVERIES, _WRITER, _WRITER_STARTED = 48, 49, 50
_WRITER_NAME_AT = 51 * 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit, copied out.

    Attributes:
        generation: its number; 0 is the empty region.
        committed_ns: monotonic.
        content: the bytes of the layout.
    """

    generation: int
    committed_ns: int
    content: bytes


def total_nbytes(shape: Shape) -> int:
    """Bytes of a region of that shape."""
    slots_at = aligned(_TEXT_AT + len(shape.describe().encode()), 64)
    return aligned(slots_at + 2 * aligned(shape.nbytes, 64), mmap.PAGESIZE)


def initialise(shared: mmap.mmap, shape: Shape, *, one_writer: bool, now_ns: int, crc: int) -> None:
    """Make an empty region (all zero, generation 0) of zeroed memory of `total_nbytes`.

    Args:
        crc: of the zeros of one slot, from `seed(0, now_ns)` on.
    """
    text = shape.describe().encode()
    shared[_TEXT_AT : _TEXT_AT + len(text)] = text
    with memoryview(shared) as memory, memory[:LOCK_AT].cast("Q") as words:
        words[_TOTAL] = len(shared)
        words[_SLOT] = shape.nbytes
        words[_SLOTS_AT] = aligned(_TEXT_AT + len(text), 64)
        words[_TEXT] = len(text)
        words[_FINGERPRINT], words[_FINGERPRINT + 1] = _halves(shape)
        words[_ONE_WRITER] = one_writer
        words[_RECORDS + _CRC] = crc
        words[_RECORDS + _COMMITTED_NS] = now_ns
    lock.initialise(shared, LOCK_AT)
    with memoryview(shared) as memory, memory[:LOCK_AT].cast("Q") as words:
        words[_MAGIC_WORD] = _MAGIC


def description(shared: mmap.mmap) -> str:
    """The layout as text, as it was made with; "" when it is no region."""
    with memoryview(shared) as memory, memory[:LOCK_AT].cast("Q") as words:
        if len(shared) < _TEXT_AT or words[_MAGIC_WORD] != _MAGIC:
            return ""
        return bytes(memory[_TEXT_AT : _TEXT_AT + words[_TEXT]]).decode(errors="replace")


class Slots:
    """One mapping of a region; several threads may read it, who writes holds the lock. Lets go of it when dropped."""

    __slots__ = ("_slots", "_words", "view")

    def __init__(self, shared: mmap.mmap, shape: Shape, name: str) -> None:
        """Look at a region.

        Args:
            shared: the whole of it.
            shape: what the caller takes it for.
            name: of the region, for errors.
        Raises:
            LayoutMismatch: it was made with another shape.
            RegionDamaged: it is no region.
        """
        self.view = memoryview(shared)
        self._words = words = self.view[:LOCK_AT].cast("Q")
        if len(shared) < _TEXT_AT or words[_MAGIC_WORD] != _MAGIC or words[_TOTAL] != len(shared):
            raise RegionDamaged(name, "expected the memory of a region, got something else")
        if (words[_FINGERPRINT], words[_FINGERPRINT + 1]) != _halves(shape):
            made = bytes(self.view[_TEXT_AT : _TEXT_AT + words[_TEXT]]).decode(errors="replace")
            raise LayoutMismatch(name, "made with another layout:\n" + difference(made, shape.describe()))
        size, start = words[_SLOT], words[_SLOTS_AT]
        second = start + aligned(size, 64)
        self._slots = (self.view[start : start + size], self.view[second : second + size])

    @property
    def generation(self) -> int:
        """Number of the last commit."""
        return self._words[_GENERATION]

    @property
    def committed_ns(self) -> int:
        """When the last commit was made, monotonic."""
        return self._words[_RECORDS + _RECORD * (self._words[_GENERATION] & 1) + _COMMITTED_NS]

    @property
    def recoveries(self) -> int:
        """How often a writer died with the lock held."""
        return self._words[_RECOVERIES]

    @property
    def one_writer(self) -> bool:
        """Made with `writers="one"`."""
        return bool(self._words[_ONE_WRITER])

    @property
    def writer(self) -> Writer:
        """The one writer; its pid is 0 when there is none. Only with the lock held."""
        name = bytes(self.view[_WRITER_NAME_AT:LOCK_AT]).rstrip(b"\0").decode(errors="replace")
        return Writer(self._words[_WRITER], self._words[_WRITER_STARTED], name)

    def set_writer(self, writer: Writer) -> None:
        """Note the one writer; the pid comes last. Only with the lock held."""
        self._words[_WRITER] = 0
        room = LOCK_AT - _WRITER_NAME_AT
        self.view[_WRITER_NAME_AT:LOCK_AT] = writer.name.encode(errors="replace")[-room:].ljust(room, b"\0")
        self._words[_WRITER_STARTED] = writer.started
        self._words[_WRITER] = writer.pid

    def count_recovery(self) -> None:
        """Count one more. Only with the lock held."""
        self._words[_RECOVERIES] += 1

    def begin(self) -> memoryview:
        """The spare slot, holding a copy of the last commit; the caller's to change and to release."""
        generation = self._words[_GENERATION]
        spare = self._slots[(generation + 1) & 1]
        self._words[_WRITING] = generation + 1  # SL-2
        spare[:] = self._slots[generation & 1]
        return spare[:]

    def publish(self, now_ns: int) -> None:
        """Make the spare slot the last commit. Nobody sees it before the last store, everybody after it."""
        generation = self._words[_GENERATION] + 1
        record = _RECORDS + _RECORD * (generation & 1)
        self._words[record + _CRC] = zlib.crc32(self._slots[generation & 1], seed(generation, now_ns))
        self._words[record + _COMMITTED_NS] = now_ns
        self._words[_GENERATION] = generation  # SL-1

    def snapshot(self) -> Snapshot | None:
        """The last commit, copied; None when a writer came in between or its stores were seen out of order: again."""
        words = self._words
        generation = words[_GENERATION]
        content = bytes(self._slots[generation & 1])
        record = _RECORDS + _RECORD * (generation & 1)
        crc, committed_ns = words[record + _CRC], words[record + _COMMITTED_NS]
        if words[_WRITING] > generation + 1 or zlib.crc32(content, seed(generation, committed_ns)) != crc:
            return None
        return Snapshot(generation, committed_ns, content)

    def current(self) -> tuple[int, memoryview]:
        """The last commit's number and its slot itself, read-only; see `is_intact`."""
        generation = self._words[_GENERATION]
        return generation, self._slots[generation & 1].toreadonly()

    def is_intact(self, generation: int) -> bool:
        """Nobody has begun to overwrite that commit (proof on x86-64 only, SL-2)."""
        return self._words[_WRITING] <= generation + 1

    def stamp(self) -> tuple[int, int]:
        """Changes whenever a writer begins or commits."""
        return self._words[_GENERATION], self._words[_WRITING]


def _halves(shape: Shape) -> tuple[int, int]:
    fingerprint = shape.fingerprint
    return int.from_bytes(fingerprint[:8], "little"), int.from_bytes(fingerprint[8:], "little")


def seed(generation: int, now_ns: int) -> int:
    """What the checksum of a commit starts from."""
    return (generation + now_ns) & _MASK
