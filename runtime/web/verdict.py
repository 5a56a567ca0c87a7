"""Verdicts: an ask that failed, as the answer to the HTTP request it was made for.

VE-1  A request that an application has begun may have had effects before the ask that failed, as a message may that is
      in a handler's hands. So no answer says that it was not begun ("no": safe to try again) unless the application
      does, by `answer(…, only=True)`.
"""

from actors.errors import AskFailed
from runtime.web.asgi import App, Event, Receive, Scope, Send
from runtime.web.refused import Refused, refusal_of
from runtime.web.request import ClientGone, send_json


class AskErrors:
    """ASGI middleware: asks that failed, and `Refused`, become JSON answers.

        ActorDied, ActorStopped, SystemGone → 503        {"error": "ActorDied", "actor": …, "delivered": …}
        MailboxFull                         → 503, with Retry-After where nothing was begun
        DeadlineExceeded                    → 504
        HandlerFailed                       → 503, or 504 where a deadline is its cause
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
            refused = error if isinstance(error, Refused) else _at_least_begun(error)
            body = {"error": refused.error, **refused.details}
            await send_json(send, body, status=refused.status, headers=refused.headers)


def _at_least_begun(error: AskFailed) -> Refused:
    """VE-1."""
    return refusal_of(error, "started" if error.delivered == "no" else error.delivered)
