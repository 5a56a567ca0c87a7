"""The runtime directory: what needs a name, and who may see it.

    $UNDERSTUDY_DIR or /dev/shm/understudy-<uid>/     0700, ours
        <system>/                                     0700, ours; one system
            lock      held by the supervisor's warden (flock), with its pid in it
            control   unix socket, 0600
            children/…/mailbox, urgent    replies/…   FIFOs, 0600

DI-1  Owner, mode and kind are checked before use, here and by whoever connects: a symlink, another owner or a group's
      write bit is refused.
DI-2  A lock is only good if the locked file is still the one of that name: an unlinked one would admit two.
DI-3  Whoever gets the lock owns what a crashed predecessor left, and clears it.
"""

import contextlib
import fcntl
import os
import shutil
import stat
from pathlib import Path

from actors.child import NAME
from actors.errors import AlreadyRunning, BadSpec, UnsafeDirectory


def parent() -> Path:
    """The directory of all systems of this user."""
    chosen = os.environ.get("UNDERSTUDY_DIR")
    return Path(chosen) if chosen else Path(f"/dev/shm/understudy-{os.geteuid()}")  # noqa: S108  # checked, DI-1


def root_of(system: str) -> Path:
    """The directory of one system.

    Raises:
        BadSpec: no name for a system.
    """
    if not NAME.fullmatch(system):
        raise BadSpec(system, "invalid_name", f"expected a name like [A-Za-z_][A-Za-z0-9_-]{{0,63}}, got {system!r}")
    return parent() / system


def check(path: Path) -> None:
    """Make sure that nobody else can get in (DI-1).

    Raises:
        UnsafeDirectory: what is wrong.
        FileNotFoundError: it is not there.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectory(f"{path}: expected a directory, got a {_kind(found.st_mode)}")
    if found.st_uid != os.geteuid():
        raise UnsafeDirectory(f"{path}: expected owner uid {os.geteuid()}, got {found.st_uid}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeDirectory(f"{path}: expected mode 0700, got {stat.S_IMODE(found.st_mode):04o}")


def claim(system: str) -> int:
    """Make the system's directory, lock it and clear what is stale; the lock's descriptor is the caller's.

    Raises:
        AlreadyRunning: somebody holds it; with the pid.
        UnsafeDirectory: see `check`.
    """
    root = root_of(system)
    os.umask(0o077)
    while True:
        for path in (root.parent, root):
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700, parents=path == root.parent)
            check(path)
        lock = _locked(root / "lock", system)
        if lock is not None:
            break
    for entry in root.iterdir():  # DI-3
        if entry.name != "lock":
            _remove(entry)
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def remove(root: Path) -> None:
    """Remove a system's directory, the lock last, and the parent if it is empty."""
    for entry in list(root.iterdir()) if root.is_dir() else []:
        if entry.name != "lock":
            _remove(entry)
    with contextlib.suppress(FileNotFoundError):
        (root / "lock").unlink()
    for path in (root, root.parent):
        with contextlib.suppress(OSError):  # another system's, or already gone
            path.rmdir()


def systems() -> list[str]:
    """Names of the running systems of this user."""
    try:
        check(parent())
        names = sorted(entry.name for entry in parent().iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    return [name for name in names if is_running(name)]


def is_running(system: str) -> bool:
    """Its lock is held."""
    try:
        fd = os.open(root_of(system) / "lock", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, BadSpec):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _locked(path: Path, system: str) -> int | None:
    """The lock, held; None when the file was replaced while we locked it (DI-2)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).strip()
        os.close(fd)
        raise AlreadyRunning(system, int(pid) if pid.isdigit() else 0) from None
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    os.close(fd)
    return None


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _kind(mode: int) -> str:
    return "symbolic link" if stat.S_ISLNK(mode) else "file of another kind"
