"""Deadlines are ambient and travel: set once, they bound every ask below, in this process and the next.

    with deadline(0.5):
        cart.total()            # and whatever the cart asks, and whatever that asks

An ask takes the ambient deadline, else DEFAULT_SECONDS. The chain of asks that led here travels with it, so that a
cycle is refused instead of waited for. Both live in one ContextVar, since both are read for every ask.

DL-1  A nested deadline can only come earlier. `deadline(None)` lifts the default, never an inherited deadline.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from actors.interfaces import current_machine

DEFAULT_SECONDS = 5.0  # gen_server:call/2 waits 5,000 ms
LONGEST_SECONDS = 1e9  # 31 years; nanoseconds since boot have to fit into the 64 bits of a frame's field
NEVER = 0  # a deadline of 0 ns on the wire: none


Ambient = tuple[int | None, tuple[str, ...]]
"""What an ask inherits: until when (absolute monotonic ns, NEVER for no deadline, None for the default), and the chain:
the addresses that wait for the answer of the message in hand, the first asker first. A plain tuple: one is made for
every ask that is handled."""

NOTHING: Ambient = (None, ())
ambient: ContextVar[Ambient] = ContextVar("understudy_ambient", default=NOTHING)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Bound every ask made inside the block, and what they ask in turn.

    Args:
        seconds: from now; None lifts the default of 5 s, but not a deadline that was inherited (DL-1).
    Raises:
        ValueError, TypeError: it is no number.
    """
    until_ns, chain = ambient.get()
    token = ambient.set((_earlier(until_ns, seconds), chain))
    try:
        yield
    finally:
        ambient.reset(token)


def nanoseconds(seconds: float) -> int:
    """A number of seconds in nanoseconds; what is longer than LONGEST_SECONDS, infinity included, counts as that.

    Raises:
        ValueError, TypeError: it is no number.
    """
    if math.isnan(seconds):
        raise ValueError(f"expected a number of seconds, got {seconds!r}")
    return int(max(-LONGEST_SECONDS, min(seconds, LONGEST_SECONDS)) * 1e9)


def _earlier(inherited_ns: int | None, seconds: float | None) -> int:
    if seconds is None:
        return inherited_ns or NEVER
    until_ns = current_machine().now_ns() + nanoseconds(seconds)
    return min(until_ns, inherited_ns) if inherited_ns else until_ns
