"""The restart window, and the delay before a restart. Pure functions of times.

WI-1  A restart that is exactly max_seconds old still counts (OTP: `R >= Now - Period`).
WI-2  A delay costs nothing: the window counts restarts, whatever lies between them.
"""

from actors.child import Backoff

_MASK = (1 << 64) - 1


def add_restart(window: tuple[float, ...], now: float, max_seconds: float) -> tuple[float, ...]:
    """The times of restarts that count at now, this one included, oldest first."""
    threshold = now - max_seconds
    if window and window[0] < threshold:
        window = tuple(time for time in window if time >= threshold)
    return (*window, now)


def delay(backoff: Backoff | None, nth: int, draw: float) -> float:
    """Seconds to wait before the nth restart in a window: none before the first, then first, doubling, up to most.

    Args:
        draw: random, in [0, 1).
    """
    if backoff is None or nth <= 1:
        return 0.0
    plain = min(backoff.first * 2.0 ** min(nth - 2, 64), backoff.most)
    return plain * (1 + backoff.jitter * (2 * draw - 1))


def next_draw(seed: int) -> tuple[int, float]:
    """The next seed, and a number in [0, 1).

    Source: splitmix64, which needs no more state than one integer (https://prng.di.unimi.it/splitmix64.c).
    """
    seed = (seed + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return seed, ((mixed ^ (mixed >> 31)) >> 11) / (1 << 53)
