"""Problems of a configuration file: where, what was expected, what was found.

shop.toml:12: children.inventory.restart: expected permanent|transient|temporary, got "always"
"""

import datetime as dt
import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from actors.errors import BadSpec
from runtime.configuration.position import Path, line_of
from runtime.configuration.shape import (
    SUPERVISOR,
    BackoffTable,
    FileTable,
    LimitsTable,
    MailboxTable,
    RegionTable,
    SupervisorTable,
    WorkerTable,
)

_MOST_SHOWN = 60  # characters of a value
_KINDS: Mapping[type[BaseModel], str] = {
    FileTable: "the file",
    SupervisorTable: "a supervisor",
    WorkerTable: "an actor",
    MailboxTable: "a mailbox",
    BackoffTable: "a backoff",
    LimitsTable: "limits",
    RegionTable: "a region",
}
_INNER: Mapping[str, type[BaseModel]] = {
    "template": WorkerTable,
    "mailbox": MailboxTable,
    "backoff": BackoffTable,
    "limits": LimitsTable,
}
_TYPES: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: of the offending key.
        expected, got: the rest of the line, in words.
    """

    path: Path
    expected: str
    got: str


def lines_of(problems: Sequence[Problem], file: str, positions: Mapping[Path, int]) -> tuple[str, ...]:
    """The problems as lines `file:line: key: expected …, got …`, in the order of the file."""
    placed = sorted(((line_of(problem.path, positions), problem) for problem in problems), key=lambda pair: pair[0])
    lines = (
        f"{file}:{line}: {dotted(problem.path)}: expected {problem.expected}, got {problem.got}"
        for line, problem in placed
    )
    return tuple(dict.fromkeys(lines))


def dotted(path: Path) -> str:
    """A path as one would write it: children.tea.args[0]."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else json.dumps(step, ensure_ascii=False)
            text += f".{key}" if text else key
    return text


def shown(value: object) -> str:
    """A value as it stands in a TOML file, cut to one line of readable length."""
    text = _toml(value)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def nearest(word: str, words: Collection[str]) -> str:
    """` (did you mean …?)`, or nothing when none is near."""
    found = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def shape_problems(error: ValidationError) -> list[Problem]:
    """What pydantic found, in our words."""
    return [_translated(details) for details in error.errors(include_url=False)]


def _translated(details: ErrorDetails) -> Problem:
    path, table = _place(details["loc"])
    context: Mapping[str, Any] = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(path, table)
        case "missing":
            return Problem(path, '"module:Class"', "nothing")  # the class is all that must be there
        case "literal_error":
            expected = "|".join(re.findall("'([^']*)'", context["expected"]))
        case "value_error":
            expected = expected_of(context["error"])
        case "greater_than_equal":
            expected = f"at least {_number(context['ge'])}"
        case "less_than_equal":
            expected = f"at most {_number(context['le'])}"
        case other:
            expected = _TYPES.get(other, details["msg"])
    return Problem(path, expected, shown(details["input"]))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def expected_of(error: ValueError) -> str:
    """What a validator expected: its text, or of a BadSpec ("expected …, got …") the part before what it got."""
    if isinstance(error, BadSpec):
        return error.detail.removeprefix("expected ").partition(", got ")[0]
    return str(error)


def _unknown_key(path: Path, table: type[BaseModel]) -> Problem:
    key = str(path[-1])
    known = table.model_fields.keys()
    near = nearest(key, known)
    expected = f"a key of {_KINDS[table]}{near}" if near else f"a key of {_KINDS[table]} ({', '.join(known)})"
    return Problem(path, expected, shown(key))


def _place(loc: tuple[int | str, ...]) -> tuple[Path, type[BaseModel]]:
    """The path in the file that a location of pydantic's stands for, and the table whose key it is.

    pydantic puts, after the name of a child, the kind it judged the child by, or "[key]" when it judges the name.
    """
    path: Path = ()
    table: type[BaseModel] = FileTable
    rest = list(loc)
    while rest:
        step = rest.pop(0)
        path = (*path, step)
        if len(rest) > 1 and step == "children":
            path = (*path, rest.pop(0))
            table = SupervisorTable if rest.pop(0) == SUPERVISOR else WorkerTable
        elif len(rest) > 1 and path == ("regions",):
            path, table = (*path, rest.pop(0)), RegionTable
            rest = rest if rest[0] != "[key]" else []
        elif rest:
            table = _INNER.get(str(step), table)
    return path, table


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dt.date() | dt.time():
            return value.isoformat()
        case list():
            return f"[{', '.join(_toml(element) for element in value)}]"
        case dict():
            pairs = ", ".join(f"{dotted((str(key),))} = {_toml(element)}" for key, element in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            return str(value)
