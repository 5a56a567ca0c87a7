"""A connection: one process's line to the supervisor, from the supervisor's side.

CN-1  What cannot be answered (no descriptor for the copies, an answer over the limit) is refused; the line lives.
"""

import itertools
import os
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from actors.errors import ActorError
from runtime.supervision import action
from runtime.wire import stream
from runtime.wire.answer import Answer, Change, Ok
from runtime.wire.line import failed_of

_numbers = itertools.count(1)


class Switchboard(Protocol):
    """Where a connection comes in."""

    def flush(self, connection: "Connection") -> None:
        """Send what is queued, now or when the peer reads."""

    def wait(self, connection: "Connection") -> None:
        """It is to be told how the system ends."""

    def in_steps(self, connection: "Connection", making: Coroutine[Any, Any, None]) -> None:
        """Answer a request by what is made in steps, while others are served."""


class Connection:
    """One connection: a process's line. Closed by the peer, by a fault in what it sends, or with the system."""

    def __init__(self, desk: Switchboard, channel: stream.Channel, *, is_last: bool = False) -> None:
        """Serve a connection.

        Args:
            is_last: it was taken by the last descriptor: it is told so, and hung up on.
        """
        self.desk = desk
        self.is_last = is_last
        self.channel = channel
        self.number = next(_numbers)
        self.pid = 0
        self.replies: list[int] = []
        self.seat = 0
        self.is_known = False
        self.is_closed = False

    def answer(self, value: Any = None, fds: list[int] | None = None) -> None:
        """Answer the request at hand."""
        self._send(Ok(value, len(fds or ())), fds)

    def refuse(self, error: ActorError) -> None:
        """Refuse the request at hand."""
        self._send(failed_of(error), None)

    def result(self, result: action.Result, value: Any = None) -> None:
        """Answer with what the decisions said."""
        if isinstance(result, action.Refused):
            self.refuse(result.error)
        else:
            self.answer(value)

    def reloaded(self, outcome: list[Change] | ActorError) -> None:
        """Answer with what a reload did."""
        if isinstance(outcome, ActorError):
            self.refuse(outcome)
        else:
            self.answer(msgspec.to_builtins(outcome))

    def _send(self, message: Answer, fds: list[int] | None) -> None:
        if self.is_closed:
            return
        try:
            self.channel.put(stream.encode(message), fds)
        except stream.Protocol as exc:  # more than a message may hold
            self.channel.put(stream.encode(failed_of(ActorError(f"the answer is too large: {exc}"))))
        except OSError as exc:  # no descriptor for the copies: only this request cannot be answered
            self.channel.put(stream.encode(failed_of(lacking("the answer", exc))))
        self.desk.flush(self)


def lacking(what: str, error: OSError) -> ActorError:
    """A refusal: the supervisor has no more of what that needs."""
    return ActorError(f"{what}: the supervisor: {os.strerror(error.errno or 0)}")
