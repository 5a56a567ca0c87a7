"""structlog, set up for our processes: the one place that imports it.

Nothing global is configured: a program's own structlog and logging settings stay its own. UNDERSTUDY_LOG is
"console" or "json"; unset: console for a terminal.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from actors.printable import printable
from runtime.stderr import KeptStderr, SharedStderr

_rich = sys.modules.get("rich")
if _rich is None:
    sys.modules["rich"] = None  # type: ignore[assignment]  # structlog.dev would import it: 4 MB in every actor
import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # the renderer's: what others say has none left


def line_logger(
    level: int,
    keep: Callable[[str], None] | None = None,
    lost: Callable[[], None] | None = None,
    bound: Mapping[str, Any] | None = None,
) -> Any:
    """A BoundLogger that writes lines to stderr.

    Args:
        level: of the standard library's; 0: everything.
        keep: is given each line too.
        lost: told of each line that could not be written.
        bound: what every line says.
    """
    is_console = (os.environ.get("UNDERSTUDY_LOG") or ("console" if sys.stderr.isatty() else "json")) == "console"
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso")]
    if is_console:
        processors += [visible, console_renderer()]
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    if keep is not None:

        def kept(_logger: object, _name: str, line: Any) -> Any:
            keep(_COLOUR.sub("", line))
            return line

        processors.append(kept)
    printer = LinePrinter(sys.stderr, lost)
    made = structlog.wrap_logger(
        printer,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind(**bound or {})
    printer.tell_by(lambda count: made.warning("log lines could not be written", count=count))
    return made


def console_renderer() -> Any:
    """Of lines for eyes, of what `visible` has seen."""
    return structlog.dev.ConsoleRenderer(exception_formatter=_print_traceback)


def visible(_logger: object, _name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields, in which nothing is left that a terminal would obey: colours are the renderer's alone."""
    return {
        printable(name): value if name == "exc_info" or value is None else _Shown.of(value)
        for name, value in fields.items()
    }


class _Shown:
    """A value whose repr is printable; renderers take a text as it is, and of all else the repr."""

    def __init__(self, value: object) -> None:
        self._value = value

    @classmethod
    def of(cls, value: Any) -> Any:
        return printable(value) if isinstance(value, str) else cls(value)

    def __repr__(self) -> str:
        return printable(repr(self._value))


def _print_traceback(stream: TextIO, exc_info: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    stream.write(printable(text.getvalue()))


class LinePrinter:
    """Writes whole lines; one that cannot be written is left out and counted, and its actor goes on.

    The process's own stderr is written to by its descriptor: a stream would keep what a full disk refuses, and write it
    later, in pieces.
    """

    def __init__(self, stream: TextIO, lost: Callable[[], None] | None = None) -> None:
        """Print to a stream, the caller's to close."""
        self._stream = (
            stream.stream if isinstance(stream, KeptStderr | SharedStderr) else stream
        )  # its lines are kept already
        self._lost = lost
        self._tell: Callable[[int], None] | None = None
        self._left_out = 0
        self._is_torn = False

    def tell_by(self, tell: Callable[[int], None]) -> None:
        """Have it said how many lines were left out, once lines can be written again."""
        self._tell = tell

    def msg(self, message: str) -> None:
        """Print one line."""
        try:
            self._write(message + "\n")
        except (OSError, ValueError):  # a full disk, a closed pipe, a closed stream: no reason to end an actor
            self._left_out += 1
            if self._lost is not None:
                self._lost()
            return
        count, self._left_out = self._left_out, 0
        if count and self._tell is not None:
            self._tell(count)

    log = debug = info = warn = warning = error = critical = exception = fatal = msg

    def _write(self, line: str) -> None:
        if self._stream is not sys.__stderr__:  # a test's, a notebook's, the program's own
            self._stream.write(line)
            self._stream.flush()
            return
        with contextlib.suppress(OSError):  # half a line of somebody's print
            self._stream.flush()
        raw = line.encode(errors="backslashreplace")
        if self._is_torn:
            raw = b"\n" + raw
        while raw:
            written = os.write(self._stream.fileno(), raw)
            raw = raw[written:]
            self._is_torn = bool(raw)  # until the rest is written, or the next line begins
