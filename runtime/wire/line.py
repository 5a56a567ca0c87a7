"""A process's lines to the supervisor: blocking control connections, as many as there are requests at one time.

A request takes an idle line or opens one, so that a long start never holds up a short question. What is registered for
the process (reply FIFOs) goes by a line of its own, the session: it is forgotten when that is closed, which the kernel
does for the dead.
"""

import errno
import os
import socket
import threading
from typing import Any

import msgspec

from actors import errors
from actors.errors import ActorError, NoSuchSystem, SystemGone
from runtime.wire import control, stream
from runtime.wire.answer import Answer, Failed, Welcome, decode_answer


class Lines:
    """All lines of this process to one system. Threads share it; `close` closes every line."""

    def __init__(self, directory: str, system: str) -> None:
        self._directory = directory
        self._system = system
        self._idle: list[stream.Channel] = []
        self._lock = threading.Lock()
        self._session: stream.Channel | None = None
        self._is_shut = False

    def open(self) -> tuple[Welcome, int]:
        """Open the session now, and sit down at the board.

        Returns:
            The welcome, and the board's descriptor (the caller's to close).
        Raises:
            NoSuchSystem: nobody answers there.
        """
        session, welcome, board = self._connect()
        with self._lock:
            self._session = session
        return welcome, board

    def register(self, message: Any) -> tuple[Any, list[int]]:
        """Send a request whose effect lasts as long as this process is attached; returns as `request` does."""
        with self._lock:
            if self._session is None:
                self._session, _, board = self._connect()
                os.close(board)
            return self._exchange(self._session, message, None)

    def request(
        self, message: Any, fds: list[int] | None = None, *, timeout: float | None = None
    ) -> tuple[Any, list[int]]:
        """Send a request and block for its answer, for ever or until the timeout in seconds.

        Returns:
            The answer's plain value, and the descriptors beside it (the caller's to close).
        Raises:
            TimeoutError: the timeout passed.
            SystemGone: the supervisor went away.
            ActorError: what the supervisor refused it with.
        """
        line = self._take()
        line.sock.settimeout(timeout)
        try:
            result = self._exchange(line, message, fds)
        except ActorError as exc:
            if isinstance(exc, SystemGone):
                line.close()
            else:
                self._give_back(line)
            raise
        except BaseException:  # KeyboardInterrupt: the answer is still to come, so the line cannot be used again
            line.close()
            raise
        self._give_back(line)
        return result

    def close(self) -> None:
        """Close all idle lines; the supervisor forgets what belonged to them."""
        with self._lock:
            lines, self._idle = self._idle, []
            if self._session is not None:
                lines.append(self._session)
                self._session = None
        for line in lines:
            line.close()

    def shut(self) -> None:
        """Close all lines for good: whoever asks for one gets `SystemGone`."""
        self._is_shut = True
        self.close()

    def _exchange(self, line: stream.Channel, message: Any, fds: list[int] | None) -> tuple[Any, list[int]]:
        try:
            line.put(stream.encode(message), fds)
        except (OSError, stream.Protocol) as exc:  # no descriptors, too large: nothing was sent
            raise ActorError(f"{type(message).__name__}: {exc}") from exc
        try:
            line.flush()
            body = line.take()
            while body is None:
                if not line.feed():
                    raise SystemGone(self._system, "unknown", "the supervisor is gone")
                body = line.take()
            answer: Answer = decode_answer(body)
            received = line.take_fds()
        except TimeoutError:
            raise
        except (OSError, stream.Protocol, msgspec.MsgspecError) as exc:
            raise SystemGone(self._system, "unknown", f"the supervisor is gone ({exc})") from exc
        if isinstance(answer, Failed):
            raise error_of(answer)
        if len(received) != answer.fds:  # the kernel leaves out those there is no room for
            line.take_cut()
            for fd in received:
                os.close(fd)
            raise ActorError(f"{type(message).__name__}: this process: {os.strerror(errno.EMFILE)}")
        return answer.value, received

    def _give_back(self, line: stream.Channel) -> None:
        with self._lock:
            self._idle.append(line)

    def _take(self) -> stream.Channel:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        line, _, board = self._connect()
        os.close(board)
        return line

    def _connect(self) -> tuple[stream.Channel, Welcome, int]:
        if self._is_shut:
            raise SystemGone(self._system, "no", "this client is closed")
        line = stream.Channel(connect(self._directory, self._system))
        try:
            value, fds = self._exchange(line, control.Hello(pid=os.getpid()), None)
        except SystemGone as exc:
            line.close()
            raise NoSuchSystem(self._system, "it is going away") from exc
        except ActorError:
            line.close()
            raise
        return line, msgspec.convert(value, Welcome), fds[0]


def connect(directory: str, system: str) -> socket.socket:
    """A connection to the control socket below directory.

    Raises:
        NoSuchSystem: nobody listens there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{fd}/control")  # sun_path holds 107 bytes; a directory may be longer
        finally:
            os.close(fd)
    except OSError as exc:
        sock.close()
        raise NoSuchSystem(system, str(exc)) from exc
    return sock


def error_of(failed: Failed) -> ActorError:
    """The error of actors.errors that a refusal stands for."""
    kind = getattr(errors, failed.error, None)
    if not (isinstance(kind, type) and issubclass(kind, ActorError)):
        return ActorError(failed.error, *failed.args)
    arguments = list(failed.args)
    if kind is errors.StartFailed:
        arguments.append(failed.certificate)
    return kind(*arguments)


def failed_of(error: ActorError) -> Failed:
    """A refusal as it crosses the socket."""
    if isinstance(error, errors.StartFailed):
        return Failed("StartFailed", [error.name, error.detail], error.certificate)
    return Failed(type(error).__name__, list(error.args))
