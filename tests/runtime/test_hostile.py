"""Garbage in mailboxes and reply FIFOs, written by hand: nothing of it is run, later messages arrive, nobody hangs."""

import os
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from actors import child, deadline
from actors.errors import ActorError
from runtime import Supervisor
from runtime.mailbox import fifo
from runtime.wire import frame
from runtime.wire.codec import Codec
from tests.runtime.cast import Echo, Gate, Start, Stopped

pytestmark = pytest.mark.process


def _root(system: Supervisor) -> Path:
    return Path(system._endpoint._directory)


def _mailbox(system: Supervisor, path: str, lane: str = "mailbox") -> int:
    return fifo.open_write(str(_root(system) / "children" / path / lane))


def _good(name: str, *args: Any) -> bytes:
    kind, payload = Codec().encode_call(name, args, {}, ())
    return frame.tell(kind, bytes(payload))


GARBAGE: dict[str, bytes] = {
    "one byte": b"\x07",
    "zeros": bytes(500),
    "ones": b"\xff" * 500,
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a frame": _good("note", "half" * 20)[:60],
    "a frame without its end": _good("note", "cut")[:-3],
    "4 GB": frame.HEADER.pack(0xFFFFFFFF, 0, 0, 0, 0, 0, 0, 0, 0) + b"\xff" * 4,
    "length below a header": struct.pack("<I", 5) + bytes(60),
    "lengths that differ": frame.HEADER.pack(100, 0, 0, 0, 0, 0, 0, 0, 0)
    + b"x" * 56
    + struct.pack("<I", 99 | frame.END),
    "payload that is no msgpack": frame.tell(0, b"\xc1\xc1\xc1"),
    "payload that is no call": frame.tell(0, b"\x01"),
    "name that is a list": frame.tell(0, b"\x92\xc0\x91\x01"),
    "chain that is a number": frame.tell(0, b"\x92\x05\xa4note"),
    "message that is not there": _good("nothing"),
    "pickle that is none": frame.tell(1, b"no pickle"),
    "empty pickle": frame.ask(1, b"", 7, 7, 0),
    "arguments that do not fit": _good("note", 1, 2, 3, 4),
    "body that is not there": frame.large(0, 0, 0, 0, 123456789),
    "expired, with a body that is not there": frame.large(frame.ASK, 5, 5, 1, 987654321),
    "asker that is not there": frame.ask(0, b"\x92\xc0\xa5notes", 99, 0xDEAD, 0),
    "deadline long ago": frame.ask(0, b"\x93\xc0\xa4note\xa4late", 99, 0xDEAD, 1),
    "all flags": frame.HEADER.pack(48, 0, 0xFF, 9, 9, 9, 9, 0, 9) + b"abcd" + struct.pack("<I", 48 | frame.END),
}


@pytest.mark.parametrize("what", sorted(GARBAGE))
@pytest.mark.parametrize("lane", ["mailbox", "urgent"])
def test_garbage_in_a_mailbox_is_skipped_and_what_comes_behind_it_arrives(
    start: Start, system: Supervisor, what: str, lane: str
) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    fd = _mailbox(system, "gate", lane)
    try:
        with Stopped(pid):
            for n in range(3):  # in one read with what is around it
                os.write(fd, _good("note", n))
                os.write(fd, GARBAGE[what])
            os.write(fd, _good("note", 3))
            replies = [gate.note.ask(n) for n in (4, 5)]
        for reply in replies:
            reply.result()

        notes = gate.notes()
        assert [n for n in notes if n != "late"] == [0, 1, 2, 3, 4, 5] or lane == "urgent"
        assert sorted(notes, key=str) == [0, 1, 2, 3, 4, 5]
        assert gate.pid() == pid
    finally:
        os.close(fd)


def test_frames_with_flipped_bits_never_end_an_actor(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    fd = _mailbox(system, "gate")
    chance = random.Random(1)
    frames = [_good("note", "a", 1), frame.ask(0, b"\x93\xc0\xa4note\x01", 5, 6, 0), _good("note", (1, [2]))]
    try:
        for _ in range(60):
            for _ in range(10):
                raw = bytearray(chance.choice(frames))
                for _ in range(chance.randrange(1, 4)):
                    at = chance.randrange(len(raw))
                    if at != frame.FLAGS_AT:  # that a payload is a pickle is believed: same uid
                        raw[at] ^= 1 << chance.randrange(8)
                os.write(fd, raw)
            gate.note(0)
        assert gate.pid() == pid
    finally:
        os.close(fd)


def test_random_bytes_never_end_an_actor(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    fd = _mailbox(system, "gate")
    chance = random.Random(2)
    try:
        for n in range(100):
            os.write(fd, chance.randbytes(chance.randrange(1, 300)))
            gate.note.tell(n)
            assert gate.pid() == pid
        assert gate.notes() == list(range(100))
    finally:
        os.close(fd)


def test_an_actor_that_is_killed_with_garbage_in_its_journal_loses_nothing(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate), "gate")
    pid = gate.pid()
    fd = _mailbox(system, "gate")
    with Stopped(pid):
        os.write(fd, GARBAGE["half a frame"])
        replies = [gate.note.ask(n) for n in range(5)]
        os.write(fd, GARBAGE["text"])
        replies += [gate.note.ask(n) for n in range(5, 10)]
        os.kill(pid, 9)
    os.close(fd)

    assert [reply.result() for reply in replies] == list(range(1, 11))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x07",
        bytes(40),
        b"\xff" * 40,
        struct.pack("<IBxxxQ", 0, 0, 1),
        struct.pack("<IBxxxQ", 4 << 20, 0, 1),
        struct.pack("<IBxxxQ", 16, frame.LARGE, 1),
        frame.reply(frame.LARGE, 12345, (1 << 60).to_bytes(8, "little")),
        frame.reply(frame.DEATH, 12345, b"\xc1"),
    ],
)
def test_garbage_in_a_reply_fifo_does_not_disturb_the_asks_that_wait(
    start: Start, system: Supervisor, garbage: bytes
) -> None:
    echo = start(child(Echo))
    pid = echo.pid()
    fds = [fifo.open_write(str(entry)) for entry in (_root(system) / "replies").iterdir()]
    with deadline(3):
        with Stopped(pid):
            replies = [echo.echo.ask(n) for n in range(3)]
            for fd in fds:
                os.write(fd, garbage)
        assert [reply.result() for reply in replies] == [0, 1, 2]
        for fd in fds:
            os.write(fd, garbage)
        assert echo.echo("after") == "after"
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("flags", [frame.DEATH, frame.LARGE, frame.ERROR, frame.PICKLED, 0])
def test_an_answer_that_is_none_ends_its_own_ask_only(start: Start, system: Supervisor, flags: int) -> None:
    echo = start(child(Echo))
    pid = echo.pid()
    with Stopped(pid):
        forged, other = echo.echo.ask(1), echo.echo.ask(2)
        address = forged._channel.address
        fd = fifo.open_write(str(_root(system) / f"replies/{address:016x}"))
        os.write(fd, frame.reply(flags, forged.ask_id, b"\xc1\xc1"))
        os.close(fd)
        with pytest.raises(ActorError):
            forged.result()

    assert other.result() == 2


def test_more_than_a_million_bytes_of_noise_do_not_grow_an_actor(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate), "gate")
    fd = _mailbox(system, "gate")
    before = _resident_bytes(gate.pid())
    noise = b"\x64\0\0\0" + bytes(range(256)) * 15
    try:
        for _ in range(100):
            os.write(fd, noise[: frame.PIPE_BUF])
            gate.notes()
        assert _resident_bytes(gate.pid()) - before < 8 << 20
    finally:
        os.close(fd)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
