"""The file that states are kept in: one SQLite database, a row for each actor, shared by any number of actors.

    snapshot(system, actor, number, kind, state, saved_at)    primary key: system, actor

DB-1  What `save` has returned from survives the machine: WAL with synchronous=FULL, one fsync for each. NORMAL would
      sync at checkpoints only, so that a power failure could take more than the last write.
DB-2  A file that is no database, or somebody else's, is refused untouched. One that is missing is made, mode 0600: a
      state may be a pickle, so whoever may write to the file may run code as its reader.
DB-3  Opened, used and closed in one process: a connection does not survive a fork.
DB-4  A file that was removed or replaced while it is open is an error, not a write to where nobody will look.
"""

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from urllib.parse import quote

from actors.errors import NotDurable
from runtime.durable.row import Row

BUSY_SECONDS = 4.0  # less than the 5 s of an ask's default deadline
_APPLICATION_ID = int.from_bytes(b"Undr", "big")
_VERSION = 1
_POLL_SECONDS = 0.01
_TABLE = """
    CREATE TABLE snapshot (
        system TEXT NOT NULL,
        actor TEXT NOT NULL,
        number INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        state BLOB NOT NULL,
        saved_at TEXT NOT NULL,
        PRIMARY KEY (system, actor)
    )
"""
_SAVE = """
    INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ON CONFLICT (system, actor) DO UPDATE SET
        number = excluded.number, kind = excluded.kind, state = excluded.state, saved_at = excluded.saved_at
"""
_LOAD = "SELECT number, kind, state FROM snapshot WHERE system = ? AND actor = ?"


class Database:
    """One process's connection to the file; for one thread at a time. `close` ends it."""

    def __init__(self, path: str) -> None:
        """Open the file, or make it; blocks for at most BUSY_SECONDS where others hold it.

        Raises:
            NotDurable: it cannot be made, read or written, is locked, damaged, or not ours (DB-2).
        """
        self._path = path
        self._identity = _made(path)
        with self._translated():
            self._connection = sqlite3.connect(
                f"file:{quote(path)}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,  # one thread at a time
            )
        try:
            with self._translated():
                self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def load(self, system: str, actor: str) -> Row | None:
        """The state of an actor as it was saved last; None: it never was.

        Raises:
            NotDurable: it cannot be read.
        """
        with self._translated():
            found = self._connection.execute(_LOAD, (system, actor)).fetchone()
        return None if found is None else Row(*found)

    def save(self, system: str, actor: str, row: Row) -> None:
        """Write a state; on disk when this returns (DB-1). Blocks for the disk, at most BUSY_SECONDS for others.

        Raises:
            NotDurable: no room, no right, no disk; the state before it is still there.
        """
        if _identity_at(self._path) != self._identity:  # DB-4
            raise NotDurable(self._path, "it was removed or replaced")
        with self._translated():
            self._connection.execute(_SAVE, (system, actor, *row))

    def close(self) -> None:
        """Let go of the file; the last one to do so leaves no other beside it."""
        with contextlib.suppress(sqlite3.Error):  # no room for the checkpoint: it is made when the file is opened
            self._connection.close()

    def _set_up(self) -> None:
        self._connection.execute("BEGIN")  # one view of it: others may just be making it
        is_new = self._check()
        self._connection.execute("COMMIT")
        self._switch_to_wal()
        self._connection.execute("PRAGMA synchronous = FULL")  # DB-1
        self._connection.execute("BEGIN IMMEDIATE")  # it can be written
        try:
            if is_new and self._check():  # nobody was quicker
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {_VERSION}")
                self._connection.execute(_TABLE)
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite has rolled it back
                self._connection.execute("ROLLBACK")
            raise

    def _check(self) -> bool:
        """Whether the database is still empty; raises when it is not ours (DB-2)."""
        application, version = self._number("PRAGMA application_id"), self._number("PRAGMA user_version")
        if not (application or version or self._number("SELECT count(*) FROM sqlite_master")):
            return True
        if application != _APPLICATION_ID:
            raise NotDurable(self._path, "expected a database of states, got one of something else")
        if version != _VERSION:
            raise NotDurable(self._path, f"expected a database of states in version {_VERSION}, got version {version}")
        return False

    def _switch_to_wal(self) -> None:
        """Of several that switch at once all but one are told that it is locked, whatever the timeout says."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                mode = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                break
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_POLL_SECONDS)
        if mode != "wal":
            raise NotDurable(self._path, f"expected a file system that can have a write-ahead log, got mode {mode}")

    def _number(self, query: str) -> int:
        found: int = self._connection.execute(query).fetchone()[0]
        return found

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError) as exc:  # OverflowError: a state of more than 2 GiB
            raise NotDurable(self._path, str(exc)) from exc


def _made(path: str) -> tuple[int, int]:
    """Make the file if there is none; returns its identity.

    One that is there is not opened: closing it would end the locks that this process has by a connection (fcntl(2)).
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        found = os.stat(path)
    except FileNotFoundError as exc:
        raise NotDurable(path, "its directory does not exist") from exc
    except OSError as exc:
        raise NotDurable(path, os.strerror(exc.errno or 0)) from exc
    if not stat.S_ISREG(found.st_mode):
        raise NotDurable(path, "expected a regular file")
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH:
        expected = f"expected a file of uid {os.geteuid()} that others cannot write to"
        raise NotDurable(path, f"{expected}, got uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}")
    return found.st_dev, found.st_ino


def _identity_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
