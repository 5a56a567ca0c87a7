"""Routes: from a path to the letterboxes behind it.

RT-1  A letterbox is closed when its last user lets go of it, never under a write: descriptors are reused.
RT-2  Of several processes behind one name the least loaded that is ready gets the message; none ready: the first whose
      mailbox is open, where the message waits.
RT-3  A pool that has grown says so in the pages of its members: the next message finds them all.
RT-4  Letterboxes of actors that have stopped for good are let go of, at the latest when they would be as many as the
      others: whoever talks to many that come and go holds descriptors of those that are there.
RT-5  A path has one route here as long as anybody refers to it.
"""

import os
import threading
from collections import OrderedDict
from weakref import WeakValueDictionary

import msgspec

from actors.errors import NotFound
from actors.message import MessageEntry
from runtime.mailbox.letterbox import Letterbox, leave_letterbox, use_letterbox
from runtime.mailbox.page import PEERS
from runtime.wire.answer import Opened
from runtime.wire.control import Open
from runtime.wire.line import Lines, lacking

_MOST = 1024
_FIRST_LOOK = 64  # look-ups


class Route:
    """One path, and the letterboxes of the processes behind it.

    Attributes:
        boxes: of all processes; empty until it was looked up.
        only: the letterbox, where there is just one.
    """

    __slots__ = ("__weakref__", "_turn", "boxes", "only", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.boxes: list[Letterbox] = []
        self.only: Letterbox | None = None
        self._turn = 0

    def set(self, boxes: list[Letterbox]) -> None:
        """Where it leads; [] to have it looked up anew."""
        self.boxes = boxes
        self.only = boxes[0] if len(boxes) == 1 else None

    def is_closed(self) -> bool:
        """It was looked up, and its actor has stopped for good since."""
        boxes = self.boxes
        return bool(boxes) and all(box.is_closed() for box in boxes)

    def pick(self) -> Letterbox:
        """The least loaded (RT-2); the route has been looked up.

        Raises:
            BrokenPipeError: another thread has found it closed since.
        """
        boxes = self.boxes
        if len(boxes) == 1:
            return boxes[0]
        if not boxes:
            raise BrokenPipeError
        if boxes[0].words[PEERS] > len(boxes):
            self.set([])  # RT-3
        self._turn += 1
        turned = [boxes[(self._turn + n) % len(boxes)] for n in range(len(boxes))]  # equals take turns
        return min(turned, key=Letterbox.load)


class Routes:
    """Routes to the actors of one system; the least recently looked up are closed first. Threads share them."""

    def __init__(self, directory: str, lines: Lines) -> None:
        """Look up by these lines what is below the system's runtime directory."""
        self._directory = directory
        self._lines = lines
        self._known: WeakValueDictionary[str, Route] = WeakValueDictionary()
        self._recent: OrderedDict[str, Route] = OrderedDict()
        self._lock = threading.RLock()
        self._user = object()  # of letterboxes
        self._looked_up = 0
        self._look_at = _FIRST_LOOK

    def route(self, path: str) -> Route:
        """The one route object of that path, looked up or not (RT-5)."""
        with self._lock:
            route = self._recent.get(path)
            if route is None:
                route = self._known.get(path)
                if route is None:
                    route = self._known[path] = Route(path)
                self._recent[path] = route
                if len(self._recent) > _MOST:
                    self._recent.popitem(last=False)[1].set([])
            return route

    def look_up(self, route: Route) -> Letterbox:
        """Find the mailboxes behind a route by the control socket, and pick one.

        Raises:
            NotFound: there is no such actor.
            ActorStopped: it is stopped for good.
            SystemGone: the supervisor is gone.
            ActorError: this process has no descriptors left.
            DeadlineExceeded: it did not answer until the ambient deadline, else for 5 s.
        """
        for _ in range(16):  # a mailbox may be closed between the answer and the opening
            value, fds = self._lines.prepare(Open(path=route.path))
            try:
                opened = msgspec.convert(value, Opened)
                route.set(
                    [
                        use_letterbox(f"{self._directory}/{member}", fd, user=self._user)
                        for member, fd in zip(opened.members, fds, strict=True)
                    ]
                )
                self._let_go(route)
                return route.pick()
            except (FileNotFoundError, BrokenPipeError):
                continue
            except OSError as exc:  # no descriptors, no address space
                raise lacking(route.path, exc) from exc
            finally:
                for fd in fds:
                    os.close(fd)
        raise NotFound(route.path, "its mailbox is closed as often as it is opened")

    def _let_go(self, opened: Route) -> None:
        """Another letterbox is open (RT-4)."""
        with self._lock:
            self._recent.setdefault(opened.path, opened)  # it may have been forgotten, with a reference still using it
            self._looked_up += 1
            if self._looked_up < self._look_at:
                return
            routes = list(self._recent.values())
            for route in routes:
                if route.is_closed():
                    route.set([])
            self._looked_up = sum(len(route.boxes) for route in routes)
            self._look_at = max(_FIRST_LOOK, 2 * self._looked_up)

    def table(self, path: str) -> dict[str, MessageEntry]:
        """The message table that the actor at path published."""
        route = self.route(path)
        box = route.boxes[0] if route.boxes else self.look_up(route)
        return box.page.table()

    def close(self) -> None:
        """Let go of every letterbox: nobody writes to it by these routes any more."""
        with self._lock:
            for route in list(self._known.values()):
                boxes = route.boxes
                route.set([])
                for box in boxes:
                    leave_letterbox(box, self._user)
            self._recent.clear()

    def after_fork(self) -> None:
        """In the child of a fork: what was looked up is the parent's."""
        self._lock = threading.RLock()
        self.close()
