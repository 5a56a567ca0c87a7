"""One change of a region, under its lock.

TX-1  A transaction is of one thread of one process. In a process forked inside it, leaving it does nothing.
TX-2  Left by an exception of a signal handler, wherever that is raised, it ends: at the latest when it is dropped.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from actors.deadline import ambient
from actors.errors import RegionBusy, RegionDamaged, RegionError, SecondWriter
from actors.layout import Layout, bind
from runtime.memory.arrays import Loan
from runtime.memory.futex import Futex
from runtime.memory.lock import Hold, Holder, Lock, Lost, Recursion
from runtime.memory.slots import Slots
from runtime.memory.writer import Writer, this_process

L = TypeVar("L", bound=Layout)


@dataclass(frozen=True, slots=True)
class Shared:
    """What is in the memory of a region, and how this process is called there. It is unmapped with its last user.

    Attributes:
        region: its name.
        holder: what this process is called while it holds the lock.
        slots: the data.
        lock: of the writers.
        futex: on the generation.
        owner_died: told the region's name and the dead holder, if known.
    """

    region: str
    holder: str
    slots: Slots
    lock: Lock
    futex: Futex
    owner_died: Callable[[str, Holder | None], None]

    def take(self, hold: Hold, timeout: float | None) -> bool:
        """Get the lock for a transaction; True when its last holder died with it.

        Raises:
            RegionBusy: it was not had in time, or this thread has it.
            SecondWriter: the region has one writer, which is another process.
            RegionDamaged: the lock was overwritten.
        """
        try:
            died = hold.take(timeout)
        except Recursion:
            raise self.busy(", this very thread") from None
        except Lost as exc:
            raise RegionDamaged(self.region, f"its lock is lost: {exc}") from exc
        if died is None:
            raise self.busy()
        if died:
            self.slots.count_recovery()
            self.owner_died(self.region, hold.dead)
        if self.slots.one_writer:
            self._claim()
        return died

    def busy(self, remark: str = "") -> RegionBusy:
        """The error that says who holds the lock."""
        holder = self.lock.holder()
        if holder is None:
            return RegionBusy(self.region, "", 0.0)
        return RegionBusy(self.region, f"{holder}{remark}", (time.monotonic_ns() - holder.since_ns) / 1e9)

    def resign(self, timeout: float) -> None:
        """Let another process be the one writer, if that is us."""
        if not self.slots.one_writer or self.slots.writer.pid != os.getpid():
            return
        hold = Hold(self.lock)
        try:
            if hold.take(timeout) is not None:
                self.slots.set_writer(Writer(0, 0))
        except Recursion:  # closed inside a transaction: the lock is ours as it is
            self.slots.set_writer(Writer(0, 0))
        except Lost:  # nobody can write any more
            return
        finally:
            hold.give()

    def _claim(self) -> None:
        """Be the one writer, with the lock held."""
        us, writer = this_process(self.holder), self.slots.writer
        if (writer.pid, writer.started) == (us.pid, us.started):
            return
        if writer.is_alive():
            raise SecondWriter(self.region, str(writer))
        self.slots.set_writer(us)


class Transaction(Generic[L]):
    """One change of a region: nothing of it is seen until it is left, then all of it, and never a part.

    Attributes:
        owner_died: True in the first transaction after a writer died in one; the view is as that one found it.
    """

    _entered = False  # of the class, for one whose __init__ was not let through to its end

    def __init__(self, shared: Shared, layout: type[L], timeout: float | None) -> None:
        self.owner_died = False
        self._shared = shared
        self._layout = layout
        self._timeout = timeout
        self._loan = Loan()
        self._memory: memoryview | None = None
        self._hold = Hold(shared.lock)

    def __enter__(self) -> L:
        if self._entered:
            raise RegionError(self._shared.region, "a transaction is entered once")
        self._entered = True
        try:
            self.owner_died = self._shared.take(self._hold, _bounded(self._timeout))
            held = self._shared.slots
            commit = (held.generation, held.committed_ns / 1e9)
            self._memory = held.begin()
            return bind(self._layout, self._memory, self._loan, commit=commit)
        except BaseException:
            self._end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        committed = kind is None and self._hold.is_held  # TX-1
        try:
            if committed:
                self._shared.slots.publish(time.monotonic_ns())
        finally:
            self._end()
        if committed:
            self._shared.futex.wake()

    def __del__(self) -> None:
        """End one whose `__exit__` a signal handler's exception did not let begin (TX-2)."""
        if self._entered:
            self._end()

    def _end(self) -> None:
        try:
            self._loan.end()
            if self._memory is not None:
                self._memory.release()
        finally:
            self._hold.give()


def _bounded(timeout: float | None) -> float | None:
    """The timeout, or what is left of the ambient deadline: the earlier."""
    until_ns = ambient.get()[0]
    if not until_ns:
        return timeout
    left = max(0.0, (until_ns - time.monotonic_ns()) / 1e9)
    return left if timeout is None else min(timeout, left)
