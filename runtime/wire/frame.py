"""Frames: what is written to a mailbox and to a reply FIFO, one frame in one write of at most PIPE_BUF bytes.

A message frame (little-endian, no padding; every field is at a fixed offset, so that state can be stored in place):

    0   u32  length of the whole frame, header and trailer included
    4   u8   state: 0 queued, k started for the k-th time, or one of the ends below  written by the receiver
    5   u8   flags: ASK, PICKLED, BUFFERED, LARGE
    6   u8   retry: how often a started message may be run again: by the sender's table, corrected by the receiver
    7   u8   index + 1 of the message in the actor's table, 0 before it is known   written by the receiver
    8   u64  ask id, 0 for a tell
    16  u64  reply address (number of a reply FIFO), 0 for a tell
    24  u64  deadline, CLOCK_MONOTONIC in ns, 0 for none
    32  u64  number of the slab of a large payload, 0 for none
    40  …    payload
    -4  u32  length again, with the bits of END set, which no length has

A reply frame is 16 bytes (u32 length, u8 flags, 3 spare, u64 ask id) and a payload.

FR-1  The supervisor reads headers only: it can answer for the dead and free bodies without opening a payload.
FR-2  A frame whose two lengths differ was cut short; it is never decoded. What comes right behind one that lacks its
      end, the length of the next, is never taken for that end.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PIPE_BUF = 4096  # pipe(7): a write of at most PIPE_BUF bytes is atomic; 4096 on Linux

QUEUED = 0
MAX_ATTEMPTS = 200
CUT = 252  # begun by an incarnation that died, and not run again; the first of the ends
DROPPED = 253  # never executed: its deadline had passed, or its mailbox was closed
DONE = 254
MOVED = 255  # set aside while it is in hand (runtime.mailbox.aside): what is there counts

ASK = 1
PICKLED = 2  # the payload is a pickle, else msgpack
LARGE = 4  # the payload is in a slab, not in the frame
BUFFERED = 64  # the payload is a pickle and its buffers
NOTICE = 128  # from the supervisor itself: it ends with its actor, nobody misses it

ERROR = 8  # reply: the payload is an encoded exception
DEATH = 16  # reply: the payload is a death certificate (msgpack), answered by the supervisor
STOPPED = 32  # reply: the actor is stopped for good, answered by the supervisor

HEADER = struct.Struct("<IBBBBQQQQ")
START = struct.Struct("<IBB")  # length, state, flags: all that is needed of a plain tell
ASKED = struct.Struct("<QQQ")  # ask id, reply address, deadline: what an ask has beside that
LENGTH = struct.Struct("<I")
KEY = struct.Struct("<Q")
REPLY = struct.Struct("<IBxxxQ")

STATE_AT = 4
FLAGS_AT = 5
RETRY_AT = 6
INDEX_AT = 7
ASK_AT = 8
KEY_AT = 16  # of a notice, in place of a reply address
PAYLOAD_AT = HEADER.size
TRAILER = LENGTH.size
OVERHEAD = HEADER.size + TRAILER

MAX_PAYLOAD = PIPE_BUF - OVERHEAD
MAX_REPLY = PIPE_BUF - REPLY.size

END = 0x5EED0000
LENGTHS = tuple(LENGTH.pack(n + OVERHEAD) for n in range(MAX_PAYLOAD + 1))
"""The length of a frame, encoded, by that of its payload: how every frame begins."""
ENDS = tuple(LENGTH.pack(n + OVERHEAD | END) for n in range(MAX_PAYLOAD + 1))
"""The same, as every frame ends."""

unpack_header = HEADER.unpack_from
unpack_start = START.unpack_from
unpack_ask = ASKED.unpack_from
unpack_reply = REPLY.unpack_from
unpack_length = LENGTH.unpack_from


def flags_of(kind: int) -> int:
    """The flags that say what kind of payload it is (the codec's 0 plain, 1 pickled, 2 buffered)."""
    return (0, PICKLED, BUFFERED)[kind]


def kind_of(flags: int) -> int:
    """The codec's kind of a frame's payload."""
    return 2 if flags & BUFFERED else 1 if flags & PICKLED else 0


def tell_head(kind: int, retry: int) -> bytes:
    """What all tells of one message have in common: their header without its length."""
    return HEADER.pack(0, 0, flags_of(kind), retry, 0, 0, 0, 0, 0)[LENGTH.size :]


def headed(head: bytes, payload: bytes) -> bytes:
    """A tell with that head; the payload has at most MAX_PAYLOAD bytes."""
    nbytes = len(payload)
    return b"".join((LENGTHS[nbytes], head, payload, ENDS[nbytes]))


def tell(kind: int, payload: bytes) -> bytes:
    """A frame that expects no answer; the payload has at most MAX_PAYLOAD bytes."""
    return headed(tell_head(kind, 0), payload)


def ask(kind: int, payload: bytes, ask_id: int, reply_to: int, deadline_ns: int, retry: int = 0) -> bytes:
    """A frame that expects an answer; the payload has at most MAX_PAYLOAD bytes."""
    nbytes = len(payload)
    flags = ASK | PICKLED if kind else ASK
    head = HEADER.pack(nbytes + OVERHEAD, 0, flags, retry, 0, ask_id, reply_to, deadline_ns, 0)
    return head + payload + ENDS[nbytes]


def large(flags: int, ask_id: int, reply_to: int, deadline_ns: int, body: int, retry: int = 0) -> bytes:
    """A frame whose payload is in the slab of that number."""
    head = HEADER.pack(OVERHEAD, 0, flags | LARGE, retry, 0, ask_id, reply_to, deadline_ns, body)
    return head + ENDS[0]


def reply(flags: int, ask_id: int, payload: bytes) -> bytes:
    """A reply frame; its payload is at most MAX_REPLY bytes."""
    return REPLY.pack(len(payload) + REPLY.size, flags, ask_id) + payload


def bodies_of(replies: bytes) -> list[int]:
    """The slabs of the large payloads among these reply frames."""
    found: list[int] = []
    at = 0
    while at + REPLY.size <= len(replies):
        length, flags, _ = unpack_reply(replies, at)
        if length < REPLY.size:  # no frame: a foreign writer's
            break
        if flags & LARGE:
            found.append(int.from_bytes(replies[at + REPLY.size : at + length], "little"))
        at += length
    return found


@dataclass(frozen=True, slots=True)
class Header:
    """A message frame's header, read from a journal or a drained FIFO."""

    offset: int
    length: int
    state: int
    flags: int
    retry: int
    index: int
    ask_id: int
    reply_to: int
    deadline_ns: int
    body: int

    @property
    def is_ask(self) -> bool:
        """Somebody waits for an answer."""
        return bool(self.flags & ASK)


Fields = tuple[int, int, int, int, int, int, int, int, int]
"""Of a message frame's header: length, state, flags, retry, index, ask id, reply address, deadline, body."""


def walk(view: memoryview, start: int, end: int) -> list[Header]:
    """The headers of the whole frames from start on, up to a length of 0 or to end; what is no frame is skipped."""
    return [Header(offset, *fields) for offset, fields in scan(view, start, end)]


def scan(view: memoryview, start: int, end: int) -> Iterator[tuple[int, Fields]]:
    """As `walk`, plainly: where each frame begins, and the fields of its header."""
    offset = start
    while offset + OVERHEAD <= end:
        fields: Fields = unpack_header(view, offset)
        length = fields[0]
        behind = offset + length
        # is_whole, which would take as long as all else
        if OVERHEAD <= length <= PIPE_BUF and behind <= end:
            trailer: int = unpack_length(view, behind - TRAILER)[0]
            if trailer == length | END:
                yield offset, fields
                offset = behind
                continue
        before = max(start, offset - 1)
        if not length and not is_whole(view, before, unpack_length(view, before)[0], end):
            break
        offset = next_whole(view, before, end)


def next_whole(view: memoryview, start: int, end: int) -> int:
    """Where the next whole frame begins, behind what a foreign writer left; end when there is none.

    Start one byte before what is no frame: the last byte of END can be the first of a length, so a frame that lacks
    nothing else has taken that byte from the next one.
    """
    for offset in range(start, end - OVERHEAD + 1):
        if is_whole(view, offset, LENGTH.unpack_from(view, offset)[0], end) and _is_likely(view, offset):
            return offset
    return end


def _is_likely(view: memoryview, offset: int) -> bool:
    """A header as we write it. Lengths alone are no proof: byte 4 of any ask reads as one of 256."""
    _, _, flags, _, _, ask_id, reply_to, deadline_ns, _ = unpack_header(view, offset)
    if flags & ~(ASK | PICKLED | LARGE | BUFFERED):
        return False
    return bool(ask_id and reply_to) if flags & ASK else not (ask_id or reply_to or deadline_ns)


def is_whole(view: memoryview, offset: int, length: int, end: int) -> bool:
    """Both lengths are there, agree and are possible (FR-2)."""
    if not OVERHEAD <= length <= PIPE_BUF or offset + length > end:
        return False
    trailer: int = LENGTH.unpack_from(view, offset + length - TRAILER)[0]
    return trailer == length | END
