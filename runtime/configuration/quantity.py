"""Quantities as people write them: durations as "5s", sizes as "64KiB".

All raise ValueError whose text says what was expected, ready to stand after the word in a problem line.
"""

import re

from actors.child import MOST_COUNT

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) ?(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_SECONDS = 1e9  # 31 years: what the clock's nanoseconds in 64 bits hold with room to spare
_SIZE = re.compile(r"(\d{1,12}) ?(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

DURATION = 'a duration like "100ms", "5s", "2m", "6h", or seconds'
SHUTDOWN = f'"kill", "infinity" or {DURATION}'
EVERY = f'"message" or {DURATION}'
SIZE = 'a size like "4096B", "32KiB", "1MiB", or bytes'

DURATION_PATTERN = rf"^{_DURATION.pattern}$"
SIZE_PATTERN = rf"^{_SIZE.pattern}$"


def parse_duration(value: object) -> float:
    """Seconds of a duration.

    Args:
        value: "100ms", "1.5s", "2m", "6h", or a number of seconds, 0 to 1e9.
    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        return parse_duration(float(found[1]) * _SECONDS[found[2]])
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS:
        return float(value)
    raise ValueError(DURATION)


def parse_shutdown(value: object) -> float | str:
    """Seconds of a duration, or the words "kill" and "infinity" as they are.

    Raises:
        ValueError: it is none of these.
    """
    if value in ("kill", "infinity"):
        return str(value)
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(SHUTDOWN) from None


def parse_every(value: object) -> float | str:
    """Seconds of a duration, or the word "message" as it is.

    Raises:
        ValueError: it is neither.
    """
    if value == "message":
        return "message"
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(EVERY) from None


def parse_size(value: object) -> int:
    """Bytes of a size.

    Args:
        value: "4096B", "32KiB", "1MiB", "1GiB", or a whole number of bytes, 0 to 2**63 - 1.
    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
        return parse_size(int(found[1]) * _BYTES[found[2]])
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNT:
        return value
    raise ValueError(SIZE)
