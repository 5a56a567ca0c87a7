"""Refusals: requests that get an answer other than their value, and which answer a failed ask is."""

from collections.abc import Mapping

from actors.errors import AskFailed, DeadlineExceeded, Delivered, HandlerFailed, MailboxFull


class Refused(Exception):
    """A request that gets an answer other than its value: raise it in an application behind `AskErrors`.

    Attributes:
        status: HTTP status.
        error: what is wrong, in a few words.
        details: further keys of the JSON answer.
        headers: further headers of it.
    """

    def __init__(
        self,
        status: int,
        error: str,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, error, details, headers)
        self.status = status
        self.error = error
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return f"{self.status}: {self.error}"


def refusal_of(error: AskFailed, delivered: Delivered) -> Refused:
    """The answer to a request whose ask failed. It does not tell the client why an actor died: the log does.

    Args:
        delivered: how far the request got, which may be farther than the ask that ended it.
    """
    details = {"actor": error.actor, "delivered": delivered}
    headers = {"retry-after": "1"} if isinstance(error, MailboxFull) and delivered == "no" else {}
    status = 504 if isinstance(_innermost(error), DeadlineExceeded) else 503
    return Refused(status, type(error).__name__, details, headers)


def _innermost(error: AskFailed) -> AskFailed:
    """Of a handler that failed by an ask of its own: that ask's failure."""
    while isinstance(error, HandlerFailed) and isinstance(error.__cause__, AskFailed):
        error = error.__cause__
    return error
