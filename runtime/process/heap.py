"""The heap of a process that is forked often: in large pages.

fork(2) copies an entry for every page that is mapped, and the end of a process drops each of them again: of an
interpreter with 22 MB in pages of 4 KiB that is most of what a death costs, a millisecond or two in which nobody can be
told of it. Pages of 2 MiB are copied and dropped as one until they are written to, and in batches after that.

A fork pays once more for every page that it writes to first: a copy, four microseconds. Those that another fork of the
same process has had to copy are known to the kernel, and can be copied before anybody waits.

HE-1  Nothing depends on it: where the kernel cannot, or has no such pages left, the heap stays as it is.
HE-2  Collecting a stretch takes some milliseconds in which nothing else happens; it is the caller's to find the time.
HE-3  Of a process that has written to much, not more than MOST_COPIED_BYTES is copied. Mappings over LARGEST_BYTES are
      data, and left alone; so is a stretch that is less than half full, which a large page would fill with nothing.
"""

import ctypes
import mmap
import os
from array import array
from collections.abc import Iterator

HUGE_BYTES = 1 << 21  # a large page of x86-64, and of aarch64 with small ones of 4 KiB
_MADV_COLLAPSE = 25  # linux/mman.h, since Linux 6.1; asked for, it is done whatever transparent_hugepage/enabled says
_MADV_POPULATE_WRITE = 23  # linux/mman.h, since Linux 5.14
_EXCLUSIVE, _PRESENT = 1 << 56, 1 << 63  # of a word of /proc/<pid>/pagemap: mapped by nobody else, mapped at all
MOST_COPIED_BYTES = 8 << 20
LARGEST_BYTES = 64 << 20
_PAGE = mmap.PAGESIZE
_KEPT = (1 << 20) // 512

WIDEN = f"heap = [bytes(479) for _ in range({14 * _KEPT})][::{_KEPT // 2}]"
"""Python that has the interpreter take the memory for its objects in one piece, before imports take it piece by piece
with libraries in between: a stretch of 2 MiB is collected as a whole or not at all. 14 MiB is what our own modules
need; an object of 512 bytes, the largest that comes from arenas, is kept of each half MiB, or its arena would be given
back (Objects/obmalloc.c: arenas of 1 MiB)."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def stretches() -> Iterator[int]:
    """The addresses of all stretches of HUGE_BYTES of this process's heap that could each be one page."""
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end, name in _private():
            if name in ("", "[heap]"):
                for each in range(-(-start // HUGE_BYTES) * HUGE_BYTES, end - HUGE_BYTES + 1, HUGE_BYTES):
                    words = _pagemap(fd, each, each + HUGE_BYTES)
                    if sum(word & _PRESENT != 0 for word in words) >= len(words) // 2:
                        yield each
    finally:
        os.close(fd)


def collect(address: int) -> None:
    """Make one page of a stretch (HE-1, HE-2).

    Raises:
        OSError: it stays as it is; EINVAL: this kernel cannot.
    """
    _advise(address, HUGE_BYTES, _MADV_COLLAPSE)


def copy_what_is_written_by(pid: int) -> int:
    """Make those pages this process's own that are that process's own, a fork of the same one; returns their bytes.

    Raises:
        OSError: it has ended; EINVAL: this kernel cannot (HE-1).
    """
    copied = 0
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end, _ in list(_private()):
            words = _pagemap(fd, start, end)
            for page in (n for n, word in enumerate(words) if word & _EXCLUSIVE):
                if copied >= MOST_COPIED_BYTES:
                    return copied
                _advise(start + page * _PAGE, _PAGE, _MADV_POPULATE_WRITE)
                copied += _PAGE
    finally:
        os.close(fd)
    return copied


def _private() -> Iterator[tuple[int, int, str]]:
    """Start, end and name of this process's private writable memory, its stack and large data excepted (HE-3)."""
    with open("/proc/self/maps") as maps:
        rows = [line.rstrip("\n").split(None, 5) for line in maps]
    for bounds, flags, _, _, _, *name in rows:
        start, end = (int(each, 16) for each in bounds.split("-"))
        if flags == "rw-p" and name != ["[stack]"] and end - start <= LARGEST_BYTES:
            yield start, end, "".join(name)


def _pagemap(fd: int, start: int, end: int) -> "array[int]":
    """A word for each page (proc_pid_pagemap(5))."""
    return array("Q", os.pread(fd, (end - start) // _PAGE * 8, start // _PAGE * 8))


def _advise(address: int, nbytes: int, advice: int) -> None:
    if _libc.madvise(address, nbytes, advice) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
