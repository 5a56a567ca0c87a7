"""A connection: how long it waits for its client in each phase, and how it ends.

    nothing yet   head_seconds    closed                     a body             stall_seconds, and LEAST_RATE   408
    a head        head_seconds    408                        … after an answer  head_seconds                    closed
    between two   keep_alive      closed (uvicorn's timer)   a client that does not read its answer
                                                                               stall_seconds (TCP_USER_TIMEOUT) closed

CO-1  Every phase has a bound in time and in bytes; a connection on which it is we who owe an answer has none.
CO-2  A refusal is the last answer of its connection: those to the requests before it go first.
CO-3  A client may close its side once it has sent its request, and gets its answer. TCP tells that from a client that
      has gone only when something is sent: so an answer that takes longer than a moment is preceded by `100 Continue`,
      which every client of HTTP/1.1 must bear (RFC 9110, 15.2); of one that has gone it brings a reset.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.web.crowd import Crowd
from runtime.web.extra import Config, RequestResponseCycle
from runtime.web.meter import Phase
from runtime.web.parser import HttpParser

_MOMENT = 0.1  # seconds, CO-3
_LINGER = 1.0  # seconds in which the rest of what is refused is read: closed before, TCP would take the refusal back
_LINGER_BYTES = 1 << 20
_LAST_WORD = 1.0  # seconds that an answer which has begun when its client closes its side may take: then it is gone


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection waits for its client.

    Attributes:
        head_seconds: for a request's line and headers.
        stall_seconds: for a body that comes too slowly.
    """

    head_seconds: float
    stall_seconds: float


class Connection(HttpParser):
    """One client's connection, among the others of the crowd."""

    def __init__(self, config: Config, *, patience: Patience, crowd: Crowd, **more: Any) -> None:
        super().__init__(config, **more)
        self._patience = patience
        self._crowd = crowd
        self._timer: asyncio.TimerHandle | None = None
        self._unanswered = 0  # requests, the one whose body is coming included
        self._refusal: bytes | None = None
        self._linger_bytes = _LINGER_BYTES
        self._is_half_closed = False
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client has connected."""
        super().connection_made(transport)
        self._arm(self._patience.head_seconds)
        self._crowd.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._crowd.leave(self)
        self._disarm()
        self.forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come; of what is refused only so many are read."""
        if not self.has_refused():
            super().data_received(data)
            return
        self._linger_bytes -= len(data)
        if self._linger_bytes < 0:
            self.transport.close()

    def feed(self) -> None:
        """See `HttpParser`; and what is waited for then."""
        super().feed()
        if self.meter.phase is not Phase.BODY and not self._unanswered:
            self._arm(self._patience.head_seconds)
        if self._is_half_closed and not self.has_unfed():
            self._end_of_requests()

    def eof_received(self) -> bool:  # type: ignore[override]  # of asyncio; uvicorn's says None
        """The client has closed its side; True: ours stays open (CO-3)."""
        if self.has_refused():
            return False  # the transport is closed
        self._is_half_closed = True
        if not self.has_unfed():
            self._end_of_requests()
        return True

    def on_request(self) -> None:
        """See `HttpParser`."""
        self._unanswered += 1
        self._disarm()
        self._arm(self._patience.stall_seconds)

    def on_message_complete(self) -> None:
        """A request has come as a whole."""
        super().on_message_complete()
        if self.meter.phase is Phase.IDLE:
            self._disarm()
            if self._unanswered:
                self._crowd.asking.add(self)

    def on_response_complete(self) -> None:
        """A request is answered."""
        self._unanswered -= 1
        if not self._unanswered:
            self._crowd.asking.discard(self)
        super().on_response_complete()
        if self._refusal is not None or self._is_half_closed:
            self._end_if_answered()
        elif self.meter.has_begun() and not self._unanswered:  # the next, or what is left of one that was answered
            self._unset_keepalive_if_required()
            self._disarm()
            self._arm(self._patience.head_seconds)
        if self.has_unfed():
            self.loop.call_soon(self.feed)  # PA-2

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._unread_since = self.loop.time()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._unread_since = None

    def has_refused(self) -> bool:
        """See `HttpParser`."""
        return self._refusal is not None or self.transport.is_closing()

    def refuse(self, status: bytes) -> None:
        """See `HttpParser` (CO-2)."""
        if self.has_refused():
            return
        self._refusal = b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self._disarm()
        self.forget()
        if self.meter.phase is Phase.BODY:
            self._give_up(self.cycle)
        self._end_if_answered()

    def lag(self) -> float | None:
        """See `Guest`."""
        now = self.loop.time()
        if self._unread_since is not None:
            return now - self._unread_since
        is_ours = self.flow.read_paused or self.pipeline if self.meter.phase is Phase.BODY else self._unanswered
        return None if is_ours else self.meter.lag(now)

    def evict(self) -> None:
        """See `Guest`."""
        if self._unread_since is not None or self.transport.is_closing():
            self.transport.abort()
            return
        if self.meter.has_begun():
            self.refuse(b"503 Service Unavailable")
        self.transport.close()

    def _end_of_requests(self) -> None:
        """The client sends nothing more (CO-3)."""
        if self.meter.has_begun():
            self.refuse(b"400 Bad Request")  # of half a request
        elif not self._unanswered:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
            self._disarm()
            self._arm(_LAST_WORD if self.cycle.response_started else _MOMENT, self._on_silence)

    def _on_silence(self) -> None:
        """Find out whether a client that has closed its side is still there."""
        self._timer = None
        cycle = self.cycle
        if self.pipeline:
            self._arm(_MOMENT, self._on_silence)
        elif cycle.response_started or cycle.scope["http_version"] != "1.1":
            self.transport.close()
        else:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._arm(_MOMENT, self._on_probed)

    def _on_probed(self) -> None:
        """Whether the probe was answered with a reset: of a socket whose end was read asyncio sees nothing more."""
        self._timer = None
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
        elif not self.cycle.response_started:
            self._arm(_MOMENT, self._on_probed)

    def _end_if_answered(self) -> None:
        """Say why a request was refused, once it is the turn of that (CO-2), and close."""
        if self._unanswered or self.transport.is_closing():
            return
        if self._refusal is None or self._is_half_closed:
            self.transport.write(self._refusal or b"")
            self.transport.close()
            return
        self.transport.write(self._refusal)
        self.transport.write_eof()
        self._arm(_LINGER, self.transport.close)

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """Its body is refused: for the application the client has gone; an answer that has begun breaks off."""
        if cycle.response_started:
            self.transport.close()
            return
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        self._unanswered -= 1
        cycle.disconnected = True
        cycle.message_event.set()

    def _arm(self, seconds: float, then: Callable[[], None] | None = None) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, then or self._on_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_late(self) -> None:
        self._timer = None
        if self.meter.phase is Phase.BODY:
            self._on_late_body()
        elif self._unanswered:
            self._arm(self._patience.head_seconds)  # the request before this one is still being answered
        elif self.meter.has_begun():
            self.refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _on_late_body(self) -> None:
        left = self._patience.stall_seconds - self.meter.lag(self.loop.time())
        if not self._unanswered:
            self.transport.close()
        elif self.flow.read_paused or self.pipeline:  # it is we who do not read
            self.meter.begin(Phase.BODY, self.loop.time())
            self._arm(self._patience.stall_seconds)
        elif left > 0:
            self._arm(left)
        else:
            self.refuse(b"408 Request Timeout")
