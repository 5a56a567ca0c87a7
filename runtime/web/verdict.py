"""Verdicts: an ask that failed, as the answer to the HTTP request it was made for."""

from actors.errors import AskFailed, DeadlineExceeded, MailboxFull
from runtime.web.asgi import App, Event, Receive, Scope, Send
from runtime.web.request import ClientGone, Refused, send_json


class AskErrors:
    """ASGI middleware: asks that failed, and `Refused`, become JSON answers.

        ActorDied, ActorStopped, SystemGone → 503        {"error": "ActorDied", "actor": …, "delivered": …}
        MailboxFull                         → 503 and Retry-After
        DeadlineExceeded                    → 504
        Refused                             → its status {"error": …, and its details}

    `WebFront` puts it around its application. A framework that catches all exceptions itself needs it inside:
    `Starlette(middleware=[Middleware(AskErrors)])`.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification, version 3."""
        is_started = False

        async def watched(event: Event) -> None:
            nonlocal is_started
            is_started = True
            await send(event)

        try:
            await self._app(scope, receive, watched)
        except ClientGone:  # no answer can reach it
            return
        except (AskFailed, Refused) as error:
            if is_started or scope["type"] != "http":
                raise
            refused = error if isinstance(error, Refused) else refusal_of(error)
            body = {"error": refused.error, **refused.details}
            await send_json(send, body, status=refused.status, headers=refused.headers)


def refusal_of(error: AskFailed) -> Refused:
    """The answer to a request whose ask failed. It does not tell the client why an actor died: the log does."""
    details = {"actor": error.actor, "delivered": error.delivered}
    name = type(error).__name__
    match error:
        case DeadlineExceeded():
            return Refused(504, name, details)
        case MailboxFull():
            return Refused(503, name, details, {"retry-after": "1"})
        case _:
            return Refused(503, name, details)
