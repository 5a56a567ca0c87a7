"""Fuzz: whatever bytes stand in a journal, come by a control connection or are written in a file, nothing falls over.

A few seconds by default. UNDERSTUDY_TEST_EXAMPLES: how many examples of each property; UNDERSTUDY_TEST_FUZZ_SECONDS:
how long the live ones run.
"""

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import ConfigError, child, message
from actors.actor import Actor
from runtime import Supervisor, config
from runtime.mailbox import fifo
from runtime.mailbox.journal import Journal, is_started, mark_done, unfinished
from runtime.requests import HANDLERS
from runtime.wire import answer, control, frame, stream
from runtime.wire import line as lines
from tests.runtime.cast import Gate, Start

EXAMPLES = int(os.environ.get("UNDERSTUDY_TEST_EXAMPLES", "150"))
SECONDS = float(os.environ.get("UNDERSTUDY_TEST_FUZZ_SECONDS", "1.5"))
AREA = 8192

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# ---- journals and frames

payloads = st.binary(max_size=120)
frames = st.one_of(
    st.builds(frame.tell, st.sampled_from([0, 1]), payloads),
    st.builds(
        frame.ask,
        st.sampled_from([0, 1]),
        payloads,
        st.integers(1, 2**64 - 1),
        st.integers(1, 2**64 - 1),
        st.integers(0, 2**63),
    ),
)
cut_frames = frames.flatmap(lambda raw: st.integers(1, len(raw) - 1).map(lambda at: raw[:at]))
noise = st.binary(min_size=1, max_size=90).filter(lambda raw: any(raw[:4]))


def _area(*parts: bytes) -> memoryview:
    area = bytearray(AREA)
    raw = b"".join(parts)[:AREA]
    area[: len(raw)] = raw
    return memoryview(area)


def _check(area: memoryview, headers: list[frame.Header]) -> None:
    """Nothing that is cut short, nothing that overlaps, nothing out of bounds."""
    end = 0
    for header in headers:
        assert header.offset >= end - 1  # the last byte of one that was cut there can be the first of the next
        end = header.offset + header.length
        assert end <= len(area)
        assert frame.OVERHEAD <= header.length <= frame.PIPE_BUF
        assert frame.unpack_length(area, end - 4)[0] == header.length | frame.END


@fuzz
@given(st.binary(max_size=AREA), st.integers(0, AREA))
def test_walking_any_bytes_yields_whole_frames_only(raw: bytes, start: int) -> None:
    area = _area(raw)

    _check(area, frame.walk(area, start, len(area)))
    for header in unfinished(area):
        assert header.state < frame.DONE


@fuzz
@given(st.lists(st.one_of(frames, cut_frames, noise), max_size=30))
def test_recovery_of_any_journal_keeps_whole_frames_and_is_the_same_a_second_time(parts: list[bytes]) -> None:
    area = _area(*parts)
    before = frame.walk(area, 0, len(area))

    extent = Journal(area).recover()

    after = frame.walk(area, 0, len(area))
    _check(area, after)
    assert after == before
    assert not any(area[extent:])
    assert Journal(area).recover() == extent


@fuzz
@given(st.lists(frames, max_size=20), st.one_of(st.just(b""), cut_frames, noise), st.lists(frames, max_size=3))
def test_no_frame_before_a_damage_is_lost_to_it(good: list[bytes], damage: bytes, behind: list[bytes]) -> None:
    area = _area(*good, damage, *behind)
    whole = 0
    offsets = []
    for raw in good:
        if whole + len(raw) <= AREA:
            offsets.append(whole)
        whole += len(raw)

    assert [header.offset for header in frame.walk(area, 0, len(area))][: len(offsets)] == offsets


@fuzz
@given(st.lists(frames, min_size=1, max_size=10), st.data())
def test_a_burial_ends_every_frame_that_was_started_and_no_other(parts: list[bytes], data: st.DataObject) -> None:
    area = _area(*parts)
    for header in frame.walk(area, 0, len(area)):
        area[header.offset + frame.STATE_AT] = data.draw(st.integers(0, 255))

    for header in unfinished(area):
        if is_started(header):
            mark_done(area, header)

    assert not [header for header in unfinished(area) if header.state != frame.QUEUED]


@fuzz
@given(st.lists(st.one_of(frames, noise), max_size=8))
def test_a_journal_takes_from_its_fifo_what_was_written_and_zeroes_it_before_the_next(parts: list[bytes]) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    area = _area()
    journal = Journal(area)
    try:
        for raw in parts:
            os.write(write, raw)
            extent = journal.fill(read) or journal.fill(read)  # 0 may be the end of the last one
            assert bytes(area[:extent]) == raw
            assert not any(area[extent:])
            if extent:
                assert journal.fill(read) == 0
        assert not any(area)
    finally:
        os.close(read)
        os.close(write)


# ---- control requests

plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        st.binary(max_size=20),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
fields = sorted({field.encode_name for kind in HANDLERS for field in msgspec.structs.fields(kind)} | {"type", "more"})
tags = sorted(str(kind.__struct_config__.tag) for kind in HANDLERS)  # type: ignore[attr-defined]
requests = st.dictionaries(st.sampled_from(fields), plain, max_size=6).flatmap(
    lambda body: st.sampled_from(tags).map(lambda tag: {**body, "type": tag})
)


@fuzz
@given(st.one_of(st.binary(max_size=200), requests.map(msgpack.packb), plain.map(msgpack.packb)))
def test_any_bytes_are_a_request_or_no_request_and_nothing_else(raw: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        assert type(control.decode_request(raw)) in control.Request.__args__
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        assert isinstance(answer.decode_answer(raw), answer.Ok | answer.Failed)


@fuzz
@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_messages_come_out_of_a_connection_whole_however_they_were_cut(
    bodies: list[bytes], data: st.DataObject
) -> None:
    ours, theirs = socket.socketpair()
    channel = stream.Channel(theirs)
    raw = b"".join(len(body).to_bytes(4, "little") + body for body in bodies)
    taken = []
    with ours, contextlib.closing(channel):
        at = 0
        while at < len(raw):
            size = data.draw(st.integers(1, len(raw) - at))
            ours.sendall(raw[at : at + size])
            at += size
            channel.feed()
            while (body := channel.take()) is not None:
                taken.append(body)

    assert taken == bodies


@fuzz
@given(st.integers(stream.LIMIT + 1, 2**32 - 1), st.binary(max_size=100))
def test_a_length_over_the_limit_is_refused_before_anything_is_kept_for_it(length: int, raw: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = stream.Channel(theirs)
    with ours, contextlib.closing(channel):
        ours.sendall(length.to_bytes(4, "little") + raw)
        channel.feed()
        with pytest.raises(stream.Protocol, match="expected at most"):
            channel.take()


# ---- the live ones: for a time, with a seed that is told


def _until(seconds: float) -> Iterator[random.Random]:
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield dice


def _flipped(dice: random.Random, raw: bytes) -> bytes:
    """One mutation: bits flipped, a part cut out, doubled or made random."""
    mutable = bytearray(raw)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(mutable) + 1)
        match dice.randrange(5):
            case 0 if at < len(mutable):
                mutable[at] ^= 1 << dice.randrange(8)
            case 1:
                del mutable[at : at + dice.randrange(1, 9)]
            case 2:
                mutable[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 3:
                mutable[at:at] = mutable[at : at + dice.randrange(1, 30)]
            case _:
                mutable[at : at + 4] = dice.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\x10\0\0"])
    return bytes(mutable)


def _value(dice: random.Random, depth: int = 0) -> Any:
    numbers = [0, 1, -1, 5, 4096, 1 << 16, 1 << 45, -(1 << 63), (1 << 64) - 1]
    texts = ["", "counter", "gate", "nobody", "gate.x", "a" * 70, "\0", "../gate", "permanent", "é"]
    match dice.randrange(8 if depth < 3 else 6):
        case 0 | 1:
            return dice.choice(numbers)
        case 2 | 3:
            return dice.choice(texts)
        case 4:
            return dice.choice([None, True, False, 0.5, float("inf")])
        case 5:
            return dice.randbytes(dice.randrange(20))
        case 6:
            return [_value(dice, depth + 1) for _ in range(dice.randrange(4))]
        case _:
            return {dice.choice(fields): _value(dice, depth + 1) for _ in range(dice.randrange(4))}


def _request(dice: random.Random) -> bytes:
    kind = dice.choice([kind for kind in HANDLERS if kind is not control.KillAll])
    body = {field.encode_name: _value(dice) for field in msgspec.structs.fields(kind) if dice.randrange(20)}
    if kind is control.Stop and body.get("path", "") == "":
        body["path"] = "nobody"  # the whole system would stop, as asked
    raw = msgpack.packb({**body, "type": kind.__struct_config__.tag})  # type: ignore[attr-defined]
    return raw if dice.randrange(3) else _flipped(dice, raw)


@pytest.mark.process
def test_a_live_supervisor_survives_requests_of_every_kind(start: Start, system: Supervisor) -> None:
    directory = system._endpoint._directory
    hello = stream.encode(control.Hello(pid=1))
    sent = 0
    for dice in _until(SECONDS):
        with lines.connect(directory, "shared") as sock, contextlib.suppress(OSError):
            for body in (hello, *(_request(dice) for _ in range(20))):
                if len(body) and body != msgpack.packb({"type": "kill"}):
                    sock.sendall(len(body).to_bytes(4, "little") + body)
                    sent += 1
            sock.sendall(_flipped(dice, hello))

    assert sent > 100
    assert start(child(Gate), "after").note(1) == 1


@pytest.mark.process
@pytest.mark.parametrize("nbytes", [-1, 0, 1, 4095, 1 << 50])
def test_memory_of_a_size_that_cannot_be_is_no_request(start: Start, system: Supervisor, nbytes: int) -> None:
    """One that is too small for its own words would stand in the way of every look at all of them."""
    asked = msgpack.packb({"type": "slab", "nbytes": nbytes})
    with lines.connect(system._endpoint._directory, "shared") as sock:
        for body in (stream.encode(control.Hello(pid=1)), asked):
            sock.sendall(len(body).to_bytes(4, "little") + body)
        while sock.recv(4096):  # until it is hung up on
            pass

    assert start(child(Gate)).note(1) == 1


class Small(Actor):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.count = 0

    @message
    def add(self, filling: str) -> int:
        self.count += 1
        return self.count

    @message
    def pid(self) -> int:
        return os.getpid()


@pytest.mark.process
def test_a_live_actor_survives_mutated_frames_and_handles_every_good_one(start: Start, system: Supervisor) -> None:
    """A good frame is longer than any bad one: of one length, the start of the good one could complete a bad one."""
    small = start(child(Small), "small")
    pid = small.pid()
    fds = [fifo.open_write(f"{system._endpoint._directory}/children/small/{lane}") for lane in ("mailbox", "urgent")]
    corpus = [
        frame.tell(0, msgpack.packb([None, "nothing", 1])),
        frame.ask(0, msgpack.packb([["a", "b"], "nothing"]), 5, 6, 0),
        frame.ask(0, msgpack.packb([None, "nothing"]), 5, 6, 1),
        frame.large(frame.ASK, 5, 6, 0, 77),
        frame.tell(0, b""),
    ]
    good = 0
    try:
        for dice in _until(SECONDS):
            for _ in range(dice.randrange(1, 9)):
                raw = _flipped(dice, dice.choice(corpus))[: frame.PIPE_BUF]
                if len(raw) > frame.FLAGS_AT and raw[frame.FLAGS_AT] & (frame.PICKLED | frame.BUFFERED):
                    continue  # that it is a pickle is believed: same uid
                with contextlib.suppress(BlockingIOError):
                    os.write(dice.choice(fds), raw)
            good += 1
            assert small.add("x" * 500) == good
        assert small.pid() == pid
    finally:
        for fd in fds:
            os.close(fd)


# ---- configuration files

keys = st.sampled_from(
    [
        "name",
        "strategy",
        "max_restarts",
        "max_seconds",
        "backoff",
        "children",
        "template",
        "max_children",
        "path",
        "actor",
        "args",
        "kwargs",
        "restart",
        "shutdown",
        "ready",
        "mailbox",
        "replicas",
        "drain",
        "regions",
        "x",
        '"a b"',
        "é",
        "''",
    ]
)
dotted = st.lists(keys, min_size=1, max_size=3).map(".".join)
scalars = st.sampled_from(
    [
        '"shop"',
        '"5s"',
        '"32KiB"',
        '"permanent"',
        '"nothing:Here"',
        '"tests.runtime.test_fuzz:Small"',
        '"os:path"',
        '"a.b:"',
        "0",
        "-1",
        "1e400",
        "nan",
        "0x7f",
        "1_0",
        "true",
        "1979-05-27",
        "07:32:00",
        '"""\n"""',
        "'''a'b'''",
        '"\\u0000"',
        "9" * 30,
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda all_: f"[{', '.join(all_)}]"),
        st.lists(st.tuples(dotted, inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        ),
    ),
    max_leaves=6,
)
toml_lines = st.one_of(
    st.tuples(dotted, values).map(" = ".join),
    dotted.map(lambda key: f"[{key}]"),
    dotted.map(lambda key: f"[[{key}]]"),
    st.sampled_from(["[children.tea]", 'actor = "tests.runtime.test_fuzz:Small"', "# a comment", "", "\t"]),
    st.text(max_size=12),
)
documents = st.lists(toml_lines, max_size=12).map("\n".join)


def _loaded(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with contextlib.suppress(ConfigError):
        loaded = config.load(file)
        assert loaded.file == file


@fuzz
@given(documents)
def test_a_file_of_any_text_is_a_configuration_or_a_config_error(tmp_path: Path, text: str) -> None:
    _loaded(tmp_path / "shop.toml", text.encode(errors="replace"))


@fuzz
@given(st.binary(max_size=200))
def test_a_file_of_any_bytes_is_a_configuration_or_a_config_error(tmp_path: Path, content: bytes) -> None:
    _loaded(tmp_path / "shop.toml", content)


@fuzz
@given(st.data())
def test_a_good_file_with_mutations_is_a_configuration_or_a_config_error(tmp_path: Path, data: st.DataObject) -> None:
    good = (
        b'name = "shop"\nbackoff = { first = "50ms", most = 10 }\n\n[children.tea]\n'
        b'actor = "tests.runtime.test_fuzz:Small"\nargs = []\nshutdown = "5s"\nmailbox = { size = "64KiB" }\n'
    )
    dice = random.Random(data.draw(st.integers(0, 2**32)))

    _loaded(tmp_path / "shop.toml", _flipped(dice, good))


@pytest.mark.parametrize(
    "text", ["[" * 5000, "a = " + "[" * 5000, "a = " + "{ a = " * 3000, "[a" + ".a" * 5000 + "]", "a." * 3000 + "a = 1"]
)
def test_a_file_that_is_nested_without_end_is_a_config_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(text)

    with pytest.raises(ConfigError):
        config.load(file)


def test_reading_files_side_by_side_gives_each_its_own_errors(tmp_path: Path) -> None:
    errors: dict[int, str] = {}

    def load(n: int) -> None:
        file = tmp_path / f"shop{n}.toml"
        file.write_text("\n" * n + "strategy = 7")
        try:
            config.load(file)
        except ConfigError as exc:
            errors[n] = str(exc)

    threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(f"shop{n}.toml:{n + 1}: strategy" in errors[n] for n in range(4))
