"""An ask that is under way, and its answer: the `Reply` that a caller holds.

PE-1  An answer is opened by who waits for it, not by who reads it: whatever its unpickling does, takes or waits for is
      this ask's own affair. Only a plain value, of which nothing can go wrong, is taken out as it is read.
PE-2  Opening may need the supervisor: memory that is not mapped yet, a definition. That ends at the ask's deadline, and
      in an event loop it is awaited.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial
from time import monotonic_ns
from typing import Any, Protocol

from actors.deadline import ambient, nanoseconds
from actors.errors import ActorError, AskCycle, DeadlineExceeded
from runtime.clerk import clerk
from runtime.eventloop import current_loop, refuse_in_loop
from runtime.mailbox.letterbox import Letterbox
from runtime.memory.arena import Arena
from runtime.wire.late import Late
from runtime.wire.parts import Payload

_FIRST_LOOK_NS, _LAST_LOOK_NS = 1_000_000, 50_000_000  # doubled from one look to the next

Outcome = tuple[bool, Any]
"""True and the value, or False and the exception."""


class Way(Protocol):
    """What an ask needs of the channel that its answer comes by."""

    loop: asyncio.AbstractEventLoop | None

    def forget(self, ask_id: int) -> None:
        """Its answer is not wanted any more."""
        ...

    def wait(self, pending: "Pending", timeout_ns: int | None) -> None:
        """Block until that ask has ended."""
        ...

    def collect(self) -> None:
        """Read what is there."""
        ...


class Waited(Protocol):
    """Who is told that an actor waits for an ask."""

    def is_doubtful(self) -> bool:
        """It may be waited for in a circle."""
        ...

    def begun(self) -> AbstractContextManager[Callable[[], None] | None]:
        """It waits; gives what is to be called from time to time meanwhile, None: that need not be.

        Raises:
            AskCycle: it would wait for itself; what is given raises it too.
        """
        ...


class Answer:
    """An answer that has arrived and was not opened yet."""

    __slots__ = ("_lock", "_open", "_opened", "give_up")

    def __init__(self, opened: Callable[[], Outcome], given_up: Callable[[], None] = lambda: None) -> None:
        """Have it opened by that, which is called until it has not raised `Late`, or given up."""
        self._open = opened
        self.give_up = given_up
        self._opened: Outcome | None = None
        self._lock = threading.Lock()

    def open(self, until_ns: int) -> Outcome:
        """What it says; whoever comes first opens it.

        Raises:
            Late: the supervisor is needed for it, and did not answer until then; or another thread is at it, in a loop.
        """
        if not self._lock.acquire(blocking=current_loop() is None):
            raise Late("", partial(self.open, until_ns))
        try:
            if self._opened is None:
                token = ambient.set((until_ns, ()))
                try:
                    self._opened = self._open()
                    self._open = _never  # it holds what the answer was in
                finally:
                    ambient.reset(token)
            return self._opened
        finally:
            self._lock.release()


class Unclaimed:
    """Opens a large answer whose memory was not to be had as it was read; given back if nobody ever does."""

    __slots__ = ("_arena", "_body", "_is_claimed", "_opened")

    def __init__(self, arena: Arena, body: int, opened: Callable[[Payload], Outcome]) -> None:
        """Have what a frame says of a slab opened by that."""
        self._is_claimed = False
        self._arena = arena
        self._body = body
        self._opened = opened

    def __call__(self) -> Outcome:
        """What it says."""
        try:
            payload = self._arena.lease(self._body)
        except Late:
            raise
        except ActorError as exc:  # it is gone with the system
            return False, exc
        self._is_claimed = True
        return self._opened(payload)

    def give_up(self) -> None:
        """Nobody will open it."""
        if not self._is_claimed:
            self._is_claimed = True
            self._arena.owe(self._body)

    __del__ = give_up


class Pending:
    """One ask."""

    __slots__ = ("_channel", "_event", "_future", "_outcome", "_wait", "actor", "ask_id", "box", "until_ns")

    def __init__(self, channel: Way, ask_id: int, actor: str, until_ns: int, wait: Waited | None = None) -> None:
        """Be under way.

        Args:
            wait: what to be told when an actor waits for it; None: no actor has made it.
        """
        self._wait = wait
        self._channel = channel
        self.ask_id = ask_id
        self.actor = actor
        self.until_ns = until_ns
        self.box: Letterbox | None = None  # where it was dropped; None while it waits for room, and when it has ended
        self._outcome: Outcome | Answer | None = None
        self._event: threading.Event | None = None
        self._future: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        outcome = self._outcome
        state = (
            "under way" if outcome is None else "answered" if isinstance(outcome, Answer) or outcome[0] else "failed"
        )
        return f"<reply of {self.actor!r}, {state}>"

    def done(self) -> bool:
        """True when result() would not block."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> Any:
        """Block for the answer; see `actors.reply.Reply.result`."""
        timeout_ns = None if timeout is None else monotonic_ns() + nanoseconds(timeout)
        if self._outcome is None:
            if self._wait is None:
                self._channel.wait(self, timeout_ns)
            elif not self._is_there(self._wait):
                refuse_in_loop()
                try:
                    with self._wait.begun() as look:
                        self._look_while_waiting(look, timeout_ns)
                except AskCycle:
                    if not self._is_there(self._wait):
                        raise
        return self._unwrap(timeout_ns)

    def cancel(self) -> bool:
        """Stop waiting; the answer, should it come, is dropped and counted."""
        if self._outcome is not None:
            return False
        self._channel.forget(self.ask_id)
        self.settle((False, concurrent.futures.CancelledError()))
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait_async().__await__()

    def sent(self, box: Letterbox) -> None:
        """It was dropped there."""
        if self._outcome is None:
            self.box = box

    def forget(self) -> None:
        """Nobody waits for it: it could not be sent."""
        self._channel.forget(self.ask_id)

    def fail(self, error: ActorError) -> None:
        """It cannot be sent."""
        self.forget()
        self.settle((False, error))

    def settle(self, outcome: Outcome | Answer) -> None:
        """End the ask, and wake whoever waits for it."""
        self._outcome = outcome
        self.box = None  # a reply may be kept for long; a letterbox has descriptors
        if self._event is not None:
            self._event.set()
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def event(self) -> threading.Event:
        """An event that is set when the ask ends, for a thread that cannot read the channel itself."""
        if self._event is None:
            self._event = threading.Event()
            if self._outcome is not None:
                self._event.set()
        return self._event

    async def _wait_async(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._outcome is None:
            if self._channel.loop is not loop:
                await loop.run_in_executor(None, copy_context().run, self.result)
            elif self._wait is None:
                await self._arrival(loop)
            elif not self._is_there(self._wait):
                try:
                    with self._wait.begun() as look:
                        await (self._arrival(loop) if look is None else self._looking(loop, look))
                except AskCycle:
                    if not self._is_there(self._wait):
                        raise
        while True:
            try:
                return self._unwrap()
            except Late as late:  # PE-2
                await self._wait_to_open(late)

    def _is_there(self, wait: Waited) -> bool:
        """The answer has come, and nobody has read it yet: there is nothing to wait for, in a circle or not.

        Looked for once more when a circle was seen: who answered here may have begun to wait since, and closed it.
        """
        if wait.is_doubtful():
            self._channel.collect()
        return self.done()

    def _look_while_waiting(self, look: Callable[[], None] | None, timeout_ns: int | None) -> None:
        pause_ns = _FIRST_LOOK_NS
        while look is not None:
            look_ns = monotonic_ns() + pause_ns
            if timeout_ns is not None and timeout_ns <= look_ns:
                break
            try:
                self._channel.wait(self, look_ns)
            except TimeoutError:
                look()
                pause_ns = min(2 * pause_ns, _LAST_LOOK_NS)
            else:
                return
        self._channel.wait(self, timeout_ns)

    async def _arrival(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._future is None:
            self._future = loop.create_future()
        try:
            await self._future
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _looking(self, loop: asyncio.AbstractEventLoop, look: Callable[[], None]) -> None:
        """Wait as `_arrival`, and look now and then."""
        arrival = loop.create_task(self._arrival(loop))
        pause_ns = _FIRST_LOOK_NS
        try:
            while not (await asyncio.wait([arrival], timeout=pause_ns / 1e9))[0]:
                look()
                pause_ns = min(2 * pause_ns, _LAST_LOOK_NS)
        finally:
            arrival.cancel()

    async def _wait_to_open(self, late: Late) -> None:
        try:
            await clerk.wait_for(late.again, self.until_ns)
        except TimeoutError as exc:
            raise self._set_unopened() from exc
        except ActorError:  # as it says when it is opened
            pass

    def _unwrap(self, timeout_ns: int | None = None) -> Any:
        outcome = self._outcome
        assert outcome is not None  # the callers have waited
        if isinstance(outcome, Answer):
            outcome = self._opened(outcome, timeout_ns)
        ok, value = outcome
        if ok:
            return value
        raise value

    def _opened(self, answer: Answer, timeout_ns: int | None) -> Outcome:
        until_ns = min(n for n in (self.until_ns or timeout_ns or 0, timeout_ns or self.until_ns))
        try:
            opened = answer.open(until_ns)
        except Late as late:
            if current_loop() is not None:
                raise
            if until_ns != self.until_ns:
                raise TimeoutError(f"{self.actor}: no answer yet; the ask lives on") from late
            raise self._set_unopened() from late
        if self._outcome is answer:
            self._outcome = opened
        return self._outcome if isinstance(self._outcome, tuple) else opened

    def _set_unopened(self) -> DeadlineExceeded:
        if isinstance(self._outcome, Answer):
            self._outcome.give_up()
        detail = "its answer has come, but the supervisor does not hand over what it is in"
        error = DeadlineExceeded(self.actor, "done", detail)
        self._outcome = (False, error)
        return error


def _never() -> Outcome:
    raise AssertionError("an answer is opened once")
