"""Routes: from a path to the letterboxes behind it.

RT-1  A letterbox is closed when its last user lets go of it, never under a write: descriptors are reused.
RT-2  A pool has one queue, which its members read (runtime.mailbox.poolqueue). An urgent message goes to the least
      loaded of them that is ready; none ready: to the first whose mailbox is open, where it waits.
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
from runtime.mailbox.letterbox import Letterbox, PoolLetterbox, leave_letterbox, use_letterbox
from runtime.wire.answer import Opened
from runtime.wire.control import Open
from runtime.wire.line import Lines, lacking

_MOST = 1024
_FIRST_LOOK = 64  # look-ups


class Route:
    """One path, and the letterbox behind it.

    Attributes:
        boxes: the letterbox; empty until it was looked up.
        only: the letterbox, where it is that of one process.
    """

    __slots__ = ("__weakref__", "boxes", "only", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.boxes: list[Letterbox] = []
        self.only: Letterbox | None = None

    def set(self, boxes: list[Letterbox]) -> None:
        """Where it leads; [] to have it looked up anew."""
        self.boxes = boxes
        self.only = boxes[0] if boxes and not boxes[0].members else None

    def is_closed(self) -> bool:
        """It was looked up, and its actor has stopped for good since."""
        boxes = self.boxes
        return bool(boxes) and all(box.is_closed() for box in boxes)

    def pick(self) -> Letterbox:
        """The letterbox; the route has been looked up.

        Raises:
            BrokenPipeError: another thread has found it closed since.
        """
        boxes = self.boxes
        if not boxes:
            raise BrokenPipeError
        box = boxes[0]
        if isinstance(box, PoolLetterbox) and box.has_grown():
            self.set([])  # RT-3
        return box


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
                route.set([self._used(opened, fds)])
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

    def _used(self, opened: Opened, fds: list[int]) -> Letterbox:
        """The letterbox of what was opened: of a pool its queue comes last."""
        members: tuple[Letterbox, ...] = ()
        for directory, fd in zip(opened.directories, fds, strict=True):
            is_queue = opened.is_pool and len(members) == len(fds) - 1
            box = use_letterbox(
                f"{self._directory}/{directory}",
                fd,
                user=self._user,
                members=members if is_queue else (),
            )
            members = (*members, box)
        return box

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
