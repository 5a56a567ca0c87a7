"""One HTTP request, as an application that asks actors needs it: its body, its answer, its client's going away."""

import asyncio
import concurrent.futures
import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from actors.errors import AskFailed
from actors.reply import Reply
from runtime.web.asgi import Receive, Scope, Send
from runtime.web.refused import Refused, refusal_of

T = TypeVar("T")


class ClientGone(Exception):
    """The client disconnected: nobody waits for the answer of this request."""


async def answer(receive: Receive, reply: Reply[T], *, only: bool = False) -> T:
    """Wait for an answer as long as the client waits for it; the request's body has been read.

    Args:
        only: this request has no other effect than this ask: what is said of the ask when it fails ("no": it was not
            begun) then holds for the request, and is answered at once.
    Raises:
        ClientGone: the client disconnected; the ask was cancelled.
        Refused: with only, the ask failed.
        Exception: what the ask ended with.
    """
    watch = asyncio.create_task(_cancel_when_gone(receive, reply))
    try:
        return await reply
    except concurrent.futures.CancelledError:
        raise ClientGone from None
    except AskFailed as error:
        if only:
            raise refusal_of(error, error.delivered) from error
        raise
    finally:
        watch.cancel()


class JsonBody(Generic[T]):
    """Reads request bodies that are JSON of one shape. Made once, used for every request."""

    def __init__(self, shape: type[T], *, most_bytes: int = 64 * 1024, seconds: float = 10.0) -> None:
        """Expect bodies of that shape.

        Args:
            shape: whatever pydantic validates: a model, a dataclass, a list of them.
            most_bytes: a longer body is refused.
            seconds: it must have come within this time.
        """
        self._adapter = TypeAdapter(shape)
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def read(self, scope: Scope, receive: Receive) -> T:
        """Read the body of this request.

        Raises:
            Refused: 400 with the fields that are wrong, 408, 413.
            ClientGone: the client disconnected.
        """
        raw = await read_body(scope, receive, most_bytes=self._most_bytes, seconds=self._seconds)
        try:
            return self._adapter.validate_json(raw)
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_context=False, include_input=False)
            fields = {".".join(map(str, found["loc"])) or "body": found["msg"] for found in errors}
            raise Refused(400, "invalid request", {"fields": fields}) from exc


async def read_body(scope: Scope, receive: Receive, *, most_bytes: int, seconds: float) -> bytes:
    """The whole body of this request, never more than most_bytes of it.

    Raises:
        Refused: 408 it did not come in time, 413 it is too long, by its content-length or as it comes.
        ClientGone: the client disconnected.
    """
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    too_long = Refused(413, "body too long", {"most_bytes": most_bytes})
    digits = declared.lstrip(b"0")  # a number, as the parser has checked; int() refuses one of 5,000 digits
    if len(digits) > len(str(most_bytes)) or int(digits or b"0") > most_bytes:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise ClientGone
                body += event.get("body", b"")
                if len(body) > most_bytes:
                    raise too_long
                if not event.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, "body too slow", {"seconds": seconds}) from None


async def send_json(send: Send, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """Send a whole JSON answer."""
    body = json.dumps(value, separators=(",", ":")).encode()
    head = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in head.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _cancel_when_gone(receive: Receive, reply: Reply[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    reply.cancel()
