"""How the command line logs: to stderr, for eyes when that is a terminal, else one JSON object per line.

Only the command line configures logging; everything else just logs.
"""

import logging
from typing import TextIO

import structlog

from runtime.structured import console_renderer, visible


def configure_logging(stream: TextIO) -> None:
    """Let all of structlog in this process write to the stream, from level INFO on."""
    last: list[structlog.typing.Processor] = (
        [visible, console_renderer()]
        if stream.isatty()
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
