"""The runtime directory: what needs a name, and who may see it.

    $UNDERSTUDY_DIR or /dev/shm/understudy-<uid>/     0700, ours
        <system>/                                     0700, ours; one system (runtime.claim)
            lock      held by the warden (flock); says that this is a system's, the warden's pid, and the marks it makes
            control   unix socket, 0600
            children/…/mailbox, urgent    replies/…   FIFOs, 0600

DI-1  Owner, mode and kind are checked before use, by who claims and by who connects: a link, another owner or a
      permission of group or others is refused. So is a way there that others decide (TR-2).
"""

import fcntl
import os
import stat
from pathlib import Path

from actors.child import NAME
from actors.errors import BadSpec, UnsafeDirectory
from runtime import trust
from runtime.workdir import absolute

LOCK = "lock"
MARK = b"understudy system, pid "  # what a lock of ours begins with
MARKS = b"marks "  # its second line
PRIVATE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # NONBLOCK: in a file's place may be a FIFO
_LOCK_BYTES = 64


def parent() -> Path:
    """The directory of all systems of this user; absolute.

    Raises:
        UnsafeDirectory: a relative one is chosen, and the working directory is gone.
    """
    chosen = os.environ.get("UNDERSTUDY_DIR")
    if not chosen:
        return Path(f"/dev/shm/understudy-{os.geteuid()}")  # noqa: S108  # checked, DI-1
    found = absolute([chosen])
    if not found:
        got = f"expected an absolute path, got {chosen!r}: the working directory does not exist"
        raise UnsafeDirectory(f"UNDERSTUDY_DIR: {got}")
    return Path(found[0])


def root_of(system: str) -> Path:
    """The directory of one system.

    Raises:
        BadSpec: no name for a system.
    """
    if not NAME.fullmatch(system):
        raise BadSpec(system, "invalid_name", f"expected a name like [A-Za-z_][A-Za-z0-9_-]{{0,63}}, got {system!r}")
    return parent() / system


def check(root: Path) -> None:
    """Make sure that nobody else can get into a system's directory, or exchange it (DI-1).

    Raises:
        UnsafeDirectory: what is wrong.
        FileNotFoundError: it is not there.
    """
    check_way(root.parent)
    for path in (root.parent, root):
        check_private(path, path.lstat())


def check_way(path: Path) -> None:
    """Make sure that nobody else decides what this path leads to.

    Raises:
        UnsafeDirectory: who may.
    """
    try:
        fault = trust.fault_on_the_way(path)
    except OSError as exc:
        raise UnsafeDirectory(f"{path}: {exc.strerror or exc}") from exc
    if fault:
        raise UnsafeDirectory(f"{path}: others may exchange it: {fault}")


def check_private(path: Path, found: os.stat_result) -> None:
    """Make sure that what was found at a path is a directory that nobody else can get into.

    Raises:
        UnsafeDirectory: what is wrong.
    """
    if not stat.S_ISDIR(found.st_mode):
        kind = "symbolic link" if stat.S_ISLNK(found.st_mode) else "file of another kind"
        raise UnsafeDirectory(f"{path}: expected a directory, got a {kind}")
    if found.st_uid != os.geteuid():
        raise UnsafeDirectory(f"{path}: expected owner uid {os.geteuid()}, got {found.st_uid}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeDirectory(f"{path}: expected mode 0700, got {stat.S_IMODE(found.st_mode):04o}")


def systems() -> list[str]:
    """Names of the running systems of this user.

    Raises:
        UnsafeDirectory: others can get into their directory.
    """
    path = parent()
    check_way(path)
    try:
        check_private(path, path.lstat())
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    return [name for name in names if is_running(name)]


def is_running(system: str) -> bool:
    """Its lock is held."""
    try:
        fd = os.open(root_of(system) / LOCK, os.O_RDONLY | PRIVATE)
    except (OSError, BadSpec):  # there is none, or what is there is no system's
        return False
    try:
        if pid_in(fd) is None:
            return False
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def pid_in(lock: int) -> int | None:
    """The pid in a lock; None: it is no lock of ours.

    Args:
        lock: descriptor.
    """
    raw = os.pread(lock, _LOCK_BYTES, 0) if stat.S_ISREG(os.fstat(lock).st_mode) else b""
    pid = raw.removeprefix(MARK).partition(b"\n")[0].strip()
    return int(pid) if raw.startswith(MARK) and pid.isdigit() else None


def marks_in(lock: int) -> int:
    """What the marks of the system's processes have in common (runtime.process.mark); 0: it has not come so far.

    Args:
        lock: descriptor.
    """
    raw = os.pread(lock, _LOCK_BYTES, 0).partition(b"\n")[2].strip()
    return int(raw.removeprefix(MARKS)) if raw.startswith(MARKS) and raw.removeprefix(MARKS).isdigit() else 0
