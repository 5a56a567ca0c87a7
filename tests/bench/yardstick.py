"""Yardsticks: what the same work costs with nothing but pipes, msgpack, fork and memcpy."""

import contextlib
import fcntl
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns

import msgpack

from tests.bench.sample import seconds

ROOT = Path(__file__).resolve().parent.parent.parent
_MAILBOX_BYTES = 32 * 1024  # the same capacity as a mailbox


class Peer:
    """A process at the other end of two pipes."""

    def __init__(self, pid: int, read: int, write: int) -> None:
        self.pid = pid
        self.read = read
        self.write = write
        self._request = [None, "add", 1]

    def ask(self) -> int:
        """One request and its answer; peer `pong`."""
        os.write(self.write, msgpack.packb(self._request))
        value: int = msgpack.unpackb(os.read(self.read, 65536))
        return value

    def ask_window(self, rounds: int, width: int) -> None:
        """So many requests under way at once, again and again; peer `window`."""
        unpacker = msgpack.Unpacker()
        for _ in range(rounds):
            for _ in range(width):
                os.write(self.write, msgpack.packb(self._request))
            answered = 0
            while answered < width:
                unpacker.feed(os.read(self.read, 65536))
                answered += sum(1 for _ in unpacker)

    def tell(self, count: int) -> float:
        """So many messages, one write each, until the last is taken; messages/s; peer `count`."""
        request, pack, write = self._request, msgpack.packb, os.write
        start = perf_counter_ns()
        for _ in range(count):
            write(self.write, pack(request))
        write(self.write, pack([None, "add", 0]))
        os.read(self.read, 64)
        return count / (perf_counter_ns() - start) * 1e9

    def turn(self) -> float:
        """What it does once, in ms: fork and first byte back, peer `fork`; SIGKILL until reaped, peer `kill`."""
        os.write(self.write, b"x")
        return int.from_bytes(os.read(self.read, 8), "little") / 1e6


@contextlib.contextmanager
def peer(role: str) -> Iterator[Peer]:
    """A peer of that role; see `tests.bench.peer`. Inherits this process's CPU affinity."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(to_write, fcntl.F_SETPIPE_SZ, _MAILBOX_BYTES)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.peer", role, str(to_read), str(from_write)],
        pass_fds=[to_read, from_write],
        cwd=ROOT,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Peer(process.pid, from_read, to_write)
    finally:
        os.close(to_write)
        os.close(from_read)
        process.wait()


class Copy:
    """memcpy into a map that was written before."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._map = mmap.mmap(-1, nbytes)
        self._view = memoryview(self._map)
        self._source = bytes(nbytes)
        self._view[:] = self._source

    def rate(self, times: int) -> float:
        """Bytes copied, in GB/s."""
        start = perf_counter_ns()
        for _ in range(times):
            self._view[:] = self._source
        return self._nbytes * times / (perf_counter_ns() - start)

    def close(self) -> None:
        """Unmap it."""
        self._view.release()
        self._map.close()


def python_pass() -> float:
    """An interpreter from start to end, in ms."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) * 1e3
