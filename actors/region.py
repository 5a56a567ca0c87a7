"""Regions as actors and programs see them: typed memory that several processes share. What makes them is the machine.

    class Board(Actor):
        def __init__(self, prices: Region[Prices]) -> None:
            self.prices = prices

A region travels as its name: as a constructor argument or inside a message it arrives bound to the receiver's process.

RE-1  A region outlives every actor and ends with its system.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, TypeVar

from actors.layout import Layout

L_co = TypeVar("L_co", bound=Layout, covariant=True)
T = TypeVar("T")

Writers = Literal["one", "many"]

DEFAULT_SECONDS = 5.0  # a writer waits for the lock, as an ask for its answer


@dataclass(frozen=True, slots=True)
class RegionSpec:
    """A region to be made before the first child starts: `Supervisor(regions={"prices": RegionSpec(Prices)})`.

    Attributes:
        layout: of what it holds.
        writers: "one": the first process that writes stays the only one until it ends.
    """

    layout: type[Layout]
    writers: Writers = "many"


class Transaction(Protocol[L_co]):
    """One change of a region, entered with `with`: committed on leaving, discarded on an exception."""

    @property
    def owner_died(self) -> bool:
        """True in the first transaction after a writer died in one; the view is as that one found it."""
        ...

    def __enter__(self) -> L_co:
        """Wait for the lock; the view starts as a copy of the last commit."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Region(Protocol[L_co]):
    """One process's way to a region; all its threads may share it."""

    @property
    def name(self) -> str:
        """Unique in its system."""
        ...

    @property
    def layout(self) -> type[L_co]:
        """What its views are of."""
        ...

    @property
    def writers(self) -> Writers:
        """As it was made."""
        ...

    @property
    def generation(self) -> int:
        """Number of the last commit; 0 before the first."""
        ...

    @property
    def committed_at(self) -> float:
        """When the last commit was made, in monotonic seconds."""
        ...

    @property
    def recoveries(self) -> int:
        """How often a writer died in a transaction."""
        ...

    def write(self, timeout: float | None = DEFAULT_SECONDS) -> Transaction[L_co]:
        """A transaction, to be entered with `with`; waits for the lock until the timeout or the ambient deadline.

        Raises:
            RegionBusy: when entered: the lock was not had in time.
            SecondWriter: when entered: the region has one writer, which is another process.
        """
        ...

    def update(self, fn: Callable[[L_co], T], timeout: float | None = DEFAULT_SECONDS) -> T:
        """Run `fn(view)` in a transaction; returns what it returns, discards when it raises."""
        ...

    def read(self) -> L_co:
        """The last commit, copied: whole, read-only, unchanged by later writers. Takes no lock."""
        ...

    def peek(self, fn: Callable[[L_co], T]) -> T:
        """Run `fn(view)` on the last commit itself, uncopied, and again when a writer overtook it."""
        ...

    def wait_newer(self, generation: int, timeout: float | None = None) -> bool:
        """Sleep until there is a commit after that one; False when there was none in time."""
        ...

    async def newer(self, generation: int, timeout: float | None = None) -> bool:  # noqa: ASYNC109  # as wait_newer
        """`wait_newer` for event loops."""
        ...

    def close(self) -> None:
        """Let go of it in this process; the region lives on."""
        ...
