"""Whether code runs in an event loop, which nothing may block."""

import asyncio
import sys

from actors.errors import BlockingCall


def current_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, unless it is an interactive shell's own: shells may block."""
    loop = asyncio._get_running_loop()  # noqa: SLF001  # get_running_loop() raises where there is none, 1 µs
    return loop if loop is not None and not _is_shell() else None


def refuse_in_loop() -> None:
    """Refuse to block the thread of a running event loop, unless it is an interactive shell's own.

    Raises:
        BlockingCall: names the form to use instead.
    """
    if current_loop() is not None:
        raise BlockingCall("this call would block the running event loop; use `await ref.message.ask(…)` instead")


def _is_shell() -> bool:
    """The one place that knows interactive shells: ipykernel and the asyncio REPL run cells in their own loop."""
    return "ipykernel" in sys.modules or "asyncio.__main__" in sys.modules
