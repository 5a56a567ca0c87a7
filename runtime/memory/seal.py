"""Memory without a name: memfds, allocated at once and sealed, so that they never fail later."""

import asyncio
import fcntl
import os
import resource
from collections.abc import Coroutine
from typing import Any

F_ADD_SEALS = 1033  # linux/fcntl.h; Python 3.11 has no name for them
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE = 1, 2, 4, 8


STEP_BYTES = 8 << 20  # some 4 ms of zeroing pages: so long an event loop may be held up


def most_nbytes(left: int) -> int:
    """What a file of ours may have, of so many bytes that are left: RLIMIT_FSIZE counts for memfds too."""
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return left if soft == resource.RLIM_INFINITY else min(left, soft)


async def allocated_in_steps(name: str, nbytes: int) -> int:
    """As `allocated`, and the event loop goes on meanwhile: the pages of a GiB take half a second.

    Steps and not a thread: the process that needs this, the supervisor, forks.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, nbytes)
        for at in range(0, nbytes, STEP_BYTES):
            os.posix_fallocate(fd, at, min(STEP_BYTES, nbytes - at))
            if nbytes > STEP_BYTES:
                await asyncio.sleep(0)
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd


def allocated(name: str, nbytes: int) -> int:
    """A zeroed memfd of that size that can neither shrink nor grow; the caller owns the descriptor.

    Raises:
        OSError: ENOSPC, ENOMEM or EFBIG: it cannot be had.
    """
    return at_once(allocated_in_steps(name, nbytes))


def at_once(steps: Coroutine[Any, Any, int]) -> int:
    """Run what goes in steps without an event loop: each of its waits is `asyncio.sleep(0)`, which needs none."""
    while True:
        try:
            steps.send(None)
        except StopIteration as ended:
            return int(ended.value)


def allocated_around(name: str, nbytes: int, hole: range) -> int:
    """As `allocated`, but for the bytes of the hole: their memory is allocated by whoever needs it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, nbytes)
        os.posix_fallocate(fd, 0, hole.start)
        os.posix_fallocate(fd, hole.stop, nbytes - hole.stop)
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
    except OSError:
        os.close(fd)
        raise
    return fd


def sealed(content: bytes) -> int:
    """A memfd that holds these bytes for good: nobody can change them; the caller owns the descriptor."""
    fd = os.memfd_create("understudy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    try:
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
    except OSError:
        os.close(fd)
        raise
    return fd
