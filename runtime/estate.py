"""The estate: what the supervisor holds by name until the system ends: regions, and definitions of classes.

ES-1  A region outlives every actor; it is made once, and whoever asks for its name meanwhile waits for it.
ES-2  The pages of a region are taken in steps: the supervisor serves everybody else meanwhile.
"""

import asyncio
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass

from actors.child import checked_name
from actors.errors import NotFound, RegionError
from actors.region import Writers
from actors.shape import shape_from
from runtime.memory.allowance import Allowance
from runtime.memory.region import create_in_steps


@dataclass(frozen=True, slots=True)
class _Region:
    fd: int
    nbytes: int
    writers: Writers


class Estate:
    """Memfds by name. Owns them all."""

    def __init__(self, allowance: Allowance) -> None:
        """Hold nothing yet; regions take their bytes from that allowance."""
        self._allowance = allowance
        self._regions: dict[str, _Region] = {}
        self._making: dict[str, asyncio.Event] = {}
        self._definitions: dict[int, int] = {}
        self._keys: dict[str, int] = {}
        self._numbers = itertools.count(1)

    async def make_region(self, name: str, description: str, writers: Writers | None) -> int:
        """The region of that name, made now if there is none; its descriptor (the estate's).

        A layout that differs from the one it has is found by whoever maps it.

        Args:
            description: of its layout, as `Shape.describe` makes it.
            writers: None: as it is, "many" when it is made now.
        Raises:
            BadSpec, BadLayout: a name or a description that cannot be.
            RegionError: it is there, with other writers.
            OutOfMemory: the allowance, or the machine, does not hold it.
        """
        checked_name(name)
        shape = shape_from(description)
        while name in self._making:
            await self._making[name].wait()
        held = self._regions.get(name)
        if held is None:
            self._making[name] = asyncio.Event()
            try:
                fd = await create_in_steps(name, shape, self._allowance, writers=writers or "many")
                held = self._regions[name] = _Region(fd, os.fstat(fd).st_size, writers or "many")
            finally:
                self._making.pop(name).set()
        elif writers not in (None, held.writers):
            raise RegionError(name, f'made with writers="{held.writers}", opened with writers="{writers}"')
        return held.fd

    def region(self, name: str) -> int:
        """The descriptor of a region (the estate's).

        Raises:
            NotFound: there is none.
        """
        held = self._regions.get(name)
        if held is None:
            raise NotFound(name, "there is no such region")
        return held.fd

    def regions(self) -> Mapping[str, int]:
        """Bytes of each region."""
        return {name: held.nbytes for name, held in self._regions.items()}

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
