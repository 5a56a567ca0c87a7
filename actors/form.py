"""Arrays over memory that is somebody else's: by numpy when it is installed, else memoryviews. The one place.

AA-1  numpy is imported when the first array is looked at: it costs 100 ms and starts threads, and what has no arrays
      needs none of it.
"""

import functools
import math
import operator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from actors.layout import cast
from actors.shape import Code, code_of


@functools.cache
def numpy() -> ModuleType | None:
    """The module; None when the extra is not installed."""
    try:
        import numpy  # noqa: ICN001, PLC0415  # AA-1
    except ImportError:
        return None
    return numpy


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an array that is still to be made: C order.

    Attributes:
        shape: sizes of its dimensions, each 0 or more.
        nbytes: of all of it.
        dtype: numpy's; without numpy a code of a layout.
    """

    shape: tuple[int, ...]
    nbytes: int
    dtype: Any

    def over(self, memory: Any) -> Any:
        """The array over that memory: any object with a writable buffer of `nbytes`."""
        found = numpy()
        if found is not None:
            return found.frombuffer(memory, self.dtype).reshape(self.shape)
        code: Code = self.dtype
        return cast(memoryview(memory).cast("B"), code, self.shape)

    def private(self) -> Any:
        """An array of the program's own memory."""
        found = numpy()
        if found is not None:
            return found.empty(self.shape, self.dtype)
        return self.over(bytearray(self.nbytes))


def form_of(shape: int | tuple[int, ...], dtype: Any) -> Form:
    """The form that `empty(shape, dtype)` asks for.

    Args:
        shape: one size, or one for each dimension.
        dtype: whatever numpy takes for one; without numpy "i1" to "i8", "u1" to "u8", "f4", "f8", "bool".
    Raises:
        ValueError: a size below 0, or Python objects as items.
        TypeError: a size that is no integer.
        BadLayout: without numpy, another dtype.
    """
    sizes = tuple(operator.index(size) for size in (shape if isinstance(shape, tuple) else (shape,)))
    if any(size < 0 for size in sizes):
        raise ValueError(f"empty: expected sizes of 0 or more, got {shape!r}")
    found = numpy()
    if found is None:
        code = code_of(dtype)
        return Form(sizes, code.nbytes * math.prod(sizes), code)
    wanted = found.dtype(dtype)
    if wanted.hasobject:
        raise ValueError(f"empty: expected items of plain bytes, got dtype {wanted}")
    return Form(sizes, wanted.itemsize * math.prod(sizes), wanted)
