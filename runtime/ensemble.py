"""Ensembles: the actors of one supervisor that are threads, and the process they share.

    first of them launched ─▶ zygote ─▶ the process ─▶ its order over a socketpair ─▶ a thread ─▶ "left" over the same
    pidfd readable ─▶ reaped ─▶ all that were in it have died at once

EN-1  A supervisor's thread-hosted children, replicas and instances among them, are threads of one process, which is
      started with the first of them and ends when the last of their names is closed.
EN-2  Who is to be killed cannot be killed alone: signals go to the process, and its other actors die with it.
EN-3  Code that was imported cannot be imported anew in a process: after `renew` the next one launched gets a new
      process, and the old one ends with its last actor.
EN-4  A thread that has ended is heard of before the death of its process, though both are found at once.
"""

import asyncio
import os
import select
import signal
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from runtime.mailbox.page import LAST_WORDS_SIZE
from runtime.memory.seal import allocated
from runtime.process import exit as process_exit
from runtime.process.launch import Launcher
from runtime.process.order import Gather, Launch, decode_left, encode
from runtime.seats import Seats
from runtime.worker import Worker

EXIT_SECONDS = 5.0  # for threads and exit functions of a process whose actors have all ended: as `shutdown` by default
_LEFT_BYTES = 4096


class Audience(Protocol):
    """Who is told what happens to actors that are threads."""

    def waits(self, worker: Worker) -> None:
        """Its process waits for its turn to be started."""
        ...

    def joined(self, worker: Worker, pid: int, pidfd: int) -> None:
        """Its order is given to that process; the pidfd stays the ensemble's, until it has left or fallen."""
        ...

    def not_joined(self, worker: Worker, error: str, together: int = 0, stacks: str = "") -> None:
        """There is no process for it, nor for others of the same number; stacks: of the zygote, if it hung."""
        ...

    def left(self, worker: Worker, ended: process_exit.Exit) -> None:
        """Its thread has ended, and the process lives on."""
        ...

    def fell(self, workers: list[Worker], pid: int, ended: process_exit.Exit, stacks: str) -> None:
        """That process has ended with these in it, in the order of their launch."""
        ...


@dataclass(slots=True, eq=False)
class Ensemble:
    """One process and its actors.

    Attributes:
        group: path of the supervisor; "" for the root.
        token: of the launch of the process.
        seat: of the process on the board.
        ours, theirs: both ends of the socket; theirs is closed here once the process has it.
        stacks_fd: where faulthandler writes to.
        pid, pidfd: once it is known.
        members: the actors in it by the token of their launch.
        names: paths of all it has been given that are not closed.
        waiting: orders, with their descriptors, that wait for the process or for room in the socket.
        is_retired: it gets no more actors (EN-3).
    """

    group: str
    token: int
    seat: int
    ours: socket.socket
    theirs: socket.socket
    stacks_fd: int
    pid: int = 0
    pidfd: int = -1
    members: dict[int, Worker] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    waiting: deque[tuple[Launch, list[int]]] = field(default_factory=deque)
    is_retired: bool = False

    @property
    def is_idle(self) -> bool:
        """Nobody is in it, and nobody will be."""
        return not self.members and (self.is_retired or not self.names)

    def stacks(self) -> str:
        """What was written down at its end; "" when nothing was."""
        return os.pread(self.stacks_fd, LAST_WORDS_SIZE, 0).split(b"\0", 1)[0].decode(errors="replace")


class Ensembles:
    """All ensembles of a system."""

    def __init__(
        self,
        launcher: Launcher,
        seats: Seats,
        tokens: Iterator[int],
        audience: Audience,
    ) -> None:
        """Keep ensembles whose processes that launcher starts."""
        self._launcher = launcher
        self._seats = seats
        self._tokens = tokens
        self._audience = audience
        self._current: dict[str, Ensemble] = {}
        self._all: dict[int, Ensemble] = {}  # by the token of the process

    def __contains__(self, token: int) -> bool:
        return token in self._all

    @property
    def pids(self) -> set[int]:
        """Of the processes."""
        return {each.pid for each in self._all.values() if each.pid}

    def launch(self, worker: Worker, order: Launch, fds: list[int]) -> None:
        """Start an actor as a thread; the descriptors stay the caller's until its launch has ended (EN-1)."""
        group = order.address.rpartition(".")[0]  # of a replica, its pool's supervisor
        ensemble = self._current.get(group)
        if ensemble is None:
            try:
                ensemble = self._current[group] = self._gathered(group, order)
            except OSError as exc:
                self._audience.not_joined(worker, f"thread host: {os.strerror(exc.errno or 0)}")
                return
        ensemble.members[order.token] = worker
        ensemble.names.add(worker.path)
        ensemble.waiting.append((msgspec.structs.replace(order, seat=ensemble.seat), fds))
        if self._launcher.is_queued(ensemble.token):
            self._audience.waits(worker)
        self._send(ensemble)

    def waiting(self, token: int) -> list[Worker]:
        """Who waits for that process."""
        return list(self._all[token].members.values())

    def cancel(self, worker: Worker) -> None:
        """Its start takes too long, and it waits for a process still; others may go on waiting for that."""
        for ensemble in self._current.values():
            token = next((token for token, each in ensemble.members.items() if each is worker), 0)
            if token and len(ensemble.members) == 1 and not ensemble.pid:
                self._launcher.cancel(ensemble.token)
                return
            if token:
                del ensemble.members[token]
                ensemble.waiting = deque(each for each in ensemble.waiting if each[0].token != token)
                self._audience.not_joined(
                    worker, "the process that its supervisor's threads share did not take it in time"
                )
                return

    def closed(self, path: str) -> None:
        """The mailbox of that name is closed for good."""
        for ensemble in list(self._all.values()):
            if path in ensemble.names:
                ensemble.names.discard(path)
                self._let_go(ensemble)

    def renew(self) -> None:
        """Whoever is launched from now on gets a new process (EN-3)."""
        retired, self._current = self._current, {}
        for ensemble in retired.values():
            ensemble.is_retired = True
            self._let_go(ensemble)

    def launched(self, token: int, pid: int) -> None:
        """The process of an ensemble exists."""
        ensemble = self._all[token]
        ensemble.theirs.close()
        try:
            ensemble.pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # a spare that was killed, and swept, as it got its order
            self.failed(token, "its process was killed before it began")
            return
        except OSError as exc:
            process_exit.end(pid)
            self.failed(token, f"no descriptor to watch its process by: {os.strerror(exc.errno or 0)}")
            return
        ensemble.pid = pid
        loop = asyncio.get_running_loop()
        loop.add_reader(ensemble.pidfd, self._on_exit, ensemble)
        loop.add_reader(ensemble.ours.fileno(), self._on_left, ensemble)
        self._send(ensemble)
        self._let_go(ensemble)

    def failed(self, token: int, error: str, stacks: str = "") -> None:
        """No process came of an ensemble's launch; stacks: of the zygote, if it hung."""
        ensemble = self._all[token]
        workers = list(ensemble.members.values())
        self._forget(ensemble)
        for worker in workers:
            self._audience.not_joined(worker, error, ensemble.token, stacks)

    def shut(self) -> None:
        """The tree is down: wait a moment for the processes that are left to end by themselves."""
        loop, poll = asyncio.get_running_loop(), select.poll()
        ending = {each.pidfd for each in self._all.values() if each.pidfd >= 0}
        for ensemble in self._all.values():
            ensemble.ours.close()
        for fd in ending:
            loop.remove_reader(fd)
            poll.register(fd, select.POLLIN)
        until = loop.time() + EXIT_SECONDS
        while ending and (seconds := until - loop.time()) > 0:
            for fd, _ in poll.poll(seconds * 1000):
                poll.unregister(fd)
                ending.discard(fd)

    def _gathered(self, group: str, order: Launch) -> Ensemble:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            stacks_fd = allocated("understudy-stacks", LAST_WORDS_SIZE)
        except OSError:
            ours.close()
            theirs.close()
            raise
        ensemble = Ensemble(group, next(self._tokens), self._seats.take(), ours, theirs, stacks_fd)
        self._all[ensemble.token] = ensemble
        gather = Gather(ensemble.token, group, order.system, order.directory, ensemble.seat, order.pollers)
        self._launcher.launch(gather, [theirs.fileno(), self._seats.fd, stacks_fd])
        return ensemble

    def _send(self, ensemble: Ensemble) -> None:
        """Give the orders that wait to the process, if it is there."""
        while ensemble.pid and ensemble.waiting:
            order, fds = ensemble.waiting[0]
            try:
                socket.send_fds(ensemble.ours, [encode(order)], fds)
            except BlockingIOError:  # it has enough to do: the next look is soon enough
                asyncio.get_running_loop().call_later(0.001, self._send, ensemble)
                return
            except OSError:  # it has just died: `fell` tells of them all
                ensemble.waiting.clear()
                return
            ensemble.waiting.popleft()
            self._audience.joined(ensemble.members[order.token], ensemble.pid, ensemble.pidfd)

    def _on_left(self, ensemble: Ensemble) -> None:
        while True:
            try:
                raw = ensemble.ours.recv(_LEFT_BYTES)
            except (BlockingIOError, ConnectionResetError):
                return
            if not raw:
                asyncio.get_running_loop().remove_reader(ensemble.ours.fileno())
                return
            left = decode_left(raw)
            worker = ensemble.members.pop(left.token)
            self._audience.left(worker, process_exit.Exit(left.code))
            self._let_go(ensemble)
            if ensemble.ours.fileno() < 0:
                return

    def _on_exit(self, ensemble: Ensemble) -> None:
        ended = process_exit.reap(ensemble.pid)
        if ended is None:
            return
        if ensemble.ours.fileno() >= 0:
            self._on_left(ensemble)  # EN-4
        process_exit.kill_group(ensemble.pid)
        workers, stacks = list(ensemble.members.values()), ensemble.stacks()
        self._forget(ensemble)
        self._audience.fell(workers, ensemble.pid, ended, stacks)

    def _let_go(self, ensemble: Ensemble) -> None:
        """Hang up, if nobody needs the process any more: it ends by itself, or is killed."""
        if not ensemble.is_idle or not ensemble.pid or ensemble.ours.fileno() < 0:
            return
        self._retire(ensemble)
        loop = asyncio.get_running_loop()
        loop.remove_reader(ensemble.ours.fileno())
        ensemble.ours.close()
        loop.call_later(EXIT_SECONDS, self._kill, ensemble)

    def _kill(self, ensemble: Ensemble) -> None:
        if ensemble.pidfd >= 0:
            signal.pidfd_send_signal(ensemble.pidfd, signal.SIGKILL)

    def _retire(self, ensemble: Ensemble) -> None:
        ensemble.is_retired = True
        if self._current.get(ensemble.group) is ensemble:
            del self._current[ensemble.group]

    def _forget(self, ensemble: Ensemble) -> None:
        self._retire(ensemble)
        del self._all[ensemble.token]
        self._seats.leave(ensemble.seat)
        loop = asyncio.get_running_loop()
        if ensemble.ours.fileno() >= 0:
            loop.remove_reader(ensemble.ours.fileno())
            ensemble.ours.close()
        ensemble.theirs.close()
        if ensemble.pidfd >= 0:
            loop.remove_reader(ensemble.pidfd)
            os.close(ensemble.pidfd)
            ensemble.pidfd = -1
        os.close(ensemble.stacks_fd)
