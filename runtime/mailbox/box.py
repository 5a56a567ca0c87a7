"""The supervisor's side of a mailbox: it makes it, holds it through every incarnation, answers for the dead, closes it.

BX-1  Held from the first start of a name until it is stopped for good: messages wait in it meanwhile.
BX-2  After a death the journal tells what had been started: those askers are told at once. A message with a retry left
      stays for the next incarnation.
BX-3  Closing: the life word first, then drain, answer, unlink. A sender that wrote in between sees the word after its
      write.
BX-4  A notice carries the mailbox's key, so that no frame that somebody else writes is one.
BX-5  A mailbox of another size is the same one: its FIFO and its page are made larger where they are. So frames keep
      their order, and senders notice nothing. It is made smaller once what waits fits into that.
BX-6  The actor may write anywhere in its page, native code with a stray pointer too. Nothing in there is computed with
      before it is bounded, and what the supervisor knows itself is not read from there. A counter that was made absurd
      does not overflow in the next incarnation.
"""

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from runtime.mailbox import aside, fifo, page
from runtime.mailbox.journal import is_started, mark_done, mark_ended, unfinished
from runtime.mailbox.page import Page
from runtime.memory import snapshots
from runtime.wire.frame import FLAGS_AT, KEY, KEY_AT, LARGE, LENGTH, NOTICE, OVERHEAD, Header, tell, unpack_length, walk

_WAKE_UP = tell(0, b"")
URGENT_BYTES = 4096
_MOST_COUNTED = (1 << 62) - 1

Ended = Callable[[Header, bytes, bool], None]
"""Called for each message that ends here: its header, its frame, and whether its handler had begun."""


class Box:
    """One mailbox, held. Owns the FIFOs, the page's memfd and the directory.

    Attributes:
        directory: of the mailbox, below the runtime directory.
        page_fd: handed out to senders.
        notice_key: what a notice says who it is from by; nobody has it but the supervisor and the actor.
    """

    def __init__(self, root: str, directory: str, nbytes: int, journal_bytes: int = 0) -> None:
        """Make the directory, both FIFOs and the page.

        Args:
            nbytes: wanted for the mailbox.
            journal_bytes: of the largest FIFO that is read to its journal beside the mailbox.
        Raises:
            OSError: no memory, no descriptors, no inodes; nothing is left half-made.
        """
        self.directory = directory
        self._root = root
        self._path = f"{root}/{directory}"
        Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self._path, ignore_errors=True)
            self._mailbox, self.mailbox_bytes = fifo.create(f"{self._path}/mailbox", nbytes)
            undo.callback(os.close, self._mailbox)
            self._urgent, _ = fifo.create(f"{self._path}/urgent", URGENT_BYTES)
            undo.callback(os.close, self._urgent)
            self.page_fd = page.create(max(self.mailbox_bytes, journal_bytes))
            undo.callback(os.close, self.page_fd)
            self.page = Page(self.page_fd)
            undo.pop_all()
        self.notice_key = random.SystemRandom().getrandbits(63) | 1
        self._snapshots: list[int] = []
        self._incarnation = self._peers = 0
        self._refuses = False
        self.words = self.page.words
        self.words[page.MAILBOX_BYTES] = self.mailbox_bytes

    def resize(self, nbytes: int) -> None:
        """Have another size from now on (BX-5), while its actor does not run.

        Raises:
            OSError: there is no memory for a larger one: it keeps the one it has.
        """
        wanted = min(fifo.rounded(nbytes), page.MOST_MAILBOX_BYTES)
        if wanted != self.mailbox_bytes:
            page.grow(self.page, self.page_fd, wanted)  # first: a read takes all that the FIFO holds (JO-1)
            self.mailbox_bytes = self.words[page.MAILBOX_BYTES] = fifo.resize(self._mailbox, wanted)

    def set_refusing(self, refuses: bool) -> None:  # a word of the page
        """Say whether senders are refused at once when it is full."""
        self._refuses = self.words[page.REFUSES] = refuses

    def set_peers(self, count: int) -> None:
        """Say how many the members of its pool are."""
        self._peers = self.words[page.PEERS] = count

    def restore(self) -> None:
        """Somebody has removed the directory: make it again, with both names.

        Raises:
            OSError: they cannot be made.
        """
        Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)
        fifo.link(self._mailbox, f"{self._path}/mailbox")
        fifo.link(self._urgent, f"{self._path}/urgent")

    def begin(self, incarnation: int) -> None:
        """The actor of that number takes the mailbox over, or of the next where it has had as many.

        What earlier ones have committed covers nothing of what this one will be given, whatever its class is.
        """
        self._incarnation = max(incarnation, self._incarnation + 1)
        words = self.words
        words[page.INCARNATION] = self._incarnation
        words[page.MAILBOX_BYTES] = self.mailbox_bytes
        words[page.REFUSES], words[page.PEERS] = self._refuses, self._peers
        words[page.LISTENS] = words[page.BEAT_NS] = words[page.HOOK] = words[page.UNCOMMITTED] = 0
        for counter in page.COUNTERS:  # BX-6
            words[counter] &= _MOST_COUNTED
        words[page.EPOCH] += 1
        words[page.URGENT_EPOCH] += 1

    def set_life(self, life: int) -> None:
        """Say how the actor is: `page.STARTING`, READY, RESTARTING."""
        self.words[page.LIFE] = life

    def set_control(self, control: int) -> None:
        """Say what is wanted of the actor, and wake it."""
        self.words[page.CONTROL] = control
        self.words[page.ATTENTION] = 1
        if control != page.RUN:
            with contextlib.suppress(BlockingIOError):  # full: it is awake already
                os.write(self._urgent, _WAKE_UP)

    def deliver(self, raw: bytes) -> bool:
        """Write a frame of the supervisor's own to the second lane (BX-4); False when there is no room."""
        notice = bytearray(raw)
        notice[FLAGS_AT] |= NOTICE
        KEY.pack_into(notice, KEY_AT, self.notice_key)
        try:
            os.write(self._urgent, notice)
        except BlockingIOError:
            return False
        self.words[page.ATTENTION] = 1
        return True

    def post(self, raw: bytes) -> bool:
        """Write a frame to the mailbox, as any sender does; False when there is no room."""
        try:
            os.write(self._mailbox, raw)
        except BlockingIOError:
            return False
        return True

    def is_handling(self) -> bool:
        """A message has begun and not ended, of those that run side by side too."""
        return any(is_started(header) for lane in self._lanes() for header in lane.unfinished())

    def message_names(self) -> list[str]:
        """Names of the actor's messages, in the order of its table."""
        return list(self.page.table())

    def queued_bytes(self) -> int:
        """Bytes waiting: in the kernel, and read but not handled."""
        return fifo.queued_bytes(self._mailbox) + page.unread_bytes(self.words)

    def fifo_bytes(self) -> int:
        """Bytes in the kernel's queue alone."""
        return fifo.queued_bytes(self._mailbox)

    def journal_bytes(self) -> int:
        """Bytes of the journal behind the message in hand; 0 while one of the second lane is."""
        word = self.words[page.IN_HAND]
        if not word or word & page.URGENT_LANE or word > len(self.page.journal) - LENGTH.size:
            return 0
        length: int = LENGTH.unpack_from(self.page.journal, word - 1)[0]
        return max(0, self.words[page.EXTENT] - (word - 1) - length)

    def in_hand(self) -> Header | None:
        """The message that was being handled, by the page's word; of several the one that was begun first."""
        word = self.words[page.IN_HAND]
        if not word:
            return None
        area, at = self.page.lane(word), page.place_of(word)
        end = at + unpack_length(area, at)[0] if 0 <= at < len(area) - OVERHEAD else 0
        headers = walk(area, at, min(end, len(area)))
        return headers[0] if headers and is_started(headers[0]) else None

    def open_snapshots(self) -> int:
        """The memory of the actor's snapshots, the one with the latest commit; the others are let go of."""
        if not self._snapshots:
            self._snapshots.append(snapshots.create())
        best, _ = snapshots.latest(self._snapshots)
        for fd in self._snapshots:
            if fd != best:
                os.close(fd)
        self._snapshots = [best]
        return best

    def grow_snapshots(self, nbytes: int) -> int:
        """A larger memory for the actor's snapshots, beside those it has.

        Raises:
            OSError: it cannot be had.
        """
        self._snapshots.append(snapshots.create(nbytes))
        return self._snapshots[-1]

    def snapshot_bytes(self) -> int:
        """Bytes of the memory for the actor's snapshots."""
        return sum(os.fstat(fd).st_size for fd in self._snapshots)

    def names(self, body: int) -> bool:
        """Whether a frame that waits here, or a committed answer, names that large payload.

        In the order in which an actor that goes on meanwhile moves frames: from FIFO to journal, from there aside.

        Raises:
            OSError: not all of it could be looked at.
        """
        raw, commit = body.to_bytes(8, "little"), self.committed()
        if raw in fifo.peek(self._mailbox) or raw in fifo.peek(self._urgent):
            return True
        if any(header.body == body for lane in reversed(self._lanes()) for header in lane.unfinished()):
            return True
        return commit is not None and raw in commit.answer

    def committed(self) -> snapshots.Commit | None:
        """The latest commit of the actor's state."""
        return snapshots.latest(self._snapshots)[1] if self._snapshots else None

    def unsaved(self) -> int:
        """Commits of the actor's state that are not in its durable file."""
        return max(0, snapshots.latest_number(self._snapshots) - int(self.words[page.SAVED]))

    def bury(self, ended: Ended, answered: Callable[[int, bytes], None]) -> set[int]:
        """After a death: end what had been started and may not be run again (BX-2).

        Args:
            ended: told of each message that ends here.
            answered: given the address and the frame of an answer that was committed and perhaps not sent.
        Returns:
            The slabs of messages that may be run again, or are queued.
        """
        kept: set[int] = set()
        commit = self.committed()
        aside.settle(self.page)
        for lane in self._lanes():
            for header in lane.unfinished():
                if commit is not None and commit.covers(lane.epoch, (header.offset + 1) | lane.mark):
                    if header.is_ask and commit.answer:
                        answered(commit.reply_to, commit.answer)
                    mark_done(lane.area, header)
                elif is_started(header) and header.state > header.retry:
                    ended(header, frame_at(lane.area, header), True)
                    mark_ended(lane.area, header)
                else:
                    kept.add(header.body)
        self.words[page.IN_HAND] = 0
        for word in (page.ROOM, *range(page.WAITS, page.WAITS + page.MOST_WAITS)):
            self.words[word] = 0
        return kept

    def close(self, ended: Ended) -> None:
        """End the mailbox (BX-3); every message left in it is handed to ended()."""
        self.words[page.LIFE] = page.CLOSED
        aside.settle(self.page)
        for lane in self._lanes():
            for header in lane.unfinished():
                ended(header, frame_at(lane.area, header), is_started(header))
                mark_ended(lane.area, header)
        for fd in (self._urgent, self._mailbox):
            raw = memoryview(fifo.drain(fd))
            for header in walk(raw, 0, len(raw)):
                if header.is_ask or header.flags & LARGE or header.length > len(_WAKE_UP):
                    ended(header, frame_at(raw, header), False)
        self.discard()

    def _lanes(self) -> tuple["_Lane", ...]:
        """Where messages are that were read; of those that are set aside the epoch is the incarnation."""
        return (
            _Lane(self.page, page.URGENT_LANE, self.words[page.URGENT_EPOCH]),
            _Lane(self.page, page.ASIDE_LANE, self._incarnation),
            _Lane(self.page, 0, self.words[page.EPOCH]),
        )

    def discard(self) -> None:
        """Let go of everything, names included. Directories stay while they hold other mailboxes."""
        self.words[page.LIFE] = page.CLOSED
        for name in ("mailbox", "urgent"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(self._path)
            for above in Path(self.directory).parents[:-2]:  # of supervisors below the root's `children`
                os.rmdir(f"{self._root}/{above}")
        for fd in (self._mailbox, self._urgent, self.page_fd, *self._snapshots):
            os.close(fd)
        self.page.close()


class _Lane:
    """What an actor has read of one lane, or set aside."""

    __slots__ = ("_page", "area", "epoch", "mark")

    def __init__(self, of: Page, mark: int, epoch: int) -> None:
        self._page = of
        self.area = of.lane(mark)
        self.mark = mark
        self.epoch = epoch

    def unfinished(self) -> list[Header]:
        """Its messages that have not ended, in order."""
        return aside.unfinished(self._page) if self.mark == page.ASIDE_LANE else unfinished(self.area)


def frame_at(area: memoryview, header: Header) -> bytes:
    """The whole frame, copied."""
    return bytes(area[header.offset : header.offset + header.length])


def directory_of(path: str) -> str:
    """Where the mailbox of an actor is, below the runtime directory: laid out as the tree is."""
    return "children/" + path.replace(".", "/children/")
