"""An ASGI application for the tests, the actor it asks, and a client that speaks bytes."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from actors import Actor, message
from runtime.web import App, JsonBody, Receive, Scope, Send, WebFront, answer, read_body, send_json


class Gate(Actor):
    @message
    def wait(self, path: str) -> str:
        """Block until somebody has written to the FIFO at path."""
        return Path(path).read_text()


class Point(BaseModel):
    x: int
    y: int


class Application:
    def __init__(self, gate: Gate | None = None) -> None:
        self._gate = gate
        self._point = JsonBody(Point, most_bytes=100)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"], scope.get("path"):
            case "lifespan", _:
                await _live(receive, send)
            case _, "/gate" if self._gate is not None:
                path = scope["query_string"].decode()
                await send_json(send, await answer(receive, self._gate.wait.ask(path)))
            case _, "/point":
                await send_json(send, (await self._point.read(scope, receive)).model_dump())
            case _, "/headers":
                await read_body(scope, receive, most_bytes=100, seconds=10)
                await send_json(send, [name.decode() for name, _ in scope["headers"]])
            case _, "/redirect":
                host = dict(scope["headers"])[b"host"].decode()
                await send_json(send, None, status=307, headers={"location": f"http://{host}/elsewhere"})
            case _, "/large":
                await send_json(send, "x" * (64 << 20))
            case _, "/broken":
                raise ZeroDivisionError
            case _:
                await send_json(send, "hello")


class Overriding(WebFront):
    def app(self) -> App:
        return Application()


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@contextmanager
def connection(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=10) as client:
        yield client


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: test", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def answer_of(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read exactly one answer: its HTTP status, its headers, its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _received(client, 1)
    status, *lines = head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, _received(client, int(headers.get("content-length", "0")))


def status_of(client: socket.socket) -> int:
    """Read exactly one answer; its HTTP status."""
    return answer_of(client)[0]


def is_closed(client: socket.socket) -> bool:
    """Wait for the other end to close."""
    return client.recv(65536) == b""


def _received(client: socket.socket, nbytes: int) -> bytes:
    raw = b""
    while len(raw) < nbytes:
        piece = client.recv(nbytes - len(raw))
        assert piece, "closed in the middle of an answer"
        raw += piece
    return raw


def made_of(orders: object) -> object:
    """A function that makes an application, as one with refs is."""
    return orders
