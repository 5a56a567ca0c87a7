"""The file that states are kept in: one SQLite database, a row for each actor, shared by any number of actors.

    snapshot(system, actor, number, kind, state, saved_at, signature)    primary key: system, actor

DB-1  What `save` has returned from survives the machine: WAL with synchronous=FULL, one fsync for each. NORMAL would
      sync at checkpoints only, so that a power failure could take more than the last write.
DB-2  A file that is no database, or somebody else's, is refused untouched. One that is missing is made, mode 0600. A
      state may be a pickle, so whoever writes it runs code as its reader: the place is checked (PL-1) and each state is
      signed with a key that only this user can read (KY-2).
DB-3  Opened, used and closed in one process: a connection does not survive a fork.
DB-4  A file that was removed or replaced while it is open is an error, not a write to where nobody will look.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from actors.errors import NotDurable
from runtime.durable import key, place
from runtime.durable.key import Key
from runtime.durable.row import Row

BUSY_SECONDS = 4.0  # less than the 5 s of an ask's default deadline
_APPLICATION_ID = int.from_bytes(b"Undr", "big")
_VERSION = 2
_POLL_SECONDS = 0.01
_TABLE = """
    CREATE TABLE snapshot (
        system TEXT NOT NULL,
        actor TEXT NOT NULL,
        number INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        state BLOB NOT NULL,
        saved_at TEXT NOT NULL,
        signature BLOB NOT NULL,
        PRIMARY KEY (system, actor)
    )
"""
_SAVE = """
    INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ?)
    ON CONFLICT (system, actor) DO UPDATE SET
        number = excluded.number, kind = excluded.kind, state = excluded.state, saved_at = excluded.saved_at,
        signature = excluded.signature
"""
_LOAD = "SELECT number, kind, state, signature FROM snapshot WHERE system = ? AND actor = ?"
_FOUND = tuple[int, int, bytes, bytes]  # a column of SQLite may hold any type


class Database:
    """One process's connection to the file; for one thread at a time. `close` ends it."""

    def __init__(self, path: str) -> None:
        """Open the file, or make it; blocks for at most BUSY_SECONDS where others hold it.

        Raises:
            NotDurable: it cannot be made, read or written, is locked, damaged, or not ours (DB-2).
        """
        self._path = path
        self._key_path = key.path_of(path)
        self._identity = place.prepare(path)
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
                self._key = self._set_up()
            self._key_identity = place.identity_at(self._key_path)
        except BaseException:
            self._connection.close()
            raise

    def load(self, system: str, actor: str) -> Row | None:
        """The state of an actor as it was saved last; None: it never was.

        Raises:
            NotDurable: it cannot be read, or was not signed with the key beside the file (DB-2).
        """
        with self._translated():
            found = self._connection.execute(_LOAD, (system, actor)).fetchone()
        if found is None:
            return None
        try:
            number, kind, state, signature = msgspec.convert(found, _FOUND, builtin_types=(bytes,))
        except msgspec.ValidationError as exc:
            raise NotDurable(self._path, f"the state of {actor!r} is damaged: {exc}") from exc
        row = Row(number, kind, state)
        if not self._key.has_signed(system, actor, row, signature):
            raise NotDurable(self._path, f"the state of {actor!r} was not signed with the key in {self._key_path}")
        return row

    def save(self, system: str, actor: str, row: Row) -> None:
        """Write a state; on disk when this returns (DB-1). Blocks for the disk, at most BUSY_SECONDS for others.

        Raises:
            NotDurable: no room, no right, no disk; the state before it is still there.
        """
        if place.identity_at(self._path) != self._identity:  # DB-4
            raise NotDurable(self._path, "it was removed or replaced")
        if place.identity_at(self._key_path) != self._key_identity:
            raise NotDurable(self._path, f"its key {self._key_path} was removed or replaced")
        signature = self._key.sign(system, actor, row)
        with self._translated():
            self._connection.execute(_SAVE, (system, actor, *row, signature))

    def close(self) -> None:
        """Let go of the file; the last one to do so leaves no other beside it."""
        with contextlib.suppress(sqlite3.Error):  # no room for the checkpoint: it is made when the file is opened
            self._connection.close()

    def _set_up(self) -> Key:
        self._connection.execute("PRAGMA trusted_schema = OFF")  # nothing in it calls functions while it is read
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
            found = self._key_beside()
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite has rolled it back
                self._connection.execute("ROLLBACK")
            raise
        return found

    def _key_beside(self) -> Key:
        """The key; made while nobody else may write to the database, and as long as nothing is signed."""
        found = key.read(self._path)
        if found is not None:
            return found
        if self._number("SELECT count(*) FROM snapshot"):
            raise NotDurable(self._path, f"its states are signed, and the key {self._key_path} is missing")
        return key.make(self._path)

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
