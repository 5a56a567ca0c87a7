"""The other end of the yardsticks, a process that knows nothing of actors: `python peer.py ROLE IN OUT`.

    pong    a request comes in (msgpack), its answer goes out, by blocking os.read and os.write
    count   messages come in as a stream; a 0 among them is answered with how many there were
    fork    a byte comes in: fork, and answer with the ns until the child's first byte
    kill    a byte comes in: fork, kill the child once it waits, and answer with the ns until it is reaped
    window  as pong, but requests may come several at once

IN and OUT are descriptors of pipes.
"""

import os
import select
import signal
import sys
from time import perf_counter_ns

import msgpack


def pong(read: int, write: int) -> None:
    """Answer requests until the end of file."""
    total = 0
    while raw := os.read(read, 65536):
        total += msgpack.unpackb(raw)[2]
        os.write(write, msgpack.packb(total))


def window(read: int, write: int) -> None:
    """Answer requests of which several may come at once, each by a write of its own."""
    unpacker = msgpack.Unpacker()
    total = 0
    while raw := os.read(read, 65536):
        unpacker.feed(raw)
        for message in unpacker:
            total += message[2]
            os.write(write, msgpack.packb(total))


def count(read: int, write: int) -> None:
    """Take messages in."""
    unpacker = msgpack.Unpacker()
    total = 0
    while raw := os.read(read, 65536):
        unpacker.feed(raw)
        for message in unpacker:
            total += message[2]
            if not message[2]:
                os.write(write, msgpack.packb(total))


def fork(read: int, write: int) -> None:
    """Fork as often as asked; this process has imported what an actor's process has."""
    import runtime.host  # noqa: F401  # what a fork costs depends on how large the process is

    back, there = os.pipe()
    while os.read(read, 1):
        start = perf_counter_ns()
        pid = os.fork()
        if not pid:
            os.write(there, b"x")
            os._exit(0)
        os.read(back, 1)
        taken = perf_counter_ns() - start
        os.waitpid(pid, 0)
        os.write(write, taken.to_bytes(8, "little"))


def kill(read: int, write: int) -> None:
    """Fork and kill as often as asked; what the kernel needs to end a process depends on how large that is."""
    import runtime.host  # noqa: F401  # as in fork()

    back, there = os.pipe()
    while os.read(read, 1):
        pid = os.fork()
        if not pid:
            os.write(there, b"x")
            signal.pause()
            os._exit(1)
        os.read(back, 1)
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        start = perf_counter_ns()
        os.kill(pid, signal.SIGKILL)
        poll.poll()
        os.waitpid(pid, 0)
        taken = perf_counter_ns() - start
        os.close(pidfd)
        os.write(write, taken.to_bytes(8, "little"))


if __name__ == "__main__":
    roles = {"pong": pong, "window": window, "count": count, "fork": fork, "kill": kill}
    roles[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
