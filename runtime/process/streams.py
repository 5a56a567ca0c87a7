"""The standard streams of our processes: always there, never a terminal to type at.

ST-1  Descriptors 0, 1 and 2 are open before we open anything: a daemon may be started without them, and the next pipe
      would then be somebody's stdout.
ST-2  An actor has nobody at its stdin: `breakpoint()` is an error that says what to do, unless PYTHONBREAKPOINT does.
"""

import contextlib
import os
import sys
from typing import Any, NoReturn

from actors.errors import NoDebugger

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def fill() -> None:
    """Open the null device in the place of each standard descriptor that is closed (ST-1)."""
    for fd in range(len(_STREAMS)):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(opened, True)


def stand_in() -> None:
    """The same, and for the streams of `sys` that Python left out, in a process of ours."""
    fill()
    for fd, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            stream = open(fd, mode, closefd=False, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def flush() -> None:
    """Write what was printed so far: a fork would write it again."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # full, closed, or the user's own object
            stream.flush()


def refuse_breakpoints() -> None:
    """Have `breakpoint()` say what to do instead of reading from the null device (ST-2)."""
    if sys.breakpointhook is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = _breakpoint


def _breakpoint(*_: Any, **__: Any) -> NoReturn:
    raise NoDebugger(
        "breakpoint(): expected a terminal, got an actor's stdin, which is empty; set PYTHONBREAKPOINT to a debugger "
        "that listens on a socket, as debugpy.breakpoint, or run the class on a Stage (actors.testing)"
    )
