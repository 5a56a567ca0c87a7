"""Regions: typed memory that several processes share, that is never torn and that outlives whoever writes it.

    fd = create("prices", Prices)                  # a memfd; whoever holds it holds the region
    prices = Region(fd, Prices, name="prices")

    with prices.write(timeout=1.0) as view:        # a transaction: committed on leaving, discarded on an exception
        view.gbp[3] = 9.25
    prices.read().gbp[3]                           # a snapshot, without a lock
    prices.wait_newer(generation_of(snapshot))     # sleeps until somebody commits

In a system the supervisor makes and holds it (`runtime.estate`); a process gets it by its name (`runtime.regions`).
How it is done stands in `runtime.memory.slots` (what is in the memory), `transaction` and `lock` (who may write).

RG-1  All memory is there at creation, or there is an error: never SIGBUS later.
RG-2  A writer that dies leaves the last commit as it was. The next one finds `transaction.owner_died` True, once, and a
      warning is logged; `recoveries` counts them.
RG-3  The memory stays mapped while anything still looks at it; `close` only lets go.
RG-4  A region of a system travels as its name and its layout, and is opened where it arrives.
"""

import asyncio
import contextlib
import mmap
import os
import platform
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from actors.errors import BadLayout, RegionDamaged, RegionError
from actors.interfaces import machine_for
from actors.layout import Layout, bind, shape_of
from actors.region import DEFAULT_SECONDS, Writers
from actors.shape import Shape, shape_from
from runtime.memory import slots
from runtime.memory.allowance import Allowance
from runtime.memory.arrays import shown
from runtime.memory.futex import Futex
from runtime.memory.lock import Holder, Lock
from runtime.memory.seal import STEP_BYTES, allocated_in_steps, at_once
from runtime.memory.slots import Slots, Snapshot
from runtime.memory.transaction import Shared, Transaction
from runtime.structured import line_logger

L = TypeVar("L", bound=Layout)
T = TypeVar("T")

_QUIET_SECONDS = 0.25  # a checksum that does not hold while nobody writes for so long will not hold later
_PEEKS = 100  # overtaken so often in a row, a copy is the better way
_ORDERED = platform.machine() == "x86_64"  # SL-2


def create(name: str, layout: type[Layout], *, writers: Writers = "many", allowance: Allowance | None = None) -> int:
    """Make a region of no system, all zero; the caller owns the descriptor. See `create_in_steps`."""
    return at_once(create_in_steps(name, shape_of(layout), allowance or Allowance(), writers=writers))


async def create_in_steps(name: str, shape: Shape, allowance: Allowance, *, writers: Writers = "many") -> int:
    """Make a region, all zero; the caller owns the descriptor. The event loop goes on meanwhile.

    Args:
        name: for errors and /proc.
        shape: of what it holds.
        allowance: what its bytes are taken from.
        writers: "one": the first process that writes is the only one until it ends or closes the region.
    Raises:
        OutOfMemory: it is larger than what is left, or than what the kernel grants; nothing is left of it.
    """
    wanted, what = slots.total_nbytes(shape), f"region {name!r}"
    allowance.take(wanted, what)
    try:
        fd = await allocated_in_steps(f"understudy-region-{name}"[:200], wanted)
    except OSError as exc:
        allowance.give(wanted)
        raise allowance.refusal(wanted, what, exc) from exc
    try:
        now_ns = time.monotonic_ns()
        crc = await _crc_of_zeros(shape.nbytes, slots.seed(0, now_ns))
        with mmap.mmap(fd, wanted) as shared:
            slots.initialise(shared, shape, one_writer=writers == "one", now_ns=now_ns, crc=crc)
    except BaseException:
        allowance.give(wanted)
        os.close(fd)
        raise
    return fd


async def _crc_of_zeros(nbytes: int, crc: int) -> int:
    zeros = memoryview(bytes(min(nbytes, STEP_BYTES)))
    for at in range(0, nbytes, STEP_BYTES):
        crc = zlib.crc32(zeros[: nbytes - at], crc)
        if nbytes > STEP_BYTES:
            await asyncio.sleep(0)
    return crc


def described(fd: int, name: str) -> Shape:
    """The shape that a region was made with.

    Raises:
        RegionDamaged: the descriptor is not of a region.
    """
    size = os.fstat(fd).st_size
    try:
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as shared:
            return shape_from(slots.description(shared))
    except (ValueError, BadLayout) as exc:  # an empty file, or memory of something else
        raise RegionDamaged(name, f"expected the memory of a region: {exc}") from exc


class Region(Generic[L]):
    """One process's way to a region; all its threads may share it."""

    def __init__(
        self,
        fd: int,
        layout: type[L],
        *,
        name: str = "region",
        holder: str = "",
        owner_died: Callable[[str, Holder | None], None] | None = None,
        system: str = "",
    ) -> None:
        """Map a region.

        Args:
            fd: as `create` made it, or received; it stays the caller's and may be closed at once.
            layout: it was made with; one of the same fields, by any name.
            name: of the region, for errors.
            holder: what this process is called while it holds the lock: an actor's path.
            owner_died: called with the region's name and the dead holder, if known; None: a warning is logged.
            system: it is of; "" for none: then it cannot travel.
        Raises:
            LayoutMismatch: it was made with another layout.
            RegionDamaged: the descriptor is not of a region.
        """
        size = os.fstat(fd).st_size
        if size < slots.LOCK_AT:
            raise RegionDamaged(name, f"expected the memory of a region, got {size} bytes")
        shared = mmap.mmap(fd, size)
        self.name = name
        self.layout = layout
        self.system = system
        self._shared: Shared | None = Shared(
            region=name,
            holder=holder,
            slots=Slots(shared, shape_of(layout), name),
            lock=Lock(shared, slots.LOCK_AT, holder),
            futex=Futex(shared, slots.GENERATION_AT),
            owner_died=_log_death if owner_died is None else owner_died,
        )

    @property
    def generation(self) -> int:
        """Number of the last commit; 0 before the first."""
        return self._open().slots.generation

    @property
    def committed_at(self) -> float:
        """When the last commit was made, in monotonic seconds, which all processes of a machine share."""
        return self._open().slots.committed_ns / 1e9

    @property
    def recoveries(self) -> int:
        """How often a writer died in a transaction."""
        return self._open().slots.recoveries

    @property
    def writers(self) -> Writers:
        """As given to `create`."""
        return "one" if self._open().slots.one_writer else "many"

    def write(self, timeout: float | None = DEFAULT_SECONDS) -> Transaction[L]:
        """A transaction, to be entered with `with`; it waits for the lock until the timeout or the ambient deadline.

        The view it gives starts as a copy of the last commit and ends with the transaction. Entering raises:

        Raises:
            RegionBusy: the lock was not had in time; of a transaction inside another of the same thread, at once.
            SecondWriter: the region has one writer, which is another process.
            RegionDamaged: the lock was overwritten.
        """
        return Transaction(self._open(), self.layout, timeout)

    def update(self, fn: Callable[[L], T], timeout: float | None = DEFAULT_SECONDS) -> T:
        """Run `fn(view)` in a transaction; returns what it returns, discards when it raises."""
        with self.write(timeout) as view:
            return fn(view)

    def read(self) -> L:
        """The last commit, copied: read-only, whole, and unchanged by whatever is written later. Takes no lock.

        Raises:
            RegionDamaged: its checksum does not hold, and nobody is writing.
            RegionBusy: for 5 seconds every copy was overtaken by writers.
        """
        found = self._open().slots.snapshot() or self._snapshot()
        commit = (found.generation, found.committed_ns / 1e9)
        return bind(self.layout, memoryview(found.content), shown, commit=commit)

    def peek(self, fn: Callable[[L], T]) -> T:
        """Run `fn(view)` on the last commit itself, uncopied, and again when a writer overtook it.

        For a few fields of a large region: nothing is copied and no checksum computed. `fn` may run several times, and
        may see values that do not belong together, but what it returns then is not used. It must return plain values,
        no arrays of the view. Where the machine does not keep the order of stores (arm64) it runs on a copy.
        """
        for _ in range(_PEEKS if _ORDERED else 0):
            held = self._open().slots
            generation, memory = held.current()
            try:
                result = fn(bind(self.layout, memory, shown, commit=(generation, held.committed_ns / 1e9)))
            except Exception:
                if held.is_intact(generation):
                    raise  # else it may come of what it saw half-written
            else:
                if held.is_intact(generation):
                    return result
        return fn(self.read())

    def wait_newer(self, generation: int, timeout: float | None = None) -> bool:
        """Sleep until there is a commit after that one; False when there was none in time. Signals are handled."""
        return self._wait(generation, _deadline(timeout), threading.Event())

    async def newer(self, generation: int, timeout: float | None = None) -> bool:  # noqa: ASYNC109  # as wait_newer
        """`wait_newer` for event loops: a thread of its own sleeps, and ends soon after a cancellation."""
        shared = self._open()
        if shared.slots.generation > generation:
            return True
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[bool] = loop.create_future()
        given_up, deadline = threading.Event(), _deadline(timeout)

        def settle(found: bool | Exception) -> None:
            if settled.done():  # cancelled
                return
            if isinstance(found, Exception):
                settled.set_exception(found)
            else:
                settled.set_result(found)

        def sleep() -> None:
            found: bool | Exception
            try:
                found = self._wait(generation, deadline, given_up)
            except Exception as exc:
                found = exc
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, found)

        threading.Thread(target=sleep, name=f"newer-{self.name}", daemon=True).start()
        try:
            return await settled
        except asyncio.CancelledError:
            given_up.set()
            shared.futex.wake()  # the others look, and sleep on
            raise

    def close(self) -> None:
        """Let go of it; using it afterwards raises RegionError. The one writer makes room for another."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.resign(DEFAULT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as system, name and layout (RG-4)."""
        if not self.system:
            raise TypeError(f"region {self.name!r} is of no system, so there is nobody to ask for it elsewhere")
        return rebuild, (self.system, self.name, self.layout)

    def __repr__(self) -> str:
        return f"<region {self.layout.__qualname__} {self.name!r} in {self.system!r}>"

    def _open(self) -> Shared:
        if self._shared is None:
            raise RegionError(self.name, "it is closed here")
        return self._shared

    def _wait(self, generation: int, deadline: float | None, given_up: threading.Event) -> bool:
        while not given_up.is_set():
            shared = self._open()
            now_at = shared.slots.generation
            if now_at > generation:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            shared.futex.wait(now_at, deadline)
        return False

    def _snapshot(self) -> Snapshot:
        shared = self._open()
        start = quiet_since = time.monotonic()
        stamp = shared.slots.stamp()
        while (found := shared.slots.snapshot()) is None:
            now, last, stamp = time.monotonic(), stamp, shared.slots.stamp()
            if stamp != last:
                quiet_since = now
            elif now - quiet_since > _QUIET_SECONDS:
                raise RegionDamaged(self.name, "its last commit was changed outside a transaction")
            if now - start > DEFAULT_SECONDS:
                raise shared.busy()
            os.sched_yield()
        return found


def rebuild(system: str, name: str, layout: type[Layout]) -> Any:
    """The region that arrived, opened for this process.

    Raises:
        RegionError: it is of a system that this process is not attached to.
    """
    machine = machine_for(system)
    if machine.system != system:
        raise RegionError(name, f"it is of system {system!r}, and this process is attached to {machine.system!r}")
    return machine.region(name, layout)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _log_death(region: str, dead: Holder | None) -> None:
    line_logger(0).warning("a writer died in a transaction", region=region, owner=str(dead or "unknown"))
