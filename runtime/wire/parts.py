"""Payloads in parts: a pickle, and apart from it the large buffers it refers to, each copied at most once on the way.

    u32 number of buffers | u32 length of the pickle | u32 length of the name | u32 0
    u64 length, u64 place: of each buffer | name | pickle | buffer | buffer …

A place of 0 is "behind the pickle", in order; any other says which of the message's lent slabs the buffer is in, and
where in it. The name is a call's: before anything is unpickled it can be told whether its handler wants copies.

Every buffer behind the pickle starts at a multiple of ALIGNMENT, so that an array can be used where it lies.
"""

import struct
from collections.abc import Container, Sequence
from dataclasses import dataclass

ALIGNMENT = 64  # a cache line, and what numpy's SIMD loops like best

_HEAD = struct.Struct("<IIII")
_PLACE = struct.Struct("<QQ")
_OFFSET_BITS = 40
_OFFSETS = (1 << _OFFSET_BITS) - 1
_GAPS = tuple(bytes(n) for n in range(ALIGNMENT))

Buffer = bytes | memoryview


class Parts:
    """A payload that is not in one piece; its buffers are the caller's until it has been sent."""

    __slots__ = ("_name", "_pickled", "buffers")

    def __init__(self, pickled: bytes, buffers: Sequence[memoryview], name: str = "") -> None:
        self._pickled = pickled
        self._name = name.encode()
        self.buffers = buffers

    def pieces(self, places: Sequence[int] | None = None) -> list[Buffer]:
        """What to write, one after the other.

        Args:
            places: of each buffer, as `place_of` makes them; 0 and None: behind the pickle.
        """
        places = places or (0,) * len(self.buffers)
        head = [_HEAD.pack(len(self.buffers), len(self._pickled), len(self._name), 0)]
        head += [_PLACE.pack(len(buffer), place) for buffer, place in zip(self.buffers, places, strict=True)]
        pieces: list[Buffer] = [b"".join((*head, self._name, self._pickled))]
        at = len(pieces[0])
        for buffer, place in zip(self.buffers, places, strict=True):
            if not place:
                gap = _GAPS[-at % ALIGNMENT]
                pieces += [gap, buffer]
                at += len(gap) + len(buffer)
        return pieces


@dataclass(frozen=True, slots=True)
class Arrived:
    """A payload that arrived in several slabs.

    Attributes:
        first: all but what was lent.
        lent: the slabs that its sender had filled in place.
    """

    first: memoryview
    lent: Sequence[memoryview]


Payload = Buffer | Parts | Arrived


def place_of(index: int, offset: int) -> int:
    """Where a buffer is: that lent slab of the message's, from that byte on."""
    return index + 1 << _OFFSET_BITS | offset


def pieces_of(payload: Payload) -> Sequence[Buffer]:
    """What to write, one after the other."""
    return payload.pieces() if isinstance(payload, Parts) else (whole(payload),)


def whole(payload: Payload) -> Buffer:
    """A payload in one piece; of one that arrived, without what was lent."""
    if isinstance(payload, Arrived):
        return payload.first
    return b"".join(payload.pieces()) if isinstance(payload, Parts) else payload


_NOTHING: Sequence[memoryview] = ()


def split(payload: Payload, copied: Container[str] = ()) -> tuple[memoryview, Sequence[memoryview | bytearray]]:
    """The pickle and the buffers of a payload that arrived: views of it, or private copies.

    Args:
        copied: names of the messages whose handlers want copies.
    Raises:
        ValueError: it is not of that form.
    """
    lent = payload.lent if isinstance(payload, Arrived) else _NOTHING
    view = memoryview(whole(payload))
    count, length, name_length, _ = _HEAD.unpack_from(view)
    places = [_PLACE.unpack_from(view, _HEAD.size + _PLACE.size * index) for index in range(count)]
    at = _HEAD.size + _PLACE.size * count
    name = bytes(view[at : at + name_length]).decode()
    pickled = view[at + name_length : at + name_length + length]
    at += name_length + length
    buffers: list[memoryview] = []
    for nbytes, place in places:
        if place:
            start = place & _OFFSETS
            buffers.append(lent[(place >> _OFFSET_BITS) - 1][start : start + nbytes])
        else:
            at += -at % ALIGNMENT
            buffers.append(view[at : at + nbytes])
            at += nbytes
    if at > len(view) or any(len(buffer) != nbytes for buffer, (nbytes, _) in zip(buffers, places, strict=True)):
        raise ValueError(f"a payload of {len(view)} bytes, expected {at}")
    return pickled, [bytearray(buffer) for buffer in buffers] if name and name in copied else buffers
