"""One HTTP request: its body, its answer, its client."""

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from actors import ActorStopped, AskFailed, MailboxFull
from runtime.web import ClientGone, JsonBody, Receive, Refused, Scope, answer, read_body

T = TypeVar("T")


class Point(BaseModel):
    x: int
    y: int


class Promise:
    """A Reply that a test ends."""

    def __init__(self) -> None:
        self.future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    def result(self, timeout: float | None = None) -> str:
        raise NotImplementedError

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> bool:
        self.cancelled = True
        self.future.set_exception(concurrent.futures.CancelledError())
        return True

    def __await__(self) -> Generator[Any, None, str]:
        return self.future.__await__()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def events(*bodies: bytes, then: str | None = None) -> Receive:
    """A client that sends these pieces of a body; then: one more event, or silence."""
    queue = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    if then is None:
        queue[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        if queue:
            return queue.pop(0)
        if then == "silence":
            await asyncio.Event().wait()
        return {"type": then}

    return receive


def scope(length: int | None = None) -> Scope:
    return {"type": "http", "headers": [] if length is None else [(b"content-length", str(length).encode())]}


def refusal(coroutine: Coroutine[Any, Any, object]) -> Refused:
    with pytest.raises(Refused) as caught:
        run(coroutine)
    return caught.value


def test_a_body_is_joined_from_its_pieces() -> None:
    assert run(read_body(scope(6), events(b"ab", b"cd", b"ef"), most_bytes=6, seconds=1)) == b"abcdef"


def test_a_body_over_the_limit_is_413_by_its_content_length() -> None:
    assert refusal(read_body(scope(7), events(b"", then="silence"), most_bytes=6, seconds=1)).status == 413


def test_a_content_length_of_more_digits_than_an_int_may_have_is_413_or_what_it_says() -> None:
    def read(declared: bytes) -> Coroutine[Any, Any, bytes]:
        return read_body({"headers": [(b"content-length", declared)]}, events(b"abc"), most_bytes=6, seconds=1)

    assert refusal(read(b"9" * 5000)).status == 413
    assert run(read(b"0" * 5000 + b"3")) == b"abc"


def test_a_body_over_the_limit_is_413_while_it_streams() -> None:
    assert refusal(read_body(scope(), events(b"abcd", b"efg", then="silence"), most_bytes=6, seconds=1)).status == 413


def test_a_body_that_does_not_come_in_time_is_408() -> None:
    assert refusal(read_body(scope(), events(b"a", then="silence"), most_bytes=6, seconds=0.001)).status == 408


def test_a_client_that_goes_in_the_middle_of_its_body_is_gone() -> None:
    with pytest.raises(ClientGone):
        run(read_body(scope(), events(b"a", then="http.disconnect"), most_bytes=6, seconds=1))


def test_a_json_body_arrives_as_its_shape() -> None:
    assert run(JsonBody(Point).read(scope(), events(b'{"x": 1,', b'"y": 2}'))) == Point(x=1, y=2)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"x": 1}', {"y": "Field required"}),
        (
            b'{"x": "one", "y": 2}',
            {"x": "Input should be a valid integer, unable to parse string as an integer"},
        ),
        (b"[]", {"body": "Input should be an object"}),
    ],
)
def test_a_json_body_of_another_shape_is_400_and_names_the_fields(body: bytes, fields: dict[str, str]) -> None:
    refused = refusal(JsonBody(Point).read(scope(), events(body)))

    assert (refused.status, refused.details) == (400, {"fields": fields})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"x": 1, "y": 2} 3'])
def test_a_body_that_is_no_json_is_400(body: bytes) -> None:
    refused = refusal(JsonBody(Point).read(scope(), events(body)))

    assert refused.status == 400
    assert "Invalid JSON" in str(refused.details["fields"])


def test_an_answer_is_the_value_of_its_reply() -> None:
    async def ask() -> str:
        reply = Promise()
        asyncio.get_running_loop().call_soon(reply.future.set_result, "value")
        return await answer(events(b"", then="silence"), reply)

    assert run(ask()) == "value"


def test_an_answer_raises_what_its_ask_ended_with() -> None:
    async def ask() -> str:
        reply = Promise()
        reply.future.set_exception(KeyError("tea"))
        return await answer(events(b"", then="silence"), reply)

    with pytest.raises(KeyError):
        run(ask())


@pytest.mark.parametrize(
    ("failure", "headers"), [(ActorStopped("tea", "no"), {}), (MailboxFull("tea", "no"), {"retry-after": "1"})]
)
def test_of_a_request_that_is_only_one_ask_it_is_said_how_far_that_got(
    failure: AskFailed, headers: dict[str, str]
) -> None:
    async def ask() -> str:
        reply = Promise()
        reply.future.set_exception(failure)
        return await answer(events(b"", then="silence"), reply, only=True)

    refused = refusal(ask())

    assert (refused.status, refused.details["delivered"], refused.headers) == (503, "no", headers)
    assert refused.__cause__ is failure


def test_a_client_that_goes_while_it_waits_cancels_the_ask() -> None:
    replies: list[Promise] = []

    async def ask() -> str:
        replies.append(Promise())
        return await answer(events(b"", then="http.disconnect"), replies[0])

    with pytest.raises(ClientGone):
        run(ask())
    assert replies[0].cancelled
