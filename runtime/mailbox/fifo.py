"""FIFOs: the kernel's queue behind a mailbox's name.

FF-1  One frame, one non-blocking write of at most PIPE_BUF bytes: all of it or nothing, whole among any number of
      senders (pipe(7)). A killed sender leaves nothing.
FF-2  Whoever holds a FIFO open keeps what is in it. The supervisor holds every mailbox, so that it belongs to the name.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import struct
import termios
from collections.abc import Iterable
from typing import Protocol

_SPLICE_F_NONBLOCK = 2  # linux/splice.h; Python has splice(2), and no tee(2)
_tee = ctypes.CDLL(None, use_errno=True).tee
_tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
_tee.restype = ctypes.c_ssize_t


class Fifos(Protocol):
    """Who opens FIFOs by their paths: this module does; a rehearsal has no paths."""

    def open_read(self, path: str) -> int:
        """The reader's end."""
        ...

    def open_write(self, path: str) -> int:
        """A sender's end."""
        ...


class OpenedLanes:
    """Opens FIFOs; for reading these ones ahead, each for whoever asks for it first."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._opened: dict[str, int] = {}
        for path in paths:
            with contextlib.suppress(OSError):  # told to whoever asks for it
                self._opened[path] = open_read(path)

    def open_read(self, path: str) -> int:
        """The reader's end."""
        return self._opened.pop(path) if path in self._opened else open_read(path)

    def open_write(self, path: str) -> int:
        """A sender's end."""
        return open_write(path)


def create(path: str, nbytes: int) -> tuple[int, int]:
    """Make a FIFO and hold it open.

    Args:
        path: where; whatever is there is replaced (a crashed system leaves names behind).
        nbytes: size wanted.
    Returns:
        The descriptor that holds it (read and write, non-blocking) and the size granted (F_GETPIPE_SZ).
    """
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        os.unlink(path)
        os.mkfifo(path, 0o600)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    return fd, resize(fd, nbytes)


def resize(fd: int, nbytes: int) -> int:
    """Give a FIFO another size; what is in it stays. Returns the size granted: the present one where another is not."""
    try:
        return fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, nbytes)
    except PermissionError:  # EPERM: over pipe-user-pages-soft or pipe-max-size; what the kernel gave is used
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except OSError as exc:
        if exc.errno != errno.EBUSY:  # it holds more than that
            raise
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)


def rounded(nbytes: int) -> int:
    """The size that the kernel makes of one that is wanted: a power of two of pages."""
    return 1 << (max(nbytes, mmap.PAGESIZE) - 1).bit_length()


def link(fd: int, path: str) -> None:
    """Give a FIFO of this process, whose name somebody has removed, one again: a link to it, as it is open here.

    It cannot be had back itself: linkat(2) refuses what has no name left.

    Raises:
        OSError: it cannot be made.
    """
    os.symlink(f"/proc/{os.getpid()}/fd/{fd}", path)


def open_read(path: str) -> int:
    """The reader's end. Returns at once, whether or not there is a writer."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def open_write(path: str) -> int:
    """A sender's end.

    Raises:
        FileNotFoundError: there is no such FIFO.
        OSError: ENXIO, nobody reads it.
    """
    return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def queued_bytes(fd: int) -> int:
    """Bytes in the kernel's queue (FIONREAD, either end)."""
    raw = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
    count: int = struct.unpack("i", raw)[0]
    return count


def peek(fd: int) -> bytes:
    """What is in a FIFO, which stays in it (tee(2)); the descriptor reads and does not block.

    Raises:
        OSError: not all of it could be copied.
    """
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ))
        waiting = queued_bytes(fd)
        copied = max(0, _tee(fd, write, waiting, _SPLICE_F_NONBLOCK)) if waiting else 0
        if copied < min(waiting, queued_bytes(fd)):
            raise OSError(ctypes.get_errno(), "tee")
        return os.read(read, copied) if copied else b""
    finally:
        os.close(read)
        os.close(write)


def drain(fd: int) -> bytes:
    """Take everything out of a FIFO, without waiting."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(fd, 1 << 20)
        except BlockingIOError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)
