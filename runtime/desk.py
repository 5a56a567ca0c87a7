"""The desk: the supervisor's side of the control socket. Takes connections, reads requests by their schema.

DE-1  Only this uid: the directory is 0700, the socket 0600, and SO_PEERCRED is asked.
DE-2  What does not fit the schema closes the connection. Nothing here imports, evaluates or unpickles anything.
DE-3  A connection that does not read its answers holds up nobody.
DE-4  Without descriptors nothing spins, and whoever asks for what needs one is told: a request is refused and its line
      lives; a new connection is taken by a descriptor kept for that, and refused. Where even that cannot be done, new
      connections wait.
"""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Coroutine
from typing import Any

import msgspec

from actors.errors import ActorError
from runtime.connection import Connection, lacking
from runtime.requests import HANDLERS, System
from runtime.wire import answer, control, stream

_MOST_CONNECTIONS = 8192
_HELLO_SECONDS = 5.0
_PAUSE_SECONDS = 0.1  # until a connection that cannot be taken is tried again
_UNFIT = (stream.Protocol, msgspec.MsgspecError, ArithmeticError, ValueError)  # what a peer's nonsense raises
_TAKEN_SECONDS = 2.0  # an answer that was read is opened within it


class Desk:
    """All connections to the control socket."""

    def __init__(self, system: System, path: str) -> None:
        self._system = system
        self._path = path
        self._connections: dict[int, Connection] = {}
        self._waiting: list[Connection] = []
        self._making: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Bind and listen (DE-1)."""
        self._loop = asyncio.get_running_loop()
        self._reserve = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._bind()

    def restore(self) -> None:
        """Somebody has removed the socket: listen at another of its name.

        Raises:
            OSError: it cannot be made.
        """
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._bind()

    def _bind(self) -> None:
        directory = os.open(os.path.dirname(self._path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        umask = os.umask(0o177)
        try:
            self._sock.bind(f"/proc/self/fd/{directory}/control")  # sun_path holds 107 bytes
        finally:
            os.umask(umask)
            os.close(directory)
        self._sock.listen(512)
        self._loop.add_reader(self._sock.fileno(), self._on_connect)

    def flush(self, connection: Connection) -> None:
        """Send what is queued, now or when the peer reads (DE-3)."""
        fd = connection.channel.sock.fileno()
        try:
            is_done = connection.channel.flush()
        except OSError:
            self.drop(connection)
            return
        if is_done:
            self._loop.remove_writer(fd)
        else:
            self._loop.add_writer(fd, self.flush, connection)

    def drop(self, connection: Connection) -> None:
        """Close a connection and forget what belonged to it."""
        if connection.is_closed:
            return
        connection.is_closed = True
        fd = connection.channel.sock.fileno()
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        self._connections.pop(fd, None)
        if connection in self._waiting:
            self._waiting.remove(connection)
        for number in connection.replies:
            self._system.callers.close(number)
        self._system.troupe.seats.leave(connection.seat)
        for body in self._system.vault.owner_gone(connection.number):
            self._loop.call_later(_TAKEN_SECONDS, self._system.vault.end_untaken, body)
        connection.channel.close()
        self._restock()

    def wait(self, connection: Connection) -> None:
        """It is to be told how the system ends."""
        self._waiting.append(connection)

    def in_steps(self, connection: Connection, making: Coroutine[Any, Any, None]) -> None:
        """Answer a request by what is made in steps, while others are served; its errors are refusals."""

        async def make() -> None:
            try:
                await making
            except ActorError as exc:
                connection.refuse(exc)

        task = self._loop.create_task(make())
        self._making.add(task)  # a loop holds its tasks by weak references only
        task.add_done_callback(self._making.discard)

    def tell_ending(self, ending: answer.Ending) -> None:
        """Answer those who wait for the end."""
        for connection in list(self._waiting):
            connection.answer(msgspec.to_builtins(ending))

    def close(self) -> None:
        """Stop listening, close all connections."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if self._reserve >= 0:
            os.close(self._reserve)
        for connection in list(self._connections.values()):
            self.drop(connection)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _on_connect(self) -> None:
        is_last = False
        try:
            sock, _ = self._sock.accept()
        except BlockingIOError:
            return
        except OSError:  # EMFILE
            last = self._accept_last()
            if last is None:
                return
            sock, is_last = last, True
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.geteuid() or len(self._connections) >= _MOST_CONNECTIONS:
            sock.close()
            self._restock()
            return
        sock.setblocking(False)
        connection = Connection(self, stream.Channel(sock), is_last=is_last)
        self._connections[sock.fileno()] = connection
        self._loop.add_reader(sock.fileno(), self._on_readable, connection)
        self._loop.call_later(_HELLO_SECONDS, self._expect_hello, connection)

    def _accept_last(self) -> socket.socket | None:
        """Take one more connection by the descriptor kept for it, only to say why there can be no other (DE-4)."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
            with contextlib.suppress(OSError):
                return self._sock.accept()[0]
            self._restock()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_PAUSE_SECONDS, self._listen)
        return None

    def _listen(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._on_connect)

    def _restock(self) -> None:
        """Have a descriptor in reserve again; nothing while there is none to be had, or the desk is closed."""
        if self._reserve < 0 and self._sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._reserve = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def _expect_hello(self, connection: Connection) -> None:
        if not connection.is_known:
            self.drop(connection)

    def _on_readable(self, connection: Connection) -> None:
        try:
            if not connection.channel.feed():
                self.drop(connection)
                return
            while not connection.is_closed and (body := connection.channel.take()) is not None:
                self._serve(connection, control.decode_request(body), connection.channel.take_fds())
        except BlockingIOError:
            return
        except (OSError, *_UNFIT):  # CT-1
            self.drop(connection)

    def _serve(self, connection: Connection, request: Any, fds: list[int]) -> None:
        """Handle one request, or refuse it: what it lacks ends neither the connection nor anything else."""
        try:
            if connection.is_last or connection.channel.take_cut():
                connection.refuse(lacking(type(request).__name__, OSError(errno.EMFILE, "")))
            else:
                self._handle(connection, request, fds)
        except ActorError as exc:
            connection.refuse(exc)
        except OSError as exc:  # no descriptors, no inodes: what was asked for cannot be had, the rest lives
            connection.refuse(lacking(type(request).__name__, exc))
        except _UNFIT:
            raise
        except Exception:  # a fault of our own, which must not leave its asker waiting
            self._system.reporter.failed_inside("request failed")
            connection.refuse(ActorError(f"{type(request).__name__}: failed inside the supervisor, whose log says how"))
        finally:
            for fd in fds:
                os.close(fd)
        if connection.is_last and not connection.channel.has_output():
            self.drop(connection)

    def _handle(self, connection: Connection, request: Any, fds: list[int]) -> None:
        if not (connection.is_known or isinstance(request, control.Hello | control.EndPayload)):
            raise stream.Protocol("expected hello")
        handler = HANDLERS.get(type(request))
        if handler is None:
            raise stream.Protocol("a request that nobody handles")
        self._system.names.look()
        handler(self._system, connection, request, fds)
