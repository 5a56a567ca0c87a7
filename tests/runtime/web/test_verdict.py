"""Failed asks as HTTP answers."""

import asyncio
import json
import pickle
from typing import Any

import pytest

from actors import ActorDied, ActorStopped, AskFailed, DeadlineExceeded, DeathCertificate, MailboxFull, SystemGone
from actors.errors import of_handler
from runtime.web import AskErrors, ClientGone, Receive, Refused, Scope, Send

CERTIFICATE = DeathCertificate("inventory", 2, 4711, "run", "signal", signal="SIGKILL")


def sent_for(error: BaseException, *, scope_type: str = "http", before: tuple[dict[str, Any], ...] = ()) -> list[Any]:
    """What a client gets when its application first sends these events and then raises."""
    sent: list[Any] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for event in before:
            await send(event)
        raise error

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(AskErrors(app)({"type": scope_type}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ActorDied(CERTIFICATE, "started"), 503, {"error": "ActorDied", "actor": "inventory", "delivered": "started"}),
        (
            ActorStopped("inventory", "no"),
            503,
            {"error": "ActorStopped", "actor": "inventory", "delivered": "started"},
        ),
        (
            SystemGone("inventory", "unknown"),
            503,
            {"error": "SystemGone", "actor": "inventory", "delivered": "unknown"},
        ),
        (
            MailboxFull("inventory", "no"),
            503,
            {"error": "MailboxFull", "actor": "inventory", "delivered": "started"},
        ),
        (
            DeadlineExceeded("inventory", "started"),
            504,
            {"error": "DeadlineExceeded", "actor": "inventory", "delivered": "started"},
        ),
        (Refused(409, "sold out", {"item": "tea"}), 409, {"error": "sold out", "item": "tea"}),
    ],
)
def test_a_failed_ask_is_answered_with_its_verdict(error: Exception, status: int, body: dict[str, str]) -> None:
    start, end = sent_for(error)

    assert start["status"] == status
    assert json.loads(end["body"]) == body


@pytest.mark.parametrize("failed", [ActorStopped, MailboxFull, DeadlineExceeded])
def test_a_request_that_was_begun_is_never_answered_as_safe_to_try_again(failed: type[AskFailed]) -> None:
    start, end = sent_for(failed("shipping", "no"))  # a card may have been charged before

    assert json.loads(end["body"])["delivered"] == "started"
    assert b"retry-after" not in dict(start["headers"])


@pytest.mark.parametrize(("cause", "status"), [(DeadlineExceeded, 504), (ActorStopped, 503)])
def test_a_handler_that_failed_by_an_ask_of_its_own_is_answered_as_begun(cause: type[AskFailed], status: int) -> None:
    start, end = sent_for(of_handler("orders", of_handler("payments", cause("bank", "no"))))

    assert start["status"] == status
    assert json.loads(end["body"]) == {"error": "HandlerFailed", "actor": "orders", "delivered": "started"}


def test_a_client_that_is_gone_gets_nothing() -> None:
    assert sent_for(ClientGone()) == []


def test_another_exception_is_the_servers() -> None:
    with pytest.raises(ZeroDivisionError):
        sent_for(ZeroDivisionError())


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    begun = {"type": "http.response.start", "status": 200, "headers": []}

    with pytest.raises(ActorStopped):
        sent_for(ActorStopped("inventory", "no"), before=(begun,))


def test_a_failed_ask_of_a_lifespan_is_the_servers() -> None:
    with pytest.raises(ActorStopped):
        sent_for(ActorStopped("inventory", "no"), scope_type="lifespan")


def test_a_refusal_survives_pickling() -> None:
    refused = Refused(409, "sold out", {"item": "tea"}, {"retry-after": "1"})

    copy = pickle.loads(pickle.dumps(refused))

    assert (copy.status, copy.error, copy.details, copy.headers) == (
        409,
        "sold out",
        {"item": "tea"},
        {"retry-after": "1"},
    )
