"""Where the actors of a file come from: the directories on its path, and the classes it names.

Classes are imported as if Python had been started in the file's directory. Nothing is started. What an import leaves
in `sys.modules` stays there, since the classes live on; `sys.path` is put back.

SO-1  `actors` and `runtime` are Understudy's own, imported long before. A module of the user's with one of these names
      could never be imported, and its user would never learn why: it is a problem of the file.
"""

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from actors.child import child, is_actor
from actors.errors import BadActor, BadLayout
from actors.layout import Layout
from actors.role import has_snapshots
from runtime.configuration.position import Path
from runtime.configuration.problem import Problem, nearest, shown
from runtime.configuration.rule import Place, is_reference, is_region, region_of, target_of
from runtime.configuration.shape import is_class_path
from runtime.wire.placeholder import RefTo, RegionTo

_OURS = ("actors", "runtime")
_OUR_ROOT = FilePath(__file__).resolve().parents[2]


class _ImportFailed(Exception):
    """Why a class could not be had, in one line."""


def directories_of(table: Mapping[str, object], file: FilePath) -> tuple[tuple[str, ...], list[Problem]]:
    """The directories to import from, absolute, and what is wrong with them (SO-1).

    Args:
        table: of the whole file.
        file: its own directory is what `path` is relative to.
    """
    entries = table.get("path", ["."])
    if not (isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)):
        return (), []  # its shape is wrong, and reported
    directories: list[str] = []
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        where: Path = ("path", index) if "path" in table else ("path",)
        directory = _directory(file.resolve().parent / entry)
        if directory is None:
            problems.append(Problem(where, "a directory", shown(entry)))
            continue
        directories.append(str(directory))
        expected = "no module named as Understudy's own packages"
        problems += [Problem(where, expected, f"{clash}: rename it") for clash in _clashes(directory)]
    return tuple(directories), problems


def classes_of(places: Sequence[Place], directories: Sequence[str]) -> tuple[dict[Path, type[Any]], list[Problem]]:
    """Import the classes of all actors.

    Returns:
        path of the actor's table → class; and the problems of those that cannot be had or do not fit.
    """
    classes: dict[Path, type[Any]] = {}
    problems: list[Problem] = []
    with _importing_from(directories):
        for place in places:
            class_path = place.table.get("actor")
            if not (isinstance(class_path, str) and is_class_path(class_path)):
                continue  # a supervisor, or of a wrong shape, which is reported
            try:
                candidate = _imported(class_path)
            except _ImportFailed as exc:
                got = f"{shown(class_path)}: {exc}"
                problems.append(Problem((*place.path, "actor"), "a class that can be imported", got))
                continue
            if not (isinstance(candidate, type) and is_actor(candidate)):
                got = f"{shown(class_path)}, a {type(candidate).__name__}"
                problems.append(Problem((*place.path, "actor"), "a subclass of actors.Actor", got))
                continue
            classes[place.path] = candidate
            problems += _wrong_arguments(place, candidate)
            problems += _stateless(place, candidate)
    return classes, problems


def layouts_of(
    table: Mapping[str, object], directories: Sequence[str]
) -> tuple[dict[str, type[Layout]], list[Problem]]:
    """Import the layouts of all regions.

    Returns:
        name of the region → layout; and the problems of those that cannot be had or are none.
    """
    regions = table.get("regions")
    layouts: dict[str, type[Layout]] = {}
    problems: list[Problem] = []
    with _importing_from(directories):
        for name, region in regions.items() if isinstance(regions, dict) else ():
            class_path = region.get("layout") if isinstance(region, dict) else None
            if not (isinstance(class_path, str) and is_class_path(class_path)):
                continue  # of a wrong shape, which is reported
            where: Path = ("regions", name, "layout")
            try:
                found = _imported(class_path)
                layouts[name] = Layout.of(found, class_path.rpartition(":")[2])
            except _ImportFailed as exc:
                problems.append(Problem(where, "a layout that can be imported", f"{shown(class_path)}: {exc}"))
            except BadLayout:
                got = f"{shown(class_path)}, a {type(found).__name__}"
                problems.append(Problem(where, "a subclass of actors.Layout or a structured dtype", got))
    return layouts, problems


def with_references(value: object, layouts: Mapping[str, type[Layout]]) -> object:
    """Constructor arguments with `{"$ref" = …}` and `{"$region" = …}` replaced by placeholders, at any depth."""
    match value:
        case dict() if is_reference(value):
            return RefTo(target_of(value))
        case dict() if is_region(value):
            return RegionTo(region_of(value), layouts[region_of(value)])
        case dict():
            return {key: with_references(inner, layouts) for key, inner in value.items()}
        case list():
            return [with_references(inner, layouts) for inner in value]
        case _:
            return value


def _directory(path: FilePath) -> FilePath | None:
    """The same, absolute; None when it is none, nor could be one: with a NUL, or longer than a path may be."""
    try:
        resolved = path.resolve()
        return resolved if resolved.is_dir() else None
    except (OSError, ValueError):
        return None


def _clashes(directory: FilePath) -> Iterator[str]:
    if directory == _OUR_ROOT:
        return
    for name in _OURS:
        module, package = directory / f"{name}.py", directory / name
        if module.is_file():
            yield str(module)
        elif any(package.glob("*.py")):  # without one it is a folder of other things, no package
            yield str(package)


@contextlib.contextmanager
def _importing_from(directories: Sequence[str]) -> Iterator[None]:
    before = sys.path[:]
    sys.path[:0] = [directory for directory in directories if directory not in sys.path]
    importlib.invalidate_caches()  # the file may be younger than what the finders remember of its directory
    try:
        yield
    finally:
        sys.path[:] = before


def _imported(class_path: str) -> object:
    module_name, _, name = class_path.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:  # whatever the user's module raises is a line of the answer
        raise _ImportFailed(_import_error(exc)) from exc
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = nearest(part, [known for known in dir(found) if not known.startswith("_")])
            raise _ImportFailed(f"{module_name} has no {name}{near}") from None
    return found


def _import_error(exc: BaseException) -> str:
    """The exception and, if it was raised within a module, where."""
    reason = " ".join(f"{type(exc).__name__}: {exc}".split())
    frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if "importlib" not in frame.filename]
    inner = frames[1:]  # the first is our own
    return f"{reason} ({inner[-1].filename}:{inner[-1].lineno})" if inner else reason


def _wrong_arguments(place: Place, actor: type[Any]) -> list[Problem]:
    args, kwargs = place.table.get("args", []), place.table.get("kwargs", {})
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        return []  # of a wrong shape, which is reported
    try:
        child(actor, *args, **kwargs)
    except BadActor as exc:
        key = next((key for key in ("args", "kwargs") if place.table.get(key)), "actor")
        if "keyword" in str(exc) and "kwargs" in place.table:
            key = "kwargs"
        reason = str(exc).partition(": ")[2].removeprefix("got ")
        return [Problem((*place.path, key), f"arguments for {_call(actor)}", reason)]
    return []


def _stateless(place: Place, actor: type[Any]) -> list[Problem]:
    """An actor without snapshots has nothing that could be durable."""
    try:
        if not isinstance(place.table.get("durable"), str) or has_snapshots(actor):
            return []
        got = actor.__qualname__
    except BadActor as exc:
        got = str(exc)
    return [Problem((*place.path, "durable"), "an actor with snapshot and restore", got)]


def _call(actor: type[Any]) -> str:
    signature = inspect.signature(actor)
    return f"{actor.__qualname__}{signature.replace(return_annotation=inspect.Signature.empty)}"
