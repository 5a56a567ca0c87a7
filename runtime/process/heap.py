"""The heap of a process that is forked often: in large pages.

fork(2) copies an entry for every page that is mapped, and the end of a process drops each of them again: of an
interpreter with 22 MB in pages of 4 KiB that is most of what a death costs, a millisecond or two in which nobody can be
told of it. Pages of 2 MiB are copied and dropped as one until they are written to, and in batches after that.

HE-1  Nothing depends on it: where the kernel has no such pages, or none left, the heap stays as it is.
HE-2  Collecting a stretch takes some milliseconds in which nothing else happens; it is the caller's to find the time.
"""

import ctypes
import os
from collections.abc import Iterator

HUGE_BYTES = 1 << 21  # a large page of x86-64, and of aarch64 with small ones of 4 KiB
_MADV_COLLAPSE = 25  # linux/mman.h, since Linux 6.1; asked for, it is done whatever transparent_hugepage/enabled says
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
    with open("/proc/self/maps") as maps:
        rows = [line.rstrip("\n").split(None, 5) for line in maps]
    for bounds, flags, _, _, _, *name in rows:
        if flags == "rw-p" and name in ([], ["[heap]"]):
            start, end = (int(each, 16) for each in bounds.split("-"))
            yield from range(-(-start // HUGE_BYTES) * HUGE_BYTES, end - HUGE_BYTES + 1, HUGE_BYTES)


def collect(address: int) -> None:
    """Make one page of a stretch (HE-1, HE-2).

    Raises:
        OSError: it stays as it is; EINVAL: this kernel cannot.
    """
    if _libc.madvise(address, HUGE_BYTES, _MADV_COLLAPSE) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
