"""The queue of a pool: one for all of its members, each of which takes from it what it begins now, and no more.

    senders ══▶ a FIFO of slots of 128 bytes  ══▶ whichever member has nothing to do reads one slot into its journal
            ══▶ one of 512
            ══▶ one of 4096

A FIFO that several read tears frames, unless each of them reads whole ones. So every frame is written filled up to a
slot, and read as a slot: the kernel gives each to one reader, whole, with no lock that a stopped or killed reader could
hold. Whoever is killed has in its journal what it took; all else is in the FIFO, for the others.

PQ-1  Nothing is bound to a member before that begins it: nobody waits behind a long message while another is idle.
PQ-2  The FIFOs are read in turn, a member's own beside them: none waits for another to be empty.
PQ-3  What is no slot with a frame was written by hand. Whoever finds it reads on until the FIFO is empty, which begins
      the slots anew, and takes what frames there are.
"""

import contextlib
import os
import shutil
from pathlib import Path

from runtime.mailbox import fifo, page
from runtime.mailbox.box import Ended
from runtime.mailbox.fifo import Fifos
from runtime.mailbox.journal import Journal
from runtime.mailbox.page import Page, Table
from runtime.wire.frame import OVERHEAD, PIPE_BUF, walk

SLOTS = (128, 512, PIPE_BUF)
FILLER = b"\xff"  # reads as a length that no frame has, and not as the end of a journal
MOST_SHARES = 4
MOST_BYTES = 1 << 20  # pipe-max-size, as it comes
_IN_A_ROW = 16


def slot_of(nbytes: int) -> int:
    """Which of SLOTS holds a frame of that size."""
    return 0 if nbytes <= SLOTS[0] else 1 if nbytes <= SLOTS[1] else 2


def directory_in(pool: str) -> str:
    """Where the queue of a pool is, given the pool's own directory."""
    return f"{pool}/queue"


class PoolQueue:
    """The queue, held by the supervisor. Owns the FIFOs, a page for its life word, and the directory.

    Attributes:
        directory: below the runtime directory.
        page_fd: handed out to senders.
        slots_bytes: size of each FIFO, that of the smallest.
    """

    def __init__(self, root: str, directory: str, nbytes: int, table: Table) -> None:
        """Make it.

        Args:
            nbytes: wanted for each FIFO.
            table: of the messages, for senders that come before the first start.
        Raises:
            OSError: no memory, no descriptors, no inodes; nothing is left half-made.
        """
        self.directory = directory
        self._root = root
        self._path = f"{root}/{directory}"
        Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self._path, ignore_errors=True)
            self._fds: list[int] = []
            granted: list[int] = []
            for slot in SLOTS:
                fd, size = fifo.create(f"{self._path}/{slot}", nbytes)
                undo.callback(os.close, fd)
                self._fds.append(fd)
                granted.append(size)
            self.page_fd = page.create(0)
            undo.callback(os.close, self.page_fd)
            self._page = Page(self.page_fd)
            undo.pop_all()
        self.slots_bytes = min(granted)
        self._page.publish(table)
        self._page.words[page.LIFE] = page.READY

    def resize(self, nbytes: int) -> None:
        """Have FIFOs of another size from now on, if they can be had."""
        self.slots_bytes = min(fifo.resize(fd, nbytes) for fd in self._fds)

    def set_refusing(self, refuses: bool) -> None:  # a word of the page
        """Say whether senders are refused at once when it is full."""
        self._page.words[page.REFUSES] = refuses

    def restore(self) -> None:
        """Somebody has removed the directory: make it again, with all names.

        Raises:
            OSError: they cannot be made.
        """
        Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)
        for slot, fd in zip(SLOTS, self._fds, strict=True):
            fifo.link(fd, f"{self._path}/{slot}")

    def queued_bytes(self) -> int:
        """Bytes that wait in it."""
        return sum(map(fifo.queued_bytes, self._fds))

    def fullest_bytes(self) -> int:
        """Bytes that wait in the fullest of its FIFOs."""
        return max(map(fifo.queued_bytes, self._fds))

    def post(self, raw: bytes) -> bool:
        """Write a frame, as any sender does; False when there is no room."""
        slot = slot_of(len(raw))
        try:
            os.write(self._fds[slot], raw.ljust(SLOTS[slot], FILLER))
        except BlockingIOError:
            return False
        return True

    def names(self, body: int) -> bool:
        """Whether a frame that waits here names that large payload.

        Raises:
            OSError: not all of it could be looked at.
        """
        raw = body.to_bytes(8, "little")
        return any(raw in fifo.peek(fd) for fd in self._fds)

    def close(self, ended: Ended) -> None:
        """End it: every message left in it is handed to ended(). The life word first, as of a mailbox (BX-3)."""
        self._page.words[page.LIFE] = page.CLOSED
        for fd in self._fds:
            raw = memoryview(fifo.drain(fd))
            for header in walk(raw, 0, len(raw)):
                if header.length > OVERHEAD or header.body:
                    ended(header, bytes(raw[header.offset : header.offset + header.length]), False)
        self.discard()

    def discard(self) -> None:
        """Let go of everything, names included. Directories stay while they hold other mailboxes."""
        self._page.words[page.LIFE] = page.CLOSED
        for slot in SLOTS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}/{slot}")
        with contextlib.suppress(OSError):
            os.rmdir(self._path)
            for above in Path(self.directory).parents[:-2]:
                os.rmdir(f"{self._root}/{above}")
        for fd in (*self._fds, self.page_fd):
            os.close(fd)
        self._page.close()


class PoolLanes:
    """The reading end, in a member.

    Attributes:
        fds: of the queue, and behind them that of the member's own mailbox; the inbox's to close.
    """

    __slots__ = ("_left", "_turn", "fds")

    def __init__(self, directory: str, own: int, fifos: Fifos) -> None:
        """Open them below the directory of the queue.

        Args:
            own: descriptor of the member's own mailbox, which is read in its turn (PQ-2).
        """
        self.fds = (*(fifos.open_read(f"{directory}/{slot}") for slot in SLOTS), own)
        self._turn = 0
        self._left = _IN_A_ROW

    def fill(self, journal: Journal) -> int:
        """Read one slot, or the member's own mailbox; returns the extent, 0 when all are empty."""
        if not self._left:
            self._turn_on()
        for _ in self.fds:
            fd = self.fds[self._turn]
            extent = journal.fill_all(fd) if self._turn == len(SLOTS) else journal.fill_slot(fd, SLOTS[self._turn])
            if extent:
                self._left -= 1
                return extent
            self._turn_on()
        return 0

    def has_any(self) -> bool:
        """Something waits in the queue."""
        return any(fifo.queued_bytes(fd) for fd in self.fds[:-1])

    def _turn_on(self) -> None:
        self._turn = (self._turn + 1) % len(self.fds)
        self._left = _IN_A_ROW
