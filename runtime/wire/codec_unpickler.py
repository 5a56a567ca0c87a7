"""Unpicklers: for what `pickle.loads` cannot do.

UP-1  A private copy is writable, whatever the array it was made of was: an array that arrived read-only and was sent on
      must not be so for ever.
"""

import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from runtime.wire.codec_arrival import definition
from runtime.wire.codec_pickler import NUMBERED
from runtime.wire.parts import Buffer

READ_ONLY_BUFFER = pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
"""How a pickle refers to a buffer that was read-only."""


class NumberedUnpickler(pickle.Unpickler):
    """Unpickles what a pickler wrote behind NUMBERED."""

    def __init__(
        self, payload: Buffer, class_of: Callable[[int], type], buffers: Sequence[memoryview | bytearray]
    ) -> None:
        super().__init__(_file_of(payload), buffers=buffers)
        self._class_of = class_of

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for."""
        if name == definition.__name__ and module == definition.__module__:
            return self._class_of
        return super().find_class(module, name)


class WritingUnpickler(pickle._Unpickler):  # noqa: SLF001  # the C one cannot be told to do this
    """Unpickles with buffers that are private copies (UP-1); slower, and only for what refers to read-only ones."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,  # noqa: SLF001  # a class attribute of the documented pure-Python one
        pickle.READONLY_BUFFER[0]: lambda _self: None,
    }

    def __init__(
        self, payload: Buffer, class_of: Callable[[int], type], buffers: Sequence[memoryview | bytearray]
    ) -> None:
        super().__init__(_file_of(payload), buffers=buffers)
        self._class_of = class_of

    def find_class(self, module: str, name: str) -> Any:
        """As NumberedUnpickler.find_class."""
        if name == definition.__name__ and module == definition.__module__:
            return self._class_of
        return super().find_class(module, name)


def _file_of(payload: Buffer) -> io.BytesIO:
    return io.BytesIO(memoryview(payload)[1:] if payload[:1] == NUMBERED else payload)
