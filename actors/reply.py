"""The answer of an ask that has not been waited for yet: a `Reply`, awaitable and waitable."""

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

R_co = TypeVar("R_co", covariant=True)


class Reply(Protocol[R_co]):
    """What `.ask(…)` returns. Every ask ends exactly once: with a value or with an exception.

    Waiting may be done from any thread and, by `await`, from any event loop.
    """

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for the answer and return it, or raise the exception that it is.

        Args:
            timeout: seconds; None waits until the ask's own deadline.
        Raises:
            TimeoutError: the timeout passed; the ask lives on, and result may be called again.
            AskFailed: the ask ended without an answer; `.delivered` says how far it got.
            BlockingCall: called in an event loop before the answer is there.
        """
        ...

    def done(self) -> bool:
        """True when result() would not block."""
        ...

    def cancel(self) -> bool:
        """Stop waiting; the message may still run, its answer is dropped and counted. False if already done."""
        ...

    def __await__(self) -> Generator[Any, None, R_co]:
        """Wait for the answer in an event loop; cancelling the await is `cancel()`."""
        ...
