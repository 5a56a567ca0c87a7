"""Frames that wait, in an event loop, for room in a mailbox: bounded, in order, written by the loop's selector."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from runtime.mailbox.letterbox import Letterbox

MOST_FRAMES = 4096


@dataclass(slots=True)
class Waiting:
    """A frame in the outbox, and who is told: sent() once it was written, lost() when its mailbox was closed."""

    raw: bytes
    sent: Callable[[], None]
    lost: Callable[[], None]
    dropped: bool = False


class Outbox:
    """What one loop has queued for one letterbox; emptied() is called when nothing waits any more."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, box: Letterbox, emptied: Callable[[], object], *, urgent: bool
    ) -> None:
        self._emptied = emptied
        self._loop = loop
        self._box = box
        self._post = box.post_urgent if urgent else box.post
        self._fd = box.lane_fd(urgent=urgent)
        self._waiting: deque[Waiting] = deque()

    def is_full(self) -> bool:
        """No more may be queued."""
        return len(self._waiting) >= MOST_FRAMES

    def put(self, waiting: Waiting) -> None:
        """Queue a frame behind the others."""
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        try:
            while self._waiting:
                first = self._waiting[0]
                if not first.dropped and not self._post(first.raw):
                    return
                self._waiting.popleft()
                if not first.dropped:
                    first.sent()
        except BrokenPipeError:  # closed: let each find its way anew, or be told
            self._end()
            lost, self._waiting = self._waiting, deque()
            for waiting in lost:
                waiting.lost()
        else:
            self._end()

    def _end(self) -> None:
        self._loop.remove_writer(self._fd)
        self._emptied()
