"""Configuration files: a system and its tree from TOML, checked as a whole before anything starts.

    text ──tomllib──▶ tables ──shape──▶ each key alone        ┐
      │                  │────rule───▶ keys beside each other ├──▶ problem lines, all at once
      └──position──▶ lines │──source──▶ the classes it names  ┘    or a Config

CF-1  All problems of a file are reported at once, each as `file:line: key: expected …, got …`, in the file's order.
      Only TOML that cannot be parsed, or directories that cannot be imported from, hide what comes behind them.
CF-2  Children keep the order in which the file mentions them first, which is their start order.
"""

import errno
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from actors.child import Child, Tree, checked_name
from actors.errors import BadSpec, ConfigError
from actors.layout import Layout
from actors.region import RegionSpec
from runtime.configuration.bound import check_bounds
from runtime.configuration.position import Path as KeyPath
from runtime.configuration.position import positions_of
from runtime.configuration.problem import Problem, expected_of, lines_of, shape_problems, shown
from runtime.configuration.rule import KINDS, broken_rules, places_of, undecided
from runtime.configuration.shape import FileTable, SupervisorTable, WorkerTable, json_schema
from runtime.configuration.source import classes_of, directories_of, layouts_of, with_references

__all__ = ["Config", "json_schema", "load"]

_SYNTAX_ERROR = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)


_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
_MOST_BYTES = 8 << 20  # a tree of 100,000 actors; what is checked takes a hundred times as much memory


@dataclass(frozen=True, slots=True)
class Config:
    """What a file says.

    Attributes:
        name: of the system.
        tree: its root supervisor, with the real classes.
        path: directories to import from, absolute, for the front of `sys.path`.
        file: where it was read.
    """

    name: str
    tree: Tree
    path: tuple[str, ...]
    file: Path


def load(path: Path) -> Config:
    """Read a configuration file, check it, and import the classes it names. Nothing is started.

    Raises:
        ConfigError: all that is wrong with it.
    """
    text = _read(path)
    table = _parse(text, path)
    check_bounds(table, text, path)
    places = list(places_of(table))
    model, problems = _shape(table, path)
    kinds = undecided(places)
    decided = [problem for problem in problems if not _is_said_by(kinds, problem)]
    directories, unusable = directories_of(table, path)
    classes, strangers = ({}, unusable) if unusable else classes_of(places, directories)
    layouts, shapeless = ({}, []) if unusable else layouts_of(table, directories)
    problems = [*kinds, *decided, *broken_rules(places), *strangers, *shapeless]
    if problems or model is None:
        raise ConfigError(lines_of(problems, str(path), positions_of(text)))
    regions = {name: RegionSpec(layouts[name], region.writers) for name, region in model.regions.items()}
    named = _Named(classes, layouts, path.resolve().parent)
    tree = replace(_supervisor(model, named, ()), regions=regions, memory=model.memory)
    return Config(model.name or path.stem, tree, directories, path)


@dataclass(frozen=True, slots=True)
class _Named:
    """What a file names, as it was found.

    Attributes:
        classes: by the path of their actor's table.
        layouts: by the name of their region.
        directory: that other files are relative to.
    """

    classes: Mapping[KeyPath, type[Any]]
    layouts: Mapping[str, type[Layout]]
    directory: Path


def _read(path: Path) -> str:
    try:
        raw = _bytes_of(path)
    except OSError as exc:
        raise ConfigError((f"{path}:1: file: expected one that can be read, got {exc.strerror}",)) from exc
    except ValueError as exc:
        raise ConfigError((f"{path}:1: file: expected {exc}",)) from exc
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise ConfigError((f"{path}:{line}: file: expected UTF-8, got byte 0x{exc.object[exc.start]:02x}",)) from exc


def _bytes_of(path: Path) -> bytes:
    """All of a regular file, of a bearable size: others have no end, or wait for a writer, or are asked once only.

    Raises:
        ValueError: it is another, in the words of a problem line.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"a regular file, got {_KINDS.get(stat.S_IFMT(status.st_mode), 'another')}")
        if status.st_size > _MOST_BYTES:
            raise ValueError(f"at most {_MOST_BYTES >> 20} MiB, got {status.st_size >> 20}")
        return file.read(_MOST_BYTES)


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # also of an int of 5,000 digits, of 1,000 brackets
        raise ConfigError((_syntax_line(str(exc), text, path),)) from exc


def _syntax_line(message: str, text: str, path: Path) -> str:
    """What tomllib says, "Expected '=' after a key (at line 3, column 5)", in the form of all other lines."""
    found = _SYNTAX_ERROR.fullmatch(message)
    what = found["what"] if found is not None else message
    verb, _, rest = what.partition(" ")
    is_expecting = verb == "Expected"
    expected = rest if is_expecting else f"valid TOML ({what[:1].lower()}{what[1:]})"
    lines = text.splitlines() or [""]
    line, got = len(lines), "the end of the file"
    if found is not None and found["line"] and int(found["line"]) <= len(lines):
        line = int(found["line"])
        start = int(found["column"]) - 1 if is_expecting else 0
        got = shown(lines[line - 1][start:].strip())
    return f"{path}:{line}: syntax: expected {expected}, got {got}"


def _shape(table: Mapping[str, Any], path: Path) -> tuple[FileTable | None, list[Problem]]:
    problems: list[Problem] = []
    if "name" not in table:
        try:
            checked_name(path.stem)
        except BadSpec as exc:
            problems.append(Problem(("name",), expected_of(exc), f"{shown(path.stem)}, the file's own name"))
    try:
        return FileTable.model_validate(table), problems
    except ValidationError as exc:
        return None, problems + shape_problems(exc)


def _is_said_by(kinds: list[Problem], problem: Problem) -> bool:
    """True when the shape's complaint is about the choice of actor, children, template that a rule has spoken of."""
    return (
        problem.path[-1:] != () and problem.path[-1] in KINDS and any(kind.path == problem.path[:-1] for kind in kinds)
    )


def _supervisor(table: FileTable | SupervisorTable, named: _Named, path: KeyPath) -> Tree:
    children = {name: _child(inner, named, (*path, "children", name)) for name, inner in (table.children or {}).items()}
    common = Tree(
        children=children,
        strategy="one_for_one" if table.strategy == "dynamic" else table.strategy,
        max_restarts=table.max_restarts,
        max_seconds=table.max_seconds,
        backoff=None if table.backoff is None else table.backoff.to_backoff(),
        auto_shutdown=table.auto_shutdown,
        template=None if table.template is None else _worker(table.template, named, (*path, "template")),
        max_children=table.max_children,
    )
    if isinstance(table, FileTable):
        return common
    return replace(common, restart=table.restart, shutdown=table.shutdown, significant=table.significant)


def _child(table: WorkerTable | SupervisorTable, named: _Named, path: KeyPath) -> Child[Any] | Tree:
    match table:
        case WorkerTable():
            return _worker(table, named, path)
        case SupervisorTable():
            return _supervisor(table, named, path)


def _worker(table: WorkerTable, named: _Named, path: KeyPath) -> Child[Any]:
    args = tuple(with_references(value, named.layouts) for value in table.args)
    kwargs = {key: with_references(value, named.layouts) for key, value in table.kwargs.items()}
    options = table.to_options()
    if options.durable is not None:
        options = replace(options, durable=str(named.directory / options.durable))
    return Child(named.classes[path], args, kwargs, options)
