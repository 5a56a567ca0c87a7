"""Exits: what the kernel says of a dead process, and what the dead leave behind.

EX-1  Processes are named by their pids in our own pid namespace, also where /proc is another's.
EX-2  A process that a debugger traces is the debugger's to reap first (ptrace(2)), and ours when it lets go. That it
      has ended, and how, is known before: nobody waits for that. It is reaped once the kernel says it can be (SIGCHLD).
"""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass

_END_SECONDS = 1.0  # for what was killed to be gone: it takes milliseconds, but where somebody holds it
_EXIT_CODE = 52  # its place among the fields of /proc/<pid>/stat, from 1


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: an exit code, or a signal's name."""

    code: int | None
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """A child process as /proc shows it.

    Attributes:
        entry: its number in /proc.
        pid: its pid.
        group: of its process group.
        is_zombie: it has ended, and is to be reaped.
    """

    entry: int
    pid: int
    group: int
    is_zombie: bool


def reap(pid: int) -> Exit | None:
    """Reap a child that has ended; None while it has not. One that a debugger holds is left to be reaped later (EX-2).

    Raises:
        ChildProcessError: it is no child of ours.
    """
    result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    if result is None:
        with contextlib.suppress(OSError):  # no descriptor to read /proc by: it is asked again
            held = next((each for each in own_children() if each.pid == pid and is_held(each)), None)
            return None if held is None else _status_of(held)
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


def children_of(parent: int) -> list[Child]:
    """All children of a process, zombies included; the parent is named by its number in /proc.

    From /proc/*/stat: /proc/<pid>/task/<tid>/children is there only with CONFIG_PROC_CHILDREN.
    """
    found: list[Child] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                stat = file.read()
        except OSError:  # it has ended meanwhile
            continue
        state, ppid, pgrp = stat[stat.rindex(b")") + 2 :].split(b" ", 3)[:3]
        if int(ppid) == parent:
            found.append(Child(int(entry), int(entry), int(pgrp), state == b"Z"))
    return found


def own_children() -> list[Child]:
    """Our own; where /proc is that of an outer pid namespace, their numbers are translated."""
    us = int(os.readlink("/proc/self"))
    found = children_of(us)
    if us == os.getpid():
        return found
    inner = []
    for each in found:
        with contextlib.suppress(OSError, KeyError):  # it has been reaped meanwhile
            pid, pgrp = _inner_numbers(each.entry)
            inner.append(Child(each.entry, pid, pgrp, each.is_zombie))
    return inner


def end_children() -> None:
    """Kill and reap all children, and theirs, which become ours as they die: as often as it takes."""
    while children := [each for each in own_children() if not is_held(each)]:
        for child in children:
            kill(child.pid)
            reap_nowait(child.pid)
        pause()


def ended_child() -> int:
    """Pid of a child that has ended and is to be reaped; 0: there is none."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return ended.si_pid if ended is not None else 0


def is_held(child: Child) -> bool:
    """It has ended, and cannot be reaped: a debugger holds it (EX-2)."""
    if not child.is_zombie:
        return False
    with contextlib.suppress(OSError), open(f"/proc/{child.entry}/status", "rb") as file:
        return any(line.startswith(b"TracerPid:") and int(line.split()[1]) for line in file)
    return False


def pause() -> None:
    """Give those that were killed a moment to die."""
    select.select([], [], [], 0.001)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end(pid: int) -> None:
    """End and reap a child, without a descriptor. One that is held runs nothing more, and is reaped later (EX-2)."""
    kill(pid)
    until = time.monotonic() + _END_SECONDS
    with contextlib.suppress(ChildProcessError):  # it has been reaped
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is None and time.monotonic() < until:
            pause()


def kill_group(pgid: int) -> None:
    """SIGKILL what is left of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # empty; or a set-uid program's, not ours to end
        os.killpg(pgid, signal.SIGKILL)


def reap_nowait(pid: int) -> None:
    """Reap a child that may have ended, and may have been reaped."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _status_of(zombie: Child) -> Exit | None:
    """How it ended, as proc(5) has it; None: it was reaped meanwhile."""
    try:
        with open(f"/proc/{zombie.entry}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    status = int(stat[stat.rindex(b")") + 2 :].split()[_EXIT_CODE - 3])  # the first field behind the name is the third
    if os.WIFSIGNALED(status):
        return Exit(None, signal_name(os.WTERMSIG(status)))
    return Exit(os.WEXITSTATUS(status))


def _inner_numbers(entry: int) -> tuple[int, int]:
    """Pid and process group in our own pid namespace, the innermost that we share with a child (pid_namespaces(7))."""
    with open(f"/proc/{entry}/status", "rb") as file:
        rows = dict(line.split(b":", 1) for line in file if line.startswith((b"NSpid:", b"NSpgid:")))
    with open("/proc/self/status", "rb") as file:
        depth = next(len(line.split()) - 1 for line in file if line.startswith(b"NSpid:"))
    return int(rows[b"NSpid"].split()[depth - 1]), int(rows[b"NSpgid"].split()[depth - 1])
