"""Payloads in parts: a pickle, and apart from it the large buffers it refers to, each copied once on the way.

    u32 number of buffers | u32 length of the pickle | u64 length of each buffer | pickle | buffer | buffer …

Every buffer starts at a multiple of ALIGNMENT, so that an array can be used where it lies.
"""

import struct
from collections.abc import Sequence

ALIGNMENT = 64  # a cache line, and what numpy's SIMD loops like best

_HEAD = struct.Struct("<II")

Buffer = bytes | memoryview


class Parts:
    """A payload that is not in one piece; its buffers are the caller's until it has been sent."""

    __slots__ = ("nbytes", "pieces")

    def __init__(self, pieces: list[Buffer]) -> None:
        self.pieces = pieces
        self.nbytes = sum(len(piece) for piece in pieces)

    def __len__(self) -> int:
        return self.nbytes


Payload = Buffer | Parts


def pieces_of(payload: Payload) -> Sequence[Buffer]:
    """What to write, one after the other."""
    return payload.pieces if isinstance(payload, Parts) else (payload,)


def whole(payload: Payload) -> Buffer:
    """A payload in one piece."""
    return b"".join(payload.pieces) if isinstance(payload, Parts) else payload


def joined(pickled: bytes, buffers: Sequence[memoryview]) -> Parts:
    """A payload of a pickle and its buffers."""
    lengths = struct.pack(f"<{len(buffers)}Q", *(len(buffer) for buffer in buffers))
    pieces: list[Buffer] = [_HEAD.pack(len(buffers), len(pickled)) + lengths + pickled]
    at = len(pieces[0])
    for buffer in buffers:
        padding = -at % ALIGNMENT
        pieces += [bytes(padding), buffer]
        at += padding + len(buffer)
    return Parts(pieces)


def split(payload: Payload) -> tuple[memoryview, list[memoryview]]:
    """The pickle and the buffers of a payload that arrived, as views of it.

    Raises:
        ValueError: it is not of that form.
    """
    view = memoryview(whole(payload))
    count, length = _HEAD.unpack_from(view)
    lengths = struct.unpack_from(f"<{count}Q", view, _HEAD.size)
    at = _HEAD.size + 8 * count
    pickled = view[at : at + length]
    at += length
    buffers: list[memoryview] = []
    for nbytes in lengths:
        at += -at % ALIGNMENT
        buffers.append(view[at : at + nbytes])
        at += nbytes
    if at > len(view):
        raise ValueError(f"a payload of {len(view)} bytes, expected {at}")
    return pickled, buffers
