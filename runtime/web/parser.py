"""uvicorn's HTTP/1.1 protocol, made strict and bounded: what counts as a request, and how much is read of one.

PA-1  The parser is fed in pieces, and counted by the meter after each: whatever a client sends in one go, no more than
      a piece is read over a limit.
PA-2  A pipelined request is parsed once the one before it is answered. What was received meanwhile waits unparsed, and
      the kernel holds the rest.
PA-3  A request is refused with 400 where two readers might read two things (RFC 9112, 3.2 and 6.3): no Host or several
      in HTTP/1.1, a length of more digits than any body has bytes.
PA-4  Upgrade is not ours to grant, and ignoring it is always right (RFC 9110, 7.8): such a request is parsed as if it
      had not asked. llhttp would take its body, and all that follows, for the other protocol's.
PA-5  Trailers are dropped: uvicorn would put them among the headers, after those have been looked at.
"""

import asyncio

from runtime.web.extra import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpToolsProtocol
from runtime.web.meter import Meter, Phase

_PIECE = 4096  # bytes fed at a time
_MOST_UNFED = 256 * 1024  # as much as asyncio reads at a time
_MOST_DIGITS = 18  # of a Content-Length; 10**18 bytes are an exabyte
_HOP = (b"upgrade", b"http2-settings")  # RFC 7540, 3.2.1: both are of this connection only


class HttpParser(HttpToolsProtocol):
    """Parses what a connection brings. Who derives from it says what becomes of a request that is refused."""

    meter: Meter

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client has connected."""
        super().connection_made(transport)
        self.meter = Meter(self.loop.time())
        self._unfed = bytearray()
        self._is_upgrade = False

    def on_request(self) -> None:
        """A request's head was read; its body comes."""
        raise NotImplementedError

    def refuse(self, status: bytes) -> None:
        """Answer with that status line's end, and nothing more; close."""
        raise NotImplementedError

    def has_refused(self) -> bool:
        """Whether nothing more is to be parsed."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        self._unfed += data
        self.feed()

    def feed(self) -> None:
        """Parse what has come, as far as it may be (PA-1, PA-2)."""
        self._unset_keepalive_if_required()
        while self._unfed and not self.pipeline and not self.has_refused():
            piece = bytes(self._unfed[:_PIECE])
            del self._unfed[:_PIECE]
            if not self.meter.has_begun():
                self.meter.begin(
                    Phase.HEAD, self.loop.time()
                )  # be it a lone line end, of which the parser tells nobody
            try:
                self.parser.feed_data(piece)
            except HttpParserUpgrade as found:
                self._unfed[:0] = self._without_upgrade() + piece[found.args[0] :]
            except HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.refuse(b"400 Bad Request")
            if not self.meter.add(len(piece)):
                self.refuse(b"431 Request Header Fields Too Large")
        if len(self._unfed) > _MOST_UNFED:
            self.flow.pause_reading()  # until the request before is answered

    def forget(self) -> None:
        """What has come and was not parsed is of no use any more."""
        self._unfed.clear()

    def has_unfed(self) -> bool:
        """Whether there is more to parse."""
        return bool(self._unfed)

    def on_message_begin(self) -> None:
        """Of the parser: the first byte of a request."""
        super().on_message_begin()
        self.meter.begin(Phase.HEAD, self.loop.time())

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser: a header, or a trailer."""
        if self.meter.phase is Phase.BODY:
            return  # PA-5
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Of the parser: the head has come as a whole."""
        self._check()
        self._is_upgrade = self.parser.should_upgrade()
        if self._is_upgrade:
            return  # it comes again, without
        self.meter.begin(Phase.BODY, self.loop.time())
        super().on_headers_complete()
        self.on_request()

    def on_body(self, body: bytes) -> None:
        """Of the parser: some of the body."""
        self.meter.add_body(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Of the parser: all of a request."""
        if self._is_upgrade:
            return
        self.meter.begin(Phase.IDLE, self.loop.time())
        super().on_message_complete()

    def _check(self) -> None:
        """PA-3; what is raised here is an `HttpParserError` to who feeds."""
        names = [name for name, _ in self.headers]
        if self.parser.get_http_version() == "1.1" and names.count(b"host") != 1:
            raise ValueError(f"host: expected one, got {names.count(b'host')}")
        if any(name == b"content-length" and len(value) > _MOST_DIGITS for name, value in self.headers):
            raise ValueError(f"content-length: expected at most {_MOST_DIGITS} digits, got more")
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("method: expected one for a resource of this server, got CONNECT")

    def _without_upgrade(self) -> bytes:
        """The head that was just parsed, without what asks for another protocol; a new parser waits for it (PA-4)."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                lines.append(b"connection: " + b", ".join(token for token in tokens if token.lower() not in _HOP))
            elif name not in _HOP:
                lines.append(name + b": " + value)
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it on its own
        return b"\r\n".join([*lines, b"", b""])
