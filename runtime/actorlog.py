"""The log of an actor: structlog, bound to its name; to stderr, and into the ring of its page for the certificate.

Nothing global is configured: the program's own structlog and logging settings stay its own.
"""

import os
import sys
from typing import Any

import structlog

from runtime.mailbox.page import Page


def logger(path: str, incarnation: int, page: Page) -> Any:
    """A BoundLogger for one incarnation. UNDERSTUDY_LOG is "console" or "json"; unset: console for a terminal."""
    style = os.environ.get("UNDERSTUDY_LOG") or ("console" if sys.stderr.isatty() else "json")
    render: Any = structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer(default=repr)

    def keep(_logger: object, _name: str, line: str) -> str:
        page.log(line)
        return line

    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info if style == "json" else _unchanged,
            render,
            keep,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    ).bind(actor=path, incarnation=incarnation)


def _unchanged(_logger: object, _name: str, event: Any) -> Any:
    return event
