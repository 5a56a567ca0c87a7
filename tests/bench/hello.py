"""A JSON hello over HTTP: in bare uvicorn (`app`), and answered by an actor behind a web front that is one too."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from actors import Actor, message

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_HEADERS = [(b"content-type", b"application/json")]


async def app(scope: Scope, _receive: Receive, send: Send) -> None:
    """The whole application of the yardstick."""
    if scope["type"] == "http":
        await _answer(send, greeting())


class Greeter(Actor):
    """What the front asks."""

    @message
    def hello(self) -> bytes:
        """The body of the answer."""
        return greeting()


class Front(Actor):
    """uvicorn in an actor's own event loop; every request is an ask."""

    def __init__(self, greeter: Greeter) -> None:
        self.greeter = greeter
        # the protocol said: asyncio sets TCP_NODELAY only then, and without it each answer waits 40 ms for an ACK
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.sock.bind(("127.0.0.1", 0))

    async def on_start(self) -> None:
        """Serve as a task of the loop."""
        config = uvicorn.Config(self.respond, log_level="warning", access_log=False, lifespan="off", interface="asgi3")
        self.server = uvicorn.Server(config)
        self.serving = asyncio.create_task(self.server.serve(sockets=[self.sock]))

    async def on_stop(self, _reason: str) -> None:
        """Stop accepting, then end."""
        self.server.should_exit = True
        await self.serving

    @message
    async def port(self) -> int:
        """Where it listens."""
        port: int = self.sock.getsockname()[1]
        return port

    async def respond(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """The ASGI application."""
        await _answer(send, await self.greeter.hello.ask())


def greeting() -> bytes:
    """Encoded anew for each request, as an application would."""
    return json.dumps({"hello": "world"}).encode()


async def _answer(send: Send, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": body})
