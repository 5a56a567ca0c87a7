"""Stand-ins for the machine: what references, contexts and the loop are given in these tests."""

from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from actors import BoundMessage
from actors.loop import Envelope
from actors.message import MessageEntry


@dataclass
class FakeMachine:
    """Records what is sent through the references it binds; answers each call with its own name."""

    system: str = "fake"
    now: int = 1_000_000_000
    sent: list[tuple[str, str, str, tuple[Any, ...], Mapping[str, Any]]] = field(default_factory=list)
    bound: list[tuple[str, str, MessageEntry | None]] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)
    log: Any = field(default_factory=structlog.testing.CapturingLogger)
    supervisor: Any = "the supervisor"
    refs: dict[bytes, Any] = field(default_factory=dict)

    def now_ns(self) -> int:
        return self.now

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        self.bound.append((path, name, entry))

        def way(kind: str) -> Any:
            def go(*args: Any, **kwargs: Any) -> Any:
                self.sent.append((kind, path, name, args, kwargs))
                return name

            return go

        return BoundMessage(name, way("call"), way("ask"), way("tell"), way("send"))

    def region(self, name: str, layout: Any = None) -> Any:
        return (name, layout)

    def watch(self, path: str) -> None:
        self.watched.append(path)

    def unwatch(self, path: str) -> None:
        self.watched.remove(path)

    def watch_letters(self) -> None:
        self.watched.append("letters")

    def unwatch_letters(self) -> None:
        self.watched.remove("letters")


class FakeInbox:
    """A list of messages for THE loop; the tokens are the messages' numbers.

    Time passes only in `wait`, to the time that was asked for; with nothing to wait for it wants to stop.
    """

    def __init__(self, *messages: tuple[str, Sequence[Any]], asked: bool = True) -> None:
        self.messages: deque[Envelope] = deque((n, name, args, {}) for n, (name, args) in enumerate(messages))
        self.answers: dict[int, Any] = {}
        self.asked = asked
        self.now = 0
        self.most_waits = 100
        self.waits: list[int | None] = []
        self.reason: str | None = None
        self.drains = False
        self.timers: list[bool] = []

    def take_nowait(self) -> Envelope | None:
        return self.messages.popleft() if self.messages else None

    async def wait(self, until_ns: int | None) -> None:
        self.waits.append(until_ns)
        if until_ns is None or len(self.waits) >= self.most_waits:
            self.reason = "shutdown"
        else:
            self.now = until_ns

    def done(self, token: int, name: str, value: object) -> None:
        self.answers[token] = value

    def fail(self, token: int, error: Exception) -> bool:
        self.answers[token] = error
        return self.asked

    def timer_done(self, *, failed: bool = False) -> None:
        self.timers.append(failed)

    def has_more(self) -> bool:
        return self.drains and bool(self.messages)

    def busy_with(self, name: str) -> None:
        """Begins or ends what is no message."""

    def stop_wanted(self) -> str | None:
        return self.reason

    def now_ns(self) -> int:
        return self.now


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, as the blocking driver does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it suspended")
