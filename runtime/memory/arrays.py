"""How arrays in shared memory are shown: by numpy when it is installed, else by memoryview casts. The one place.

AR-1  numpy is imported when the first array is looked at: it costs 100 ms and starts threads, and a region of scalars
      needs none of it.
AR-2  What a transaction lent is taken back at its end: a memoryview is released, a numpy array becomes read-only. A
      slice that numpy made of it before cannot be reached; writing to that is what `RegionDamaged` reports.
"""

import functools
from types import ModuleType
from typing import Any

from actors.layout import cast
from actors.shape import Code


@functools.cache
def _numpy() -> ModuleType | None:
    try:
        import numpy  # noqa: ICN001, PLC0415  # AR-1
    except ImportError:  # the extra is not installed
        return None
    return numpy


def shown(memory: memoryview, code: Code, shape: tuple[int, ...]) -> Any:
    """Memory as an array of that code and shape (C order, native byte order), read-only when the memory is."""
    numpy = _numpy()
    if numpy is None:
        return cast(memory, code, shape)
    return numpy.frombuffer(memory, "?" if code.text == "bool" else code.text).reshape(shape)


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
        """Take them back (AR-2)."""
        for array in self._lent:
            if isinstance(array, memoryview):
                array.release()
            else:
                array.flags.writeable = False
        self._lent.clear()
