"""Frames: bytes in, headers out; whatever is not whole is never one."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.wire import frame
from runtime.wire.frame import (
    ASK,
    END,
    LARGE,
    LENGTH,
    MAX_PAYLOAD,
    OVERHEAD,
    PICKLED,
    PIPE_BUF,
    TRAILER,
    is_whole,
    next_whole,
    unpack_header,
    walk,
)

ids = st.integers(min_value=1, max_value=(1 << 64) - 1)


@settings(deadline=None)  # a busy machine is no failure
@given(payload=st.binary(max_size=200), ask_id=ids, reply_to=ids, deadline_ns=ids)
def test_an_ask_carries_its_header_and_its_length_twice(
    payload: bytes, ask_id: int, reply_to: int, deadline_ns: int
) -> None:
    raw = memoryview(frame.ask(1, payload, ask_id, reply_to, deadline_ns))

    length = len(payload) + OVERHEAD
    assert unpack_header(raw, 0) == (length, 0, ASK | PICKLED, 0, 0, ask_id, reply_to, deadline_ns, 0)
    assert LENGTH.unpack_from(raw, length - 4)[0] == length | END
    assert length == len(raw)
    assert bytes(raw[frame.PAYLOAD_AT : -frame.TRAILER]) == payload
    assert is_whole(raw, 0, length, length)


def test_every_field_of_a_header_is_where_it_is_said_to_be() -> None:
    raw = bytearray(frame.ask(1, b"abc", 0x11, 0x22, 0x33, retry=7))
    raw[frame.STATE_AT], raw[frame.INDEX_AT] = 5, 9

    (header,) = walk(memoryview(raw), 0, len(raw))

    assert (header.state, header.retry, header.index) == (5, 7, 9)
    assert raw[frame.FLAGS_AT] == ASK | PICKLED
    assert raw[frame.RETRY_AT] == 7
    assert int.from_bytes(raw[frame.ASK_AT : frame.ASK_AT + 8], "little") == 0x11
    assert int.from_bytes(raw[frame.KEY_AT : frame.KEY_AT + 8], "little") == 0x22


def test_flags_are_bits_of_their_own_and_states_are_in_the_order_in_which_a_frame_has_them() -> None:
    flags = (ASK, PICKLED, LARGE, frame.BUFFERED, frame.NOTICE, frame.ERROR, frame.DEATH, frame.STOPPED)
    states = (frame.QUEUED, frame.MAX_ATTEMPTS, frame.CUT, frame.DROPPED, frame.DONE, frame.MOVED)

    assert sorted(flags) == [1 << n for n in range(8)]
    assert sorted(set(states)) == list(states)
    assert (frame.QUEUED, frame.MOVED) == (0, 255)  # a new frame is zero there; a byte
    assert frame.MAX_ATTEMPTS > 100  # the most that @message(retry=…) takes


def test_the_kind_of_a_payload_is_told_by_its_flags() -> None:
    for kind in (0, 1, 2):
        (header,) = walk(memoryview(frame.headed(frame.tell_head(kind, 3), b"abc")), 0, OVERHEAD + 3)
        assert frame.kind_of(header.flags) == frame.kind_of(frame.flags_of(kind) | ASK | LARGE) == kind
        assert (header.retry, header.index, header.body) == (3, 0, 0)


def test_the_slabs_of_replies_are_those_of_the_large_ones() -> None:
    replies = [frame.reply(0, 1, b"abc"), frame.reply(LARGE, 2, (77).to_bytes(8, "little")), frame.reply(0, 3, b"")]
    last = frame.reply(LARGE | frame.ERROR, 4, (88).to_bytes(8, "little"))

    assert frame.bodies_of(b"".join([*replies, last])) == [77, 88]
    assert frame.bodies_of(last) == [88]
    assert frame.bodies_of(b"") == []


def test_no_slab_is_looked_for_behind_what_is_no_reply() -> None:
    large = frame.reply(LARGE, 2, (77).to_bytes(8, "little"))

    assert frame.bodies_of(large + bytes(frame.REPLY.size) + large) == [77]
    assert frame.bodies_of(large + large[: frame.REPLY.size - 1]) == [77]


@pytest.mark.parametrize(("kind", "flags"), [(0, 0), (1, PICKLED)])
def test_a_tell_has_no_asker(kind: int, flags: int) -> None:
    raw = memoryview(frame.tell(kind, b"abc"))

    assert unpack_header(raw, 0) == (OVERHEAD + 3, 0, flags, 0, 0, 0, 0, 0, 0)
    assert not walk(raw, 0, len(raw))[0].is_ask


def test_the_largest_payload_makes_a_frame_of_pipe_buf_bytes() -> None:
    assert len(frame.tell(0, bytes(MAX_PAYLOAD))) == PIPE_BUF
    assert len(frame.ask(0, bytes(MAX_PAYLOAD), 1, 1, 1)) == PIPE_BUF
    assert len(frame.reply(0, 1, bytes(frame.MAX_REPLY))) == PIPE_BUF


def test_a_large_frame_names_its_body_and_has_no_payload() -> None:
    raw = memoryview(frame.large(ASK, 1, 2, 3, 4))

    (header,) = walk(raw, 0, len(raw))
    assert (header.flags, header.body, header.length) == (ASK | LARGE, 4, OVERHEAD)
    assert (header.state, header.retry, header.index) == (0, 0, 0)


@settings(deadline=None)  # a busy machine is no failure
@given(payloads=st.lists(st.binary(max_size=60), max_size=8), cut=st.integers(min_value=0, max_value=60))
def test_walk_finds_every_whole_frame_and_none_that_was_cut(payloads: list[bytes], cut: int) -> None:
    frames = [frame.ask(0, payload, n, 7, 0) for n, payload in enumerate(payloads, 1)]
    raw = b"".join(frames) + frame.ask(0, b"x" * 20, 99, 7, 0)[:cut]

    headers = walk(memoryview(raw), 0, len(raw))

    assert [header.ask_id for header in headers] == list(range(1, len(payloads) + 1))
    assert [header.length for header in headers] == [len(one) for one in frames]


def test_walk_stops_at_a_length_of_zero() -> None:
    good = frame.tell(0, b"a")
    raw = good + bytes(100) + good

    assert len(walk(memoryview(raw), 0, len(raw))) == 1


@settings(deadline=None)  # a busy machine is no failure
@given(noise=st.binary(min_size=1, max_size=200).filter(lambda raw: any(raw[:4])))
def test_a_frame_behind_noise_is_found(noise: bytes) -> None:
    good = frame.ask(0, b"good", 99, 7, 0)
    raw = memoryview(noise + good)

    assert 99 in [header.ask_id for header in walk(raw, 0, len(raw))] or len(noise) < 4
    assert next_whole(raw, 0, len(raw)) <= len(noise)


@pytest.mark.parametrize("lacking", range(1, TRAILER + 1))
def test_a_frame_that_lacks_its_end_is_none_whatever_comes_next(lacking: int) -> None:
    cut = frame.ask(0, b"x" * 20, 1, 7, 0)
    for nbytes in range(600):
        following = frame.ask(0, b"y" * nbytes, 2, 7, 0)
        raw = cut[:-lacking] + following + frame.ask(0, b"z", 3, 7, 0)

        found = [header.ask_id for header in walk(memoryview(raw), 0, len(raw))]
        is_complete = raw.startswith(cut)  # what follows happens to begin with what was cut off

        assert found == ([1, 2, 3] if is_complete else [2, 3])
        assert not is_complete or lacking == 1


@settings(deadline=None)  # a busy machine is no failure
@given(raw=st.binary(max_size=500))
def test_walk_never_raises_and_never_leaves_the_view(raw: bytes) -> None:
    for header in walk(memoryview(raw), 0, len(raw)):
        assert header.offset + header.length <= len(raw)


@pytest.mark.parametrize("length", [0, 1, OVERHEAD - 1, PIPE_BUF + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_no_frame(length: int) -> None:
    raw = memoryview(struct.pack("<I", length) + bytes(PIPE_BUF + 8))

    assert not is_whole(raw, 0, length, len(raw))
    assert next_whole(raw, 0, len(raw)) == len(raw)
