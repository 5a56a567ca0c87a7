"""FIFOs: the kernel's queue behind a mailbox's name.

FF-1  One frame, one non-blocking write of at most PIPE_BUF bytes: all of it or nothing, whole among any number of
      senders (pipe(7)). A killed sender leaves nothing.
FF-2  Whoever holds a FIFO open keeps what is in it. The supervisor holds every mailbox, so that it belongs to the name.
"""

import fcntl
import os
import struct
import termios


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
    try:
        return fd, fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, nbytes)
    except PermissionError:  # EPERM: over pipe-user-pages-soft or pipe-max-size; what the kernel gave is used
        return fd, fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)


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
