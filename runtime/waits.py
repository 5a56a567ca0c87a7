"""Waits: what an actor waits for, as its page says; so others see whether they wait in a circle.

Of answers the rules are in `actors.chain`. Of room:

RM-1  Actors that wait for room in each other's mailboxes, none of which has any, wait for ever: nobody reads one. It is
      found by whoever looks next, and only he is refused: the others go on.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident

from actors.chain import Chain, cycle_of, is_doubtful, kept
from actors.deadline import ambient
from actors.errors import ActorError, AskCycle
from actors.turn import holds_up
from runtime.mailbox.letterbox import Letterbox, PoolLetterbox
from runtime.mailbox.page import MOST_WAITS, ROOM, WAITS, Page
from runtime.route import Routes

_FOR_MESSAGE, _HELD_UP = 2, 1  # it is waited for by the message that asked; and nothing else is done meanwhile
_IDS = (1 << 62) - 1  # ask ids are counted from a random start: these bits of one tell it from others


class Waits:
    """What one actor waits for."""

    def __init__(self, own: str, page: Page, routes: Routes) -> None:
        """Say it in its page, from the thread that it lives in, and look at those of others by these routes."""
        self.own = own
        self._page = page
        self._thread = get_ident()
        self._words = words = page.words
        words[ROOM] = 0
        self._routes = routes
        self._free = list(range(WAITS, WAITS + MOST_WAITS))
        for word in self._free:
            words[word] = 0

    def calling(self, chain: Chain, path: str) -> Chain:
        """The chain of a blocking call to that path.

        Raises:
            AskCycle: it would wait for itself.
        """
        if not holds_up():
            return chain
        self.refuse_cycle(chain, path)
        return (*chain, self.own)

    def keeping(self, chain: Chain, ask_id: int) -> Chain:
        """The chain of an ask that may be waited for."""
        return kept(chain, self.own, ask_id)

    def refuse_cycle(self, chain: Chain, path: str) -> None:
        """Raise AskCycle if whoever answers at that path waits for what is in hand here."""
        if path == self.own and not holds_up():
            return
        cycle = cycle_of(chain, self.own, path, self._is_waiting)
        if cycle is not None:
            raise AskCycle(cycle)

    @contextmanager
    def said(self, ask_id: int, *, for_message: bool) -> Iterator[None]:
        """The page says meanwhile that this answer is waited for."""
        flags = _FOR_MESSAGE * for_message | _HELD_UP * holds_up()
        word = self._free.pop() if self._free else 0  # none is left: that wait ends at its deadline
        if word:
            self._words[word] = (ask_id & _IDS) << 2 | flags
        try:
            yield
        finally:
            if word:
                with contextlib.suppress(ValueError):  # the page is closed: a thread that has outlived its actor
                    self._words[word] = 0
                self._free.append(word)

    @contextmanager
    def for_room(self, path: str) -> Iterator[None]:
        """The page says meanwhile that the actor waits for room in the mailbox of that path."""
        is_said = holds_up() and get_ident() == self._thread
        if is_said:
            self._page.say_room(path)
        try:
            yield
        finally:
            if is_said:
                self._page.say_room("")

    def circle_for_room(self, path: str) -> tuple[str, ...]:
        """The actors that wait for room in each other's mailboxes, this one first and last; () when that may end."""
        found = self._follow(path)
        return found[0] if found is not None and found == self._follow(path) else ()

    def _follow(self, path: str) -> tuple[tuple[str, ...], list[int]] | None:
        """Who waits for room at path's, and at whose, back to this actor; and which wait of each it is (RM-1)."""
        names, waits = [self.own], list[int]()
        while path != self.own:
            box = self._box(path)
            if box is None or path in names or box.has_room():
                return None
            names.append(path)
            path, wait = box.page.room()
            waits.append(wait)
            if not path:
                return None
        own = self._box(path)
        return None if own is None or own.has_room() else ((*names, path), waits)

    def _box(self, path: str) -> Letterbox | None:
        """The letterbox for that path; None: the actor has stopped, or is a pool, of which another member may read."""
        route = self._routes.route(path)
        try:
            box = route.only if route.boxes else self._routes.look_up(route)
        except ActorError:
            return None
        return None if isinstance(box, PoolLetterbox) else box

    def _is_waiting(self, path: str, ask_id: str, is_held_up: bool) -> bool:  # actors.chain.Waiting
        route = self._routes.route(path)
        try:
            boxes = route.boxes or [self._routes.look_up(route)]
        except ActorError:  # it has stopped
            return False
        said, flag = (int(ask_id, 16) & _IDS) << 2, _HELD_UP if is_held_up else _FOR_MESSAGE
        words = (word for box in boxes for word in box.words[WAITS : WAITS + MOST_WAITS])
        return any(word & ~3 == said and word & flag for word in words)


class Wait:
    """One ask that an actor may wait for."""

    __slots__ = ("_ask_id", "_chain", "_path", "_waits")

    def __init__(self, waits: Waits, ask_id: int, path: str) -> None:
        self._waits = waits
        self._chain = ambient.get()[1]
        self._ask_id = ask_id
        self._path = path

    def is_doubtful(self) -> bool:
        """See `runtime.pending.Waited`."""
        return self._path == self._waits.own or is_doubtful(ambient.get()[1], self._path)

    @contextmanager
    def begun(self) -> Iterator[Callable[[], None] | None]:
        """See `runtime.pending.Waited`."""
        chain = ambient.get()[1]
        with self._waits.said(self._ask_id, for_message=chain is self._chain):
            self._waits.refuse_cycle(chain, self._path)
            yield (lambda: self._waits.refuse_cycle(chain, self._path)) if is_doubtful(chain, self._path) else None
