"""Routes: from a path to the letterboxes behind it.

RT-1  A letterbox is closed when its last user lets go of it, never under a write: descriptors are reused.
RT-2  Of several processes behind one name the least loaded that is ready gets the message; none ready: the first whose
      mailbox is open, where the message waits.
RT-3  A pool that has grown says so in the pages of its members: the next message finds them all.
"""

import os
import threading
from collections import OrderedDict

import msgspec

from actors.errors import NotFound
from actors.message import MessageEntry
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.page import PEERS
from runtime.wire.control import Open, Opened
from runtime.wire.line import Lines

_MOST = 1024


class Route:
    """One path, and the letterboxes of the processes behind it.

    Attributes:
        boxes: of all processes; empty until it was looked up.
        only: the letterbox, where there is just one.
    """

    __slots__ = ("_turn", "boxes", "only", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.boxes: list[Letterbox] = []
        self.only: Letterbox | None = None
        self._turn = 0

    def set(self, boxes: list[Letterbox]) -> None:
        """Where it leads; [] to have it looked up anew."""
        self.boxes = boxes
        self.only = boxes[0] if len(boxes) == 1 else None

    def pick(self) -> Letterbox:
        """The least loaded (RT-2); the route has been looked up."""
        boxes = self.boxes
        if len(boxes) == 1:
            return boxes[0]
        if boxes[0].words[PEERS] > len(boxes):
            self.set([])  # RT-3
        self._turn += 1
        turned = [boxes[(self._turn + n) % len(boxes)] for n in range(len(boxes))]  # equals take turns
        return min(turned, key=Letterbox.load)


class Routes:
    """The routes of one process; the least recently looked up are closed first."""

    def __init__(self, directory: str, lines: Lines) -> None:
        self._directory = directory
        self._lines = lines
        self._known: OrderedDict[str, Route] = OrderedDict()
        self._lock = threading.Lock()

    def route(self, path: str) -> Route:
        """The one route object of that path, looked up or not."""
        with self._lock:
            route = self._known.get(path)
            if route is None:
                route = self._known[path] = Route(path)
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)[1].set([])
            return route

    def look_up(self, route: Route) -> Letterbox:
        """Find the mailboxes behind a route by the control socket, and pick one.

        Raises:
            NotFound: there is no such actor.
            ActorStopped: it is stopped for good.
            SystemGone: the supervisor is gone.
        """
        for _ in range(16):  # a mailbox may be closed between the answer and the opening
            value, fds = self._lines.request(Open(path=route.path))
            try:
                opened = msgspec.convert(value, Opened)
                route.set(
                    [
                        Letterbox(f"{self._directory}/{member}", fd, refuse=opened.refuse)
                        for member, fd in zip(opened.members, fds, strict=True)
                    ]
                )
                return route.pick()
            except FileNotFoundError:
                continue
            finally:
                for fd in fds:
                    os.close(fd)
        raise NotFound(route.path, "its mailbox is closed as often as it is opened")

    def table(self, path: str) -> dict[str, MessageEntry]:
        """The message table that the actor at path published."""
        route = self.route(path)
        box = route.boxes[0] if route.boxes else self.look_up(route)
        return box.page.table()

    def close(self) -> None:
        """Close every letterbox: nobody writes any more."""
        with self._lock:
            for route in self._known.values():
                boxes = route.boxes
                route.set([])
                for box in boxes:
                    box.close()
            self._known.clear()
