"""The vault: the slabs of large payloads, memory without a name that the supervisor holds for their senders.

VA-1  What is stored outlives who stored it; a slab goes when its owner is gone and its message ended.
VA-2  Slabs and regions together stay within an allowance; over it whoever asks is refused, and all else lives.
VA-3  A slab that a dead sender had marked as sent is its message's if a frame of that is anywhere, else nobody's.
"""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from runtime.memory.allowance import Allowance
from runtime.memory.seal import allocated_in_steps
from runtime.memory.slab import (
    FILLING,
    FREE,
    HELD,
    SENT,
    WRITTEN,
    Look,
    body_of,
    is_holder,
    lent_by,
    look_at,
    parted,
    set_free,
)

_WHAT = "large payloads"

Named = Callable[[int, int], bool]
"""Whether a frame anywhere names that body; the second argument is its asker's address, 0 for a message."""


@dataclass(slots=True)
class _Held:
    fd: int
    nbytes: int
    owner: int  # of the session it was made for; 0 once that is gone
    pid: int  # of the process it was made for


class Vault:
    """Slabs by number. Owns them all."""

    def __init__(self, allowance: Allowance | None = None, named: Named | None = None) -> None:
        """Hold no slab yet.

        Args:
            allowance: what they take their bytes from; None: one of their own.
            named: looks for a frame (VA-3); None: there always is one.
        """
        self._allowance = allowance or Allowance()
        self._named = named or _always
        self._slabs: dict[int, _Held] = {}
        self._numbers = itertools.count(1)

    async def make_slab(self, nbytes: int, owner: int, pid: int = 0) -> tuple[int, int]:
        """Memory for large payloads of one sender: its number and its descriptor (the vault's).

        Args:
            nbytes: of all of it.
            owner: the sender's session.
            pid: of its process.
        Raises:
            OutOfMemory: the allowance, or the machine, does not hold it.
        """
        if nbytes > self._allowance.left:
            self._reclaim()
        self._allowance.take(nbytes, _WHAT)
        try:
            fd = await allocated_in_steps("understudy-slab", nbytes)
        except OSError as exc:
            self._allowance.give(nbytes)
            raise self._allowance.refusal(nbytes, _WHAT, exc) from exc
        return self.hold_slab(fd, nbytes, owner, pid), fd

    def hold_slab(self, fd: int, nbytes: int, owner: int, pid: int = 0) -> int:
        """Hold a slab that was made, and taken from the allowance; returns its number."""
        number = next(self._numbers)
        self._slabs[number] = _Held(fd, nbytes, owner, pid)
        return number

    def slab(self, number: int) -> int | None:
        """The descriptor of a slab; None when it is gone."""
        held = self._slabs.get(number)
        return None if held is None else held.fd

    def size_of(self, body: int) -> int:
        """Bytes of the slabs that a message's body is in; 0 of none, what is gone, and what is another's by now."""
        return sum(held.nbytes for _, held, _ in self._of(body))

    def end_payload(self, body: int) -> None:
        """The message of that body is ended: its slabs are free. 0, what is gone or another's is no error."""
        for number, held, _ in list(self._of(body)):
            set_free(held.fd)
            if not held.owner:
                self._drop(number)

    def written(self, body: int) -> None:
        """A frame that names it was written in its sender's stead."""
        number, generation = parted(body)
        held = self._slabs.get(number)
        if held is not None:
            os.pwrite(held.fd, generation.to_bytes(8, "little"), 8 * WRITTEN)

    def drop_slab(self, number: int, owner: int) -> None:
        """Its owner has no use for it any more."""
        held = self._slabs.get(number)
        if held is not None and held.owner == owner:
            self._drop(number)

    def owner_gone(self, owner: int) -> list[int]:
        """A sender is gone: what was not sent goes with it (VA-3), the rest when its message has ended (VA-1).

        Returns:
            Answers that were not written, or were read and not opened yet: `end_untaken` is for them, in a while.
        """
        untaken: list[int] = []
        for number, held, look in self._looked_at():
            if held.owner == owner:
                held.owner = 0
                if look.is_doubtful():
                    body = body_of(number, look.generation)
                    if self._named(body, look.address):
                        self.written(body)
                    elif look.address:
                        untaken.append(body)
                    else:
                        self.end_untaken(body)
        self._reclaim()
        return untaken

    def end_untaken(self, body: int) -> None:
        """Nobody will take that payload: its slabs are free, unless somebody has taken it after all."""
        number, generation = parted(body)
        held = self._slabs.get(number)
        look = None if held is None else look_at(held.fd)
        if look is not None and look.state == SENT and look.is_of(generation):
            self.end_payload(body)

    def caller_gone(self, address: int) -> set[int]:
        """An asker is gone: answers it has not taken are nobody's. Returns the processes that hold others."""
        holders = set()
        for _, held, look in self._looked_at():
            if look.is_for(address):
                set_free(held.fd)
            elif look.is_held_for(address):
                holders.add(look.pid)
        self._reclaim()
        return holders

    def holder_gone(self, address: int, pid: int) -> None:
        """The process of an asker that was gone has ended: answers it held are nobody's."""
        for _, held, look in self._looked_at():
            if look.is_held_for(address) and look.pid == pid:
                set_free(held.fd)
        self._reclaim()

    def receiver_gone(self, holder: int, kept: Iterable[int] = ()) -> None:
        """A receiver died, a process or a thread: what it held is free, but for messages that will be run again."""
        needed = {number for body in kept for number, _, _ in self._of(body)}
        for number, held, look in self._looked_at():
            if number not in needed and look.state == HELD and is_holder(look.holder, holder):
                set_free(held.fd)
        self._reclaim()

    def held(self) -> Mapping[int, int]:
        """Bytes of the slabs that each process or thread holds, by what a slab says of its holder."""
        found: Counter[int] = Counter()
        for _, held, look in self._looked_at():
            if look.state == HELD:
                found[look.holder] += held.nbytes
        return found

    def kept(self) -> Mapping[int, int]:
        """Bytes of the slabs that each process has for what it sends, by its pid."""
        found: Counter[int] = Counter()
        for held in self._slabs.values():
            if held.owner:
                found[held.pid] += held.nbytes
        return found

    def used(self) -> int:
        """Bytes of all slabs together."""
        return sum(held.nbytes for held in self._slabs.values())

    def _looked_at(self) -> Iterator[tuple[int, _Held, Look]]:
        for number, held in list(self._slabs.items()):
            if number in self._slabs:  # not dropped with another meanwhile
                yield number, held, look_at(held.fd)

    def _of(self, body: int) -> Iterator[tuple[int, _Held, Look]]:
        """The slabs of one message, as far as they are its (SL-3, SL-5)."""
        number, generation = parted(body)
        first = self._slabs.get(number)
        if first is None or not (look := look_at(first.fd)).is_of(generation):
            return
        yield number, first, look
        for lent in lent_by(first.fd, look):
            number, generation = parted(lent)
            held = self._slabs.get(number)
            if held is not None and (look := look_at(held.fd)).is_of(generation):
                yield number, held, look

    def _reclaim(self) -> None:
        for number, held, look in self._looked_at():
            if not held.owner and look.state in (FREE, FILLING):
                self._drop(number)

    def _drop(self, number: int) -> None:
        held = self._slabs.pop(number)
        os.close(held.fd)
        self._allowance.give(held.nbytes)


def _always(_body: int, _address: int) -> bool:
    return True
