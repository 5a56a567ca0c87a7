"""The control socket's framing: whole messages, and the descriptors that travel with them.

A message is a u32 length (little-endian) and that many bytes of msgpack, at most LIMIT; descriptors come with it as
SCM_RIGHTS. What is opaque to the supervisor (constructor arguments, definitions) is in no message: it comes as a memfd.

CT-1  Whatever does not fit the schema (`wire.control`, `wire.answer`) or the limit closes the connection; nothing of it
      is acted upon.
"""

import array
import contextlib
import os
import socket
from collections import deque

import msgspec

LIMIT = 1 << 20
_MAX_FDS = 253  # SCM_MAX_FD, linux/net/scm.h

encode = msgspec.msgpack.Encoder().encode


class Protocol(Exception):  # an event of the connection, never shown to a user
    """The peer sent what is no message (CT-1)."""


class Channel:
    """Framing of one connection: bytes and descriptors in, whole messages out. Owns the socket.

    Descriptors that were received and not taken are closed with it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._inbox = bytearray()
        self._fds: deque[int] = deque()
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._is_cut = False

    def feed(self, most: int = 1 << 16) -> bool:
        """Receive once; False at end of file. Blocks or raises BlockingIOError as the socket is set."""
        space = socket.CMSG_SPACE(_MAX_FDS * array.array("i").itemsize)
        part, ancillary, flags, _ = self.sock.recvmsg(most, space, socket.MSG_CMSG_CLOEXEC)
        self._is_cut |= bool(flags & socket.MSG_CTRUNC)
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(raw[: len(raw) - len(raw) % received.itemsize])
                self._fds.extend(received)
        self._inbox += part
        return bool(part)

    def take(self) -> bytes | None:
        """The next whole message's body, or None.

        Raises:
            Protocol: a length over LIMIT.
        """
        if len(self._inbox) < 4:
            return None
        size = int.from_bytes(self._inbox[:4], "little")
        if size > LIMIT:
            raise Protocol(f"message of {size} bytes, expected at most {LIMIT}")
        if len(self._inbox) < 4 + size:
            return None
        body = bytes(self._inbox[4 : 4 + size])
        del self._inbox[: 4 + size]
        return body

    def take_fds(self, count: int | None = None) -> list[int]:
        """Descriptors received with the messages taken so far; the caller owns them now. None: all of them."""
        wanted = len(self._fds) if count is None else count
        if wanted > len(self._fds):
            raise Protocol(f"expected {wanted} descriptors, got {len(self._fds)}")
        return [self._fds.popleft() for _ in range(wanted)]

    def take_cut(self) -> bool:
        """Whether descriptors were lost since this was asked last: this process had no room for them."""
        is_cut, self._is_cut = self._is_cut, False
        return is_cut

    def put(self, body: bytes, fds: list[int] | None = None) -> None:
        """Queue a message; `flush` sends it. The descriptors are duplicated now: the caller's stay the caller's.

        Raises:
            Protocol: it is longer than LIMIT.
            OSError: there are no descriptors for the duplicates; nothing is queued.
        """
        if len(body) > LIMIT:
            raise Protocol(f"message of {len(body)} bytes, expected at most {LIMIT}")
        with contextlib.ExitStack() as undo:
            copies: list[int] = []
            for fd in fds or ():
                copies.append(os.dup(fd))
                undo.callback(os.close, copies[-1])
            undo.pop_all()
        self._outbox.append((len(body).to_bytes(4, "little") + body, copies))

    def flush(self) -> bool:
        """Send what is queued; True when nothing is left. Blocks, or returns False, as the socket is set."""
        while self._outbox:
            raw, fds = self._outbox[0]
            batch, rest = fds[:_MAX_FDS], fds[_MAX_FDS:]
            chunk = raw[:1] if rest else raw
            try:
                sent = socket.send_fds(self.sock, [chunk], batch) if batch else self.sock.send(chunk)
            except BlockingIOError:
                return False
            for fd in batch:
                os.close(fd)
            if rest or sent < len(raw):
                self._outbox[0] = (raw[sent:], rest)
            else:
                self._outbox.popleft()
        return True

    def has_output(self) -> bool:
        """Something waits to be flushed."""
        return bool(self._outbox)

    def close(self) -> None:
        """Close the socket and every descriptor that nobody took."""
        for fd in (*self._fds, *(fd for _, fds in self._outbox for fd in fds)):
            os.close(fd)
        self._fds.clear()
        self._outbox.clear()
        self.sock.close()
