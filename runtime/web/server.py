"""uvicorn's server, made fit for an actor: no signals, no exits, its log the actor's, connections that are bounded."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from runtime.web.asgi import App
from runtime.web.connection import Connection, Patience
from runtime.web.crowd import Crowd
from runtime.web.extra import Config
from runtime.web.extra import Server as UvicornServer


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do.

    Attributes:
        head_seconds: a request's line and headers must have come within this time.
        stall_seconds: a body may pause, and an answer stay unread, for this time.
        keep_alive_seconds: an idle connection is closed after this time.
        stop_seconds: on the way out, requests in hand get this time.
        connections: when there are more, those go that have kept us waiting longest.
    """

    head_seconds: float
    stall_seconds: float
    keep_alive_seconds: int
    stop_seconds: int
    connections: int


class Server(UvicornServer):
    """uvicorn's server, without its signals and without its exits.

    Attributes:
        listening: set once connections are accepted.
    """

    def __init__(self, app: App, limits: Limits, *, access_log: bool) -> None:
        crowd = Crowd(limits.connections)
        patience = Patience(limits.head_seconds, limits.stall_seconds)
        config = Config(
            app,
            interface="asgi3",
            http=partial(Connection, patience=patience, crowd=crowd),  # type: ignore[arg-type]  # called only
            ws="none",  # `Connection` and `answer` know HTTP only
            log_config=None,
            log_level="warning",
            access_log=access_log,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=limits.stop_seconds,
        )
        if access_log:
            logging.getLogger("uvicorn.access").setLevel(logging.INFO)
        super().__init__(config)
        self._crowd = crowd
        self.listening = asyncio.Event()

    def asking(self) -> int:
        """How many connections wait for the answer to a whole request."""
        return len(self._crowd.asking)

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


class _ToActorLog(logging.Handler):
    """Hands what uvicorn logs to the actor's own log."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        more = {"exc_info": record.exc_info} if record.exc_info else {}
        self._log.log(record.levelno, record.getMessage().strip(), logger=record.name, **more)
