"""The arena: the slabs of one process, for the large payloads it sends, and its mappings of those it receives.

AR-1  What a process has for sending is bounded; past that a sender waits (runtime.memory.stock).
AR-2  What arrives is read in place: a lease is a read-only view, and the slab comes back when the last view of it is
      dropped. Nobody has to say so.
AR-3  A child of a fork gives nothing back: what it maps is its parent's.
AR-4  What was lent by `empty` and filled in place is passed on as it is (runtime.memory.lent): its message has a small
      slab for all else, which names it.
AR-5  Whoever has no room to map what arrives gives it back all the same, by its descriptor, and says so: it is an error
      of that message, and of nothing else.
AR-6  What cannot be given back, since the supervisor is late, it is told to end, without being waited for. Where that
      cannot be said either, it is given back with the next payload that is leased.
"""

import contextlib
import ctypes
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from actors.errors import ActorError, NotFound, OutOfMemory, Unencodable
from actors.form import Form
from runtime.eventloop import current_loop
from runtime.memory.slab import (
    ADDRESS,
    FILLING,
    FREE,
    GENERATION,
    HELD,
    HOLDER,
    LENT,
    LENT_AT,
    SENT,
    STATE,
    USED,
    WRITTEN,
    Slab,
    array_type,
    body_of,
    holder_of,
    lent_by,
    look_at,
    next_generation,
    parted,
    set_free,
    slab_of,
)
from runtime.memory.stock import Stock
from runtime.wire.control import EndPayload, OpenSlab
from runtime.wire.late import Late
from runtime.wire.line import Lines
from runtime.wire.parts import Arrived, Buffer, Parts, Payload, pieces_of

MAX_BYTES = 1 << 30
_MOST_MAPPED = 64  # slabs of others that stay mapped


class Arena:
    """Large payloads as one process sees them. Threads share it."""

    def __init__(self, lines: Lines, thread: int = 0) -> None:
        """Ask for slabs by these lines; thread: number of the one whose arena it is, among others of its process."""
        self._lines = lines
        self._thread = thread
        self._lock = threading.Lock()
        self._own = Stock(lines)
        self._mapped: OrderedDict[int, Slab] = OrderedDict()
        self._owed: deque[int] = deque()  # AR-6
        self._pid = os.getpid()

    def put(self, payload: Payload, until_ns: int | None = None, *, address: int = 0, is_hurried: bool = False) -> int:
        """Store a payload; returns what a frame says of its slab. The message's from `sending` on.

        Args:
            until_ns: how long to wait for a slab to come back (AR-1); None: not at all.
            address: of an answer, its asker's (SL-4).
            is_hurried: as of `lease`; of one that was late the payload is left as it is.
        Raises:
            Unencodable: it is over MAX_BYTES.
            OutOfMemory: there is no room, in this arena or in the system.
        """
        lent: list[Slab] = []
        if len(self._own.lent) and isinstance(payload, Parts):
            lent, places = self._own.pass_on(payload.buffers)
            pieces: Sequence[Buffer] = payload.pieces(places)
        else:
            pieces = pieces_of(payload)
        try:
            slab = self._own.take(_fitting(pieces), until_ns, is_hurried=is_hurried)
        except Late:
            for each in lent:
                self._own.lent.take_back(each.number)
            raise
        except BaseException:
            for each in lent:
                self._own.lent.take_back(each.number)
            # before 3.11.9 and 3.12.3 a memoryview in garbage that refers to itself, as many an error that was kept and
            # its frames, crashes the collector: https://github.com/python/cpython/issues/77894
            pieces = ()
            if isinstance(payload, Parts):
                payload.buffers = ()
            raise
        return _filled(slab, pieces, lent, address)

    def put_answer(self, payload: Payload, address: int) -> int:
        """As `put` and `sending`, an answer for the asker of that address; does not wait."""
        body = self.put(payload, address=address, is_hurried=current_loop() is not None)  # there it can be awaited
        self.sending(body, is_sent=True)
        return body

    def sending(self, body: int, *, is_sent: bool) -> None:
        """Its frame is about to be written; or it could not be, and may be later (SL-2)."""
        words = self._own[parted(body)[0]].words
        words[STATE] = state = SENT if is_sent else FILLING
        for lent in words[LENT_AT : LENT_AT + words[LENT]]:
            self._own[parted(lent)[0]].words[STATE] = state

    def written(self, body: int) -> None:
        """Its frame was written (SL-2)."""
        number, generation = parted(body)
        self._own[number].words[WRITTEN] = generation

    def lend(self, form: Form, until_ns: int | None) -> Any:
        """An array of that form to be filled in place (AR-4); waits for a slab as `put` does.

        Raises:
            OutOfMemory: there is no room, or it is over MAX_BYTES.
        """
        if form.nbytes > MAX_BYTES:
            raise OutOfMemory(form.nbytes, MAX_BYTES, "one array to be sent")
        return self._own.lend(form, until_ns)

    def lease(self, body: int, *, is_hurried: bool = False) -> Payload:
        """A payload that arrived, as read-only views; each slab comes back when its last view is dropped (AR-2).

        Args:
            is_hurried: for who has others to serve: the supervisor, where it is needed, has but a moment.
        Raises:
            NotFound: its message has ended.
            OutOfMemory: it cannot be mapped here; it is given back unread (AR-5).
            Late: it is not mapped here yet, and the supervisor did not hand it over until the ambient deadline.
        """
        payload = self._leased(body, is_hurried=is_hurried)
        while self._owed and self._give_back(self._owed.popleft()):  # AR-6
            continue
        return payload

    def _leased(self, body: int, *, is_hurried: bool) -> Payload:
        try:
            slab = self._arrived(body, is_hurried=is_hurried)
            words = slab.words
            if not words[LENT]:
                return _held(slab, self._thread)
            lent = [self._arrived(other, is_hurried=is_hurried) for other in words[LENT_AT : LENT_AT + words[LENT]]]
        except OutOfMemory:
            self._give_back_unmapped(body)
            raise
        views = [_held(each, self._thread) for each in lent]
        return Arrived(_held(slab, self._thread), views)  # the first slab last: while it is SENT all are the message's

    def drop(self, body: int) -> None:
        """Give back a payload that arrived and that nobody waits for; later, where the supervisor is late (AR-6)."""
        self._give_back(body)

    def owe(self, body: int) -> None:
        """As `drop`, later in any case: takes no lock, and may be called by the garbage collector."""
        self._owed.append(body)

    def _give_back(self, body: int) -> bool:
        try:
            self._leased(body, is_hurried=True)
        except Late:
            if not self._lines.say(EndPayload(body=body)):
                self._owed.append(body)
                return False
        except ActorError:  # it is gone with the system
            pass
        return True

    def free(self, body: int) -> None:
        """End a payload that nobody will read; what was lent may be filled on."""
        number, generation = parted(body)
        slab = self._own.get(number) or self._map(number)
        words = slab.words
        if words[GENERATION] == generation and words[STATE] in (FILLING, SENT):
            for lent in words[LENT_AT : LENT_AT + words[LENT]]:
                other = parted(lent)[0]
                own = self._own.get(other) or self._map(other)
                own.words[STATE] = FILLING if self._own.lent.take_back(other) else FREE
            words[STATE] = FREE

    def leave(self, body: int) -> None:
        """A payload that was leased is its message's again: that may be run once more by another (SL-5)."""
        words = self._map(parted(body)[0]).words
        for other in (body, *words[LENT_AT : LENT_AT + words[LENT]]):
            held = self._map(parted(other)[0]).words
            if held[HOLDER] == holder_of(os.getpid(), self._thread):
                held[HOLDER] = holder_of(0, self._thread)

    def close(self) -> None:
        """Unmap what is not in use."""
        self._own.clear()
        with self._lock:
            self._mapped.clear()

    def after_fork(self) -> None:
        """In the child of a fork: have nothing. A lock that a thread of the parent held is held for ever."""
        self._lock, self._own = threading.Lock(), Stock(self._lines)
        self._mapped.clear()
        self._owed.clear()

    def _arrived(self, body: int, *, is_hurried: bool) -> Slab:
        number, generation = parted(body)
        slab = self._map(number, is_hurried=is_hurried)
        if slab.words[GENERATION] != generation or slab.words[STATE] not in (SENT, HELD):
            raise NotFound(f"slab {number}", "its message has ended")
        return slab

    def _give_back_unmapped(self, body: int) -> None:
        number, generation = parted(body)
        with self._opened(number) as fd:
            look = look_at(fd)
            if look.is_of(generation):
                for other in lent_by(fd, look):
                    with self._opened(parted(other)[0]) as lent_fd:
                        set_free(lent_fd)
                set_free(fd)

    def _map(self, number: int, *, is_hurried: bool = False) -> Slab:
        with self._lock:
            slab = self._mapped.get(number)
            if slab is not None:
                self._mapped.move_to_end(number)
                return slab
        with self._opened(number, is_hurried=is_hurried) as fd:
            slab = self._mapped_by(number, fd)
        with self._lock:
            self._mapped[number] = slab
            if len(self._mapped) > _MOST_MAPPED:
                self._mapped.popitem(last=False)
        return slab

    def _mapped_by(self, number: int, fd: int) -> Slab:
        """Map a slab; where there is no room for it, without those that only stay mapped to be used again."""
        try:
            return slab_of(number, fd)
        except OutOfMemory:
            with self._lock:
                self._mapped.clear()
            return slab_of(number, fd)

    @contextlib.contextmanager
    def _opened(self, number: int, *, is_hurried: bool = False) -> Iterator[int]:
        """The descriptor of a slab.

        Raises:
            NotFound: its message has ended.
            Late: as of `lease`.
        """
        _, fds = self._lines.prepare(
            OpenSlab(number=number),
            again=partial(self._map, number),
            is_hurried=is_hurried or current_loop() is not None,
        )
        if not fds:
            raise NotFound(f"slab {number}", "its message has ended")
        try:
            yield fds[0]
        finally:
            os.close(fds[0])


def _fitting(pieces: Sequence[Buffer]) -> int:
    nbytes = sum(len(piece) for piece in pieces)
    if nbytes > MAX_BYTES:
        raise Unencodable("payload", f"{nbytes} bytes, more than {MAX_BYTES}")
    return nbytes


def _filled(slab: Slab, pieces: Sequence[Buffer], lent: Sequence[Slab], address: int) -> int:
    """Write a payload into its first slab, which names the lent ones; returns what a frame says of it."""
    at = 0
    for piece in pieces:
        slab.data[at : at + len(piece)] = piece
        at += len(piece)
    slab.words[USED] = at
    slab.words[LENT] = len(lent)
    for index, each in enumerate(lent):
        slab.words[LENT_AT + index] = body = _stamped(each, address)
        each.words[WRITTEN] = parted(body)[1]  # the first slab's word counts for all
    return _stamped(slab, address)


def _stamped(slab: Slab, address: int) -> int:
    """Say whose it will be; returns what a frame, or the message's first slab, says of it."""
    words = slab.words
    words[ADDRESS] = address
    words[GENERATION] = generation = next_generation(words[GENERATION])
    return body_of(slab.number, generation)


class _Lease(weakref.ref[ctypes.Array[ctypes.c_char]]):
    """One slab that this process holds, as long as its views. A `weakref.finalize` costs more than all else here."""

    __slots__ = ("holder", "pid", "slab")

    slab: Slab
    holder: int
    pid: int


_leases: dict[int, _Lease] = {}  # by their id: a weak reference calls back only while it is referred to itself


def _held(slab: Slab, thread: int) -> memoryview:
    """A read-only view of what is in a slab, which is ours until the last such view is gone."""
    held = array_type(len(slab.data)).from_buffer(slab.data)
    lease = _Lease(held, _give_back)
    _leases[id(lease)] = lease
    lease.slab, lease.pid = slab, os.getpid()
    words = slab.words
    words[HOLDER] = lease.holder = holder_of(lease.pid, thread)
    words[STATE] = HELD
    return memoryview(held).cast("B")[: words[USED]].toreadonly()


def _give_back(lease: Any) -> None:
    """Its last view is gone (AR-2)."""
    del _leases[id(lease)]
    words = lease.slab.words
    if lease.pid == os.getpid() and words[HOLDER] == lease.holder:  # AR-3
        words[STATE] = FREE
