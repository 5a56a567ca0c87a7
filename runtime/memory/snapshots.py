"""Snapshots: an actor's state, committed with the message that made it, so that its effect is exactly once.

    0     commit word: number of the commit << 1 | slot
    4096  slot 0: which messages were handled, the answer, the state
    …     slot 1

After a message the new state and the encoded answer are written to the spare slot; then one aligned 8-byte store of the
commit word makes them the present ones; then the answer is sent. An actor killed before the store has done nothing, one
killed after it has done everything: an answer that was not sent is sent by the supervisor, from here.

SN-1  The supervisor holds the memory: it goes from incarnation to incarnation, and ends with the name.
SN-2  A state that does not fit gets a larger memory; of several the one with the latest commit counts.
SN-3  The word is stored through `memoryview.cast("Q")`: `struct.pack_into` zeroes first, and a kill would find zeros.
SN-4  An actor that also keeps its state in a file begins its memory with what the file has, or with a blank: from then
      on the memory alone says what has happened. The file may be one message ahead of it (runtime.durable).
SN-5  The actor's process may write anywhere in it, native code with a stray pointer too: lengths are checked before
      use. An actor whose state is damaged does not start, rather than go on from another; its supervisor sees none.
"""

import contextlib
import mmap
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from actors.errors import ActorError
from runtime.memory.seal import allocated

FIRST_BYTES = 16 * 1024
_MOST_COMMITS = 1 << 62
BLANK = 0xFFFFFFFF  # no kind of the codec's
_DATA_AT = 4096
_HEAD = struct.Struct("<QQQIIQQ")  # epoch, frame, reply address, length of the answer, kind and length of the state,
# and how many other frames there are, each an epoch and a frame


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, read back.

    Attributes:
        number: 1 for the first of this memory's actor.
        epoch: of the journal the message was in.
        frame: the message's place in it; 0 for none (a timer).
        reply_to: where its answer goes.
        answer: the reply frame; b"" for none.
        kind, state: as the codec encoded it; BLANK and b"" for none (SN-4).
        others: epochs and places of the messages before it that are committed with it; all of them tells.
    """

    number: int
    epoch: int
    frame: int
    reply_to: int
    answer: bytes
    kind: int
    state: bytes
    others: frozenset[tuple[int, int]] = frozenset()

    def covers(self, epoch: int, frame: int) -> bool:
        """Whether what a message did is in it."""
        return (epoch, frame) == (self.epoch, self.frame) or (epoch, frame) in self.others

    @property
    def is_blank(self) -> bool:
        """There is no state in it."""
        return self.kind == BLANK


def nbytes_of(slot_bytes: int) -> int:
    """Bytes of a memory with two slots of that size."""
    return _DATA_AT + 2 * slot_bytes


def create(nbytes: int = FIRST_BYTES) -> int:
    """Memory for two slots of that size; the caller owns the descriptor.

    Raises:
        OSError: it cannot be had.
    """
    return allocated("understudy-snapshots", nbytes_of(nbytes))


def latest(fds: list[int]) -> tuple[int, Commit | None]:
    """Of several memories of one actor the one with the latest commit (SN-2), and that commit."""
    best, commit = fds[0], _commit_if_sound(fds[0])
    for fd in fds[1:]:
        other = _commit_if_sound(fd)
        if other is not None and (commit is None or other.number > commit.number):
            best, commit = fd, other
    return best, commit


def latest_number(fds: list[int]) -> int:
    """Number of the latest commit in several memories of one actor; 0 of none."""
    return max((int.from_bytes(os.pread(fd, 8, 0), "little") >> 1 for fd in fds), default=0)


def commit_in(fd: int) -> Commit | None:
    """The commit in a memory; None: there is none yet.

    Raises:
        ActorError: it is damaged (SN-5).
    """
    word = int.from_bytes(os.pread(fd, 8, 0), "little")
    if not word:
        return None
    slot_bytes = (os.fstat(fd).st_size - _DATA_AT) // 2
    at = _DATA_AT + (word & 1) * slot_bytes
    epoch, frame, reply_to, answer_length, kind, length, count = _HEAD.unpack(os.pread(fd, _HEAD.size, at))
    if word >> 1 > _MOST_COMMITS or _HEAD.size + 16 * count + answer_length + length > slot_bytes:
        raise ActorError("the committed state in shared memory is damaged: something else wrote there")
    at += _HEAD.size
    places = struct.unpack(f"<{2 * count}Q", os.pread(fd, 16 * count, at))
    at += 16 * count
    answer, state = os.pread(fd, answer_length, at), os.pread(fd, length, at + answer_length)
    others = frozenset(zip(places[::2], places[1::2], strict=True))
    return Commit(word >> 1, epoch, frame, reply_to, answer, kind, state, others)


def _commit_if_sound(fd: int) -> Commit | None:
    with contextlib.suppress(ActorError):  # SN-5
        return commit_in(fd)
    return None


class Snapshots:
    """The committing end, in the actor's process."""

    __slots__ = ("_grow", "_number", "_slot_bytes", "_slots", "_word")

    def __init__(self, fd: int, grow: Callable[[int], int]) -> None:
        """Go on from the latest commit.

        Args:
            fd: of the memory; stays the caller's.
            grow: makes a memory with slots of so many bytes, held by the supervisor, and returns its descriptor.
        """
        self._grow = grow
        self._number = 0
        self._map(fd)
        self._number = self._word[0] >> 1

    @property
    def following(self) -> int:
        """Number of the next commit."""
        return self._number + 1

    def begin(self, number: int, kind: int = BLANK, state: bytes = b"") -> None:
        """Make a state that no message made the present one, as the commit of that number (SN-4)."""
        self._number = number - 1
        self.commit(0, 0, 0, b"", kind, state)

    def commit(
        self,
        epoch: int,
        frame: int,
        reply_to: int,
        answer: bytes,
        kind: int,
        state: bytes | memoryview,
        others: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Make a state and an answer the present ones, for a message and for others before it."""
        places = struct.pack(f"<{2 * len(others)}Q", *chain.from_iterable(others)) if others else b""
        nbytes = _HEAD.size + len(places) + len(answer) + len(state)
        if nbytes > self._slot_bytes:
            fd = self._grow(1 << nbytes.bit_length())
            try:
                self._map(fd)
            finally:
                os.close(fd)
        self._number = number = self._number + 1
        slot = self._slots[number & 1]
        answer_at = _HEAD.size + len(places)
        state_at = answer_at + len(answer)
        _HEAD.pack_into(slot, 0, epoch, frame, reply_to, len(answer), kind, len(state), len(others))
        if places:
            slot[_HEAD.size : answer_at] = places
        slot[answer_at:state_at] = answer
        slot[state_at : state_at + len(state)] = state
        self._word[0] = number << 1 | number & 1  # SN-3

    def _map(self, fd: int) -> None:
        view = memoryview(mmap.mmap(fd, os.fstat(fd).st_size))
        self._slot_bytes = (len(view) - _DATA_AT) // 2
        middle = _DATA_AT + self._slot_bytes
        self._slots = (view[_DATA_AT:middle], view[middle:])
        self._word = view[:8].cast("Q")
