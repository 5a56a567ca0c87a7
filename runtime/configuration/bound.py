"""Bounds of a file, checked in a loop before anything walks down it: how deep it is nested, how long numbers are."""

import contextlib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from actors.child import MOST_DEPTH
from actors.errors import ConfigError
from runtime.configuration.position import Path, line_of, positions_of
from runtime.configuration.problem import dotted

_MOST_NESTED = 200  # keys and indexes that lead to a value; Python's stack holds 1,000 calls
_MOST_BITS = 14_000  # of a number: 4,214 digits; Python prints none of more than 4,300, and tomllib reads them in hex
_MOST_SHOWN = 6  # of those keys


def check_bounds(table: Mapping[str, Any], text: str, file: FilePath) -> None:
    """Whether tables and arrays, or supervisors, are nested too deeply, or a number is too long.

    Args:
        table: of the whole file, made of that text.
        file: named in the problem.
    Raises:
        ConfigError: so it is.
    """
    level: list[tuple[Path, Any]] = [((), table)]
    while level:
        where, value = level.pop()
        if len(where) > _MOST_NESTED or _supervisors(where) > MOST_DEPTH:
            expected = (
                f"at most {_MOST_NESTED} levels of tables and arrays, and {MOST_DEPTH} supervisors one in the other"
            )
            raise ConfigError((f"{_place(where, text, file)}: expected {expected}, got more",))
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise ConfigError(
                (f"{_place(where, text, file)}: expected at most {_MOST_BITS} bits, got {value.bit_length()}",)
            )
        if isinstance(value, dict):
            level += [((*where, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            level += [((*where, index), inner) for index, inner in enumerate(value)]


def _supervisors(where: Path) -> int:
    """How many supervisors are around what stands there, the root among them."""
    depth = 0
    while where[2 * depth : 2 * depth + 1] in (("children",), ("template",)):
        depth += 1
    return depth


def _place(where: Path, text: str, file: FilePath) -> str:
    positions: Mapping[Path, int] = {}
    with contextlib.suppress(RecursionError):  # the scanner is one of those that walk
        positions = positions_of(text)
    key = dotted(where[:_MOST_SHOWN]) + ("…" if len(where) > _MOST_SHOWN else "")
    return f"{file}:{line_of(where, positions)}: {key}"
