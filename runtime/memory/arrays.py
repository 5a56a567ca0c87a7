"""How the arrays of a region are shown: by numpy when it is installed (actors.form), else by memoryview casts.

AR-1  What a transaction lent is taken back at its end: a memoryview is released, a numpy array becomes read-only. A
      slice that numpy made of it before cannot be reached; writing to that is what `RegionDamaged` reports.
"""

from typing import Any

from actors.form import numpy
from actors.layout import cast
from actors.shape import Code


def shown(memory: memoryview, code: Code, shape: tuple[int, ...]) -> Any:
    """Memory as an array of that code and shape (C order, native byte order), read-only when the memory is."""
    found = numpy()
    if found is None:
        return cast(memory, code, shape)
    return found.frombuffer(memory, "?" if code.text == "bool" else code.text).reshape(shape)


class Loan:
    """The arrays shown during one transaction."""

    __slots__ = ("_lent",)

    def __init__(self) -> None:
        self._lent: list[Any] = []

    def __call__(self, memory: memoryview, code: Code, shape: tuple[int, ...]) -> Any:
        """As `shown`, until `end`."""
        array = shown(memory, code, shape)
        self._lent.append(array)
        return array

    def end(self) -> None:
        """Take them back (AR-1)."""
        for array in self._lent:
            if isinstance(array, memoryview):
                array.release()
            else:
                array.flags.writeable = False
        self._lent.clear()
