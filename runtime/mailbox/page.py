"""The page of an actor: shared memory (a memfd) that the supervisor makes and that outlives every incarnation.

    0        header: 64 words of 8 bytes, see the WORD_… offsets below; the life word is the supervisor's alone
    4096     message table, msgpack: 16 KiB
    20480    log: the last lines the actor logged or wrote to stderr, a ring of 8 KiB
    28672    journal of the urgent lane: 4 KiB
    32768…   journal of the mailbox: the real size of the FIFO, and a hole up to the largest there may be: 1 MiB
    …        concurrent messages in hand: 256 KiB, a hole until an actor with such messages allocates it
    -32768   last words: traceback of a crash or a failed start, native stack: 32 KiB

Who writes: life, control and incarnation the supervisor; ATTENTION it and whoever sends an urgent message; the rest
the actor.
Who reads: everybody who was handed the memfd. Nothing is ever sent to learn an actor's status, so it can be read of one
that hangs.

PG-1  Words are stored through `memoryview.cast("Q")`: one aligned 8-byte store. `struct.pack_into` zeroes first.
PG-2  The memory is allocated at creation (`posix_fallocate`), the holes before they are used, and sealed against
      shrinking: no SIGBUS.
PG-3  Last words come last, and the memory is sealed against growing: a native stack that is too long is cut by the
      kernel. faulthandler knows no bound, and would write on into the journals.
PG-4  A mailbox keeps its page as long as its name is specified, also when it gets another size: whoever has mapped it
      goes on. So there is room for the largest; memory is taken for what it is.
"""

import contextlib
import errno
import mmap
import os
import signal
from collections.abc import Sequence

import msgpack
import msgspec

from actors.message import MessageEntry, MessageOptions
from runtime.memory.seal import allocated_around

LIFE = 0
INCARNATION = 1
CONTROL = 2  # what the supervisor wants: see RUN, STOP, …
ATTENTION = 3  # nonzero: the second lane may hold something, or CONTROL has changed
HANDLED = 4
FAILED = 5
EXPIRED = 6
BUSY_NS = 7
IN_HAND = 8  # offset + 1 of the frame being handled in its journal (| the mark of another lane), 0 when idle
SINCE_NS = 9  # when it was taken
DROPPED = 10  # replies that could not be delivered
MAILBOX_BYTES = 11  # F_GETPIPE_SZ of the mailbox
EXTENT = 12  # bytes in the journal
LOG_AT = 13  # bytes ever written to the log ring
LAST_WORDS = 14  # bytes of last words
TABLE = 15  # bytes of the message table
EPOCH = 16  # fillings of the mailbox's journal, counted for snapshots
URGENT_EPOCH = 17  # and of the second lane's
WATCHED = 18  # how many messages of the table have a watchdog of their own
BEAT_NS = 19  # when the actor's event loop last ran; 0: it does not say
LISTENS = 20  # nonzero: its event loop answers TASKS_SIGNAL by writing its tasks' stacks to the last words
SAVED = 21  # number of the commit that is in the actor's durable file
SAVES_FAILED = 22  # how often it could not be written
PEERS = 24  # of a member of a pool: how many they are; the supervisor's
LOST_LINES = 25  # log lines that could not be written
HOOK = 26  # what the actor does that is no message: a timer's, by its index in the table, or a hook, see HOOKS; 0: none
HOOK_NS = 27  # since when
UNCOMMITTED = 28  # nonzero: it ends because its state cannot be committed
WAITS = 40  # and those behind it: asks whose answers the actor waits for (runtime.waits), 0 for none
MOST_WAITS = 16
ROOM = 56  # bytes of the path of the mailbox that the actor waits for room in, counted in the bits above 16; 0: in none
ASIDE = 32  # bytes that may hold concurrent messages in hand
MOVING = 33  # which frame is being set aside (runtime.mailbox.aside), 0 for none
JOURNAL_BYTES = 34  # of the mailbox's journal, what memory it has: the largest size the mailbox has had
REFUSES = 35  # nonzero: a full mailbox refuses at once

COUNTERS = (  # that go on from one incarnation to the next
    HANDLED,
    FAILED,
    EXPIRED,
    BUSY_NS,
    DROPPED,
    LOG_AT,
    EPOCH,
    URGENT_EPOCH,
    SAVES_FAILED,
    LOST_LINES,
)
STARTING, READY, RESTARTING, CLOSED = 1, 2, 3, 4  # life
RUN, STOP_FINISH, STOP_DISCARD, STOP_LEAVE = 0, 1, 2, 3  # control; the last: finish, but for the pool's queue
HOOKS = {name: code for code, name in enumerate(("__init__", "restore", "on_start", "on_stop", "on_error"), 256)}
MOST_MESSAGES = 253  # an index is a byte of a frame; the last ones are the notices'
NOTICES_FROM = 254
URGENT_LANE = 1 << 62
ASIDE_LANE = 1 << 61  # not read from anywhere: what is set aside
TASKS_SIGNAL = signal.SIGRTMAX  # whoever needs real-time signals of his own takes the first ones

ROOM_AT = 512  # that path
TABLE_AT = 4096
TABLE_SIZE = 16384
LOG_RING_AT = TABLE_AT + TABLE_SIZE
LOG_RING_SIZE = 8192
URGENT_JOURNAL_AT = LOG_RING_AT + LOG_RING_SIZE
URGENT_JOURNAL_SIZE = 4096
JOURNAL_AT = URGENT_JOURNAL_AT + URGENT_JOURNAL_SIZE
MOST_MAILBOX_BYTES = 1 << 20  # as `actors.child.Mailbox`
LAST_WORDS_SIZE = 32768
ASIDE_BYTES = 256 * 1024
_MADV_POPULATE_WRITE = 23  # linux/mman.h; it fails where a touch would be a SIGBUS


_Row = tuple[str, bool, tuple[int, bool, bool, float | None, bool], str]
_unpack_rows = msgspec.msgpack.Decoder(list[_Row]).decode

Table = tuple[bytes, int]
"""A message table as it lies in a page, and how many of its messages have a watchdog of their own."""


class Page:
    """One mapping of a page. The supervisor, the actor and every sender have one each; `close` unmaps it."""

    __slots__ = ("_map", "_owner", "last_words_at", "view", "words")

    def __init__(self, fd: int) -> None:
        """Map the memfd; fd stays the caller's to close."""
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        self._map.madvise(mmap.MADV_DONTFORK)  # a child forked in a handler must not touch the journal
        self._owner = os.getpid()
        self.view = memoryview(self._map)
        self.words = self.view[:512].cast("Q")
        self.last_words_at = len(self.view) - LAST_WORDS_SIZE

    @property
    def journal(self) -> memoryview:
        """The mailbox's journal."""
        return self.view[JOURNAL_AT : JOURNAL_AT + self.words[JOURNAL_BYTES]]

    @property
    def aside(self) -> memoryview:
        """Where concurrent messages in hand are; not to be touched while the word ASIDE is 0 (PG-2)."""
        return self.view[self.last_words_at - ASIDE_BYTES : self.last_words_at]

    def allocate_aside(self) -> None:
        """Have memory for what is set aside (PG-2).

        Raises:
            OSError: ENOMEM or EFAULT, it cannot be had.
        """
        try:
            self._map.madvise(_MADV_POPULATE_WRITE, self.last_words_at - ASIDE_BYTES, ASIDE_BYTES)
        except OSError as exc:
            if exc.errno != errno.EINVAL:  # before Linux 5.14 the first touch allocates
                raise

    def say_room(self, path: str) -> None:
        """The actor waits for room in the mailbox of that path; "": it does not, or no more."""
        raw = path.encode()
        if len(raw) <= TABLE_AT - ROOM_AT:
            self.view[ROOM_AT : ROOM_AT + len(raw)] = raw
            self.words[ROOM] = (self.words[ROOM] >> 16) + 1 << 16 | len(raw)

    def room(self) -> tuple[str, int]:
        """The path of the mailbox that the actor waits for room in, "" for none; and which of its waits that is."""
        word = self.words[ROOM]
        size = min(word & 0xFFFF, TABLE_AT - ROOM_AT)
        return bytes(self.view[ROOM_AT : ROOM_AT + size]).decode(errors="replace"), word >> 16

    def map_in(self) -> None:
        """Have it in this process's page tables, what is set aside excepted (PG-2); nothing is written."""
        with contextlib.suppress(OSError):  # before Linux 5.14 each first touch does
            self._map.madvise(
                _MADV_POPULATE_WRITE, 0, (JOURNAL_AT + self.words[JOURNAL_BYTES]) // mmap.PAGESIZE * mmap.PAGESIZE
            )

    def lane(self, mark: int) -> memoryview:
        """Where the frames of a lane are, by its mark."""
        if mark & ASIDE_LANE:
            return self.aside
        return self.urgent_journal if mark & URGENT_LANE else self.journal

    @property
    def urgent_journal(self) -> memoryview:
        """The second lane's journal."""
        return self.view[URGENT_JOURNAL_AT : URGENT_JOURNAL_AT + URGENT_JOURNAL_SIZE]

    def publish(self, table: Table) -> None:
        """Write the message table: the supervisor what was specified, each incarnation its own in the place of it."""
        raw, self.words[WATCHED] = table
        self.view[TABLE_AT : TABLE_AT + len(raw)] = raw
        self.words[TABLE] = len(raw)

    def table(self) -> dict[str, MessageEntry]:
        """The message table as published; {} of one that is none: a stray store of its actor's may have hit it."""
        size = self.words[TABLE]
        if not 0 < size <= TABLE_SIZE:
            return {}
        try:
            rows = _unpack_rows(self.view[TABLE_AT : TABLE_AT + size])
        except (msgspec.DecodeError, ValueError):  # ValueError: a text that is no UTF-8
            return {}
        return {
            name: MessageEntry(name, is_async, MessageOptions(*options), text) for name, is_async, options, text in rows
        }

    def say(self, last_words: str) -> None:
        """Leave a traceback for the death certificate; its end is kept when it is too long."""
        if os.getpid() != self._owner:  # forked in a handler: the page is not mapped there
            return
        raw = last_words.encode(errors="replace")[-LAST_WORDS_SIZE:]
        self.view[self.last_words_at : self.last_words_at + len(raw)] = raw
        self.words[LAST_WORDS] = len(raw)

    def last_words(self) -> str:
        """What `say` left, or what faulthandler wrote there (it knows no count: up to the first NUL)."""
        size = min(self.words[LAST_WORDS], LAST_WORDS_SIZE)
        if not size and not self.view[self.last_words_at]:
            return ""
        raw = bytes(self.view[self.last_words_at : self.last_words_at + (size or LAST_WORDS_SIZE)])
        return raw.split(b"\0", 1)[0].decode(errors="replace")

    def forget_last_words(self) -> None:
        """Make room for those of the next incarnation."""
        if self.words[LAST_WORDS] or self.view[self.last_words_at]:
            self.view[self.last_words_at :] = bytes(LAST_WORDS_SIZE)
            self.words[LAST_WORDS] = 0

    def log(self, line: str) -> None:
        """Append a line to the log ring."""
        if os.getpid() != self._owner:
            return
        raw = (line.rstrip("\n") + "\n").encode(errors="replace")[-LOG_RING_SIZE:]
        at = self.words[LOG_AT]
        start = at % LOG_RING_SIZE
        first = raw[: LOG_RING_SIZE - start]
        self.view[LOG_RING_AT + start : LOG_RING_AT + start + len(first)] = first
        rest = raw[len(first) :]
        self.view[LOG_RING_AT : LOG_RING_AT + len(rest)] = rest
        self.words[LOG_AT] = at + len(raw)

    def lose_line(self) -> None:
        """Count a log line that could not be written."""
        if os.getpid() == self._owner:
            self.words[LOST_LINES] += 1

    def log_lines(self, most: int = 50) -> tuple[str, ...]:
        """The last lines logged, oldest first; one cut by the ring's end is left out."""
        at = self.words[LOG_AT]
        if not at:
            return ()
        start = at % LOG_RING_SIZE
        ring = bytes(self.view[LOG_RING_AT : LOG_RING_AT + LOG_RING_SIZE])
        raw = ring[start:] + ring[:start] if at > LOG_RING_SIZE else ring[:start]
        if at > LOG_RING_SIZE:
            raw = raw.split(b"\n", 1)[-1]
        return tuple(raw.decode(errors="replace").splitlines()[-most:])

    def close(self) -> None:
        """Unmap it; using it afterwards raises ValueError. What a slice of it still looks at goes with the slice."""
        with contextlib.suppress(BufferError):
            self.words.release()
            self.view.release()
            self._map.close()


def create(mailbox_bytes: int) -> int:
    """Make the memfd of a new page for a FIFO of that real size; the caller owns the descriptor.

    Raises:
        OSError: ENOSPC or EFBIG, the memory cannot be had.
    """
    aside_at = JOURNAL_AT + MOST_MAILBOX_BYTES
    hole = range(JOURNAL_AT + mailbox_bytes, aside_at + ASIDE_BYTES)
    fd = allocated_around("understudy-page", aside_at + ASIDE_BYTES + LAST_WORDS_SIZE, hole)
    os.pwrite(fd, mailbox_bytes.to_bytes(8, "little"), 8 * JOURNAL_BYTES)
    return fd


def grow(page: Page, fd: int, mailbox_bytes: int) -> None:
    """Have room for a FIFO of that size, while its actor does not run; one that has the room already is left alone.

    Raises:
        OSError: ENOSPC, the memory cannot be had.
    """
    had = page.words[JOURNAL_BYTES]
    if mailbox_bytes > had:
        os.posix_fallocate(fd, JOURNAL_AT + had, mailbox_bytes - had)
        page.words[JOURNAL_BYTES] = mailbox_bytes


def place_of(word: int) -> int:
    """The offset that a word like IN_HAND names, in the lane whose mark it has."""
    return (word & ~(URGENT_LANE | ASIDE_LANE)) - 1


def unread_bytes(words: memoryview) -> int:
    """What is in the mailbox's journal behind the message in hand; all of it when that is no message of the journal."""
    in_hand = words[IN_HAND]
    if not in_hand:
        return 0
    return words[EXTENT] if in_hand & (URGENT_LANE | ASIDE_LANE) else max(0, words[EXTENT] - in_hand + 1)


def packed(entries: Sequence[MessageEntry]) -> Table:
    """A message table, for `Page.publish`.

    Raises:
        ValueError: it does not fit, even with its signatures left out; more messages than have a number.
    """
    if len(entries) > MOST_MESSAGES:
        raise ValueError(f"message table: expected at most {MOST_MESSAGES} messages, got {len(entries)}")
    raw = _pack(entries, signatures=True)
    if len(raw) > TABLE_SIZE:
        raw = _pack(entries, signatures=False)
    if len(raw) > TABLE_SIZE:
        raise ValueError(f"message table: expected at most {TABLE_SIZE} bytes, got {len(raw)}")
    return raw, sum(entry.options.watchdog is not None for entry in entries)


def _pack(entries: Sequence[MessageEntry], *, signatures: bool) -> bytes:
    rows = []
    for entry in entries:
        options = entry.options
        plain = [options.retry, options.concurrent, options.urgent, options.watchdog, options.snapshot]
        rows.append([entry.name, entry.is_async, plain, entry.signature if signatures else "(…)"])
    packed: bytes = msgpack.packb(rows)
    return packed
