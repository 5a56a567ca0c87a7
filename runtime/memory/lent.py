"""Lent slabs: what `empty(…)` gives a program to fill in place, so that sending it copies nothing.

    empty ─▶ a slab (FILLING), an array over it ─▶ filled ─▶ sent: the slab is the message's, the array read-only
                                                └▶ dropped: the slab is free

LE-1  A slab passes with the first message that any part of it is sent in. Its array shows it as long as the program
      keeps it: the slab is not used again before the array is gone and the receiver has dropped the message.
LE-2  What is not to be passed on is copied, as any array: sent a second time, of a parent process, made read-only.
"""

import ctypes
import os
import weakref
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from actors.form import Form
from runtime.memory.slab import FILLING, FREE, MOST_LENT, STATE, Slab, array_type
from runtime.wire.parts import place_of


class _Loan:
    """One slab that is lent."""

    __slots__ = ("array", "end", "is_sent", "memory", "slab", "start")

    def __init__(self, slab: Slab, start: int, nbytes: int) -> None:
        self.slab = slab
        self.start = start
        self.end = start + nbytes
        self.is_sent = False
        self.array: Any = None  # a weak reference to the program's array
        self.memory: Any = None  # another to what it is over, which slices of the array are over too

    def set_sent(self, *, is_sent: bool) -> None:
        """It is a message's, or the program's again."""
        self.is_sent = is_sent
        array = self.array()
        if array is not None and hasattr(array, "flags"):
            array.flags.writeable = not is_sent


class Lent:
    """The slabs that are lent to this process's program. Threads share it, under the arena's lock.

    Attributes:
        returned: slabs whose arrays are gone; the arena takes them back when it needs one.
    """

    def __init__(self) -> None:
        self._loans: dict[int, _Loan] = {}
        self.returned: deque[Slab] = deque()

    def __len__(self) -> int:
        return len(self._loans)

    def lend(self, slab: Slab, form: Form) -> Any:
        """The array over a slab that is being filled; the slab comes back when the array is gone."""
        memory = array_type(len(slab.data)).from_buffer(slab.data)
        loan = _Loan(slab, ctypes.addressof(memory), form.nbytes)
        array = form.over(memoryview(memory).cast("B")[: form.nbytes])
        loan.array = weakref.ref(array)
        loan.memory = weakref.ref(memory, partial(self._ended, loan, os.getpid()))
        self._loans[slab.number] = loan
        return array

    def pass_on(self, buffers: Sequence[memoryview]) -> tuple[list[Slab], list[int]]:
        """The slabs that go with a message that has these buffers, and each buffer's place: 0 of what is copied."""
        passed: dict[int, int] = {}
        slabs: list[Slab] = []
        places: list[int] = []
        for buffer in buffers:
            loan, offset = self._loan_of(buffer)
            if loan is None or (loan.is_sent and loan.slab.number not in passed) or len(slabs) == MOST_LENT:
                places.append(0)
                continue
            if loan.slab.number not in passed:
                passed[loan.slab.number] = len(slabs)
                slabs.append(loan.slab)
                loan.is_sent = True
            places.append(place_of(passed[loan.slab.number], offset))
        for slab in slabs:
            self._loans[slab.number].set_sent(is_sent=True)
        return slabs, places

    def take_back(self, number: int) -> bool:
        """The message of a slab could not be sent: the program may fill it on. False when it is not lent any more."""
        loan = self._loans.get(number)
        if loan is None:
            return False
        loan.set_sent(is_sent=False)
        return True

    def clear(self) -> None:
        """Forget all: arrays of theirs are copied from now on."""
        self._loans.clear()
        self.returned.clear()

    def _loan_of(self, buffer: memoryview) -> tuple[_Loan | None, int]:
        if buffer.readonly:  # sent before, or made so
            return None, 0
        start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        for loan in list(self._loans.values()):
            if loan.start <= start < loan.end:
                return loan, start - loan.start
        return None, 0

    def _ended(self, loan: _Loan, pid: int, _memory: object) -> None:
        """The last array of a loan is gone. Takes no lock: it runs wherever the garbage is collected."""
        if pid != os.getpid() or self._loans.get(loan.slab.number) is not loan:
            return
        del self._loans[loan.slab.number]
        if not loan.is_sent and loan.slab.words[STATE] == FILLING:
            loan.slab.words[STATE] = FREE
        self.returned.append(loan.slab)
