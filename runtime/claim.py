"""The claim to a system's directory: whoever holds its lock may clear it, and in the end removes it.

CL-1  A lock is only good if the locked file is still the one of that name: an unlinked one would admit two.
CL-2  The lock comes first and goes last, and says that the directory is a system's. So nothing is ever removed from a
      directory without such a lock: what is in there is somebody's, not a crashed predecessor's.
CL-3  Everything is named relative to a descriptor of the directory that was checked, and no link is followed.
CL-4  A lock whose process is gone is about to be free: its supervisor clears up in the warden's place, or the start of
      another system does. It is waited for.
CL-5  A system that was killed as a whole leaves its names, and what its actors had started. Each start clears up after
      all that are like that; what they left running is known by its marks, which the lock tells.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.child import NAME
from actors.errors import AlreadyRunning, UnsafeDirectory
from runtime import directory
from runtime.directory import LOCK, MARK, MARKS, PRIVATE

_WAIT_SECONDS = 2.0  # a supervisor without a warden clears up within one
_POLL_SECONDS = 0.005
_PID_DIGITS = 10  # each pid is written over the one before as a whole: a lock never says half of one


@dataclass(frozen=True, slots=True)
class Claim:
    """A system's directory, held.

    Attributes:
        root: its path.
        parent_fd, root_fd: descriptors of the directory above it and of itself.
        lock: descriptor of its lock, which is held while this is open in any process.
    """

    root: Path
    parent_fd: int
    root_fd: int
    lock: int

    def is_there(self) -> bool:
        """It is still what its name leads to."""
        try:
            return os.path.samestat(os.stat(self.root / LOCK, follow_symlinks=False), os.fstat(self.lock))
        except OSError:
            return False

    def note(self, marks: int) -> None:
        """Say what the marks of the system's processes have in common, for whoever clears up if it is killed (CL-5)."""
        os.pwrite(self.lock, MARKS + b"%d\n" % marks, len(_said(0)))

    def clear(self) -> None:
        """Remove all but the lock."""
        for name in os.listdir(self.root_fd):
            if name != LOCK:
                _remove(name, self.root_fd)

    def remove(self) -> None:
        """Remove the directory, its lock last (CL-2), and the one above if it is empty.

        Where somebody has removed it already, what the system made in its place is removed, if nobody holds that.
        """
        if not self.is_there():
            with contextlib.suppress(OSError):
                _clear_sibling(self.root, os.open(self.root.parent, os.O_RDONLY | os.O_DIRECTORY | PRIVATE))
            return
        self.clear()
        with contextlib.suppress(OSError):  # something could not be removed: the next to claim it tries again
            if os.listdir(self.root_fd) == [LOCK]:
                os.unlink(LOCK, dir_fd=self.root_fd)
            os.rmdir(self.root.name, dir_fd=self.parent_fd)
        with contextlib.suppress(OSError):  # another system is in there, or it is not ours to remove
            os.rmdir(self.root.parent)

    def clear_siblings(self, end: Callable[[int], None]) -> None:
        """Remove the directories of systems that were killed as a whole (CL-5).

        Args:
            end: ends what runs of such a system, by what its marks have in common.
        """
        with contextlib.suppress(OSError):
            for name in os.listdir(self.parent_fd):
                if name != self.root.name and NAME.fullmatch(name):
                    _clear_sibling(self.root.parent / name, os.dup(self.parent_fd), end)

    def close(self) -> None:
        """Let go of it."""
        for fd in (self.lock, self.root_fd, self.parent_fd):
            os.close(fd)


def claim(system: str, patience: float = _WAIT_SECONDS) -> Claim:
    """Make the system's directory, lock it and clear what is stale; blocks while it is being cleared up (CL-4).

    Args:
        system: its name.
        patience: seconds that it may block.
    Raises:
        AlreadyRunning: somebody holds it; with the pid.
        UnsafeDirectory: others can get in, or something else is in there.
        OSError: it cannot be made.
    """
    root = directory.root_of(system)
    os.umask(0o077)
    until = time.monotonic() + patience
    while True:
        try:
            _make(root)
            claimed = _claimed(root, os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | PRIVATE))
        except FileNotFoundError:  # somebody removes it: once more
            if time.monotonic() > until:
                raise
        except AlreadyRunning as exc:
            if _is_there(exc.pid) or time.monotonic() > until:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            claimed.clear()
            return claimed


def _make(root: Path) -> None:
    directory.check_way(root.parent)
    for path in (root.parent, root):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=path == root.parent)
        directory.check_private(path, path.lstat())
    directory.check_way(root.parent)  # what of it had to be made lies in what was checked


def _claimed(root: Path, parent_fd: int, *, is_stale: bool = False) -> Claim:
    """Take hold of a directory that is there; parent_fd is closed where that fails.

    Args:
        is_stale: to remove it only: it stays a dead system's, and one that is no system's is refused.
    Raises:
        AlreadyRunning, UnsafeDirectory: as of `claim`.
        FileNotFoundError: it is gone meanwhile.
    """
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, parent_fd)
        root_fd = os.open(root.name, os.O_RDONLY | os.O_DIRECTORY | PRIVATE, dir_fd=parent_fd)
        undo.callback(os.close, root_fd)
        directory.check_private(root, os.fstat(root_fd))
        lock = _opened(root, root_fd, may_make=not is_stale)
        undo.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(root.name, directory.pid_in(lock) or 0) from None
        if not os.path.samestat(os.fstat(lock), os.stat(LOCK, dir_fd=root_fd, follow_symlinks=False)):  # CL-1
            raise FileNotFoundError(root / LOCK)
        if directory.pid_in(lock) is None:
            if is_stale:
                raise UnsafeDirectory(f"{root}: expected the directory of a system, got one without its mark")
            _refuse_others(root, root_fd)
        if not is_stale:
            os.pwrite(lock, _said(os.getpid()), 0)
        undo.pop_all()
    return Claim(root, parent_fd, root_fd, lock)


def _opened(root: Path, root_fd: int, *, may_make: bool) -> int:
    """The lock, opened, or made in a directory that has nothing in it; locked by nobody yet."""
    try:
        lock = os.open(LOCK, os.O_RDWR | PRIVATE, dir_fd=root_fd)
    except FileNotFoundError:
        if not may_make:
            raise
        _refuse_others(root, root_fd)
        return os.open(LOCK, os.O_RDWR | os.O_CREAT | PRIVATE, 0o600, dir_fd=root_fd)
    except OSError as exc:  # a link, a directory, another user's
        raise UnsafeDirectory(f"{root / LOCK}: expected the lock of a system, got {exc.strerror}") from exc
    found = os.fstat(lock)
    if not stat.S_ISREG(found.st_mode) or (found.st_size and directory.pid_in(lock) is None):
        os.close(lock)
        raise UnsafeDirectory(f"{root / LOCK}: expected the lock of a system, got another file")
    return lock


def _refuse_others(root: Path, root_fd: int) -> None:
    """Raise UnsafeDirectory for a directory that has something else in it than a lock (CL-2)."""
    others = sorted(name for name in os.listdir(root_fd) if name != LOCK)
    if others:
        what = f"{others[0]!r}" + (f" and {len(others) - 1} more" if others[1:] else "")
        raise UnsafeDirectory(
            f"{root}: expected a directory of a system, or an empty one, got one with {what} in it: "
            "name the system otherwise, or set UNDERSTUDY_DIR to a directory of its own"
        )


def _clear_sibling(root: Path, parent_fd: int, end: Callable[[int], None] | None = None) -> None:
    """Remove what a dead system left; parent_fd is closed."""
    try:
        stale = _claimed(root, parent_fd, is_stale=True)
    except (AlreadyRunning, UnsafeDirectory, OSError):  # it runs, is being cleared, or is no system's
        return
    if end is not None and (marks := directory.marks_in(stale.lock)):
        end(marks)
    stale.remove()
    stale.close()


def _remove(name: str, directory_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=directory_fd)
    except IsADirectoryError:
        shutil.rmtree(name, ignore_errors=True, dir_fd=directory_fd)  # relative to descriptors all the way down (CL-3)
    except FileNotFoundError:
        pass  # its owner was quicker


def _said(pid: int) -> bytes:
    return MARK + f"{pid:>{_PID_DIGITS}}\n".encode()


def _is_there(pid: int) -> bool:
    """Whether a process is there; 0: whoever holds the lock has not said yet who it is."""
    return pid > 0 and os.path.exists(f"/proc/{pid}")
