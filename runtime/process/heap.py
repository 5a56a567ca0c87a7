"""The heap of a process that is forked often: in large pages.

fork(2) copies an entry for every page that is mapped, and the end of a process drops each of them again: of an
interpreter with 22 MB in pages of 4 KiB that is most of what a death costs, a millisecond or two in which nobody can be
told of it. Pages of 2 MiB are copied and dropped as one until they are written to, and in batches after that.

A fork pays once more for every page that it writes to first: a copy, four microseconds; and again at its end. Those
that another fork of the same process has had to copy are known to the kernel, and can be copied before anybody waits.

HE-1  Nothing depends on it: where the kernel cannot, or has no such pages left, the heap stays as it is.
HE-2  Collecting a stretch takes some milliseconds in which nothing else happens; it is the caller's to find the time.
HE-3  Of a process that has written to much, not more than MOST_COPIED_BYTES is copied. Mappings over LARGEST_BYTES are
      data, and left alone; so is a stretch that is less than half full, which a large page would fill with nothing.
HE-4  Only a process that was forked from the heap as it is tells what a fork writes to: one that is older has for its
      own what it once shared with pages that have been replaced since.
"""

import contextlib
import ctypes
import mmap
import os
from array import array
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice

HUGE_BYTES = 1 << 21  # a large page of x86-64, and of aarch64 with small ones of 4 KiB
_MADV_COLLAPSE = 25  # linux/mman.h, since Linux 6.1; asked for, it is done whatever transparent_hugepage/enabled says
_MADV_POPULATE_WRITE = 23  # linux/mman.h, since Linux 5.14
_EXCLUSIVE, _PRESENT = 1 << 56, 1 << 63  # of a word of /proc/<pid>/pagemap: mapped by nobody else, mapped at all
MOST_COPIED_BYTES = 8 << 20
LARGEST_BYTES = 64 << 20
_RECENT = 256  # forks: an actor is asked about a moment after it was forked
_PAGE = mmap.PAGESIZE
_KEPT = (1 << 20) // 512

WIDEN = f"""_kept = [b""] * {14 * _KEPT}
for _n in range(len(_kept)): _kept[_n] = bytes(479)
_kept = _kept[::{_KEPT // 2}]"""
"""Python that has the interpreter take the memory for its objects in one piece, before imports take it piece by piece
with libraries in between: a stretch of 2 MiB is collected as a whole or not at all. 14 MiB is what our own modules
need; an object of 512 bytes, the largest that comes from arenas, is kept of each half MiB, or its arena would be given
back (Objects/obmalloc.c: arenas of 1 MiB). The list does not grow: it would leave holes of its former sizes behind."""

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


class Written:
    """What the forks of this process write to: learned once for each kind of them, from one that lives."""

    def __init__(self) -> None:
        self._forks: deque[int] = deque(maxlen=_RECENT)
        self._pages: dict[Hashable, list[int]] = {}

    def forked(self, pid: int) -> None:
        """There is one more fork."""
        self._forks.append(pid)

    def rearranged(self) -> None:
        """The heap is another one than those forks know (HE-4)."""
        self._forks.clear()
        self._pages.clear()

    def by(self, kind: Hashable, pid: int) -> list[int]:
        """Addresses of the pages that forks of a kind have to copy, of which that process is one; [] if not known."""
        if kind not in self._pages and pid in self._forks:
            with contextlib.suppress(OSError):  # it has ended; EINVAL: this kernel cannot (HE-1)
                self._pages[kind] = list(islice(_own_pages(pid), MOST_COPIED_BYTES // _PAGE))
        return self._pages.get(kind, [])


def copy(pages: Iterable[int]) -> None:
    """Make pages this process's own, before it writes to them.

    Raises:
        OSError: EINVAL, this kernel cannot (HE-1).
    """
    for address in pages:
        _advise(address, _PAGE, _MADV_POPULATE_WRITE)


def _own_pages(pid: int) -> Iterator[int]:
    """The addresses of pages that are a fork's own, where this process has private memory too."""
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, end, _ in _private():
            words = _pagemap(fd, start, end)
            yield from (start + n * _PAGE for n, word in enumerate(words) if word & _EXCLUSIVE)
    finally:
        os.close(fd)


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
