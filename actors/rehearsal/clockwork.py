"""Clockwork: an asyncio event loop without descriptors, threads and real time, for one actor on a Stage.

CL-1  It never waits. `step` makes one pass over what is ready and due; time stands still meanwhile.
CL-2  What would run in a thread (`asyncio.to_thread`) runs at once, in place.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

_MOST_PASSES = 100  # tasks that are cancelled at the end and still go on are left behind after so many


class Killed(BaseException):
    """Ends the code of an actor that was killed. No `Exception`: nothing in a handler may catch it."""


class Clockwork(asyncio.BaseEventLoop):
    """One actor's event loop. `BaseEventLoop` brings tasks, futures and timers; a selector it does not need."""

    _ready: "deque[asyncio.Handle]"
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, now_ns: Callable[[], int]) -> None:
        super().__init__()
        self._now_ns = now_ns
        self._selector = self
        self._clock_resolution = 1e-6  # so that a float of the due time is never an ulp too late
        self.set_exception_handler(_report)

    def time(self) -> float:
        """Virtual time, in seconds."""
        return self._now_ns() / 1e9

    def step(self) -> None:
        """Run what is ready and due, once. The caller is in no running loop (`outside_loop`)."""
        self.stop()  # set beforehand it means: one pass (documented at loop.stop)
        self.run_forever()

    def next_due_ns(self) -> int | None:
        """When there is something to run: 0 at once, None never."""
        if self._ready:
            return 0
        times = [handle.when() for handle in self._scheduled if not handle.cancelled()]
        return math.ceil(min(times) * 1e9) if times else None

    def finish(self) -> None:
        """Cancel what is left, let it end, close: as `asyncio.Runner` does."""
        with outside_loop():
            for _ in range(_MOST_PASSES):
                left = [task for task in asyncio.all_tasks(self) if not task.done()]
                if not left:
                    break
                for task in left:
                    task.cancel()
                self.step()
            self.run_until_complete(self.shutdown_asyncgens())
            self.close()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]  # typeshed's has TypeVarTuples
        """Run it at once (CL-2)."""
        del executor
        future: asyncio.Future[Any] = self.create_future()
        try:
            with outside_loop():
                future.set_result(func(*args))
        except Exception as error:  # it is whoever awaits the future that is to get it
            future.set_exception(error)
        return future

    def select(self, timeout: float | None) -> list[Any]:
        """Nothing ever happens outside (CL-1)."""
        del timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in `select`."""


@contextlib.contextmanager
def outside_loop() -> Iterator[None]:
    """Run the code inside as if no event loop ran in this thread: another actor's process knows nothing of ours."""
    loop = asyncio._get_running_loop()  # noqa: SLF001  # documented for those who write event loops
    if loop is None:
        yield
        return
    task = asyncio.current_task(loop)
    if task is not None:
        asyncio.tasks._leave_task(loop, task)  # noqa: SLF001
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001
        if task is not None:
            asyncio.tasks._enter_task(loop, task)  # noqa: SLF001


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)
