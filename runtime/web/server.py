"""uvicorn's server, made fit for an actor: no signals, no exits, its log the actor's, bounds on a request's head.

The one place that imports uvicorn.

SV-1  A request's line and headers have a deadline and a size; what is left of the body of a request that was answered
      has the same deadline. uvicorn bounds neither: its keep-alive timer runs only after a response, and the first
      byte of the next request stops it.
"""

import asyncio
import contextlib
import enum
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.web.asgi import App

try:
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
except ImportError as exc:
    raise ImportError(f"runtime.web needs the extra web: pip install 'understudy[web]' ({exc})") from exc

_HEAD_BYTES = 64 * 1024  # h11's default for an incomplete event is 16 KiB; browsers send cookies of several times 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do.

    Attributes:
        head_seconds: a request's line and headers must have come within this time (SV-1).
        keep_alive_seconds: an idle connection is closed after this time.
        stop_seconds: on the way out, requests in hand get this time.
        connections: more are answered 503.
    """

    head_seconds: float
    keep_alive_seconds: int
    stop_seconds: int
    connections: int


class Server(uvicorn.Server):
    """uvicorn's server, without its signals and without its exits.

    Attributes:
        listening: set once connections are accepted.
    """

    def __init__(self, app: App, limits: Limits, *, access_log: bool) -> None:
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=_bounded(limits.head_seconds),
            ws="none",  # SV-1 and `answer` know HTTP only
            log_config=None,
            log_level="warning",
            access_log=access_log,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=limits.stop_seconds,
            limit_concurrency=limits.connections,
        )
        if access_log:
            logging.getLogger("uvicorn.access").setLevel(logging.INFO)
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: they are the supervisor's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application's lifespan, then accept connections.

        Raises:
            RuntimeError: the application refused to start.
        """
        with contextlib.suppress(SystemExit):  # uvicorn's way to say that the lifespan failed
            await super().startup(sockets=sockets)
        if not self.started:
            raise RuntimeError("the application's lifespan did not start: see the log")
        self.listening.set()


def log_to(log: Any) -> None:
    """Have what uvicorn logs go to a structlog logger, and nowhere else."""
    logger = logging.getLogger("uvicorn")
    logger.handlers = [_ToActorLog(log)]
    logger.propagate = False


class _Phase(enum.Enum):
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


class _Bounded(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds on a request's head (SV-1)."""

    head_seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._phase = _Phase.HEAD
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase is _Phase.IDLE:
            self._phase = _Phase.HEAD  # be it a lone line end, for which the parser calls nobody
        super().data_received(data)
        if self._phase is _Phase.HEAD:
            self._head_bytes += len(data)
            self._arm()
            if self._head_bytes > _HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")
        elif self._phase is _Phase.BODY and self.cycle.response_complete:
            self._arm()  # it was answered, and still sends

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _Phase.HEAD

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._phase = _Phase.BODY
        self._head_bytes = 0
        self._disarm()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.IDLE

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self._on_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_late(self) -> None:
        self._timer = None
        if self._is_answering():
            self._arm()  # the request before this one is still being answered
        elif self._head_bytes:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, against its declaration
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


class _ToActorLog(logging.Handler):
    """Hands what uvicorn logs to the actor's own log."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        more = {"exc_info": record.exc_info} if record.exc_info else {}
        self._log.log(record.levelno, record.getMessage().strip(), logger=record.name, **more)


def _bounded(seconds: float) -> type[HttpToolsProtocol]:
    class Bounded(_Bounded):
        head_seconds = seconds

    return Bounded
