"""Launching: the supervisor's side of its zygote.

LA-1  A launch ends in exactly one of `launched(token, pid)` and `failed(token, error)`.
LA-2  A zygote that dies is replaced; what it had been told and not reported is told to the next one, as often as it
      takes; but what several zygotes were at when they died fails. Only after its socket's end of file: until then
      something may still report. A process may have come of it all the same: `zygote_gone` ends that first.
LA-3  A class whose import starts threads is launched cold from then on: imported in the actor's own process.
LA-4  A zygote that is renewed ends when it has done what it was told; its successor has imported nothing.
LA-5  A zygote that cannot be made (no descriptors, no processes) is tried again; launches wait for it meanwhile, as
      long as they may take, and no longer: behind nobody.
LA-6  A launch that is cancelled has failed only once its zygote is gone, and whatever had come of it has been ended: a
      process that was forked and not reported may have taken messages. One that only waits for its turn is taken out of
      the queue (runtime.process.queue), and no other hears of it.
LA-7  What the zygote has launched before it has imported: the next launch of that goes to a spare, past the zygote.
LA-8  Nothing is imported for an understudy: what fails or hangs then would cost others their starts. It is studied
      once a launch has imported it.
LA-9  New code is imported by a candidate beside the zygote (runtime.process.candidate): `renew` puts it in its place.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence

import msgspec

from runtime.process import exit as process_exit
from runtime.process.candidate import Candidate
from runtime.process.forked import fork_zygote
from runtime.process.order import Gather, Launch, Report, Setup, Spare, Spares, Study, decode_report, encode
from runtime.process.outcome import Outcome
from runtime.process.queue import Flight, Queue
from runtime.process.stock import Stock, what_of
from runtime.process.zygote import ActorMain, received

_REOPEN_SECONDS = 0.2
_DUMP_SECONDS = 1.0  # for the stacks of a zygote that hangs: they take milliseconds
_STACKS_BYTES = 32768
_MOST_CRASHED = 2  # zygotes that ended by themselves while they were at one and the same launch
_MOST_KILLED = 10  # … that were killed: hardly by that launch, but for one that uses up the memory
RESTOCK_SECONDS = 0.005  # an actor that is just being started has better use for the CPU


class Launcher:
    """The zygote, as the supervisor knows it. `open` forks it; `close` ends it."""

    def __init__(self, outcome: Outcome, main: ActorMain, keep: set[int], marks: int = 0) -> None:
        """Prepare.

        Args:
            outcome: who is told.
            main: what an actor process does.
            keep: descriptors the zygote and its actors inherit.
            marks: the system that their marks are of.
        """
        self._outcome = outcome
        self._main = main
        self._keep = keep
        self._marks = marks
        self._setup: Setup | None = None
        self._stock = Stock()
        self._sock: socket.socket | None = None
        self._in_flight: dict[int, Flight] = {}
        self._queue = Queue(self._imports)
        self._at: Flight | None = None  # the head of the queue, as last told
        self._cold: set[bytes] = set()
        self._is_open = True
        self._is_condemned = False
        self._stacks_fd = -1
        self._lack = ""  # why no zygote can be had (LA-5)
        self._is_renewed = False
        self._ended: process_exit.Exit | None = None
        self._next: Candidate | None = None
        self._candidates: set[int] = set()
        self.pid = 0

    @property
    def pids(self) -> set[int]:
        """Of the zygote, and of those that may take its place."""
        return {self.pid, *self._candidates}

    @property
    def is_busy(self) -> bool:
        """A start is in flight: an unknown child may be ours."""
        return bool(self._in_flight)

    def open(self) -> None:
        """Fork a zygote, and listen to it.

        Raises:
            OSError: there are no descriptors or no processes; nothing is half-made.
        """
        adopted, self._next = self._next, None
        if adopted is not None:
            pid, ours, stacks_fd = adopted.pid, adopted.sock, adopted.stacks_fd
        else:
            pid, ours, stacks_fd = fork_zygote(self._main, self._keep, self._marks)
        if self._stacks_fd >= 0:
            os.close(self._stacks_fd)
        self._stacks_fd = stacks_fd
        self._is_condemned = False
        self._candidates.discard(pid)
        self.pid = pid
        self._sock = ours
        self._is_renewed = False
        asyncio.get_running_loop().add_reader(ours.fileno(), self._on_report)
        try:
            self._outcome.zygote_forked(pid)
        except OSError:  # nobody would hear of its death
            self.close()
            process_exit.end(pid)
            self.pid = 0
            raise
        if self._setup is not None:
            self._order(self._setup)
        self._restock()

    def set_up(self, setup: Setup) -> None:
        """Give the program's surroundings to the zygote, and to those that may follow it."""
        self._setup = setup
        self._order(setup)

    def keep_spares(self, count: int) -> None:
        """How many processes to keep forked and idle, of this zygote and of those that may follow it."""
        if count != self._stock.wanted:
            self._stock.wanted = count
            self._restock()

    def launch(self, launch: Launch | Gather, fds: list[int]) -> None:
        """Have a process started; the descriptors stay the caller's until the launch has ended."""
        what = what_of(launch, fds[1]) if isinstance(launch, Launch) else b""
        if isinstance(launch, Launch):
            if what in self._cold:
                launch = msgspec.structs.replace(launch, warm=False)
            elif pid := self._stock.hand_over(launch, what, fds):
                asyncio.get_running_loop().call_later(RESTOCK_SECONDS, self._restock)
                self._outcome.launched(launch.token, pid)
                return
        flight = self._in_flight[launch.token] = Flight(launch, fds, what)
        self._queue.add(flight)
        self._send(flight)
        if self.is_queued(launch.token):
            self._outcome.queued(launch.token)

    def is_queued(self, token: int) -> bool:
        """Others stand in front of it."""
        flight = self._in_flight.get(token)
        return flight is not None and self._queue.head is not flight and not self._lack

    def study(self, launch: Launch, fds: list[int], like: int) -> bool:
        """Have a process forked that waits to be launched so, like the one of that pid.

        Returns:
            False when nothing will come of it: what it needs has not been imported by a launch yet (LA-8).
        Raises:
            BlockingIOError: the zygote has so many orders that it takes no more for now.
        """
        return self._stock.knows(what_of(launch, fds[1])) and self._order(Study(launch, like), fds)

    def cancel(self, token: int) -> None:
        """It takes too long. Where it only waits, it is taken out of the queue.

        Otherwise whatever holds it up is in the zygote, which writes down where, ends and is replaced. The launch has
        failed once that is so: until then something may have come of it (LA-6). What the zygote has and is not at yet
        is about to be forked: whoever cancels it hears of that.
        """
        flight = self._in_flight.get(token)
        if flight is None:
            return
        flight.is_cancelled = True
        if self._queue.is_waiting(flight):
            self._end(token)
            behind = "it waited for its turn, behind other starts, until its time was up"
            self._outcome.failed(token, f"no zygote to start it: {self._lack}" if self._lack else behind)
        elif self._queue.head is flight and self.pid and not self._is_condemned:
            self._is_condemned = True
            process_exit.kill(self.pid, signal.SIGABRT)
            process_exit.kill(self.pid, signal.SIGCONT)  # after it: one that was stopped wakes up into its abort
            asyncio.get_running_loop().call_later(_DUMP_SECONDS, self._kill, self.pid)

    def candidate(self, front: Sequence[bytes]) -> Candidate:
        """A candidate for the zygote's place, with these directories in front of its `sys.path` (LA-9).

        Raises:
            OSError: there are no descriptors or no processes.
        """
        setup = None if self._setup is None else _with_front(self._setup, front)
        candidate = Candidate(*fork_zygote(self._main, self._keep, self._marks), setup)
        self._candidates.add(candidate.pid)
        return candidate

    def drop(self, candidate: Candidate | None) -> None:
        """Nothing comes of it."""
        if candidate is not None:
            self._candidates.discard(candidate.pid)
            candidate.drop()

    def renew(self, front: Sequence[bytes] = (), candidate: Candidate | None = None) -> None:
        """Have everything imported anew, for all that is launched from now on (LA-4).

        Args:
            front: directories for the front of `sys.path`; those that were there stay behind them.
            candidate: who takes the zygote's place, with what it has imported; None: one that has imported nothing.
        """
        if self._setup is not None:
            self._setup = _with_front(self._setup, front)
        self._cold.clear()
        self._stock.clear()
        self.drop(self._next)
        self._next = candidate
        self._is_renewed = True
        if self._sock is not None:
            with contextlib.suppress(OSError):  # it has just died, and is renewed by that
                self._sock.shutdown(socket.SHUT_WR)

    def died(self, ended: process_exit.Exit) -> None:
        """The zygote has been reaped."""
        self.pid = 0
        self._ended = ended
        self._on_report()

    def _replace(self) -> None:
        """Make a new zygote, and tell it what the old one had not reported (LA-2)."""
        try:
            self._outcome.zygote_gone(list(self._in_flight))
        except OSError as exc:  # no descriptor to look for its processes by
            self._lacks(exc, self._replace)
            return
        self._blame()
        self._queue.take_back()
        self._at = None
        self._fail_cancelled()
        self._reopen()

    def _blame(self) -> None:
        """What the zygote was at when it ended may be what ended it (LA-2)."""
        flight, ended, self._ended = self._queue.head, self._ended, None
        if flight is None or ended is None or flight.is_cancelled:
            return
        if ended.signal == "SIGKILL":  # by somebody, or by the kernel for want of memory
            flight.killed += 1
        else:
            flight.crashed += 1
        if flight.crashed >= _MOST_CRASHED or flight.killed >= _MOST_KILLED:
            self._end(flight.launch.token)
            how = ended.signal or f"exit code {ended.code}"
            self._outcome.failed(flight.launch.token, f"the zygote died while starting it, again and again: {how}")

    def _kill(self, pid: int) -> None:
        if self.pid == pid:
            process_exit.kill(pid)

    def _fail_cancelled(self) -> None:
        """Tell of the launches that were cancelled; what came of them has been ended."""
        stacks = os.pread(self._stacks_fd, _STACKS_BYTES, 0).split(b"\0", 1)[0].decode(errors="replace")
        for token, flight in list(self._in_flight.items()):
            if flight.is_cancelled:
                self._end(token)
                self._outcome.failed(token, "the import of its module did not return in time", stacks)

    def _reopen(self) -> None:
        """Fork a zygote for what is in flight, now or as soon as it can be done (LA-5)."""
        if not self._is_open or self._sock is not None:
            return
        try:
            self.open()
        except OSError as exc:
            self._lacks(exc, self._reopen)
            return
        was_lacking, self._lack = bool(self._lack), ""
        self._send()
        for token in [token for token in self._in_flight if was_lacking and self.is_queued(token)]:
            self._outcome.queued(token)

    def _lacks(self, error: OSError, again: Callable[[], None]) -> None:
        """There is no zygote for now: what waits has the time of one that waits for nobody (LA-5)."""
        was_lacking, self._lack = bool(self._lack), os.strerror(error.errno or 0)
        for token in () if was_lacking else list(self._in_flight):
            self._outcome.begun(token)
        asyncio.get_running_loop().call_later(_REOPEN_SECONDS, again)

    def shut(self) -> None:
        """No more launches: hang up, the zygote ends by itself and is not replaced."""
        self._is_open = False
        self.drop(self._next)
        self._next = None
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None
        self._stock.clear()

    def _restock(self) -> None:
        """Order the spares that are missing."""
        if self._sock is not None and not self._is_renewed and (missing := self._stock.order()):
            try:
                self._order(Spares(missing))
            except BlockingIOError:
                self._stock.not_ordered(missing)
                asyncio.get_running_loop().call_later(RESTOCK_SECONDS, self._restock)

    def _order(self, order: Setup | Spares | Study, fds: Sequence[int] = ()) -> bool:
        """Send an order; False when there is no zygote.

        Raises:
            BlockingIOError: it has so many that it takes no more for now.
        """
        if self._sock is None:
            return False
        try:
            socket.send_fds(self._sock, [encode(order)], fds)
        except BlockingIOError:
            raise
        except OSError:  # it has just died: its successor is told
            return False
        return True

    def _send(self, fresh: Flight | None = None) -> None:
        """Send the zygote what may be sent to it now; tell of what that is now at, but not of a fresh one."""
        while self._sock is not None and (flight := self._queue.next()) is not None:
            try:
                socket.send_fds(self._sock, [encode(flight.launch)], flight.fds)
            except BlockingIOError:
                asyncio.get_running_loop().call_later(0.001, self._send)
                break
            except OSError:  # it has just died, or is about to be renewed: the next one gets it
                break
            self._queue.sent()
        head, before, self._at = self._queue.head, self._at, self._queue.head
        if head is not None and head is not before and head is not fresh:
            if head.is_cancelled:
                asyncio.get_running_loop().call_later(_DUMP_SECONDS, self.cancel, head.launch.token)
            self._outcome.begun(head.launch.token)

    def _imports(self, flight: Flight) -> bool:
        launch = flight.launch
        return isinstance(launch, Launch) and launch.warm and not self._stock.knows(flight.what)

    def _end(self, token: int) -> None:
        self._queue.remove(self._in_flight.pop(token))

    def _on_report(self) -> None:
        while self._sock is not None:
            try:
                raw, fds = received(self._sock)
            except BlockingIOError:
                return
            except OSError:
                raw, fds = b"", []
            if not raw:
                self.close()
                break
            match decode_report(raw):
                case Spare(pid, 0):
                    self._stock.add(0 if self._is_renewed else pid, fds)
                case Spare(pid, token):
                    self._outcome.understudy(token, pid, fds)
                case Report() as report:
                    self._reported(report)
        if self.pid == 0 and self._is_open:
            self._replace()

    def _reported(self, report: Report) -> None:
        flight = self._in_flight.get(report.token)
        if flight is None:
            return
        if report.threads and isinstance(flight.launch, Launch):
            self._cold.add(flight.what)
            self._outcome.threads_at_import(report.token, report.threads)
            flight.launch = msgspec.structs.replace(flight.launch, warm=False)
            self._queue.again(flight)
            return  # it ends now, and the next one gets this launch again
        self._end(report.token)
        if report.pid:
            if isinstance(flight.launch, Launch) and flight.launch.warm and not self._is_renewed:
                if self._stock.learn(flight.what):
                    self._outcome.learned()
                self._restock()
            self._outcome.begun(report.token)
            self._outcome.launched(report.token, report.pid)
        else:
            self._outcome.failed(report.token, report.error)
        self._send()


def _with_front(setup: Setup, front: Sequence[bytes]) -> Setup:
    return Setup([*front, *(entry for entry in setup.path if entry not in front)], setup.argv)
