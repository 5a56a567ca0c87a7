"""Definitions: classes that go by value, sent once per system and known by a number from then on.

DF-1  A number stands for one class for as long as the system lives. A class that was redefined is a new class with a
      number of its own; a class that was changed in place keeps its number, and the change stays where it was made.
DF-2  A process that sent a definition, or received it once, has one class for its number: instances that come back
      are instances of the original.
DF-3  One process registers at most MOST_REGISTERED definitions, so that code which makes a class per call cannot fill
      the system's store; what comes after that travels whole in every message.
"""

from collections.abc import Callable
from typing import Protocol

MOST_REGISTERED = 1024  # far above what people define by hand; a definition takes about 10 KB in the store


class Definitions(Protocol):
    """The system's store of definitions. Both calls may block for a round trip, and may come from any thread."""

    def number_of(self, blob: bytes, key: str) -> int | None:
        """Register a definition and return its number; of a key that is registered already, the number it has.

        None: not now; it has to travel whole.

        Args:
            blob: the pickled class.
            key: of the class, the same in every process of the system that has it.
        """
        ...

    def blob_of(self, number: int) -> bytes:
        """The definition registered under a number.

        Raises:
            Exception: there is none, or the store is gone.
        """
        ...


class StoreFailed(Exception):
    """The store could not be asked; carries its error past those who look for a value that cannot be pickled."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Catalogue:
    """What one process knows of the store: classes and their numbers."""

    __slots__ = ("_classes", "_definitions", "_numbers", "_registered")

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._numbers: dict[type, int] = {}
        self._classes: dict[int, type] = {}
        self._registered = 0

    def number_of(self, cls: type) -> int | None:
        """The number of a class that was sent or received before."""
        return self._numbers.get(cls)

    def register(self, cls: type, key: str, pickled: Callable[[type], bytes]) -> int | None:
        """The number of a class, registered if need be; None when it has to travel whole (DF-3).

        Raises:
            StoreFailed: the store could not be asked.
        """
        known = self._numbers.get(cls)
        if known is not None or self._registered >= MOST_REGISTERED:
            return known
        blob = pickled(cls)
        try:
            number = self._definitions.number_of(blob, key)
        except Exception as exc:  # whatever it is, it is the store's and not the fault of the value being sent
            raise StoreFailed(exc) from None  # the error itself is raised in its place
        if number is None:
            return None
        self._registered += 1
        return self._enter(number, cls)

    def class_of(self, number: int, rebuilt: Callable[[bytes], type]) -> type:
        """The class of a number, fetched and rebuilt on first use.

        Needs no lock: two threads that rebuild one definition at the same time are given the same class, by the
        key that it carries, and each fills it before it uses it.
        """
        known = self._classes.get(number)
        if known is not None:
            return known
        cls = rebuilt(self._definitions.blob_of(number))
        self._enter(number, cls)
        return cls

    def _enter(self, number: int, cls: type) -> int:
        self._numbers[cls] = number
        self._classes[number] = cls
        return number
