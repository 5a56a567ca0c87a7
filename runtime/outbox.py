"""Frames that wait, in an event loop, for room in a mailbox: bounded, in order, written by the loop's selector."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

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
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        write: Callable[[bytes], bool],
        emptied: Callable[[], object],
    ) -> None:
        """Queue what `write` has no room for, until fd is writable."""
        self._emptied = emptied
        self._loop = loop
        self._write = write
        self._fd = fd
        self._waiting: deque[Waiting] = deque()

    def frames(self) -> list[bytes]:
        """What waits and is still wanted."""
        return [waiting.raw for waiting in self._waiting if not waiting.dropped]

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
                try:
                    if not first.dropped and not self._write(first.raw):
                        return
                except ConnectionResetError:  # written, and closed at that moment: not to be written again
                    pass
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
