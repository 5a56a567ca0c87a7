"""Understudies: processes that know the part of one actor, and wait until it dies.

    it is ready ─▶ Study, by the zygote ─▶ forked: its page mapped, its lanes open ─▶ waits
    it is to be launched again ─▶ one word ─▶ constructor, ready

A spare (runtime.process.stock) could be any actor; what makes it this one takes half a millisecond of a restart, and an
understudy has done that before.

UD-1  One enters for exactly the launch that it has studied: that incarnation of that program with that mailbox.
      Whatever is otherwise dismisses it, and the launch goes another way.
UD-2  Until then it writes to nothing that is the actor's, and reads nothing of it.
UD-3  It is none of the tree's: not counted, not watched, and gone with its actor's mailbox, with the zygote, with us.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from runtime.orders import Orders
from runtime.plan import Program
from runtime.process.launch import RESTOCK_SECONDS, Launcher
from runtime.process.order import Launch
from runtime.process.stock import Waiting
from runtime.process.zygote import ENTER
from runtime.seats import Seats
from runtime.worker import Worker

_BUSY_SECONDS = 0.05  # until a zygote that is busy is asked again
_DIED_SECONDS = 1.0  # until one that died is replaced: it may have died of what it studied


@dataclass(slots=True)
class _Part:
    launch: Launch
    worker: Worker
    program: Program  # the worker's may be another when the part is to be played
    process: Waiting | None = None


class Understudies:
    """At most one of each actor. Owns their sockets and seats."""

    def __init__(
        self,
        launcher: Launcher,
        seats: Seats,
        orders: Orders,
        tokens: Iterator[int],
        due: Callable[[Worker, int], None],
        died: Callable[[], None],
        loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.get_running_loop,
    ) -> None:
        """Have them forked by a launcher.

        Args:
            tokens: of launches.
            due: called when a worker that was ready in that incarnation is to be studied, if it still is.
            died: called when one has died: it is to be reaped.
            loop: the supervisor's, once that runs.
        """
        self._launcher = launcher
        self._seats = seats
        self._orders = orders
        self._tokens = tokens
        self._due = due
        self._died = died
        self._loop = loop
        self._parts: dict[str, _Part] = {}

    def soon(self, worker: Worker, seconds: float = RESTOCK_SECONDS) -> None:
        """A worker is ready: have its next incarnation prepared in a moment, where its program wants that."""
        wants_one = worker.program.understudies and worker.program.host == "process"
        if wants_one and worker.path not in self._parts:
            self._loop().call_later(seconds, self._due, worker, worker.incarnation)

    def study(self, worker: Worker, fds: list[int]) -> None:
        """Have one forked that knows the worker's next launch.

        Args:
            fds: as of a launch, but for the snapshots; they stay the caller's.
        """
        self.dismiss(worker.path)
        launch = self._orders.next_of(worker, next(self._tokens), self._seats.take())
        self._parts[worker.path] = _Part(launch, worker, worker.program)
        try:
            if not self._launcher.study(launch, fds, worker.pid):
                self.dismiss(worker.path)
        except BlockingIOError:
            self.dismiss(worker.path)
            self.soon(worker, _BUSY_SECONDS)

    def arrived(self, token: int, pid: int, fds: list[int]) -> None:
        """It has been forked; pid 0: it could not be, or without fds: not be received."""
        path = next((path for path, part in self._parts.items() if part.launch.token == token), None)
        if path is not None and not (pid and fds):
            self.dismiss(path)
        for fd in fds:
            sock = socket.socket(fileno=fd)
            if path is None or not pid:
                sock.close()
            else:
                part = self._parts[path]
                part.process = Waiting(pid, sock)
                self._loop().add_reader(part.process.fileno(), self._on_word, part, part.process)

    def enter(self, worker: Worker, launch: Launch, snapshots: list[int]) -> int:
        """Let the worker's understudy take the part; returns its pid, or 0 when there is none that could (UD-1)."""
        part = self._parts.pop(worker.path, None)
        if part is None:
            return 0
        studied = part.launch
        wanted = msgspec.structs.replace(launch, token=studied.token, seat=studied.seat)
        try:
            if wanted == studied and part.program is worker.program and part.process and part.process.is_ready():
                part.process.order(ENTER, snapshots)
                self._hang_up(part.process)
                worker.seat = studied.seat
                return part.process.pid
        except OSError:  # it was killed
            pass
        self._let_go(part)
        return 0

    def dismiss(self, path: str) -> None:
        """Nobody will have to play that part, or another one does."""
        part = self._parts.pop(path, None)
        if part is not None:
            self._let_go(part)

    def clear(self) -> None:
        """Dismiss all."""
        for path in list(self._parts):
            self.dismiss(path)

    def _let_go(self, part: _Part) -> None:
        if part.process is not None:
            self._hang_up(part.process)
        self._seats.leave(part.launch.seat)

    def _hang_up(self, process: Waiting) -> None:
        self._loop().remove_reader(process.fileno())
        process.dismiss()

    def _on_word(self, part: _Part, process: Waiting) -> None:
        try:
            process.hear()
        except BlockingIOError:
            return
        except OSError:  # it was killed
            self.dismiss(part.worker.path)
            self._died()
            self.soon(part.worker, _DIED_SECONDS)
