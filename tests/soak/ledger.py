"""The ledger: what the oracle sees. One file outside of every process that may be killed, one record for each fact.

LE-1  A record is one `write` of 32 bytes to a file opened with O_APPEND: whole, and in the order of what happened.
LE-2  A handler writes BEGIN before it has any effect and END after its last; a sender writes INTENT before it sends,
      and ACCEPTED or OUTCOME once it knows more.
LE-3  LETTER: a dead letter was found. TALLY: how much an actor with snapshots has counted, at rest. PAINTED: a region was
      changed and the change is committed. TORN: what was read of it is not whole, or older than what was read before.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic_ns

INTENT, ACCEPTED, OUTCOME, BEGIN, END, KILLED, CLOSED = range(1, 8)
LETTER, TALLY, PAINTED, TORN = range(8, 12)

ASK = 1  # of an intent: an answer is expected
URGENT = 2  # it goes by the second lane
RETRY = 4  # it may be run again
CONCURRENT = 8  # it may run beside others
REDELIVERED = 16  # of a begin: the handler was told so
DAMAGED = 32  # of a begin: its body is not what was sent
LATE = 64  # of an outcome: it came after the deadline and the slack

ANSWERED, FULL, STOPPED, EXPIRED, DIED, CANCELLED, ODD = range(1, 8)  # outcomes
NOTHING_SAID, NO, STARTED, DONE, UNKNOWN = range(5)  # how far it was said to have got
DIED_OF, LEFT, LEFT_IN_HAND, UNREAD = range(1, 5)  # why it became a dead letter
DELIVERED = {"no": NO, "started": STARTED, "done": DONE, "unknown": UNKNOWN}

RECORD = struct.Struct("<BBHIIIIIQ")
ACTORS = 1 << 24  # a sender that is a process has this and its pid for a number; our own threads count from 1
_CHUNK = RECORD.size << 14


@dataclass(frozen=True, slots=True)
class Record:
    """One fact.

    Attributes:
        kind: INTENT, ACCEPTED, …
        flags: ASK, URGENT, …
        actor: number of the actor that the message is for, or that was killed or closed.
        pid, incarnation: of the process a BEGIN, an END or a KILLED is of.
        sender, seq: the message.
        detail: of an INTENT: milliseconds until its deadline. Of an OUTCOME: eight times how it ended, and how far it was said to have got. Of a LETTER: DIED_OF, LEFT, …
            Of a BEGIN: what the actor had counted before, when it counts. Of a TALLY: what it has counted. Of a PAINTED:
            the region's number.
        at_ns: monotonic.
    """

    kind: int
    flags: int
    actor: int
    pid: int
    incarnation: int
    sender: int
    seq: int
    detail: int
    at_ns: int


class Ledger:
    """One process's descriptor of the ledger."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def put(
        self,
        kind: int,
        *,
        actor: int = 0,
        sender: int = 0,
        seq: int = 0,
        flags: int = 0,
        pid: int = 0,
        incarnation: int = 0,
        detail: int = 0,
    ) -> None:
        """Append a record (LE-1)."""
        os.write(self._fd, RECORD.pack(kind, flags, actor, pid, incarnation, sender, seq, detail, monotonic_ns()))

    def clear(self) -> None:
        """Forget everything; nobody is writing."""
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


def read(path: str) -> Iterator[Record]:
    """Every record, in the order of what happened."""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            for fields in RECORD.iter_unpack(chunk):
                yield Record(*fields)
