"""Memory without a name: memfds, allocated at once and sealed, so that they never fail later."""

import fcntl
import os

F_ADD_SEALS = 1033  # linux/fcntl.h; Python 3.11 has no name for them
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE = 1, 2, 4, 8


def allocated(name: str, nbytes: int) -> int:
    """A zeroed memfd of that size that can neither shrink nor grow; the caller owns the descriptor.

    Raises:
        OSError: ENOSPC, ENOMEM or EFBIG: it cannot be had.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        if nbytes:
            os.ftruncate(fd, nbytes)
            os.posix_fallocate(fd, 0, nbytes)
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
    except OSError:
        os.close(fd)
        raise
    return fd


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
