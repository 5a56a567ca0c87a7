"""What we use of the extra `web`. The one place that imports uvicorn and httptools."""

try:
    from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
    from uvicorn import Config, Server
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
except ImportError as exc:
    raise ImportError(f"runtime.web needs the extra web: pip install 'understudy[web]' ({exc})") from exc

__all__ = [
    "Config",
    "HttpParserError",
    "HttpParserUpgrade",
    "HttpRequestParser",
    "HttpToolsProtocol",
    "RequestResponseCycle",
    "Server",
]
