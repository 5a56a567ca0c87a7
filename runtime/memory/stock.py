"""The stock: the slabs that one process has for what it sends, kept to be used again.

ST-1  It is bounded, by LIMIT_BYTES and by what the system has left: past that whoever needs a slab waits until one
      comes back, up to its deadline. So a slow receiver slows its senders instead of filling the memory. Where all
      that could come back would not be enough, it is refused at once.
ST-2  Nobody waits for the supervisor in another's stead: it is asked without a lock.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from actors.errors import OutOfMemory
from actors.form import Form
from runtime.memory.lent import Lent
from runtime.memory.slab import DATA_AT, FILLING, FREE, STATE, USED, Slab, rounded, slab_of
from runtime.wire.control import FreeSlab, MakeSlab
from runtime.wire.line import Lines

LIMIT_BYTES = int(os.environ.get("UNDERSTUDY_ARENA_BYTES", str(4 << 30)))
_WAIT_SECONDS = 0.001


class Stock:
    """One process's own slabs. Threads share it.

    Attributes:
        lent: those of them that the program fills in place.
    """

    def __init__(self, lines: Lines) -> None:
        """Have none yet; they are made by the supervisor, asked by these lines."""
        self.lent = Lent()
        self._lines = lines
        self._lock = threading.Lock()
        self._by_size: dict[int, list[Slab]] = {}
        self._by_number: dict[int, Slab] = {}
        self._nbytes = 0
        self._released: deque[int] = deque()  # the supervisor is to be told

    def get(self, number: int) -> Slab | None:
        """The slab of that number; None when it is not one of these."""
        return self._by_number.get(number)

    def __getitem__(self, number: int) -> Slab:
        return self._by_number[number]

    def take(self, nbytes: int, until_ns: int | None, *, is_hurried: bool = False) -> Slab:
        """A slab for so many bytes, FILLING; waits for one (ST-1) until then, None: not at all.

        Args:
            is_hurried: the supervisor, where it is needed, has but a moment.
        Raises:
            OutOfMemory: with what was asked for and what is left.
            Late: the supervisor did not answer.
        """
        size = rounded(nbytes)
        while True:
            with self._lock:
                found = self._free_slab(size)
                if found is not None:
                    return found
                refused = self._no_room(size)
                if refused is None:
                    self._nbytes += size
            if refused is None:  # asked without the lock: others need not wait for the supervisor (ST-2)
                try:
                    return self._make(size, is_hurried=is_hurried)
                except OutOfMemory as exc:
                    refused = exc.with_traceback(None)  # which would be a circle
            if self._let_go(size):
                continue
            may_come_back = refused.wanted <= refused.left + self._nbytes
            if not may_come_back or until_ns is None or time.monotonic_ns() >= until_ns:
                try:
                    raise refused
                finally:
                    del refused  # else it and this frame would refer to each other
            time.sleep(_WAIT_SECONDS)  # a slab that comes back tells nobody

    def lend(self, form: Form, until_ns: int | None) -> Any:
        """An array of that form over a slab, taken as by `take`."""
        slab = self.take(form.nbytes, until_ns)
        with self._lock:
            self._by_size[_size_of(slab)].remove(slab)
            slab.words[USED] = form.nbytes
            return self.lent.lend(slab, form)

    def pass_on(self, buffers: Sequence[memoryview]) -> tuple[list[Slab], list[int]]:
        """See `Lent.pass_on`."""
        with self._lock:
            return self.lent.pass_on(buffers)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._by_size.clear()
            self._by_number.clear()
            self._nbytes = 0
            self._released.clear()
            self.lent.clear()

    def _free_slab(self, size: int) -> Slab | None:
        """One that nobody uses, to be filled."""
        while self.lent.returned:
            slab = self.lent.returned.popleft()
            self._by_size[_size_of(slab)].append(slab)
        for slab in self._by_size.get(size, ()):
            if slab.words[STATE] == FREE:
                slab.words[STATE] = FILLING
                return slab
        return None

    def _no_room(self, size: int) -> OutOfMemory | None:
        left = LIMIT_BYTES - self._nbytes
        return OutOfMemory(size, left, "this process's large payloads") if size > left else None

    def _make(self, size: int, *, is_hurried: bool) -> Slab:
        """A new slab, FILLING; its bytes have been counted."""
        try:
            again = partial(self._stock_up, size)
            number, (fd,) = self._lines.register(MakeSlab(nbytes=size), again=again, is_hurried=is_hurried)
            try:
                slab = slab_of(number, fd)
            except OutOfMemory:
                self._lines.register(FreeSlab(number=number))
                raise
            finally:
                os.close(fd)
        except BaseException:
            with self._lock:
                self._nbytes -= size
            raise
        slab.words[STATE] = FILLING
        with self._lock:
            self._by_size.setdefault(size, []).append(slab)
            self._by_number[number] = slab
        return slab

    def _stock_up(self, size: int) -> None:
        """Have a free slab of that size, for who could not wait for it."""
        with self._lock:
            self._nbytes += size
        self._make(size, is_hurried=False).words[STATE] = FREE

    def _let_go(self, nbytes: int) -> bool:
        """Let go of free slabs of other sizes, so many bytes of them; False when there is none."""
        with self._lock:
            count = 0
            for size, slabs in self._by_size.items():
                for slab in [slab for slab in slabs if slab.words[STATE] == FREE]:
                    if count >= nbytes:
                        break
                    slabs.remove(slab)
                    del self._by_number[slab.number]
                    self._nbytes -= size
                    self._released.append(slab.number)
                    count += size
        while self._released:
            number = self._released.popleft()
            try:
                self._lines.register(FreeSlab(number=number))
            except BaseException:
                self._released.append(number)  # it may have been heard: the second time it is nobody's
                raise
        return count > 0


def _size_of(slab: Slab) -> int:
    return DATA_AT + len(slab.data)
