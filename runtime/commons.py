"""Commons: what the threads of a process have in common, one object for each thing, as long as somebody uses it.

Two threads that look one mailbox up at the same time have one letterbox, and so one place where what cannot be written
yet waits in order; a hundred actors that are threads and know each other hold a hundred letterboxes, not ten thousand.

CM-1  There is never a second object for a key while the first one is in use, whoever asks for it and however often.
CM-2  The child of a fork has none of its parent's: they are closed there before any of its code runs.
"""

import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Commons(Generic[K, V]):
    """Things of one kind by their keys. For as long as the process lives.

    Attributes:
        lock: held while one is looked for and made; reentrant.
    """

    def __init__(self, close: Callable[[V], None]) -> None:
        """Have none yet.

        Args:
            close: lets go of one in the child of a fork (CM-2).
        """
        self._close = close
        self._kept: WeakValueDictionary[K, V] = WeakValueDictionary()
        self.lock = threading.RLock()  # a signal handler may send while its thread is in here
        os.register_at_fork(after_in_child=self._start_afresh)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The one of that key, made now if nobody has it (CM-1). What `make` raises goes through."""
        with self.lock:
            kept = self._kept.get(key)
            if kept is None:
                kept = self._kept[key] = make()
            return kept

    def forget(self, key: K) -> None:
        """Nobody uses the one of that key any more, whoever may still refer to it."""
        with self.lock:
            self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)

    def _start_afresh(self) -> None:
        self.lock = threading.RLock()
        if self._kept:
            inherited = list(self._kept.values())
            self._kept = WeakValueDictionary()
            for each in inherited:
                self._close(each)


def identity_of(fd: int) -> tuple[int, int]:
    """What is the same of all descriptors of one file, a memfd too, and of no two files that are in use."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
