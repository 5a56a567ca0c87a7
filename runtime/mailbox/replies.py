"""Where an actor's answers go: the reply FIFOs of its callers.

RE-1  A caller that does not read never holds up the actor: what its FIFO has no room for is kept, at most PENDING_BYTES
      for each caller, and written when there is room; past that it is dropped and counted.
RE-2  A caller that is gone (no FIFO, no reader) is dropped and counted.
RE-3  Of a large answer it is said once it is written. So it goes the way of those that wait for room, and no small one
      has to be asked whether it is one.
RE-4  All actors of a process that answer one caller do so by one descriptor (runtime.commons).
RE-5  At most _OPEN_FIFOS stay open, those of callers that do not read apart. Where no descriptor is to be had the
      others are closed; then the answer is dropped: its asker learns at his deadline that the message was handled.
RE-6  Where a large answer needs memory and the supervisor is late, an actor in an event loop is told (`Late`) and makes
      the answer again when there is some; any other has waited until the ask's deadline. Where there is none until
      then the answer is dropped and counted, b"" instead of a frame: that there was none is nothing its asker can use.
"""

import contextlib
import errno
import os
from collections import OrderedDict, deque
from collections.abc import Callable

from actors.errors import ActorError, DeadlineExceeded, OutOfMemory, Unencodable
from runtime.commons import Commons
from runtime.eventloop import current_loop
from runtime.mailbox import fifo
from runtime.mailbox.page import DROPPED
from runtime.wire.codec import Codec
from runtime.wire.frame import ERROR, LARGE, MAX_REPLY, REPLY, flags_of, reply, unpack_reply
from runtime.wire.late import Late, Missed, is_over
from runtime.wire.parts import Payload

PENDING_BYTES = 1 << 20
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_OPEN_FIFOS = 256


class Caller:
    """The write end of a caller's reply FIFO; closed when the last of its process lets go of it."""

    __slots__ = ("__weakref__", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Close it now."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close


_callers: Commons[str, Caller] = Commons(Caller.close)


class Replies:
    """All callers an actor has answered lately."""

    __slots__ = (
        "_callers",
        "_codec",
        "_directory",
        "_fds",
        "_fifos",
        "_free",
        "_kept_bytes",
        "_pending",
        "_store",
        "_words",
        "_written",
    )

    def __init__(
        self,
        directory: str,
        words: memoryview,
        codec: Codec,
        store: Callable[[Payload, int], int],
        free: Callable[[int], None],
        written: Callable[[int], None],
        fifos: fifo.Fifos = fifo,
    ) -> None:
        """Answer callers whose FIFOs are in directory.

        Args:
            directory: of the reply FIFOs.
            words: of the actor's page; DROPPED counts.
            codec: to encode values with.
            store: puts a large payload for an address into a slab and returns what a frame says of it.
            free: gives that slab back, of an answer that is dropped.
            written: told what a frame says of a slab once that frame is written.
            fifos: opens callers' FIFOs.
        """
        self._directory = directory
        self._words = words
        self._codec = codec
        self._store = store
        self._free = free
        self._written = written
        self._fifos = fifos
        self._fds: OrderedDict[int, int] = OrderedDict()
        self._callers: dict[int, Caller] = {}  # whose descriptors they are
        self._pending: dict[int, deque[bytes]] = {}
        self._kept_bytes: dict[int, int] = {}

    def frame_of(self, ask_id: int, name: str, value: object, address: int = 0) -> bytes:
        """The reply frame of the value a handler returned; of one that cannot be sent, of the error that says so.

        Returns:
            b"": nobody waits for it any more (RE-6).
        Raises:
            Late: in an event loop (RE-6).
        """
        try:
            kind, payload = self._codec.encode_value(value, name)
            if type(payload) is bytes and len(payload) <= MAX_REPLY:  # as _frame, which most need not be taken to
                return reply(flags_of(kind), ask_id, payload)
            return self._frame(ask_id, flags_of(kind), payload, address)
        except Unencodable as exc:
            error: Exception = Unencodable(f"reply of {name}(){exc.where.removeprefix(name)}", exc.got)
        except (OutOfMemory, DeadlineExceeded) as exc:  # none to be had, or nobody who hands it over in time
            error = _not_to_be_awaited(exc)
        return self.frame_of_error(ask_id, error, address)

    def frame_of_error(self, ask_id: int, error: Exception, address: int = 0) -> bytes:
        """The reply frame of an exception that a handler raised; of one too large for what memory is left, of that.

        Returns:
            As `frame_of`.
        Raises:
            Late: as of `frame_of`.
        """
        if not isinstance(error, Missed):
            try:
                return self._frame(ask_id, ERROR, self._codec.encode_error(error), address)
            except (OutOfMemory, DeadlineExceeded) as exc:
                error = _not_to_be_awaited(exc)
        if isinstance(error, Missed):
            if is_over():
                self._words[DROPPED] += 1
                return b""
            error = DeadlineExceeded(*error.args)
        return self._frame(ask_id, ERROR, self._codec.encode_error(error), address)

    def send(self, address: int, raw: bytes) -> None:
        """Send a reply frame; RE-1 and RE-2 apply."""
        fd = self._fds.get(address)
        if fd is None:
            fd = self._open(address)
            if fd is None:
                self._pending.pop(address, None)
                self._drop(raw)
                return
        if self._pending and address in self._pending:
            self._keep(address, raw)
            self._flush(address)
            return
        try:
            os.write(fd, raw)
        except BlockingIOError:
            self._keep(address, raw)
        except BrokenPipeError:
            self._drop(raw)
            self._gone(address)

    def _frame(self, ask_id: int, flags: int, payload: Payload, address: int) -> bytes:
        if type(payload) is bytes and len(payload) <= MAX_REPLY:
            return reply(flags, ask_id, payload)
        body = self._store(payload, address)
        if address:
            self._pending.setdefault(address, deque())  # RE-3
        return reply(flags | LARGE, ask_id, body.to_bytes(8, "little"))

    def withdraw(self, raw: bytes) -> None:
        """A reply frame is not sent after all: give back what it holds of a slab."""
        if unpack_reply(raw)[1] & LARGE:
            with contextlib.suppress(ActorError):  # the system is going away
                self._free(_body_of(raw))

    def close(self) -> None:
        """Close every caller's FIFO; what waits for room in one is dropped and counted."""
        for address in list(self._fds):
            self._gone(address)

    def has_pending(self) -> bool:
        """Answers wait for room in a caller's FIFO."""
        return bool(self._pending)

    def flush(self) -> None:
        """Write what there is room for now."""
        for address in list(self._pending):
            self._flush(address)

    def pending_fds(self) -> list[int]:
        """The FIFOs to wait for room in (POLLOUT)."""
        return [self._fds[address] for address in self._pending]

    def _open(self, address: int) -> int | None:
        """The write end of a caller's FIFO; None: he is gone, or there is no descriptor to be had (RE-2, RE-5)."""
        path = f"{self._directory}/{address:016x}"
        while len(self._fds) >= _OPEN_FIFOS and self._let_one_go():
            pass
        while True:
            try:
                caller = _callers.get(path, lambda: Caller(self._fifos.open_write(path)))
            except OSError as exc:
                if exc.errno not in _NO_DESCRIPTOR or not self._let_one_go():
                    if exc.errno in (errno.ENOENT, errno.ENXIO, *_NO_DESCRIPTOR):
                        return None
                    raise
            else:
                self._callers[address] = caller
                self._fds[address] = caller.fd
                return caller.fd

    def _let_one_go(self) -> bool:
        """Let go of the FIFO that was opened first of those that nothing waits for (RE-5); False when there is none."""
        for _ in range(len(self._fds)):
            address = next(iter(self._fds))
            if address not in self._pending:
                del self._fds[address], self._callers[address]
                return True
            self._fds.move_to_end(address)
        return False

    def _keep(self, address: int, raw: bytes) -> None:
        kept = self._kept_bytes.get(address, 0) + len(raw)
        if kept > PENDING_BYTES:
            self._drop(raw)
        else:
            self._kept_bytes[address] = kept
            self._pending.setdefault(address, deque()).append(raw)

    def _flush(self, address: int) -> None:
        waiting = self._pending[address]
        try:
            while waiting:
                os.write(self._fds[address], waiting[0])
                raw = waiting.popleft()
                self._kept_bytes[address] -= len(raw)
                if unpack_reply(raw)[1] & LARGE:
                    self._written(_body_of(raw))
            del self._pending[address], self._kept_bytes[address]
        except BlockingIOError:
            return  # still no room; the waiter polls for it
        except BrokenPipeError:
            self._gone(address)

    def _gone(self, address: int) -> None:
        for raw in self._pending.pop(address, ()):
            self._drop(raw)
        self._kept_bytes.pop(address, None)
        del self._fds[address], self._callers[address]

    def _drop(self, raw: bytes) -> None:
        """An answer that nobody will get (RE-1, RE-2)."""
        self._words[DROPPED] += 1
        self.withdraw(raw)


def _body_of(raw: bytes) -> int:
    return int.from_bytes(raw[REPLY.size :], "little")


def _not_to_be_awaited(error: Exception) -> Exception:
    """The error; in an event loop what is late is raised, to be awaited (RE-6)."""
    if not isinstance(error, Late):
        return error
    if current_loop() is not None:
        raise error
    return Missed(error)
