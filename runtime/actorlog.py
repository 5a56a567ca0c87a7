"""The log of an actor: structlog, bound to its name; to stderr, and into the ring of its page for the certificate."""

from typing import Any

from runtime.mailbox.page import Page
from runtime.structured import line_logger


def logger(path: str, incarnation: int, page: Page) -> Any:
    """A BoundLogger for one incarnation; what cannot be written is counted in its page."""
    return line_logger(0, page.log, page.lose_line, {"actor": path, "incarnation": incarnation})
