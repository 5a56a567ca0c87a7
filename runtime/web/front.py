"""The front: an actor that serves an ASGI application.

WB-1  No signal handler is installed, no logging is configured: signals are the supervisor's, logs go to `context.log`.
WB-2  Every request ends once: answered, or abandoned by its client; `traffic()` counts both.
WB-3  A server that ends by itself is the death of its actor.
"""

import asyncio
import importlib
import inspect
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actors.actor import Actor
from actors.message import message
from runtime.web.asgi import App, Event, Receive, Scope, Send
from runtime.web.location import relative
from runtime.web.request import send_json
from runtime.web.server import Limits, Server, log_to
from runtime.web.verdict import AskErrors

_DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a front has served since it started.

    Attributes:
        open: requests under way.
        answered: HTTP status → how many.
        abandoned: requests whose client went before the answer.
    """

    open: int
    answered: dict[int, int]
    abandoned: int


class WebFront(Actor):
    """Serves one ASGI application. Name it as "module:attribute", or derive and override `app`."""

    def __init__(
        self,
        app: str | None = None,
        *,
        refs: Mapping[str, object] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        head_seconds: float = 5.0,
        stall_seconds: float = 20.0,
        keep_alive_seconds: int = 5,
        stop_seconds: int = 4,
        most_connections: int = 900,
        access_log: bool = False,
    ) -> None:
        """Describe the server; `on_start` binds its port.

        Args:
            app: "module:attribute" of an ASGI application; with refs, of a function that makes one.
            refs: that function is called with them as keyword arguments: references, and other plain data.
            host: address to listen on.
            port: None: $PORT, else 8000; 0: any that is free, see `address`.
            head_seconds: a request's line and headers must have come within this time.
            stall_seconds: a body that comes slower than 500 bytes/s, after this time, is 408; an answer of which the
                client takes nothing for this time is given up.
            keep_alive_seconds: an idle connection is closed after this time.
            stop_seconds: an ordered stop waits so long for requests in hand; less than the child's `shutdown`.
            most_connections: when there are more, those go that have kept us waiting longest. While seven eighths
                as many requests are under way, more are answered 503. 900 leave room below the usual limit of 1,024
                descriptors.
            access_log: one log line for each request.
        """
        self._app_path = app
        self._refs = refs
        self._host = host
        self._port = _port() if port is None else port
        self._limits = Limits(head_seconds, stall_seconds, keep_alive_seconds, stop_seconds, most_connections)
        self._most_requests = most_connections - most_connections // 8  # so that some connections can always be spared
        self._access_log = access_log
        self._open = 0
        self._abandoned = 0
        self._answered: dict[int, int] = {}

    def app(self) -> App:
        """The application to serve; called once, when the actor starts."""
        if self._app_path is None:
            raise TypeError(f'{type(self).__qualname__}: app: expected "module:attribute" or an override of app()')
        found = _imported(self._app_path)
        made: App = found if self._refs is None else found(**self._refs)
        if not _is_app(made):
            what = f"{self._app_path}{'' if self._refs is None else '(…)'}"
            hint = "; a function that makes one is called when refs are given" if self._refs is None else ""
            raise TypeError(f"{what}: expected an application, called with scope, receive and send, got {made!r}{hint}")
        return made

    async def on_start(self) -> None:
        """Listen, start the application's lifespan and the server."""
        self._app = AskErrors(self.app())
        listener = _listen(self._host, self._port, self._limits.stall_seconds)
        self._address: tuple[str, int] = listener.getsockname()[:2]
        log_to(self.context.log)
        self._server = Server(self._serve, self._limits, access_log=self._access_log)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait((self._serving, listening), return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            listener.close()
            self._serving.result()  # raises why
        self._serving.add_done_callback(self._on_end)
        self.context.log.info("listening", url=f"http://{_shown(*self._address)}")

    async def on_stop(self, reason: str) -> None:  # noqa: ARG002  # the hook's
        """Accept nothing more, finish the requests in hand, end the application's lifespan."""
        self._serving.remove_done_callback(self._on_end)
        self._server.should_exit = True
        await self._serving

    @message
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        return self._address

    @message
    def traffic(self) -> Traffic:
        """What it has served so far (WB-2)."""
        return Traffic(self._open, dict(self._answered), self._abandoned)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, with its answers counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        app = _busy if self._server.asking() > self._most_requests else self._app

        async def counted(event: Event) -> None:
            nonlocal status
            status = event.get("status", status)
            await send(relative(event, scope))

        self._open += 1
        try:
            await app(scope, receive, counted)
        except Exception:
            status = status or 500  # as uvicorn, which logs it, will answer
            raise
        finally:
            self._open -= 1
            if status:
                self._answered[status] = self._answered.get(status, 0) + 1
            else:
                self._abandoned += 1

    def _on_end(self, serving: asyncio.Task[None]) -> None:
        if not serving.cancelled():
            raise SystemExit("the HTTP server ended by itself") from serving.exception()  # WB-3


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # as ASGI calls an application
    """What answers while too many requests are under way."""
    headers = {"retry-after": "1", "connection": "close"}
    await send_json(send, {"error": "too many requests under way"}, status=503, headers=headers)


def _is_app(found: object) -> bool:
    """Whether it can be called as ASGI calls an application; of what tells no signature that is not known."""
    if not callable(found):
        return False
    try:
        inspect.signature(found).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # of a callable in C
        return True
    return True


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    if not (module and attribute):
        raise ValueError(f'app: expected "module:attribute", got {path!r}')
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def _listen(host: str, port: int, stall_seconds: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc.strerror)  # below 0: getaddrinfo's
        raise OSError(f"{_shown(host, port)}: {reason.lower()}") from None
    # For connections, which inherit it: asyncio sets it only where proto is IPPROTO_TCP, here it is 0. Without it each
    # answer waits 40 ms for the client's delayed ACK, since uvicorn writes head and body apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A client that takes nothing of what is sent to it, or is no more there: tcp(7), a window of zero included.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(stall_seconds * 1000))
    return listener


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port() -> int:
    text = os.environ.get("PORT", str(_DEFAULT_PORT))
    if not (text.isdecimal() and int(text) <= 65535):
        raise ValueError(f"$PORT: expected 0 to 65535, got {text!r}")
    return int(text)
