"""Waiting for a word of shared memory to change, without polling: futex(2), through ctypes.

FX-1  The word is the low half of an aligned 8-byte counter; it repeats after 2**32 steps, a slice is over long before.
FX-2  A wait is made of slices, so that signal handlers run whichever thread the kernel gave the signal to.
FX-3  Without FUTEX_PRIVATE_FLAG: the waiter and the waker are different processes.
"""

import ctypes
import errno
import mmap
import os
import platform
import sys
import time

SLICE_SECONDS = 0.1

_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98}  # __NR_futex; asm-generic/unistd.h for all but x86
_NUMBER = _NUMBERS.get(platform.machine(), -1)
_WAIT, _WAKE = 0, 1
_EVERYBODY = 0x7FFFFFFF
_LOW_HALF = 0 if sys.byteorder == "little" else 4
_PROTOTYPE = (ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)
_wait = ctypes.CDLL(None, use_errno=True).syscall
_wake = ctypes.PyDLL(None).syscall  # never waits, so it keeps the GIL
_wait.argtypes = _wake.argtypes = _PROTOTYPE
_wait.restype = _wake.restype = ctypes.c_long


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Futex:
    """One 8-byte counter in a shared map, to wait on; it lets go of the map when it is dropped."""

    __slots__ = ("_word",)

    def __init__(self, shared: mmap.mmap, at: int) -> None:
        """Use the counter at that offset, a multiple of 8.

        Raises:
            OSError: this kind of machine is not known.
        """
        if _NUMBER < 0:
            raise OSError(errno.ENOSYS, f"futex: expected one of {', '.join(_NUMBERS)}, got {platform.machine()}")
        self._word = (ctypes.c_uint32 * 1).from_buffer(shared, at + _LOW_HALF)  # it keeps the map alive

    def wait(self, value: int, deadline: float | None) -> None:
        """Sleep while the counter has this value: at most a slice, or until the deadline (monotonic seconds)."""
        seconds = SLICE_SECONDS if deadline is None else min(SLICE_SECONDS, deadline - time.monotonic())
        if seconds <= 0:
            return
        word, at_most = self._word, _Timespec(int(seconds), int(seconds % 1 * 1e9))
        if _wait(_NUMBER, ctypes.addressof(word), _WAIT, value & 0xFFFFFFFF, ctypes.addressof(at_most)) == 0:
            return
        error = ctypes.get_errno()
        if error not in (errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT):
            raise OSError(error, f"futex: {os.strerror(error)}")

    def wake(self) -> None:
        """Wake all who wait; they look at the counter again."""
        _wake(_NUMBER, ctypes.addressof(self._word), _WAKE, _EVERYBODY, None)
