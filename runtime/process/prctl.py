"""The few things only prctl(2) can do."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]  # the kernel refuses what is not 0 in all 64 bits
_set_name = ctypes.PyDLL(None).prctl  # PyDLL: nobody else gets the GIL; a start waits for it
_set_name.argtypes = [ctypes.c_int, ctypes.c_char_p, *[ctypes.c_ulong] * 3]


def die_with_parent() -> None:
    """Have the kernel send SIGKILL when the parent process dies (its thread that forked us, prctl(2))."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def become_subreaper(*, wanted: bool = True) -> None:
    """Become the parent of orphaned descendants; wanted=False: leave that to others again."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def give_up_new_privileges() -> None:
    """No program that this process or a descendant starts gains privileges, for ever."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_name(name: str) -> None:
    """Show a name in ps and /proc/<pid>/comm, for this thread only; the kernel keeps 15 bytes."""
    _set_name(_PR_SET_NAME, name.encode(), 0, 0, 0)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"prctl({option}): {os.strerror(errno)}")
