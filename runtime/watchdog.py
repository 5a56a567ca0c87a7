"""The watchdog: sees from outside which actors hang, and has their stacks written down before it kills them.

    status page ─▶ glance ─▶ next_due ─▶ later: look again then, not before
                                      └▶ now: SIGABRT (stacks of all threads to the last words), SIGCONT … SIGKILL

What is looked at is the actor's page; nothing is sent to it, and it takes no part. So it catches `while True`, a
regular expression that keeps the GIL, a blocked socket, SIGSTOP. An actor on asyncio is first asked for the stacks of
its tasks, which no signal handler in C can find; whether it answers does not matter.

WD-1  The age of one message is measured, not how busy the actor is: every message taken stores its own time.
WD-2  One timer, set for the earliest moment at which anything can be due. Where nothing is watched there is none.
WD-3  Time in which the supervisor itself did not run (the whole session was stopped) counts for nobody.
WD-4  A process that is condemned is dead within DUMP_SECONDS, whether or not its stacks could be written.
WD-5  Who hands the message over while its tasks are written down is pardoned: nobody dies for another message.
WD-6  What runs between messages is watched as messages are: a timer by the limit of the message it runs, the hooks
      `on_down`, `on_letter`, `on_error` and, of an actor that stops by itself, `on_stop` by the actor's. A start has
      its own limit, `ready`, an ordered stop `shutdown`.
"""

import asyncio
import signal
from dataclasses import dataclass, replace
from time import monotonic_ns

from actors.deadline import nanoseconds
from runtime.mailbox import page
from runtime.mailbox.box import Box
from runtime.worker import Doing, Worker, doing

WATCHDOG, HEARTBEAT, START_TIMEOUT = "watchdog", "heartbeat", "start timeout"
TASKS_SECONDS = 0.1  # for an event loop to write its tasks' stacks
DUMP_SECONDS = 1.0  # for the stacks of all threads: they take milliseconds
_FINEST_NS = 10_000_000  # two looks are at least so far apart
_LATE_NS = 500_000_000  # a look that is later than this: we were not running


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one actor's process is allowed.

    Attributes:
        message_ns: how long a message may be in hand; 0: for ever.
        messages_ns: the same for those that have a limit of their own, by index + 1 in the actor's table.
        heartbeat_ns: how long its event loop may not run; 0: for ever.
        since_ns: it counts from here on at the earliest.
    """

    message_ns: int
    messages_ns: dict[int, int]
    heartbeat_ns: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class Glance:
    """What its page says.

    Attributes:
        in_hand: index + 1 of the message in hand, 0 of one that is not decoded yet and of a hook; None: nothing is.
        taken_ns: when it was taken.
        beat_ns: when the event loop last ran; 0: it does not say.
    """

    in_hand: int | None
    taken_ns: int
    beat_ns: int


def next_due(glance: Glance, allowance: Allowance, now_ns: int) -> tuple[int, str]:
    """When to do something about it, and the cause of death then; not yet due: when to look again. 0 for never.

    A message that comes just after this glance may be due in the smallest of all limits: then there is a look.
    """
    limits = [ns for ns in (allowance.message_ns, *allowance.messages_ns.values()) if ns]
    dues = [(now_ns + min(limits), WATCHDOG)] if limits else []
    if glance.in_hand is not None:
        limit = allowance.messages_ns.get(glance.in_hand, allowance.message_ns)
        if limit:
            dues.append((max(glance.taken_ns, allowance.since_ns) + limit, WATCHDOG))
    if allowance.heartbeat_ns and glance.beat_ns:
        dues.append((max(glance.beat_ns, allowance.since_ns) + allowance.heartbeat_ns, HEARTBEAT))
    return min(dues, default=(0, ""))


class Watchdog:
    """Watches the workers it is given, each for as long as its process is ready."""

    def __init__(self) -> None:
        self._watched: dict[str, tuple[Worker, Allowance]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def watch(self, worker: Worker) -> None:
        """A worker's process is ready: watch it, if it has a limit of any kind."""
        now_ns = monotonic_ns()
        allowance = _allowance_of(worker, now_ns)
        self._watched.pop(worker.path, None)
        if allowance is not None and worker.box is not None:
            self._watched[worker.path] = worker, allowance
            due_ns, _ = next_due(_glance_at(worker, worker.box), allowance, now_ns)
            if due_ns and (not self._due_ns or due_ns < self._due_ns):
                self._set_timer(due_ns, now_ns)

    def condemn(self, worker: Worker, cause: str) -> None:
        """Have a process write down its stacks and end; kill it if it does not (WD-4)."""
        self._watched.pop(worker.path, None)
        loop = asyncio.get_running_loop()
        words = worker.box.words if worker.box is not None else None
        if words is not None and words[page.LISTENS] and cause != HEARTBEAT:
            worker.send_signal(page.TASKS_SIGNAL)
            before = doing(worker.box) if cause == WATCHDOG and worker.box is not None else None
            loop.call_later(TASKS_SECONDS, self._abort, worker, worker.incarnation, cause, before)
        else:
            self._abort(worker, worker.incarnation, cause, None)

    def _abort(self, worker: Worker, incarnation: int, cause: str, before: Doing | None) -> None:
        if worker.incarnation != incarnation or worker.box is None:
            return
        if before is not None and doing(worker.box) != before:
            self.watch(worker)  # WD-5
            return
        worker.cause = cause
        worker.send_signal(signal.SIGABRT)
        worker.send_signal(signal.SIGCONT)  # after it: one that was stopped wakes up into its abort
        asyncio.get_running_loop().call_later(DUMP_SECONDS, _kill, worker, incarnation)

    def _look(self) -> None:
        """Condemn whoever is due, and come back when the next one can be (WD-2)."""
        now_ns = monotonic_ns()
        if now_ns - self._due_ns > _LATE_NS:
            self._forgive(now_ns)
        earliest_ns = 0
        for worker, allowance in list(self._watched.values()):
            if worker.box is None or not worker.is_ready:
                del self._watched[worker.path]
                continue
            due_ns, cause = next_due(_glance_at(worker, worker.box), allowance, now_ns)
            if due_ns and due_ns <= now_ns:
                self.condemn(worker, cause)
            elif due_ns and (not earliest_ns or due_ns < earliest_ns):
                earliest_ns = due_ns
        self._set_timer(earliest_ns, now_ns)

    def _forgive(self, now_ns: int) -> None:
        """WD-3."""
        self._watched = {
            path: (worker, replace(allowance, since_ns=now_ns)) for path, (worker, allowance) in self._watched.items()
        }

    def _set_timer(self, due_ns: int, now_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._due_ns = max(due_ns, now_ns + _FINEST_NS) if due_ns else 0
        if due_ns:
            self._timer = asyncio.get_running_loop().call_later((self._due_ns - now_ns) / 1e9, self._look)


def _allowance_of(worker: Worker, now_ns: int) -> Allowance | None:
    if worker.box is None:
        return None
    program, messages_ns = worker.program, dict[int, int]()
    if worker.box.words[page.WATCHED]:
        entries = worker.box.page.table().values()
        messages_ns = {n: _ns(entry.options.watchdog) for n, entry in enumerate(entries, 1) if entry.options.watchdog}
    allowance = Allowance(_ns(program.watchdog), messages_ns, _ns(program.heartbeat), now_ns)
    return allowance if allowance.message_ns or messages_ns or allowance.heartbeat_ns else None


def _glance_at(worker: Worker, box: Box) -> Glance:
    """What it is at; of an ordered stop's `on_stop`, which has a time of its own, nothing (WD-6)."""
    at = doing(box)
    if at is not None and at.name == "on_stop" and (worker.is_asked or worker.is_recycled):
        at = None
    return Glance(None if at is None else at.index, 0 if at is None else at.since_ns, box.words[page.BEAT_NS])


def _ns(seconds: float | None) -> int:
    return nanoseconds(seconds) if seconds else 0


def _kill(worker: Worker, incarnation: int) -> None:
    if worker.incarnation == incarnation:
        worker.send_signal(signal.SIGKILL)
