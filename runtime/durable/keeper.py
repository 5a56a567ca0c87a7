"""The keeper of one actor's state on disk: when it is written, by whom, and what happens when it cannot be.

    every="message"   the actor writes it before the message's answer is sent
    every=seconds     a thread of the actor writes the latest one, at most so long after it was committed

KE-1  What is committed in shared memory says what has happened (SN-4); the file is what a system is started from after
      the one before has ended, however it ended. So it may be behind, or ahead by the one message that was in hand, and
      nothing is lost or done twice by that while the system lives.
KE-2  A file that could be opened at the start and cannot be written later ends nobody: the actor goes on, each write
      that failed is counted in its page, the log says it once, and the thread tries again until one succeeds.
KE-3  The thread is started when there is something for it to write, in the actor's own process, and takes no signals.
      A child that is forked in a handler has no part in any of this.
KE-4  Where no thread can be had (RLIMIT_NPROC, a cgroup's pids.max) the messages write what it would have: the first
      that ends when it is time; what is left, the stop. Each time a thread is asked for again.
"""

import os
import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from actors.child import Durable
from actors.errors import NotDurable
from runtime.durable.row import Row
from runtime.mailbox.page import SAVED, SAVES_FAILED

RETRY_SECONDS = 1.0  # a full disk has room again once somebody has looked after it


class Shelf(Protocol):
    """What the keeper needs of a database, see `runtime.durable.database.Database`."""

    def load(self, system: str, actor: str) -> Row | None:
        """The state of an actor as it was saved last."""
        ...

    def save(self, system: str, actor: str, row: Row) -> None:
        """Write a state; on disk when this returns."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Keeper:
    """Keeps one actor's state in a file. `load` comes first, `close` last; both in the actor's process."""

    def __init__(self, durable: Durable, system: str, actor: str, words: memoryview, log: Callable[[], Any]) -> None:
        """Keep the state of the actor at that path.

        Args:
            durable: which file, and when.
            system: name of the system.
            actor: dotted path.
            words: of the actor's page; SAVED and SAVES_FAILED tell how it goes.
            log: returns the actor's log.
        """
        self._path = durable.path
        self._seconds = 0.0 if durable.every == "message" else durable.every
        self._key = (system, actor)
        self._words = words
        self._log = log
        self._pid = os.getpid()
        self._shelf: Shelf | None = None
        self._latest: Row | None = None
        self._written: Row | None = None
        self._is_failing = False
        self._tried_at = monotonic()
        self._lock = threading.Lock()  # held by whoever writes
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> Row | None:
        """What the file has of this actor; None: nothing yet.

        Raises:
            NotDurable: the file cannot be used.
        """
        self._shelf = opened(self._path)
        row = self._shelf.load(*self._key)
        self._words[SAVED] = 1 if row is None else row.number  # 1: the blank that a memory begins with (SN-4)
        return row

    def resume(self, row: Row) -> None:
        """Go on in a later incarnation, which has this state by shared memory: see that the file has it too (KE-2)."""
        try:
            on_disk = self.load()
        except NotDurable as exc:
            self._latest = row
            self._failed(exc)
            return
        if on_disk is None or on_disk.number != row.number:
            self.save(row)

    def save(self, row: Row) -> None:
        """Have a state written: it is when this returns, with every="message"; else the thread will do it."""
        self._latest = row
        if not (self._seconds or self._is_failing):
            self._write()
        elif not (self._wanted.is_set() or self._wake()) and monotonic() - self._tried_at >= self._pause:
            self._write()  # KE-4

    def close(self) -> None:
        """Write what is not written yet, and let go of the file; blocks for the disk."""
        if os.getpid() != self._pid:  # KE-3
            return
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self._write()
        if self._latest is not self._written:
            self._log().error("ended with a state that is not on disk", durable=self._path)
        if self._shelf is not None:
            self._shelf.close()

    @property
    def _pause(self) -> float:
        """Seconds between two writes that are not the message's own."""
        return RETRY_SECONDS if self._is_failing else self._seconds

    def _wake(self) -> bool:
        """Have the thread write; False: there is none, and none to be had (KE-4)."""
        if self._thread is None and not self._closing.is_set():
            thread = threading.Thread(target=self._run, name="understudy-keeper", daemon=True)
            try:
                thread.start()
            except (RuntimeError, MemoryError):  # "can't start new thread"
                return False
            self._thread = thread
        self._wanted.set()
        return True

    def _run(self) -> None:
        """The thread: whenever there is something to write, let the time pass in which more may come, and write."""
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while True:
            self._wanted.wait()
            if self._closing.wait(self._pause):
                return
            self._wanted.clear()
            self._write()

    def _write(self) -> None:
        with self._lock:
            self._tried_at = monotonic()
            row = self._latest
            if row is None or row is self._written:
                return
            try:
                if self._shelf is None:
                    self._shelf = opened(self._path)
                self._shelf.save(*self._key, row)
            except NotDurable as exc:
                self._failed(exc)
                return
            self._written = row
            self._words[SAVED] = row.number
            if self._is_failing:
                self._is_failing = False
                self._log().warning("its state is written to disk again", durable=self._path)

    def _failed(self, error: NotDurable) -> None:
        """Once more it could not be written (KE-2); a file that failed is opened anew the next time."""
        self._words[SAVES_FAILED] += 1
        if self._shelf is not None:
            self._shelf.close()
            self._shelf = None
        if not self._is_failing:
            self._is_failing = True
            self._log().error("its state cannot be written to disk", durable=self._path, why=error.detail)
        self._wake()


def opened(path: str) -> Shelf:
    """The file, opened or made.

    Raises:
        NotDurable: it cannot be used.
    """
    try:
        return database()(path)
    except ImportError as exc:
        raise NotDurable(path, f"this Python has no sqlite3 ({exc})") from exc


def database() -> Callable[[str], Shelf]:
    """The class of the file, imported by those who use it: it takes 10 ms, and Python may have been built without."""
    from runtime.durable.database import Database  # noqa: PLC0415

    return Database
