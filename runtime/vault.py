"""The vault: memory without a name the supervisor holds for others: slabs of large payloads, regions, definitions.

VA-1  What is stored outlives who stored it; a slab goes when its owner is gone and its message ended, regions
      and definitions with the system.
VA-2  All slabs and regions together stay within an allowance; over it whoever asks is refused, and all else lives.
"""

import itertools
import os
from dataclasses import dataclass

from actors.child import checked_name
from actors.errors import NotFound, OutOfMemory, RegionError
from actors.region import Writers
from actors.shape import shape_from
from runtime.memory.region import create
from runtime.memory.seal import allocated
from runtime.memory.slab import FILLING, FREE, HELD, holder_for, is_for, is_holder, is_of, parted, set_free, state_of


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class _Held:
    fd: int
    nbytes: int
    owner: int  # of the session it was made for; 0 once that is gone


@dataclass(frozen=True, slots=True)
class _Region:
    fd: int
    writers: Writers


class Vault:
    """Memfds by number. Owns them all."""

    def __init__(self, allowance: int | None = None) -> None:
        """Hold slabs of at most allowance bytes together; None: half of the machine's memory."""
        self._allowance = machine_memory() // 2 if allowance is None else allowance
        self._used = 0
        self._slabs: dict[int, _Held] = {}
        self._regions: dict[str, _Region] = {}
        self._definitions: dict[int, int] = {}
        self._keys: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def make_slab(self, nbytes: int, owner: int) -> tuple[int, int]:
        """Memory for large payloads of one sender: its number and its descriptor (the vault's).

        Raises:
            OutOfMemory: the allowance, or the machine, does not hold it.
        """
        if nbytes > self._allowance - self._used:
            self._reclaim()
        left = self._allowance - self._used
        if nbytes > left:
            raise OutOfMemory(nbytes, left, "the system's allowance for large payloads is used up")
        try:
            fd = allocated("understudy-slab", nbytes)
        except OSError as exc:
            raise OutOfMemory(nbytes, left, os.strerror(exc.errno or 0)) from exc
        number = next(self._numbers)
        self._slabs[number] = _Held(fd, nbytes, owner)
        self._used += nbytes
        return number, fd

    def slab(self, number: int) -> int | None:
        """The descriptor of a slab; None when it is gone."""
        held = self._slabs.get(number)
        return None if held is None else held.fd

    def size_of(self, body: int) -> int:
        """Bytes of the slab that a message's body is in; 0 of none, what is gone, and what is another's by now."""
        number, generation = parted(body)
        held = self._slabs.get(number)
        return held.nbytes if held is not None and is_of(held.fd, generation) else 0

    def end_payload(self, body: int) -> None:
        """The message of that body is ended: its slab is free. 0, what is gone, and what is another's are no error."""
        number, generation = parted(body)
        held = self._slabs.get(number)
        if held is not None and is_of(held.fd, generation):
            set_free(held.fd)
            if not held.owner:
                self._drop(number)

    def drop_slab(self, number: int, owner: int) -> None:
        """Its owner has no use for it any more."""
        held = self._slabs.get(number)
        if held is not None and held.owner == owner:
            self._drop(number)

    def owner_gone(self, owner: int) -> None:
        """A sender is gone: what was not sent goes with it, the rest when its message has ended (VA-1)."""
        for held in self._slabs.values():
            if held.owner == owner:
                held.owner = 0
        self._reclaim()

    def caller_gone(self, address: int) -> set[int]:
        """An asker is gone: answers it has not taken are nobody's. Returns the processes that hold others."""
        holders = set()
        for held in self._slabs.values():
            if is_for(held.fd, address):
                set_free(held.fd)
            elif holder := holder_for(held.fd, address):
                holders.add(holder)
        self._reclaim()
        return holders

    def holder_gone(self, address: int, pid: int) -> None:
        """The process of an asker that was gone has ended: answers it held are nobody's."""
        for held in self._slabs.values():
            if holder_for(held.fd, address) == pid:
                set_free(held.fd)
        self._reclaim()

    def receiver_gone(self, holder: int, kept: set[int]) -> None:
        """A receiver died, a process or a thread: what it held is free, but for messages that will be run again."""
        numbers = {parted(body)[0] for body in kept}
        for number, held in self._slabs.items():
            state, held_by = state_of(held.fd)
            if number not in numbers and state == HELD and is_holder(held_by, holder):
                set_free(held.fd)
        self._reclaim()

    def _reclaim(self) -> None:
        for number, held in list(self._slabs.items()):
            if not held.owner and state_of(held.fd)[0] in (FREE, FILLING):
                self._drop(number)

    def _drop(self, number: int) -> None:
        held = self._slabs.pop(number)
        os.close(held.fd)
        self._used -= held.nbytes

    def make_region(self, name: str, description: str, writers: Writers | None) -> int:
        """The region of that name, made now if there is none; its descriptor (the vault's).

        A layout that differs from the one it has is found by whoever maps it.

        Args:
            description: of its layout, as `Shape.describe` makes it.
            writers: None: as it is, "many" when it is made now.
        Raises:
            BadSpec, BadLayout: a name or a description that cannot be.
            RegionError: it is there, with other writers.
            OutOfMemory: the allowance, or the machine, does not hold it.
        """
        held = self._regions.get(name)
        if held is None:
            self._reclaim()
            room = self._allowance - self._used
            fd = create(checked_name(name), shape_from(description), writers=writers or "many", room=room)
            held = self._regions[name] = _Region(fd, writers or "many")
            self._used += os.fstat(fd).st_size
        elif writers not in (None, held.writers):
            raise RegionError(name, f'made with writers="{held.writers}", opened with writers="{writers}"')
        return held.fd

    def region(self, name: str) -> int:
        """The descriptor of a region (the vault's).

        Raises:
            NotFound: there is none.
        """
        held = self._regions.get(name)
        if held is None:
            raise NotFound(name, "there is no such region")
        return held.fd

    def define(self, key: str, fd: int) -> int:
        """Keep a definition (a descriptor of its own) under its key; of a known key, the number it has."""
        number = self._keys.get(key)
        if number is None:
            number = self._keys[key] = next(self._numbers)
            self._definitions[number] = os.dup(fd)
        return number

    def definition(self, number: int) -> int | None:
        """The descriptor of a definition."""
        return self._definitions.get(number)

    def used(self) -> int:
        """Bytes of all slabs together."""
        return self._used
