"""Frames that wait, in an event loop, for room in a mailbox: bounded, in order, written by the loop's selector.

A letterbox has one outbox for each loop and lane, so whoever sends to it from that loop finds what waits there: two
clients of one program too.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MOST_FRAMES = 4096


@dataclass(slots=True)
class Waiting:
    """A frame in the outbox.

    Attributes:
        sender: whose it is; see `Outbox.forget`.
        write: writes it; False when there is no room.
        sent: called once it was written.
        lost: called when its mailbox was closed.
        dropped: nobody wants it written any more.
    """

    raw: bytes
    sender: object
    write: Callable[[], bool]
    sent: Callable[[], None]
    lost: Callable[[], None]
    dropped: bool = False


class Outbox:
    """What one loop has queued for one lane of a letterbox.

    Attributes:
        loop: whose selector writes it.
    """

    __slots__ = ("__weakref__", "_emptied", "_fd", "_waiting", "is_closed", "loop")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        is_closed: Callable[[], bool],
        emptied: Callable[[], object],
    ) -> None:
        """Queue what there is no room for, until fd is writable.

        Args:
            is_closed: says whether the mailbox was closed.
            emptied: called when nothing waits any more.
        """
        self.loop = loop
        self.is_closed = is_closed
        self._emptied = emptied
        self._fd = fd
        self._waiting: deque[Waiting] = deque()

    def is_full(self) -> bool:
        """No more may be queued."""
        return len(self._waiting) >= MOST_FRAMES

    def put(self, waiting: Waiting) -> None:
        """Queue a frame behind the others."""
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            self.loop.add_writer(self._fd, self._on_writable)

    def forget(self, sender: object) -> list[bytes]:
        """Write nothing more of that sender's; returns its frames that were still wanted. From any thread."""
        left = [waiting for waiting in list(self._waiting) if waiting.sender is sender and not waiting.dropped]
        for waiting in left:
            waiting.dropped = True
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._sweep)
        return [waiting.raw for waiting in left]

    def give_up(self) -> None:
        """The mailbox was closed: let each find its way anew, or be told, in order."""
        self._end()
        lost, self._waiting = self._waiting, deque()
        for waiting in lost:
            if not waiting.dropped:
                waiting.lost()

    def _sweep(self) -> None:
        """Wait for nothing that nobody wants written."""
        while self._waiting and self._waiting[0].dropped:
            self._waiting.popleft()
            if not self._waiting:
                self._end()

    def _on_writable(self) -> None:
        try:
            while self._waiting:
                first = self._waiting[0]
                try:
                    if not first.dropped and not first.write():
                        return
                except ConnectionResetError:  # written, and closed at that moment: not to be written again
                    pass
                self._waiting.popleft()
                if not first.dropped:
                    first.sent()
        except BrokenPipeError:
            self.give_up()
        else:
            self._end()

    def _end(self) -> None:
        self.loop.remove_writer(self._fd)
        self._emptied()
