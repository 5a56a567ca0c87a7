"""Arguments of a message as they are written on a command line, and its answer as it is printed there."""

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import click

_KEYWORD = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


def parse_words(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a message.

    Args:
        words: each JSON, or a string when it is not; `key=JSON` is a keyword argument.
    Raises:
        click.UsageError: a keyword given twice; a word that looks like an option.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        keyword = _KEYWORD.fullmatch(word)
        if keyword is None:
            args.append(_value(word))
        elif keyword[1] in kwargs:
            raise click.UsageError(f"{keyword[1]}: expected one value, got two")
        else:
            kwargs[keyword[1]] = _value(keyword[2])
    return args, kwargs


def json_text(value: object) -> str | None:
    """A value as one line of JSON; None when JSON cannot carry it."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _value(word: str) -> Any:
    try:
        return json.loads(word, parse_constant=_no_constant)
    except ValueError:
        if word.startswith("-"):  # options that are not known arrive here, so that -1 can be a number
            raise click.UsageError(f"{word}: expected an option or JSON; as a string it is '\"{word}\"'") from None
        return word


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)  # NaN and Infinity are Python's, not JSON's: here they are words like any other
