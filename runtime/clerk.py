"""The clerk: threads that wait for the supervisor in an event loop's stead.

    with a supervisor that answers at once: nobody has any
    a loop that was told `Late` ─▶ wait_for(job) ─ a thread blocks ─▶ the loop goes on with what it got

CL-1  A job blocks no longer than its deadline, and who waits for it waits no longer, whatever the threads do.
CL-2  Threads are daemons: the end of a program waits for none. At most MOST_THREADS; what comes then waits in turn.
CL-3  What a job returns is not kept: who waited too short a time has an error whose frames refer to the job, as long as
      somebody keeps that error, and a mapped slab has a descriptor.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from time import monotonic_ns

from actors.deadline import ambient

MOST_THREADS = 32


class Clerk:
    """The threads of this process."""

    def __init__(self) -> None:
        self._start_afresh()
        os.register_at_fork(after_in_child=self._start_afresh)

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Context, Callable[[], object], Future[None]]] = deque()
        self._threads = 0

    async def wait_for(self, job: Callable[[], object], until_ns: int) -> None:
        """Do that in a thread, with this as its ambient deadline (0: none), and wait for it.

        Raises:
            TimeoutError: the deadline has passed.
            ActorError: what the job raised.
        """
        done: Future[None] = Future()
        context = copy_context()
        context.run(ambient.set, (until_ns, ()))
        self._hand_over(context, job, done)
        left = None if not until_ns else max(0.0, (until_ns - monotonic_ns()) / 1e9)
        async with asyncio.timeout(left):
            await asyncio.wrap_future(done)

    def do(self, job: Callable[[], object]) -> None:
        """Do that in a thread, some time; what it raises is dropped."""
        self._hand_over(copy_context(), job, Future())

    def _hand_over(self, context: Context, job: Callable[[], object], done: Future[None]) -> None:
        with self._lock:
            self._jobs.append((context, job, done))
            if self._threads == MOST_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="understudy-clerk", daemon=True).start()
        except RuntimeError as exc:  # no more threads to be had: those there are do it, or nobody
            with self._lock:
                self._threads -= 1
                if self._threads:
                    return
                self._jobs.clear()
            done.set_exception(exc)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._threads -= 1
                    return
                context, job, done = self._jobs.popleft()
            if not done.set_running_or_notify_cancel():  # nobody waits any more
                continue
            try:
                context.run(job)
                done.set_result(None)  # CL-3
            except BaseException as exc:  # it is who waits who has asked for it
                done.set_exception(exc)


clerk = Clerk()
