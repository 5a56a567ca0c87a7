"""structlog, set up for our processes: the one place that imports it.

Nothing global is configured: a program's own structlog and logging settings stay its own. UNDERSTUDY_LOG is
"console" or "json"; unset: console for a terminal.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

_rich = sys.modules.get("rich")
if _rich is None:
    sys.modules["rich"] = None  # type: ignore[assignment]  # structlog.dev would import it: 4 MB in every actor
import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]


def line_logger(level: int, keep: Callable[[str], None] | None = None) -> Any:
    """A BoundLogger that writes lines to stderr.

    Args:
        level: of the standard library's; 0: everything.
        keep: is given each line too.
    """
    is_console = (os.environ.get("UNDERSTUDY_LOG") or ("console" if sys.stderr.isatty() else "json")) == "console"
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso")]
    if is_console:
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    if keep is not None:

        def kept(_logger: object, _name: str, line: Any) -> Any:
            keep(line)
            return line

        processors.append(kept)
    return structlog.wrap_logger(
        _LinePrinter(sys.stderr),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


class _LinePrinter(structlog.PrintLogger):
    """Prints lines; one that cannot be written is left out."""

    def msg(self, message: str) -> None:
        """Print one line."""
        with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe: no reason to end an actor
            super().msg(message)

    log = debug = info = warn = warning = error = critical = exception = fatal = msg
