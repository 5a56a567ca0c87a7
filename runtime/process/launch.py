"""Launching: the supervisor's side of its zygote.

LA-1  A launch ends in exactly one of `launched(token, pid)` and `failed(token, error)`.
LA-2  A zygote that dies is replaced; what it had been told and not reported is told to the new one, once. Only after
      its socket's end of file: until then something may still report. A process may have come of it all the same:
      `zygote_gone` ends that first.
LA-3  A class whose import starts threads is launched cold from then on: imported in the actor's own process.
LA-4  A zygote that is renewed ends when it has done what it was told; its successor has imported nothing.
LA-5  A zygote that cannot be made (no descriptors, no processes) is tried again; launches wait for it meanwhile.
LA-6  A launch that is cancelled has failed only once its zygote is gone, and whatever had come of it has been ended: a
      process that was forked and not reported may have taken messages.
LA-7  What the zygote has launched before it has imported: the next launch of that goes to a spare, past the zygote.
LA-8  Nothing is imported for an understudy: what fails or hangs then would cost others their starts. It is studied
      once a launch has imported it.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from runtime.process import exit as process_exit
from runtime.process.fork import close_all_but
from runtime.process.order import Gather, Launch, Report, Setup, Spare, Spares, Study, decode_report, encode
from runtime.process.stock import Stock, what_of
from runtime.process.zygote import ActorMain, Zygote, received

_REOPEN_SECONDS = 0.2
_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)  # what the supervisor's loop handles
_DUMP_SECONDS = 1.0  # for the stacks of a zygote that hangs: they take milliseconds
_STACKS_BYTES = 32768
RESTOCK_SECONDS = 0.005  # an actor that is just being started has better use for the CPU


class Outcome(Protocol):
    """Who is told what came of launches."""

    def launched(self, token: int, pid: int) -> None:
        """The process exists; it is or will be our child."""

    def failed(self, token: int, error: str, stacks: str = "") -> None:
        """No process came of it; stacks: of the zygote, where that was ended for it."""

    def zygote_forked(self, pid: int) -> None:
        """There is a zygote, the first or the next one: its death is to be told by `died`."""

    def zygote_gone(self, tokens: list[int]) -> None:
        """A zygote has died with these launches unreported: end what has come of them before they are told anew."""

    def understudy(self, token: int, pid: int, fds: list[int]) -> None:
        """A process that has studied that launch waits at the other end of a socket; pid 0: it could not be forked."""

    def learned(self) -> None:
        """The zygote has imported for a launch what it had not before: understudies of that can be had (LA-8)."""

    def threads_at_import(self, token: int, module: str) -> None:
        """A warning: that module starts threads when it is imported."""


@dataclass(slots=True)
class _InFlight:
    launch: Launch | Gather
    fds: list[int]
    what: bytes
    tries: int = 0
    is_cancelled: bool = False


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
        self._in_flight: dict[int, _InFlight] = {}
        self._cold: set[bytes] = set()
        self._is_open = True
        self._is_condemned = False
        self._stacks_fd = -1
        self._is_renewed = False
        self.pid = 0

    @property
    def is_busy(self) -> bool:
        """A start is in flight: an unknown child may be ours."""
        return bool(self._in_flight)

    def open(self) -> None:
        """Fork a zygote, and listen to it.

        Raises:
            OSError: there are no descriptors or no processes; nothing is half-made.
        """
        with contextlib.ExitStack() as undo:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(ours.close)
            undo.callback(theirs.close)
            stacks_fd = os.memfd_create("understudy-stacks", os.MFD_CLOEXEC)
            undo.callback(os.close, stacks_fd)
            supervisor = os.getpid()
            # a signal to a zygote that still has the supervisor's handlers would be told to the supervisor
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
            undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
            pid = os.fork()
            undo.pop_all()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for number in _TOLD:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                close_all_but({theirs.fileno(), stacks_fd, *self._keep})
                Zygote(theirs, supervisor, self._main, stacks_fd, self._marks).run()
            finally:
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        ours.setblocking(False)
        if self._stacks_fd >= 0:
            os.close(self._stacks_fd)
        self._stacks_fd = stacks_fd
        self._is_condemned = False
        self.pid = pid
        self._sock = ours
        self._is_renewed = False
        asyncio.get_running_loop().add_reader(ours.fileno(), self._on_report)
        try:
            self._outcome.zygote_forked(pid)
        except OSError:  # nobody would hear of its death
            self.close()
            process_exit.kill(pid)
            os.waitpid(pid, 0)
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
        self._send(_InFlight(launch, fds, what))

    def study(self, launch: Launch, fds: list[int], like: int) -> bool:
        """Have a process forked that waits to be launched so, like the one of that pid.

        Returns:
            False when nothing will come of it: what it needs has not been imported by a launch yet (LA-8).
        Raises:
            BlockingIOError: the zygote has so many orders that it takes no more for now.
        """
        return self._stock.knows(what_of(launch, fds[1])) and self._order(Study(launch, like), fds)

    def cancel(self, token: int) -> None:
        """It takes too long: whatever holds it up is in the zygote, which writes down where, ends and is replaced.

        The launch has failed once that is so: until then something may have come of it (LA-6).
        """
        flight = self._in_flight.get(token)
        if flight is None:
            return
        flight.is_cancelled = True
        if not self.pid:
            self._fail_cancelled()
        elif not self._is_condemned:
            self._is_condemned = True
            process_exit.kill(self.pid, signal.SIGABRT)
            process_exit.kill(self.pid, signal.SIGCONT)  # after it: one that was stopped wakes up into its abort
            asyncio.get_running_loop().call_later(_DUMP_SECONDS, self._kill, self.pid)

    def renew(self, front: Sequence[str] = ()) -> None:
        """Have everything imported anew, for all that is launched from now on (LA-4).

        Args:
            front: directories for the front of `sys.path`; those that were there stay behind them.
        """
        if self._setup is not None:
            behind = (entry for entry in self._setup.path if entry not in front)
            self._setup = Setup([*front, *behind], self._setup.argv)
        self._cold.clear()
        self._stock.clear()
        self._is_renewed = True
        if self._sock is not None:
            with contextlib.suppress(OSError):  # it has just died, and is renewed by that
                self._sock.shutdown(socket.SHUT_WR)

    def died(self) -> None:
        """The zygote has been reaped."""
        self.pid = 0
        self._on_report()

    def _replace(self) -> None:
        """Make a new zygote, and tell it what the old one had not reported (LA-2)."""
        try:
            self._outcome.zygote_gone(list(self._in_flight))
        except OSError:  # no descriptor to look for its processes by (LA-5)
            asyncio.get_running_loop().call_later(_REOPEN_SECONDS, self._replace)
            return
        self._fail_cancelled()
        self._reopen()

    def _kill(self, pid: int) -> None:
        if self.pid == pid:
            process_exit.kill(pid)

    def _fail_cancelled(self) -> None:
        """Tell of the launches that were cancelled; what came of them has been ended."""
        stacks = os.pread(self._stacks_fd, _STACKS_BYTES, 0).split(b"\0", 1)[0].decode(errors="replace")
        for token, flight in list(self._in_flight.items()):
            if flight.is_cancelled:
                del self._in_flight[token]
                self._outcome.failed(token, "the import of its module did not return in time", stacks)

    def _reopen(self) -> None:
        """Fork a zygote for what is in flight, now or as soon as it can be done (LA-5)."""
        if not self._is_open or self._sock is not None:
            return
        try:
            self.open()
        except OSError:
            asyncio.get_running_loop().call_later(_REOPEN_SECONDS, self._reopen)
            return
        for token, flight in list(self._in_flight.items()):
            if flight.tries > 1:
                del self._in_flight[token]
                self._outcome.failed(token, "the zygote died while starting it, twice")
            else:
                self._send(flight)

    def shut(self) -> None:
        """No more launches: hang up, the zygote ends by itself and is not replaced."""
        self._is_open = False
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

    def _send(self, flight: _InFlight) -> None:
        token = flight.launch.token
        self._in_flight[token] = flight
        try:
            if self._sock is not None:
                socket.send_fds(self._sock, [encode(flight.launch)], flight.fds)
                flight.tries += 1
        except BlockingIOError:
            asyncio.get_running_loop().call_later(0.001, self._retry, token, flight.tries)
        except OSError:
            return  # it has just died, or is about to be renewed: `died` sends it again

    def _retry(self, token: int, tries: int) -> None:
        flight = self._in_flight.get(token)
        if flight is not None and flight.tries == tries:  # else a new zygote was told meanwhile
            self._send(flight)

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
            return  # it ends now, and the next one gets this launch again
        del self._in_flight[report.token]
        if report.pid:
            if isinstance(flight.launch, Launch) and flight.launch.warm and not self._is_renewed:
                if self._stock.learn(flight.what):
                    self._outcome.learned()
                self._restock()
            self._outcome.launched(report.token, report.pid)
        else:
            self._outcome.failed(report.token, report.error)
