"""Marks: whose a process is, when its parent has ended and it has become a child of the supervisor.

    actor (its own mark) ── starts ──▶ sh (the actor's mark) ── starts, ends ──▶ helper (the actor's mark still)

A mark is inherited by all that a process starts, by fork and by exec, whether Python does it or a library in C, and it
can be read from outside. What has these properties, is free to be set and means nothing to anybody is the soft limit of
RLIMIT_LOCKS, which the kernel has not looked at since 2.4.25 (getrlimit(2)).

MK-1  A mark names the process that it was made for by its pid, and the system by a random number: processes of a
      system within a system, whose supervisor is gone, are nobody's here.
MK-2  Where the limit cannot be set (its hard limit is too low, a sandbox forbids it) an actor becomes a subreaper
      instead: what it starts is not handed to the supervisor while it lives, but what has ended stays a zombie so long.
"""

import contextlib
import os
import resource
import signal

_RLIMIT_LOCKS = 10  # asm-generic/resource.h; the module `resource` does not name it
_PID_BITS = 22  # PID_MAX_LIMIT, linux/threads.h
_SYSTEM_BYTES = 5
_ROW = b"Max file locks"


def new_system() -> int:
    """The number that the marks of a new system have in common."""
    return int.from_bytes(os.urandom(_SYSTEM_BYTES), "little")


def put_on(system: int) -> bool:
    """Mark this process, and what it starts from now on, as this process's; False where that cannot be done (MK-2)."""
    try:
        hard = resource.getrlimit(_RLIMIT_LOCKS)[1]
        resource.setrlimit(_RLIMIT_LOCKS, (system << _PID_BITS | os.getpid(), hard))
    except (ValueError, OSError):
        return False
    return True


def end_all(system: int) -> None:
    """SIGKILL all that has a mark of a system that is gone as a whole: nobody else ends what its actors had started."""
    if os.readlink("/proc/self") != str(os.getpid()):  # the numbers in /proc are those of another pid namespace
        return
    ended: set[int] = set()
    while found := {int(entry) for entry in os.listdir("/proc") if entry.isdigit()} - ended:
        marked = {pid for pid in found if owner_of(pid, system)}
        if not marked:
            return
        for pid in marked:
            with contextlib.suppress(OSError):  # it has ended
                pidfd = os.pidfd_open(pid)
                try:
                    if owner_of(pid, system):  # still: the number could be another's by now
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                finally:
                    os.close(pidfd)
        ended |= marked


def owner_of(entry: int, system: int) -> int:
    """Pid of the process that the mark on another one names; 0 when it has none of this system.

    Args:
        entry: the other's number in /proc, where it may be a zombie.
        system: of `new_system`.
    """
    try:
        with open(f"/proc/{entry}/limits", "rb") as file:
            row = next((line for line in file if line.startswith(_ROW)), b"")
    except OSError:  # it has been reaped
        return 0
    soft = row.removeprefix(_ROW).split()[:1]
    mark = int(soft[0]) if soft and soft[0].isdigit() else 0
    return mark & (1 << _PID_BITS) - 1 if mark >> _PID_BITS == system else 0
