"""Payloads in parts: every buffer comes out as it went in, aligned, from behind the pickle or from a lent slab."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from runtime.wire.parts import ALIGNMENT, Arrived, Parts, pieces_of, place_of, split, whole

buffers = some.lists(some.binary(max_size=200), min_size=1, max_size=5)


def parts(pickled: bytes, *apart: bytes, name: str = "") -> Parts:
    return Parts(pickled, [memoryview(each) for each in apart], name)


@given(some.binary(max_size=100), buffers, some.text(max_size=10))
def test_a_payload_in_parts_comes_out_as_it_went_in(pickled: bytes, apart: list[bytes], name: str) -> None:
    came, views = split(whole(parts(pickled, *apart, name=name)))

    assert bytes(came) == pickled
    assert [bytes(view) for view in views] == apart


@given(some.binary(max_size=100), buffers)
def test_every_buffer_is_aligned(pickled: bytes, apart: list[bytes]) -> None:
    at = 0
    starts = []
    for piece in parts(pickled, *apart).pieces():
        starts.append(at)
        at += len(piece)

    assert ALIGNMENT % 64 == 0
    assert [start % ALIGNMENT for start in starts[2::2]] == [0] * len(apart)
    assert at == len(whole(parts(pickled, *apart)))


def test_a_large_buffer_is_not_copied_on_its_way() -> None:
    raw = bytes(10_000)

    pieces = parts(b"pickle", raw).pieces()
    _, (view,) = split(whole(parts(b"pickle", raw)))

    assert pieces[-1].obj is raw
    assert isinstance(view, memoryview)


@pytest.mark.parametrize("index", [0, 1])
def test_a_buffer_in_a_lent_slab_is_found_there(index: int) -> None:
    slabs = [memoryview(b"ab" * 50), memoryview(b"xy" * 50)]
    apart = parts(b"pickle", b"near", bytes(slabs[index][11:30]), b"far")
    first = memoryview(b"".join(apart.pieces([0, place_of(index, 11), 0])))

    pickled, views = split(Arrived(first, slabs))

    assert bytes(pickled) == b"pickle"
    assert [bytes(view) for view in views] == [b"near", bytes(slabs[index][11:30]), b"far"]
    assert views[1].obj is slabs[index].obj
    assert len(first) < len(whole(apart))
    assert whole(Arrived(first, slabs)) is first


@pytest.mark.parametrize(
    ("name", "copied", "is_copied"), [("add", {"add"}, True), ("add", {"sub"}, False), ("", {""}, False)]
)
def test_a_handler_that_wants_copies_has_private_ones(name: str, copied: set[str], is_copied: bool) -> None:
    _, (buffer,) = split(whole(parts(b"pickle", b"raw", name=name)), copied)

    assert isinstance(buffer, bytearray) is is_copied
    assert bytes(buffer) == b"raw"


def test_a_payload_that_lacks_its_end_is_refused() -> None:
    payload = whole(parts(b"pickle", b"raw" * 10, b"other"))

    for cut in range(1, len(payload)):
        with pytest.raises((ValueError, struct.error)):
            split(payload[:-cut])


def test_a_lent_buffer_that_lies_beyond_its_slab_is_refused() -> None:
    first = memoryview(b"".join(parts(b"pickle", bytes(20)).pieces([place_of(0, 90)])))

    with pytest.raises(ValueError, match="a payload of"):
        split(Arrived(first, [memoryview(bytes(100))]))


def test_what_is_in_one_piece_is_written_as_it_is() -> None:
    assert pieces_of(b"whole") == (b"whole",)
    assert pieces_of(parts(b"pickle", b"raw"))[-1] == b"raw"
