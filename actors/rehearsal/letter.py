"""Letters: the messages of a Stage, and the replies that their senders hold.

LT-1  What is sent is copied: the sender and the actor never share an object, as between two processes.
LT-2  Every ask ends exactly once; an answer for one that has ended is dropped.
"""

import asyncio
import concurrent.futures
import copy
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from actors.errors import BlockingCall, Unencodable
from actors.rehearsal.clockwork import Clockwork


class Pending:
    """An ask that is under way: the `Reply` of a Stage.

    Attributes:
        actor: path of the actor it is for.
        asker: path of the actor that waits; "" for the test.
        until_ns: its deadline; 0 for none.
        expired: makes the error it ends with at its deadline.
        begun: gives the context in which it is waited for.
        is_waited_for: in such a context.
        holds_up: and its actor does nothing else meanwhile.
    """

    __slots__ = (
        "__weakref__",
        "_future",
        "_outcome",
        "_wait",
        "actor",
        "asker",
        "begun",
        "expired",
        "holds_up",
        "is_waited_for",
        "until_ns",
    )

    def __init__(
        self,
        wait: Callable[["Pending", float | None], None],
        actor: str,
        asker: str,
        until_ns: int,
        expired: Callable[[], Exception],
    ) -> None:
        self._wait = wait
        self.actor = actor
        self.asker = asker
        self.until_ns = until_ns
        self.expired = expired
        self.begun: Callable[[], AbstractContextManager[None]] = nullcontext
        self.is_waited_for = self.holds_up = False
        self._outcome: tuple[bool, Any] | None = None
        self._future: asyncio.Future[None] | None = None

    def done(self) -> bool:
        """See `actors.reply.Reply.done`."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> Any:
        """Play on until the answer is there; see `actors.reply.Reply.result`."""
        if self._outcome is None:
            refuse_in_loop()
            with self.begun():
                self._wait(self, timeout)
        return self._unwrap()

    def cancel(self) -> bool:
        """See `actors.reply.Reply.cancel`."""
        return self.settle(ok=False, value=concurrent.futures.CancelledError())

    def settle(self, *, ok: bool, value: Any) -> bool:
        """End the ask; False when it has ended before (LT-2)."""
        if self._outcome is not None:
            return False
        self._outcome = (ok, value)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        if self._outcome is None:
            loop = asyncio._get_running_loop()  # noqa: SLF001  # get_running_loop() raises where there is none
            with self.begun():
                if isinstance(loop, Clockwork):
                    yield from self._wait_in(loop)
                else:
                    self._wait(self, None)
        return self._unwrap()

    def _wait_in(self, loop: Clockwork) -> Generator[Any, None, None]:
        if self._future is None:
            self._future = loop.create_future()
        try:
            yield from self._future
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _unwrap(self) -> Any:
        assert self._outcome is not None
        ok, value = self._outcome
        if ok:
            return value
        raise value


@dataclass(slots=True, eq=False)
class Letter:
    """One message on its way or in hand.

    Attributes:
        deadline_ns: of an ask, 0 for none.
        chain: addresses that wait for its answer, the first asker first.
        reply: of an ask; None for a tell.
        retry: how often it is run again after a death.
        attempt: how often it was begun.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    deadline_ns: int = 0
    chain: tuple[str, ...] = ()
    reply: Pending | None = None
    is_urgent: bool = False
    retry: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A tell that nobody will handle.

    Attributes:
        actor: path of the actor it was for.
        message: its name.
    """

    actor: str
    message: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def copied(value: Any, where: str) -> Any:
    """The value as it would arrive (LT-1).

    Raises:
        Unencodable: it cannot be copied, nor could it be sent.
    """
    try:
        return copy.deepcopy(value)
    except Exception as exc:
        raise Unencodable(where, f"{type(value).__qualname__} ({exc})") from exc


def refuse_in_loop() -> None:
    """Refuse to wait in a running event loop, as under a supervisor.

    Raises:
        BlockingCall: names the form to use instead.
    """
    if asyncio._get_running_loop() is not None:  # noqa: SLF001
        raise BlockingCall("this call would block the running event loop; use `await ref.message.ask(…)` instead")
