"""Turns: what an actor is at, and nothing else of it: a handler, a timer, a hook. What runs beside holds up nobody.

TU-1  A coroutine of an actor's own turn is over when it has returned; tasks that it has left behind go on beside.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

turn: ContextVar[Any] = ContextVar("understudy_turn", default=None)
"""The coroutine of the turn that led here; None in a `def`, and in a message that is handled beside others."""


def holds_up() -> bool:
    """Whether the actor goes on to nothing else while the code that asks this waits."""
    coroutine = turn.get()
    if coroutine is None:
        return asyncio._get_running_loop() is None  # noqa: SLF001  # get_running_loop() raises where there is none
    return getattr(coroutine, "cr_frame", None) is not None  # TU-1
