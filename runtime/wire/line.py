"""A process's lines to the supervisor: blocking control connections, as many as there are requests at one time.

A request takes an idle line or opens one, so that a long start never holds up a short question. What is registered for
the process (reply FIFOs) goes by a line of its own, the session: it is forgotten when that is closed, which the kernel
does for the dead.

LI-1  What a message needs before it can be sent is had by the message's deadline, or the message is not sent: a
      supervisor that is stopped holds up nobody for longer.
LI-2  An answer that nobody waited for is taken before the session's next request, and what it gave is given back.
LI-3  In an event loop, and for who has others to serve, the supervisor has but a moment (`wire.late`).
"""

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

import msgspec

from actors import errors
from actors.errors import ActorError, DeadlineExceeded, NoSuchSystem, SystemGone
from runtime.wire import control, stream
from runtime.wire.answer import Answer, Failed, Welcome, decode_answer
from runtime.wire.late import Hurry, patience_seconds

_LEAVE_SECONDS = 1.0  # for a waiter that was woken up
_QUEUE_SECONDS = 0.005


class Lines:
    """All lines of this process to one system. Threads share it; `close` closes every line."""

    def __init__(self, directory: str, system: str) -> None:
        self._directory = directory
        self._system = system
        self._idle: list[stream.Channel] = []
        self._lock = threading.Lock()
        self._session: stream.Channel | None = None
        self._session_lock = threading.RLock()  # which knows whose it is, whenever a KeyboardInterrupt comes
        self._is_asking = False
        self._owed: Any = None  # what the session was asked and has not answered
        self._abandoned: list[stream.Channel] = []  # sessions that were interrupted
        self._is_shut = False
        self._hurry = Hurry(system)  # LI-3

    def open(self) -> tuple[Welcome, int]:
        """Open the session now, and sit down at the board.

        Returns:
            The welcome, and the board's descriptor (the caller's to close).
        Raises:
            NoSuchSystem: nobody answers there.
            DeadlineExceeded: nor does anybody refuse, until the ambient deadline, else for 5 s.
        """
        try:
            session, welcome, board = self._connect(patience_seconds())
        except TimeoutError as exc:
            raise DeadlineExceeded(self._system, "no", "the supervisor did not answer in time") from exc
        with self._lock:
            self._session = session
        return welcome, board

    def register(
        self, message: Any, *, again: Callable[[], object] | None = None, is_hurried: bool = False
    ) -> tuple[Any, list[int]]:
        """Send a request whose effect lasts as long as this process is attached, for a message to be sent (LI-1).

        Args:
            again, is_hurried: see `prepare`.
        Returns:
            As `request` does.
        Raises:
            Late: there was no answer until the ambient deadline, else for 5 s; LI-3.
            SystemGone, ActorError: as of `request`.
        """
        retry = again or partial(self.register, message)
        patience = self._hurry.patience(retry, is_hurried=is_hurried)
        until = None if patience is None else monotonic() + patience
        try:
            if self._session_lock.acquire(timeout=-1 if patience is None else patience):
                return self._registered(message, until)
        except TimeoutError as exc:
            raise self._hurry.late(retry, is_hurried=is_hurried) from exc
        finally:
            try:  # noqa: SIM105  # no call before it, at which a KeyboardInterrupt could come
                self._session_lock.release()
            except RuntimeError:  # it is not ours: not had in time, or interrupted
                pass
        raise self._hurry.late(retry, is_hurried=is_hurried)

    def say(self, message: control.EndPayload) -> bool:
        """Send what has no answer, without waiting; False: not now.

        By a connection of its own: a supervisor that is late takes it when it can, whatever this process does then.
        """
        try:
            sock = _connected(self._directory, self._system)
        except NoSuchSystem:
            return True  # with the system all is gone
        except (BlockingIOError, ActorError):  # it has more to take than it can keep; no descriptors
            return False
        try:
            channel = stream.Channel(sock)
            channel.put(stream.encode(message))
            return channel.flush()
        except OSError:  # it has hung up
            return True
        finally:
            sock.close()

    def prepare(
        self,
        message: Any,
        fds: list[int] | None = None,
        *,
        again: Callable[[], object] | None = None,
        is_hurried: bool = False,
    ) -> tuple[Any, list[int]]:
        """`request` for a message that is to be sent, or was received (LI-1).

        Args:
            again: how to ask once more, so that what is got is kept; None: the same.
            is_hurried: others wait meanwhile (LI-3).
        Raises:
            Late: there was no answer until the ambient deadline, else for 5 s; LI-3.
        """
        retry = again or partial(self.prepare, message)
        patience = self._hurry.patience(retry, is_hurried=is_hurried)
        try:
            return self.request(message, fds, timeout=patience)
        except TimeoutError as exc:
            raise self._hurry.late(retry, is_hurried=is_hurried) from exc

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
        line = self._take(timeout)
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
            session = self._session
        if session is not None:
            with contextlib.suppress(OSError):  # the supervisor has hung up
                session.sock.shutdown(socket.SHUT_RDWR)  # whoever waits for an answer by it gets `SystemGone`
        has_left = self._session_lock.acquire(timeout=_LEAVE_SECONDS)  # it is not to be closed under his hands
        self._let_go()
        if has_left:
            self._session_lock.release()

    def after_fork(self) -> None:
        """In the child of a fork: what was open is the parent's."""
        self._lock, self._session_lock, self._is_asking = threading.Lock(), threading.RLock(), False
        self._let_go()

    def shut(self) -> None:
        """Close all lines for good: whoever asks for one gets `SystemGone`."""
        self._is_shut = True
        self.close()

    def _let_go(self) -> None:
        with self._lock:
            lines = [*self._idle, *self._abandoned]
            self._idle, self._abandoned = [], []
            if self._session is not None:
                lines.append(self._session)
                self._session = None
        for line in lines:
            line.close()

    def _registered(self, message: Any, until: float | None) -> tuple[Any, list[int]]:
        session = self._session
        if session is None:
            session, _, board = self._connect(_left(until))
            os.close(board)
            if self._is_shut:
                session.close()
                raise self._closed()
            self._session, self._owed = session, None
        if self._is_asking:
            raise ActorError(f"{type(message).__name__}: from a signal handler, in the midst of another request")
        is_settled, self._is_asking = False, True
        try:
            session.sock.settimeout(_left(until))
            result = self._late_answer(session, message) if self._owed is not None else None
            if result is None:
                self._owed = message
                result = self._exchange(session, message, None)
            self._owed = None
            is_settled = True
        except TimeoutError:  # LI-2
            is_settled = True
            raise
        except ActorError:
            self._owed = None
            is_settled = True
            raise
        except OSError as exc:
            raise SystemGone(self._system, "unknown", f"the supervisor is gone ({exc})") from exc
        finally:
            self._is_asking = False
            if not is_settled:  # KeyboardInterrupt: nobody knows what has been sent and received
                self._abandoned.append(session)  # open: what is registered by it lives on
                self._session = None
        return result

    def _late_answer(self, session: stream.Channel, message: Any) -> tuple[Any, list[int]] | None:
        """Take the answer that is owed: it is this message's where that is the same; else it is given back (LI-2)."""
        owed, late = self._owed, None
        with contextlib.suppress(ActorError):  # it was refused
            late = self._taken(session, owed)
        self._owed = None
        if late is None or owed == message:
            return late
        for fd in late[1]:
            os.close(fd)
        if isinstance(owed, control.MakeSlab):
            self._owed = control.FreeSlab(number=late[0])
            self._exchange(session, self._owed, None)
        return None

    def _exchange(self, line: stream.Channel, message: Any, fds: list[int] | None) -> tuple[Any, list[int]]:
        try:
            line.put(stream.encode(message), fds)
        except (OSError, stream.Protocol, OverflowError, UnicodeError) as exc:  # no descriptors, too large, no text
            raise ActorError(f"{type(message).__name__}: {exc}") from exc
        return self._taken(line, message)

    def _taken(self, line: stream.Channel, message: Any) -> tuple[Any, list[int]]:
        """Wait for the answer to a message that was sent."""
        answer, received = self._received(line)
        if isinstance(answer, Failed):
            raise error_of(answer)
        if len(received) != answer.fds:  # the kernel leaves out those there is no room for
            line.take_cut()
            for fd in received:
                os.close(fd)
            raise lacking(type(message).__name__, OSError(errno.EMFILE, ""))
        return answer.value, received

    def _received(self, line: stream.Channel) -> tuple[Answer, list[int]]:
        """Flush, and wait for an answer."""
        try:
            line.flush()
            body = line.take()
            while body is None:
                if not line.feed():
                    raise SystemGone(self._system, "unknown", "the supervisor is gone")
                body = line.take()
            self._hurry.answered()
            return decode_answer(body), line.take_fds()
        except TimeoutError:
            raise
        except (OSError, stream.Protocol, msgspec.MsgspecError) as exc:
            raise SystemGone(self._system, "unknown", f"the supervisor is gone ({exc})") from exc

    def _closed(self) -> SystemGone:
        return SystemGone(self._system, "no", "this client is closed")

    def _give_back(self, line: stream.Channel) -> None:
        with self._lock:
            self._idle.append(line)

    def _take(self, timeout: float | None) -> stream.Channel:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        line, _, board = self._connect(timeout)
        os.close(board)
        return line

    def _connect(self, timeout: float | None) -> tuple[stream.Channel, Welcome, int]:
        if self._is_shut:
            raise self._closed()
        until = None if timeout is None else monotonic() + timeout
        line = stream.Channel(connect(self._directory, self._system, timeout))
        line.sock.settimeout(_left(until))
        try:
            value, fds = self._exchange(line, control.Hello(pid=os.getpid()), None)
        except SystemGone as exc:
            line.close()
            raise NoSuchSystem(self._system, "it is going away") from exc
        except BaseException:
            line.close()
            raise
        return line, msgspec.convert(value, Welcome), fds[0]


def _left(until: float | None) -> float | None:
    """Seconds until then, for a socket: at least a moment, since 0 means not to wait at all."""
    return None if until is None else max(0.001, until - monotonic())


def connect(directory: str, system: str, timeout: float | None = None) -> socket.socket:
    """A connection to the control socket below directory.

    Args:
        timeout: seconds that it may take; a supervisor that takes no connections lets them queue, and then wait.
    Raises:
        NoSuchSystem: nobody listens there.
        TimeoutError: the timeout passed.
    """
    until = None if timeout is None else monotonic() + timeout
    while True:
        try:
            return _connected(directory, system)
        except BlockingIOError as exc:  # the queue is full; nothing tells when it is not
            if until is not None and monotonic() >= until:
                raise TimeoutError(f"{system}: takes no connections") from exc
            time.sleep(_QUEUE_SECONDS)


def _connected(directory: str, system: str) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as exc:  # no descriptors
        raise lacking(system, exc) from exc
    sock.setblocking(False)
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{fd}/control")  # sun_path holds 107 bytes; a directory may be longer
        finally:
            os.close(fd)
    except BlockingIOError:
        sock.close()
        raise
    except OSError as exc:
        sock.close()
        if exc.errno in (errno.EMFILE, errno.ENFILE):
            raise lacking(system, exc) from exc
        raise NoSuchSystem(system, str(exc)) from exc
    sock.setblocking(True)
    return sock


def lacking(what: str, exc: OSError) -> ActorError:
    """The error of a process that has no more descriptors, or whatever else the kernel refuses it."""
    return ActorError(f"{what}: this process: {os.strerror(exc.errno or 0)}")


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
