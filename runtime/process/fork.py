"""Forking a sibling, a copy of this process that is our parent's child, by one fork; and what a fork does first.

An actor belongs to the supervisor, which is the zygote's parent. Forking twice and letting the middle process end hands
the actor over as well, and copies the zygote's page tables twice: four of the twelve milliseconds of CPU that a start
took. The kernel can do it at once (CLONE_PARENT, clone(2)); `os.fork` cannot ask for it.

FO-1  To Python a sibling is a fork like any other: the functions of `os.register_at_fork` run.
FO-2  To libc it is one too: its thread id is right, its robust mutexes are its own (pthread_mutexattr_setrobust).
FO-3  What it does not do is call the handlers that C libraries leave with pthread_atfork(3). As soon as one is loaded
      that has any, or where libc or the machine is not as known here, it cannot be used: `can_fork_sibling`.
FO-4  Nor does it know of an `os.fork` that somebody has put in the place of Python's, as debuggers do to follow a
      child: then that one is used.
"""

import ctypes
import mmap
import os
import posix
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

from runtime.process import prctl

_CALLS = {"x86_64": (56, 273, 274), "aarch64": (220, 99, 100)}  # clone, set_robust_list, get_robust_list: asm/unistd.h
_CLONE_PARENT = 0x8000
_CLONE_CHILD_CLEARTID = 0x200000
_CLONE_CHILD_SETTID = 0x1000000
_FLAGS = _CLONE_PARENT | _CLONE_CHILD_CLEARTID | _CLONE_CHILD_SETTID | signal.SIGCHLD  # those of fork(3), and PARENT
_ROBUST_BYTES = 3 * ctypes.sizeof(ctypes.c_long)  # struct robust_list_head
_TID_BEFORE_ROBUST = 16  # glibc's struct pthread, nptl/descr.h: tid, one spare int, robust_prev, robust_head
_REGISTERS = b"__register_atfork\0"  # the symbol that pthread_atfork comes to in glibc

_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL: the GIL is not let go of in between
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def loaded_libraries() -> set[str]:
    """The shared objects mapped into this process."""
    with open("/proc/self/maps") as maps:
        rows = (line.rstrip("\n").split(None, 5) for line in maps)
        return {row[5] for row in rows if len(row) > 5 and "x" in row[1] and row[5].startswith("/")}


def can_fork_sibling(libraries: set[str]) -> bool:
    """`fork_sibling` does here what `os.fork` does (FO-3).

    Args:
        libraries: paths of the shared objects that may have handlers of their own: all but Python's and libc's.
    """
    return os.fork is posix.fork and _tid_at() != 0 and not any(_has_handlers(path) for path in libraries)


def fork_sibling() -> int:
    """As `os.fork`, but the child's parent is this process's; only in a process with one thread.

    Raises:
        OSError: as of `os.fork`.
    """
    clone, set_robust_list, _ = _CALLS[os.uname().machine]
    tid_at = ctypes.c_void_p(_tid_at())
    robust_at = ctypes.c_void_p(_robust_at())
    ctypes.pythonapi.PyOS_BeforeFork()
    # the fourth and the fifth argument are the place of the tid and the TLS, in either order, by machine; no new TLS
    pid: int = _syscall(clone, ctypes.c_long(_FLAGS), None, None, tid_at, tid_at)
    if pid == 0:
        _syscall(set_robust_list, robust_at, ctypes.c_size_t(_ROBUST_BYTES))
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    errno = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(errno, os.strerror(errno))
    return pid


def fork_twice(child: Callable[[int], NoReturn]) -> int:
    """Fork a grandchild that runs child(), given the pid of the process in between; that ends at once.

    Returns:
        The grandchild's pid. It is the nearest subreaper's, soon.
    Raises:
        OSError: as of `os.fork`.
    """
    read, write = os.pipe()
    try:
        middle = os.fork()
        if middle == 0:
            _be_middle(write, child)
        os.waitpid(middle, 0)
        os.close(write)
        write = -1
        pid = int.from_bytes(os.read(read, 8), "little")
        if pid == 0:
            raise BlockingIOError("the second fork failed")
        return pid
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)


def wait_for_parent(supervisor: int, middle: int) -> None:
    """Wait until the middle process is gone and we are the supervisor's; then die when it dies.

    PDEATHSIG set earlier would go off at the middle's exit. Any third parent: the supervisor is gone.
    """
    while (parent := os.getppid()) != supervisor:
        if parent != middle:
            os._exit(0)
        os.sched_yield()
    prctl.die_with_parent()
    if os.getppid() != supervisor:
        os._exit(0)


def reset_signals() -> None:
    """Default dispositions, as a fresh interpreter has them; SIGPIPE stays ignored."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor but these and 0 to 2."""
    low = 3
    for fd in sorted(keep):
        if fd >= low:
            os.closerange(low, fd)
            low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _be_middle(write: int, child: Callable[[int], NoReturn]) -> NoReturn:
    middle = os.getpid()
    try:
        actor = os.fork()
    except OSError:
        os._exit(1)
    if actor:
        os.write(write, actor.to_bytes(8, "little"))
        os._exit(0)
    os.close(write)
    child(middle)


def _robust_at() -> int:
    """Where this thread's list of robust mutexes begins; 0 where that is not known."""
    if os.uname().machine not in _CALLS:
        return 0
    head, nbytes = ctypes.c_void_p(), ctypes.c_size_t()
    get_robust_list = _CALLS[os.uname().machine][2]
    if _syscall(get_robust_list, None, ctypes.byref(head), ctypes.byref(nbytes)) or nbytes.value != _ROBUST_BYTES:
        return 0
    return head.value or 0


def _tid_at() -> int:
    """Where libc keeps this thread's id, which a fork has to correct; 0 where that is not known."""
    robust = _robust_at()
    if not robust:
        return 0
    at = robust - _TID_BEFORE_ROBUST
    return at if ctypes.c_int.from_address(at).value == threading.get_native_id() else 0


def _has_handlers(path: str) -> bool:
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            return raw.find(_REGISTERS) >= 0
    except (OSError, ValueError):  # it was replaced or removed since; nobody knows what it did
        return True
