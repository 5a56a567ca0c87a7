"""Callers: processes apart that ask, tell and paint, and are killed in the midst of it.

    python -m tests.soak.callers LEDGER SEED        forks one caller for each line it reads; prints its pid

The nursery has one thread and has imported everything, so a caller costs a fork. When its input ends, so that nothing is
to be read there, callers end in order: they wait for what is under way, and let go of the system.
"""

import asyncio
import faulthandler
import os
import select
import signal
import subprocess
import sys
from random import Random
from typing import Any

from runtime import Client, connect
from tests.soak.canvas import Canvas, Painter
from tests.soak.ledger import ACTORS, Ledger
from tests.soak.playbill import CANVAS, producing, targets
from tests.soak.sender import AsyncSender, Sender

_PAINTS = 0.05  # how often it paints
_WAITS = 0.05  # how often it waits for another to paint
_SECONDS = 20.0  # to end in order
SYSTEM = "soak"


class Nursery:
    """Where callers come from, for one round. Owns their pidfds."""

    def __init__(self, ledger: str, seed: str) -> None:
        """Start it."""
        command = [sys.executable, "-m", "tests.soak.callers", ledger, seed]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._pidfds: dict[int, int] = {}

    def fork(self) -> None:
        """One more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self._pidfds[pid] = os.pidfd_open(pid)  # nobody has reaped it: the nursery does so as it ends

    def kill(self, chance: Random) -> int:
        """End one of them by SIGKILL, and return its pid; 0 when there is none."""
        if not self._pidfds:
            return 0
        pid = chance.choice(sorted(self._pidfds))
        fd = self._pidfds.pop(pid)
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        os.close(fd)
        return pid

    def count(self) -> int:
        """How many there are."""
        return len(self._pidfds)

    def end(self) -> tuple[list[int], list[int]]:
        """Let all end in order; pids of those that did, and of those that hang, which are killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        ended, hung = [], []
        for pid, fd in self._pidfds.items():
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            is_over = bool(poll.poll(_SECONDS * 1000))
            (ended if is_over else hung).append(pid)
            if not is_over:
                signal.pidfd_send_signal(fd, signal.SIGABRT)  # faulthandler: where
            os.close(fd)
        self._pidfds.clear()
        self._process.stdout.close()
        self._process.wait(_SECONDS)
        return ended, hung


class Caller:
    """One caller's process."""

    def __init__(self, client: Client, path: str, seed: str) -> None:
        self._chance = Random(f"{seed}/{os.getpid()}")
        self._ledger = Ledger(path)
        self._number = ACTORS | os.getpid()
        self._targets = targets(client) + producing(client)
        self._region = client.region(CANVAS, Canvas)
        self._painter = Painter(self._region, self._ledger, 0)

    def call(self) -> None:
        """Send, ask and paint until the nursery's input has ended."""
        if self._chance.random() < 0.5:
            asyncio.run(self._call_in_loop())
            return
        sender = Sender(self._ledger, self._number, self._targets, self._chance)
        while not _is_over():
            sender.step()
            self._paint()
        sender.collect()

    async def _call_in_loop(self) -> None:
        sender = AsyncSender(self._ledger, self._number, self._targets, self._chance)
        while not _is_over():
            await sender.step()
        await sender.collect()

    def _paint(self) -> None:
        drawn = self._chance.random()
        if drawn < _PAINTS:
            self._painter.paint(self._chance.random() * 0.004)
        elif drawn < _PAINTS + _WAITS:
            self._region.wait_newer(self._region.generation, 0.05)


def _is_over() -> bool:
    """The nursery's input has ended: its other end is closed."""
    return bool(_HUNG_UP.poll(0))


_HUNG_UP: Any = select.poll()


def main(path: str, seed: str) -> None:
    """Be the nursery."""
    faulthandler.enable()
    _HUNG_UP.register(0, 0)
    children = []
    while os.read(0, 1):
        pid = os.fork()
        if not pid:
            with connect(SYSTEM) as client:
                Caller(client, path, seed).call()
            os._exit(0)
        children.append(pid)
        os.write(1, f"{pid}\n".encode())
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
