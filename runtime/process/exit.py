"""Exits: what the kernel says of a dead process, and what the dead leave behind.

EX-1  Only processes that are known are reaped by pid. Unknown children were started by an actor and handed to us, the
      subreaper, at its death: they are swept, but never while a start is in flight (it may be one of ours).
"""

import contextlib
import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: an exit code, or a signal's name."""

    code: int | None
    signal: str = ""


def reap(pid: int) -> Exit | None:
    """Reap a child that has ended; None while it has not.

    Raises:
        ChildProcessError: it is no child of ours.
    """
    result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_status)
    return Exit(None, signal_name(result.si_status))


def signal_name(number: int) -> str:
    """The name of a signal: "SIGKILL" of 9, "SIG35" of one without."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def children_of(parent: int) -> list[tuple[int, int]]:
    """Pid and process group of all children of a process, zombies included.

    From /proc/*/stat: /proc/<pid>/task/<tid>/children is there only with CONFIG_PROC_CHILDREN.
    """
    found: list[tuple[int, int]] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                stat = file.read()
        except OSError:  # it has ended meanwhile
            continue
        ppid, pgrp = stat[stat.rindex(b")") + 4 :].split(b" ", 2)[:2]
        if int(ppid) == parent:
            found.append((int(entry), int(pgrp)))
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_group(pgid: int) -> None:
    """SIGKILL what is left of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # empty; or a set-uid program's, not ours to end
        os.killpg(pgid, signal.SIGKILL)


def sweep(known: set[int], spared_group: int = 0) -> int:
    """Kill and reap the children that are not known; returns how many there were. Call it until there are none.

    Their children become ours as they die. Never waits for one that cannot be killed at once. Members of the spared
    group (the zygote's) are reaped if they have ended, and left alone otherwise.
    """
    strangers = 0
    for pid, pgrp in children_of(os.getpid()):
        if pid in known:
            continue
        if pgrp != spared_group:
            strangers += 1
            kill(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return strangers
