"""Regions on the Stage: the same words as the machine's, over plain bytes of one process.

ST-R1  One thread plays all actors, so a writer never waits: a transaction inside another one is refused at once.
ST-R2  An actor that is killed in a transaction leaves it by an exception: nothing of it is seen.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from actors.errors import LayoutMismatch, RegionBusy
from actors.layout import Layout, bind, shape_of
from actors.region import DEFAULT_SECONDS, Writers
from actors.shape import difference

L = TypeVar("L", bound=Layout)
T = TypeVar("T")

Wait = Callable[[Callable[[], bool], str, int | None], bool]


class StageRegion(Generic[L]):
    """One region of a Stage, the same object for everybody."""

    writers: Writers = "many"
    recoveries = 0

    def __init__(self, name: str, layout: type[L], now_ns: Callable[[], int], wait: Wait) -> None:
        """Make it, all zero.

        Args:
            wait: plays on until a condition holds.
        """
        self.name = name
        self.layout = layout
        self.generation = 0
        self._now_ns = now_ns
        self._wait = wait
        self._content = bytes(shape_of(layout).nbytes)
        self._committed_ns = now_ns()
        self._is_written = False
        self._waiting: list[asyncio.Future[None]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "StageRegion[L]":
        return self

    @property
    def committed_at(self) -> float:
        """See `actors.region.Region`."""
        return self._committed_ns / 1e9

    def check(self, layout: type[Layout]) -> None:
        """Refuse another layout.

        Raises:
            LayoutMismatch: it is one.
        """
        made, opened = shape_of(self.layout), shape_of(layout)
        if made.fingerprint != opened.fingerprint:
            shown = difference(made.describe(), opened.describe())
            raise LayoutMismatch(self.name, "made with another layout:\n" + shown)

    def write(self, timeout: float | None = DEFAULT_SECONDS) -> "StageTransaction[L]":
        """See `actors.region.Region`."""
        del timeout  # ST-R1
        return StageTransaction(self)

    def update(self, fn: Callable[[L], T], timeout: float | None = DEFAULT_SECONDS) -> T:
        """See `actors.region.Region`."""
        with self.write(timeout) as view:
            return fn(view)

    def read(self) -> L:
        """See `actors.region.Region`."""
        return bind(self.layout, memoryview(self._content), commit=(self.generation, self.committed_at))

    def peek(self, fn: Callable[[L], T]) -> T:
        """See `actors.region.Region`."""
        return fn(self.read())

    def wait_newer(self, generation: int, timeout: float | None = None) -> bool:
        """See `actors.region.Region`; plays on, in virtual time."""
        until_ns = None if timeout is None else self._now_ns() + int(timeout * 1e9)
        return self._wait(lambda: self.generation > generation, self.name, until_ns)

    async def newer(self, generation: int, timeout: float | None = None) -> bool:  # noqa: ASYNC109  # as wait_newer
        """See `actors.region.Region`."""
        try:
            async with asyncio.timeout(timeout):
                while self.generation <= generation:
                    self._waiting.append(asyncio.get_running_loop().create_future())
                    await self._waiting[-1]
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """See `actors.region.Region`; there is nothing to let go of."""

    def begin(self) -> bytearray:
        """A copy of the last commit, to be changed (ST-R1)."""
        if self._is_written:
            raise RegionBusy(self.name, "an actor below on the Stage", 0.0)
        self._is_written = True
        return bytearray(self._content)

    def end(self, content: bytes | None) -> None:
        """Commit that content; None discards."""
        self._is_written = False
        if content is None:
            return
        self._content = content
        self._committed_ns = self._now_ns()
        self.generation += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class StageTransaction(Generic[L]):
    """One change of a region on the Stage."""

    owner_died = False

    def __init__(self, region: StageRegion[L]) -> None:
        self._region = region

    def __enter__(self) -> L:
        self._content = self._region.begin()
        self._memory = memoryview(self._content)
        return bind(self._region.layout, self._memory, commit=(self._region.generation, self._region.committed_at))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._region.end(bytes(self._content) if kind is None else None)
