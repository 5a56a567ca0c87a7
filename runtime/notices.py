"""Notices: what the supervisor itself tells an actor, by its second lane: `on_down`, `on_letter`.

    send ─▶ room in the lane: written
         └▶ none: kept, in order ─▶ tried again, later and later, until there is room or the incarnation has ended

NO-1  In order, for each actor; one that does not read holds up nobody else.
NO-2  At most MOST_KEPT wait for one actor; what comes on top of that is lost, and logged.
NO-3  What is kept is for one incarnation, and goes with it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runtime.troupe import Troupe
from runtime.wire import frame
from runtime.wire.codec import Codec

MOST_KEPT = 2000  # more than the dead letters there may be
_FIRST_SECONDS = 0.001  # an actor that is awake reads a full lane in less
_MOST_SECONDS = 0.2


@dataclass(slots=True)
class _Waiting:
    incarnation: int
    frames: deque[bytes] = field(default_factory=deque)
    delay: float = _FIRST_SECONDS


class Notices:
    """All notices that are on their way."""

    def __init__(self, troupe: Troupe, lost: Callable[[str], None]) -> None:
        """Send notices to the actors of a troupe.

        Args:
            lost: told the actor of each notice that is lost (NO-2).
        """
        self._troupe = troupe
        self._lost = lost
        self._codec = Codec()
        self._waiting: dict[str, _Waiting] = {}

    def send(self, path: str, name: str, args: tuple[Any, ...]) -> bool:
        """Tell an actor, if it is there; False when that is more than a frame holds: nothing was sent."""
        worker = self._troupe.get(path)
        if worker is None or worker.box is None:
            return True
        kind, payload = self._codec.encode_call(name, args, {}, ())
        if not isinstance(payload, bytes) or len(payload) > frame.MAX_PAYLOAD:
            return False
        raw = frame.tell(kind, payload)
        waiting = self._waiting.get(path)
        if waiting is None or waiting.incarnation != worker.incarnation:
            if worker.box.deliver(raw):
                return True
            is_new = waiting is None
            waiting = self._waiting[path] = _Waiting(worker.incarnation)
            if is_new:
                self._try_later(path, waiting)
        if len(waiting.frames) < MOST_KEPT:
            waiting.frames.append(raw)
        else:
            self._lost(path)
        return True

    def _try_later(self, path: str, waiting: _Waiting) -> None:
        asyncio.get_running_loop().call_later(waiting.delay, self._try, path)

    def _try(self, path: str) -> None:
        waiting, worker = self._waiting[path], self._troupe.get(path)
        if worker is None or worker.box is None or worker.incarnation != waiting.incarnation:  # NO-3
            del self._waiting[path]
            return
        waiting.delay = min(2 * waiting.delay, _MOST_SECONDS)
        while waiting.frames and worker.box.deliver(waiting.frames[0]):
            waiting.frames.popleft()
            waiting.delay = _FIRST_SECONDS
        if waiting.frames:
            self._try_later(path, waiting)
        else:
            del self._waiting[path]
