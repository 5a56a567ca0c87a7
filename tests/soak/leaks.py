"""What must not be left: descriptors of the supervisor and ours, processes, names."""

import contextlib
import gc
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from actors import Actor, child, message
from runtime import Supervisor, connect
from runtime.memory import slab
from runtime.testing import processes_of, wait_until
from tests.runtime.cast import descriptors_of
from tests.soak.report import Report

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of this process its descriptors, of the machine the names of shared memory."""

    descriptors: Counter[str]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Holdings:
    """Of the supervisor: its descriptors, and the names in its directory."""

    descriptors: Counter[str]
    directory: Path
    names: frozenset[Path]


class Nobody(Actor):
    """Starts once, so that what a first start leaves open is no leak."""

    @message
    def nothing(self) -> None:
        return


def surroundings() -> Surroundings:
    """As they are now."""
    return Surroundings(descriptors(os.getpid()), _names())


def _names() -> frozenset[str]:
    """In shared memory; but for other systems and other programs' directories, which come and go meanwhile."""
    return frozenset(name for name in os.listdir("/dev/shm") if not name.startswith(("understudy-", "tmp")))


def warm_up(supervisor: Supervisor) -> None:
    """Do once what every system does once."""
    with connect(supervisor.name) as attached:
        supervisor.start(child(Nobody), name="nobody")
        attached["nobody"].nothing()
        supervisor.stop("nobody")
        supervisor.delete("nobody")


def descriptors(pid: int) -> Counter[str]:
    """How many descriptors of each kind a process has open."""
    return Counter(re.sub(r"\[\d+\]|/[0-9a-f]{16}$", "", each) for each in descriptors_of(pid))


def gained(pid: int, before: Counter[str]) -> Counter[str]:
    """What the supervisor has open beyond that; a spare may have been on its way, to whom it has a line."""
    return descriptors(pid) - before - Counter({"socket:": 1})


def check_payloads(report: Report, pid: int) -> None:
    """All messages have ended: no slab holds one."""
    gc.collect()  # errors with tracebacks, and what those were about
    wait_until(lambda: not payloads(pid), _SECONDS)
    left = payloads(pid)
    report.payloads_left += len(left)
    if left:
        known = ", ".join(f"{pid}: {_name_of(pid)}" for pid in sorted({holder for _, holder, _ in left if holder}))
        report.note(f"payloads left (state, holder, bytes): {left}; we are {os.getpid()}; {known}")


def payloads(pid: int) -> list[tuple[int, int, int]]:
    """State, holder and bytes used of every slab of the supervisor that is not free."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "understudy-slab" in os.readlink(entry):
                state, holder, used = (int.from_bytes(word, "little") for word in _words(entry))
                if state != slab.FREE:
                    found.append((state, holder, used))
    return found


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "gone"


def _words(entry: Path) -> list[bytes]:
    with entry.open("rb") as file:
        return [file.read(8) for _ in range(3)]


def holdings(pid: int, directory: Path) -> Holdings:
    """As they are now."""
    return Holdings(descriptors(pid), directory, frozenset(directory.rglob("*")))


def check_holdings(report: Report, pid: int, before: Holdings) -> None:
    """All actors are stopped and forgotten, all clients but one gone: the supervisor holds no more than at first."""
    wait_until(lambda: not gained(pid, before.descriptors), _SECONDS)
    left = gained(pid, before.descriptors)
    names = sorted(str(name) for name in set(before.directory.rglob("*")) - before.names)
    report.descriptors_left += left.total()
    report.files_left += len(names)
    if left or names:
        report.note(f"left by the supervisor: descriptors {dict(left)}, names {names}")


def check_surroundings(report: Report, before: Surroundings, directory: Path) -> None:
    """The system has ended."""
    wait_until(lambda: not processes_of(directory), _SECONDS)
    processes = processes_of(directory)
    files = [*directory.rglob("*"), *({directory} if directory.exists() else ())]
    names = _names() - before.names
    gc.collect()  # letterboxes go with their last user, errors with tracebacks among them
    own = descriptors(os.getpid()) - before.descriptors
    report.processes_left += len(processes)
    report.files_left += len(files) + len(names)
    report.descriptors_left += own.total()
    for what, found in (("processes", processes), ("files", files), ("names", names), ("own descriptors", own)):
        if found:
            report.note(f"{what} left: {found}")
