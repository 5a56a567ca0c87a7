"""A lock in shared memory that survives its holder: a robust, process-shared pthread mutex, through ctypes.

    0    the mutex (libc's own; 40 bytes on x86-64, 48 on arm64, never more than 128)
    128  the holder: pid, since when (monotonic ns), and its name; written by the holder, read by those who give up

The kernel walks the list of robust mutexes of every thread that ends, however it ends; the next one to lock is told
EOWNERDEAD. `multiprocessing.Lock` would stay locked for ever, `flock` would not tell.

    hold = Hold(lock)
    hold.take(timeout=1.0)      # True: the last holder died with it
    hold.give()

LK-1  A wait is made of slices, on CLOCK_MONOTONIC: Python runs signal handlers between two calls only, and a clock that
      is set must not end a wait (`pthread_mutex_timedlock` counts CLOCK_REALTIME).
LK-2  Whatever exception a signal handler raises, and wherever: the outcome of a libc call is stored by C code, without
      a byte code in between, so `give` knows whether there is something to give back.
LK-3  EOWNERDEAD is made consistent before the mutex is unlocked; unlocked as it is, it would be lost for ever.
LK-4  A mutex is of a thread: threads of one process exclude one another as processes do, and a thread that would wait
      for itself is told at once (EDEADLK). There is no second lock in front that a fork could leave locked.
"""

import ctypes
import errno
import mmap
import os
import time
from dataclasses import dataclass

NBYTES = 512
SLICE_SECONDS = 0.05  # so a signal is handled within this, plus what the machine adds

_MUTEX_NBYTES = 128
_HOLDER_AT = _MUTEX_NBYTES
_NAME_AT = _HOLDER_AT + 16
_PID, _SINCE = 0, 1
_CLOCK_MONOTONIC = 1  # linux/time.h
_PROCESS_SHARED = _ROBUST = 1  # both are the second value of their enum, in glibc and in musl
_ERRORCHECK = 2  # PTHREAD_MUTEX_ERRORCHECK, the same in both

_libc = ctypes.CDLL(None)
_nowait = ctypes.PyDLL(None)  # keeps the GIL: for calls that never wait, it costs more to give it away
_trylock = _nowait.pthread_mutex_trylock
_unlock = _nowait.pthread_mutex_unlock
_consistent = _nowait.pthread_mutex_consistent
_clocklock = getattr(_libc, "pthread_mutex_clocklock", None)  # glibc 2.30; not in musl


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes:
        pid: of its process.
        name: it gave itself; "" for none.
        since_ns: monotonic.
    """

    pid: int
    name: str
    since_ns: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.name else f"pid {self.pid}"


class Recursion(Exception):
    """This thread holds the lock already. Never a user's to see."""


class Lost(Exception):
    """The mutex cannot be used any more: something overwrote it. Never a user's to see."""


class Lock:
    """One process's way to a lock at some place of a shared map; it lets go of the map when it is dropped."""

    __slots__ = ("_name", "_words", "mutex", "view")

    def __init__(self, shared: mmap.mmap, at: int, name: str = "") -> None:
        """Use the lock at that offset (a multiple of 64), holding it under a name."""
        # The array keeps the map alive, and with it the memory that a thread in libc may be waiting on.
        self.mutex = (ctypes.c_char * _MUTEX_NBYTES).from_buffer(shared, at)
        self.view = memoryview(shared)[at : at + NBYTES]
        self._words = self.view[_HOLDER_AT:_NAME_AT].cast("Q")
        room = NBYTES - _NAME_AT
        self._name = name.encode(errors="replace")[-room:].ljust(room, b"\0")

    def enter_name(self, pid: int) -> None:
        """Note that this process holds it; only by whoever does. The pid comes last."""
        self.view[_NAME_AT:] = self._name
        self._words[_SINCE] = time.monotonic_ns()
        self._words[_PID] = pid

    def clear_name(self) -> None:
        """Undo `enter_name`, still holding it."""
        self._words[_PID] = 0

    def holder(self) -> Holder | None:
        """Who holds it, as noted; None when nobody does, or somebody since just now or until just now."""
        pid, since_ns = self._words[_PID], self._words[_SINCE]
        name = bytes(self.view[_NAME_AT:]).rstrip(b"\0").decode(errors="replace")
        return Holder(pid, name, since_ns) if pid and pid == self._words[_PID] else None


def initialise(shared: mmap.mmap, at: int) -> None:
    """Make a lock of the NBYTES at that offset, before anybody else can see them.

    Raises:
        OSError: this libc has no robust, process-shared mutexes.
    """
    mutex = (ctypes.c_char * _MUTEX_NBYTES).from_buffer(shared, at)
    attributes = (ctypes.c_char * 64)()  # 4 bytes in both libcs
    _check(_libc.pthread_mutexattr_init(attributes))
    _check(_libc.pthread_mutexattr_settype(attributes, _ERRORCHECK))
    _check(_libc.pthread_mutexattr_setpshared(attributes, _PROCESS_SHARED))
    _check(_libc.pthread_mutexattr_setrobust(attributes, _ROBUST))
    _check(_libc.pthread_mutex_init(mutex, attributes))


class Hold:
    """One thread's attempt to hold a lock, and the hold it got."""

    __slots__ = ("_given", "_lock", "_outcome", "_pid", "dead")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._outcome: list[int] = []  # of locking, the last one counts
        self._given: list[int] = []  # of unlocking
        self._pid = os.getpid()
        self.dead: Holder | None = None  # who held it before, when that one died with it and had time to say so

    @property
    def is_held(self) -> bool:
        """There is something to give back; never in a process that was forked meanwhile, it owns no mutex."""
        taken = bool(self._outcome) and self._outcome[-1] in (0, errno.EOWNERDEAD)
        return taken and not self._given and self._pid == os.getpid()

    def take(self, timeout: float | None) -> bool | None:
        """Lock it: waits at most timeout seconds (None: for ever). Call `give` after it whatever happens.

        Returns:
            True when the last holder died with it, else False; None when it was not had in time.
        Raises:
            Recursion: this thread holds it.
            Lost: it cannot be had any more.
        """
        lock = self._lock
        self._outcome.extend(map(_trylock, (lock.mutex,)))  # LK-2
        if self._outcome[-1] == errno.EBUSY:
            self._wait(None if timeout is None else time.monotonic() + timeout)
        outcome = self._outcome[-1]
        if outcome == errno.EOWNERDEAD:
            self.dead = lock.holder()
            _consistent(lock.mutex)
        elif outcome in (errno.EBUSY, errno.ETIMEDOUT):
            return None
        elif outcome == errno.EDEADLK:
            raise Recursion
        elif outcome:
            raise Lost(f"{errno.errorcode.get(outcome, outcome)}: {os.strerror(outcome)}")
        lock.enter_name(self._pid)
        return outcome == errno.EOWNERDEAD

    def give(self) -> None:
        """Unlock what is held; nothing when nothing is."""
        if not self.is_held:
            return
        self._lock.clear_name()
        if self._outcome[-1] == errno.EOWNERDEAD:
            _consistent(self._lock.mutex)  # LK-3: take may have been left before it; else it is refused (EINVAL)
        self._given.extend(map(_unlock, (self._lock.mutex,)))  # LK-2

    def _wait(self, deadline: float | None) -> None:
        """Try in slices until there is an outcome or the deadline has passed."""
        mutex, outcome = self._lock.mutex, self._outcome
        until = _Timespec()
        while True:
            now = time.monotonic()
            end = now + SLICE_SECONDS if deadline is None else min(now + SLICE_SECONDS, deadline)
            if end <= now:
                return
            if _clocklock is None:
                time.sleep(0.001)  # a libc without clocklock: the mutex is as robust, the wait is less prompt
                outcome.extend(map(_trylock, (mutex,)))
            else:
                until.seconds, until.nanoseconds = int(end), int(end % 1 * 1e9)
                outcome.extend(map(_clocklock, (mutex,), (_CLOCK_MONOTONIC,), (ctypes.byref(until),)))
            if outcome[-1] not in (errno.ETIMEDOUT, errno.EBUSY):
                return
            del outcome[:-1]


def _check(outcome: int) -> None:
    if outcome:
        raise OSError(outcome, f"robust mutex: {os.strerror(outcome)}")
