"""Processes that use a region: a single-threaded one that forks them, so that many can be killed in little time.

    python -m tests.runtime.memory.farm FD LAYOUT      reads "ROLE" or "reap", a line each

A forked process writes its pid when it has come to where its role is about; "reap" waits for the last one's end.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys

from actors.layout import Layout, array, field
from runtime.memory.lock import Hold
from runtime.memory.region import Region
from runtime.process import prctl


class Small(Layout):
    """4 KiB: all of x is n."""

    n = field("u8")
    x = array("f8", 511)


class Large(Layout):
    """1 MiB: all of x is n."""

    n = field("u8")
    x = array("f8", (1 << 17) - 1)


LAYOUTS = {"Small": Small, "Large": Large}


class Farm:
    """The way to one farm, for a test."""

    def __init__(self, fd: int, layout: type[Layout]) -> None:
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # so that it may fork
        command = [sys.executable, "-m", __spec__.name, str(fd), layout.__name__]
        self._process = subprocess.Popen(
            command, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )

    def fork(self, role: str) -> int:
        """Start a process; returns its pid when it is where its role is about."""
        return int(self._say(role))

    def reap(self) -> int:
        """Wait for the end of the last one; returns its wait status."""
        return int(self._say("reap"))

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.reap()

    def _say(self, line: str) -> bytes:
        self._process.stdin.write(line.encode() + b"\n")
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(5)


def main(fd: int, layout: type[Layout]) -> None:
    region = Region(fd, layout, name="farmed", holder="farmer", owner_died=lambda *_: None)
    pid = 0
    for line in sys.stdin:
        if line == "reap\n":
            say(os.waitpid(pid, 0)[1])
            continue
        if line == "write\n":
            warm_up()
        pid = os.fork()
        if pid == 0:
            prctl.die_with_parent()  # a test that is cut short leaves no writer behind
            try:
                ROLES[line.strip()](region)
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 1)


def warm_up() -> None:
    """Import numpy before the forks, once."""
    with contextlib.suppress(ImportError):
        import numpy as np  # noqa: F401


def say(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_for_ever(region: Region) -> None:
    first = number = region.read().n + 1
    while True:
        with region.write() as view:
            view.n = number
            view.x[:] = number
        if number == first:
            say(os.getpid())
        number += 1


def hold(region: Region) -> None:
    with region.write():
        say(os.getpid())
        signal.pause()


def die(region: Region) -> None:
    with region.write(timeout=2.0) as view:
        view.n = 666
        say(os.getpid())
        end()


def die_recovering(region: Region) -> None:
    """Between being told that the owner died and mending the mutex."""
    lock = region._open().lock
    outcome = ctypes.CDLL(None).pthread_mutex_lock(lock.mutex)
    say(os.getpid() if outcome else -1)
    end()


def die_locked(region: Region) -> None:
    Hold(region._open().lock).take(2.0)
    say(os.getpid())
    end()


def spoil(region: Region) -> None:
    """Unlocks what a dead owner left as it is: what must never be done."""
    libc, mutex = ctypes.CDLL(None), region._open().lock.mutex
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_unlock(mutex)
    say(os.getpid())


def add(region: Region) -> None:
    say(os.getpid())
    for _ in range(200):
        region.update(increment)


def commit(region: Region) -> None:
    say(os.getpid())
    region.update(increment)


def write_and_stay(region: Region) -> None:
    region.update(increment)
    say(os.getpid())
    signal.pause()


def try_to_hold(region: Region) -> None:
    """Says its pid when the lock was free."""
    attempt = Hold(region._open().lock)
    say(os.getpid() if attempt.take(0) is not None else -1)
    attempt.give()


def fork_inside(region: Region) -> None:
    """A process forked inside a transaction leaves it: says the generation then and at the end."""
    with region.write() as view:
        view.n = 1
        inner = os.fork()
        if inner:
            os.waitpid(inner, 0)
            say(region.generation)
    if not inner:
        end()


def increment(view: Small) -> None:
    view.n += 1


ROLES = {
    "write": write_for_ever,
    "hold": hold,
    "die": die,
    "die recovering": die_recovering,
    "die locked": die_locked,
    "spoil": spoil,
    "add": add,
    "commit": commit,
    "write and stay": write_and_stay,
    "try": try_to_hold,
    "fork inside": fork_inside,
}

if __name__ == "__main__":
    main(int(sys.argv[1]), LAYOUTS[sys.argv[2]])
