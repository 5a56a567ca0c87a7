"""The log of an actor: structlog, bound to its name; to stderr, and into the ring of its page for the certificate."""

import sys
from typing import Any

from runtime.mailbox.page import Page
from runtime.stderr import KeptStderr
from runtime.structured import line_logger


def logger(path: str, incarnation: int, page: Page) -> Any:
    """A BoundLogger for one incarnation; what is written to a kept stderr is in the ring already."""
    keep = None if isinstance(sys.stderr, KeptStderr) else page.log
    return line_logger(0, keep).bind(actor=path, incarnation=incarnation)
