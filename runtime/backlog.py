"""Backlogs: sees from outside which actors do not keep up, and has that said once.

    every LOOK_SECONDS: status page and FIONREAD ─▶ looked ─▶ is_slow begins: one warning; ends: one line at info

Nothing is sent to an actor, and frames carry no time of their own: what a look finds waiting and a later look finds in
the same filling of the journal has waited at least since the first of them.

BL-1  One timer for all actors, at its own pace, whatever they do.
BL-2  One warning for an episode: it begins at one threshold and ends below a lower one, so that a queue that swings
      around the threshold is one episode.
BL-3  Time in which the supervisor itself did not run (the whole session was stopped) counts for nobody.
BL-4  The age is a least: messages that wait behind a filling that is being handled are as old as the last look at most.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic_ns
from typing import Protocol

from actors.deadline import DEFAULT_SECONDS
from runtime.mailbox import page
from runtime.mailbox.box import Box
from runtime.mailbox.poolqueue import PoolQueue
from runtime.worker import Worker

LOOK_SECONDS = 2.0  # at 3.5 µs of CPU an actor (measured): 0.2 % of a CPU for 1,000 of them
OLD_NS = int(DEFAULT_SECONDS * 1e9)  # whoever asks with the default deadline has given up by then
FULL_NS = int(LOOK_SECONDS * 1e9)  # two looks in a row
# a pipe of n pages may refuse a frame when it is half full: two frames of 2,049 bytes take a page each
_FULL_PART = 2
_CALM_PART = 4
_LATE_NS = 3 * FULL_NS


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look finds of one mailbox.

    Attributes:
        queued: bytes in its FIFO.
        behind: bytes that wait behind the message in hand, those of the FIFO included.
        size: of its FIFO.
        filling: which filling of the journal is being handled, as far as the page tells.
    """

    queued: int
    behind: int
    size: int
    filling: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is known of one mailbox from look to look.

    Attributes:
        filling: as of the last look.
        waiting_ns: since when what waits has waited, at least; 0: nothing waits.
        full_ns: since when it has been nearly full at every look; 0: it is not.
        is_slow: an episode is under way.
    """

    filling: tuple[int, int] = (0, 0)
    waiting_ns: int = 0
    full_ns: int = 0
    is_slow: bool = False


def looked(before: Backlog, sight: Sight, now_ns: int) -> Backlog:
    """What is known after one more look (BL-2, BL-4)."""
    waiting_ns = full_ns = 0
    if sight.behind:
        waiting_ns = before.waiting_ns if before.waiting_ns and sight.filling == before.filling else now_ns
    if sight.queued * _FULL_PART >= sight.size:
        full_ns = before.full_ns or now_ns
    waited_ns = now_ns - waiting_ns if waiting_ns else 0
    if before.is_slow:
        is_slow = waited_ns >= OLD_NS // 2 or sight.queued * _CALM_PART >= sight.size
    else:
        is_slow = waited_ns >= OLD_NS or (full_ns > 0 and now_ns - full_ns >= FULL_NS)
    return Backlog(sight.filling, waiting_ns, full_ns, is_slow)


class Told(Protocol):
    """Who says it."""

    def slow_consumer(self, path: str, waiting_bytes: int, mailbox_bytes: int, waiting_seconds: float) -> None:
        """An actor does not keep up: the beginning of an episode."""

    def caught_up(self, path: str) -> None:
        """Its end."""


class Backlogs:
    """Looks at every open mailbox, running actor or not."""

    def __init__(
        self, workers: Callable[[], Iterable[Worker]], queues: Callable[[], Mapping[str, PoolQueue]], told: Told
    ) -> None:
        self._workers = workers
        self._queues = queues
        self._told = told
        self._known: dict[str, Backlog] = {}
        self._looked_ns = 0

    def open(self) -> None:
        """Begin to look."""
        self._looked_ns = monotonic_ns()
        self._set_timer()

    def waiting_seconds(self, path: str) -> float:
        """How long what waits for that actor has waited, at least; 0.0: nothing waits, as of the last look."""
        waiting_ns = self._known.get(path, Backlog()).waiting_ns
        return (monotonic_ns() - waiting_ns) / 1e9 if waiting_ns else 0.0

    def look(self, now_ns: int) -> None:
        """Look at all of them, and tell of the episodes that begin or end."""
        known = {} if now_ns - self._looked_ns > _LATE_NS else self._known  # BL-3
        self._looked_ns = now_ns
        self._known = {}
        for path, sight in self._sights():
            before = known.get(path, Backlog())
            after = self._known[path] = looked(before, sight, now_ns)
            if after.is_slow and not before.is_slow:
                waited_ns = now_ns - after.waiting_ns if after.waiting_ns else 0
                self._told.slow_consumer(path, sight.behind, sight.size, waited_ns / 1e9)
            elif before.is_slow and not after.is_slow:
                self._told.caught_up(path)

    def _sights(self) -> Iterator[tuple[str, Sight]]:
        """Of mailboxes, and of the queues of pools, each of which moves when any of its members does."""
        queues = self._queues()
        moved: Counter[str] = Counter()
        for worker in self._workers():
            if worker.box is not None:
                yield worker.path, _sight_of(worker.box)
                moved[worker.path.rpartition(".")[0]] += worker.box.words[page.HANDLED]
        for path, queue in queues.items():
            yield path, Sight(queue.fullest_bytes(), queue.queued_bytes(), queue.slots_bytes, (0, moved[path]))

    def _set_timer(self) -> None:
        asyncio.get_running_loop().call_later(LOOK_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self.look(monotonic_ns())
        self._set_timer()


def _sight_of(box: Box) -> Sight:
    queued = box.fifo_bytes()
    filling = box.words[page.EXTENT], box.words[page.HANDLED]  # the latter is published with every filling
    return Sight(queued, queued + box.journal_bytes(), box.mailbox_bytes, filling)
