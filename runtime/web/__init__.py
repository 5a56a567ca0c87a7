"""ASGI under supervision: an actor that serves HTTP, and what an application needs to answer with asks.

    client ── TCP ──▶ uvicorn, in the front's own event loop ──▶ the application ── ask ──▶ other actors
           ◀── JSON: the value, or the verdict ─────────────────────────────┘ ◀── reply ───┘

`WebFront` is started like every actor: `child(WebFront, "shop.api:create_app", refs={…})`, or `runtime.web:WebFront`
in a file. It is ready when its port listens; an ordered stop finishes the requests in hand. `AskErrors` answers for
asks that failed, `answer` waits for one while the client is there, `JsonBody` reads and checks what a client sent.
"""

from runtime.web.asgi import App, Receive, Scope, Send
from runtime.web.front import Traffic, WebFront
from runtime.web.refused import Refused
from runtime.web.request import ClientGone, JsonBody, answer, read_body, send_json
from runtime.web.verdict import AskErrors

__all__ = [
    "App",
    "AskErrors",
    "ClientGone",
    "JsonBody",
    "Receive",
    "Refused",
    "Scope",
    "Send",
    "Traffic",
    "WebFront",
    "answer",
    "read_body",
    "send_json",
]
