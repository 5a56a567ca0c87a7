"""Redirects that do not repeat what a client said.

Frameworks make a redirect's address of the request's Host, which is whatever the client wrote: kept by a cache, it
would send others there. An address of the same host says nothing that its path alone does not, so the path is sent
(RFC 9110, 10.2.2); and behind a proxy that speaks TLS it stays https.
"""

from collections.abc import Iterable

from runtime.web.asgi import Event, Scope

_Headers = Iterable[tuple[bytes, bytes]]


def relative(event: Event, scope: Scope) -> Event:
    """What is sent for an event of the answer to this request: the same, but for a Location at the Host it asked."""
    if event["type"] != "http.response.start" or not 300 <= event["status"] < 400:
        return event
    origins = _origins(scope)
    headers = [
        (name, path_of(value, origins) if name.lower() == b"location" else value)
        for name, value in event.get("headers", ())
    ]
    return {**event, "headers": headers}


def path_of(location: bytes, origins: tuple[bytes, ...]) -> bytes:
    """A Location without the origin it begins with, if that is one of these."""
    for origin in origins:
        rest = location[len(origin) :]
        if location[: len(origin)].lower() == origin and rest[:1] in (b"/", b"?", b"#", b""):
            if rest.startswith(b"//"):
                return b"/." + rest  # else it would be read as another host (RFC 3986, 4.2 and 3.3)
            return rest if rest.startswith(b"/") else b"/" + rest
    return location


def _origins(scope: Scope) -> tuple[bytes, ...]:
    scheme = scope["scheme"].encode()
    return tuple(scheme + b"://" + value.lower() for name, value in scope["headers"] if name == b"host")
