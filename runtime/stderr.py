"""What an actor writes to stderr, kept in its page too: the tail of it is in its death certificate.

Only what goes through `sys.stderr` in Python: `print(…, file=sys.stderr)`, warnings, tracebacks of threads. What C code
writes to descriptor 2 is not seen; a pipe would need a thread, or a reader that outlives the actor.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TextIO

_kept: "ContextVar[KeptStderr]" = ContextVar("understudy_stderr")


class KeptStderr:
    """Stands in for `sys.stderr`: passes everything on, and gives whole lines to keep().

    Attributes:
        stream: what it passes everything on to.
    """

    def __init__(self, stream: TextIO, keep: Callable[[str], None]) -> None:
        self.stream = stream
        self._keep = keep
        self._line = ""

    def write(self, text: str) -> int:
        """Write it, and keep the lines that it ends."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._keep(line)
        return self.stream.write(text)

    def writelines(self, texts: list[str]) -> None:
        """Write them all."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _stderr, ()  # by name: the receiver's own


class SharedStderr:
    """Stands in for `sys.stderr` where several actors are threads of one process: each has its own lines kept.

    What a thread writes that was started without its actor's context is passed on, and kept by nobody.

    Attributes:
        stream: what it passes everything on to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def keep(self, keep: Callable[[str], None]) -> None:
        """Give the lines written in this context to keep()."""
        _kept.set(KeptStderr(self.stream, keep))

    def write(self, text: str) -> int:
        """Write it, and keep the lines that it ends."""
        kept = _kept.get(None)
        return self.stream.write(text) if kept is None else kept.write(text)

    def writelines(self, texts: list[str]) -> None:
        """Write them all."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _stderr, ()  # by name: the receiver's own


def _stderr() -> TextIO:
    return sys.stderr
