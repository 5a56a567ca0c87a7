"""The place of a database: who may write to it. SQLite believes what it finds there.

    state.db    state.db-wal    state.db-shm    state.db-journal

PL-1  What another user lays beside a database is read as part of it: a write-ahead log is played into it, whatever the
      mode of the database. So nobody else may write to the directory, sticky or not, or exchange it for another; then
      nothing changes between the look and the use.
PL-2  Each file is ours alone to write, and a file: a link would have SQLite look beside what it leads to.
"""

import contextlib
import os
import stat

from actors.errors import NotDurable
from runtime import trust

_BESIDE = ("", "-wal", "-shm", "-journal")  # https://www.sqlite.org/tempfiles.html


def prepare(path: str) -> tuple[int, int]:
    """Make sure that the place of a database is safe, and make the file if there is none.

    Returns:
        Its identity.
    Raises:
        NotDurable: others may write to it or beside it; it cannot be made.
    """
    try:
        _check_directory(path)
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                _check_file(path, suffix)
        # one that is there is not opened: closing it would end the locks that this process has by a connection
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        found = os.lstat(path)
    except FileNotFoundError as exc:
        raise NotDurable(path, "its directory does not exist") from exc
    except OSError as exc:
        raise NotDurable(path, os.strerror(exc.errno) if exc.errno else str(exc)) from exc
    return found.st_dev, found.st_ino


def identity_at(path: str) -> tuple[int, int] | None:
    """Which file is there; None: none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_directory(path: str) -> None:
    directory = os.path.dirname(path)
    fault = trust.fault_on_the_way(directory) or trust.fault_of_directory(directory)
    if fault:
        raise NotDurable(path, f"others could lay their states there: {fault}")


def _check_file(path: str, suffix: str) -> None:
    """Make sure that a file is ours alone to write (PL-2); raises FileNotFoundError where there is none."""
    found = os.lstat(path + suffix)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return
    name = f"{os.path.basename(path)}{suffix}: " if suffix else ""
    if not stat.S_ISREG(found.st_mode):
        got = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "a file of another kind"
        raise NotDurable(path, f"{name}expected a regular file, got {got}")
    expected = f"expected a file of uid {os.geteuid()} that others cannot write to"
    raise NotDurable(path, f"{name}{expected}, got uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}")
