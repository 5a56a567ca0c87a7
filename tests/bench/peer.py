"""The other end of the yardsticks, a process that knows nothing of actors: `python peer.py ROLE IN OUT`.

    pong    a request comes in (msgpack), its answer goes out, by blocking os.read and os.write
    count   messages come in as a stream; a 0 among them is answered with how many there were
    fork    a byte comes in: fork, and answer with the ns until the child's first byte
    window  as pong, but requests may come several at once

IN and OUT are descriptors of pipes.
"""

import os
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


if __name__ == "__main__":
    {"pong": pong, "window": window, "count": count, "fork": fork}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
