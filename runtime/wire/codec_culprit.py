"""The culprit: which part of a value it was that could not be pickled.

Looked for only after a failure, by trying the parts one by one and going down into the first that fails by itself.

CU-1  Looking never fails: an object that cannot be looked into is the culprit itself.
"""

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType

from actors.actor import Actor

_DEPTH = 64  # steps of a path that anybody would read
_SHOWN = 40  # characters of a key or a name in a path


def find(
    where: str, value: object, failure: Exception, attempt: Callable[[object], Exception | None]
) -> tuple[str, str]:
    """The path of the innermost part that cannot be pickled, and what stands there.

    Args:
        where: path of the value itself: `add() argument 1`.
        failure: what pickling it raised.
        attempt: pickles a part and returns what that raised, None if nothing.
    Returns:
        Such as `add() argument 1["key"][0]` and `a _thread.lock`.
    """
    visited: dict[int, object] = {}  # keeps what it visited, so that no id is used again
    for _ in range(_DEPTH):
        visited[id(value)] = value
        if isinstance(value, Actor):  # what it has is the machine's: no part of it is the user's to mend
            return where, f"{_kind(value)}, which is an actor: send its reference, `self.context.ref`"
        if isinstance(failure, RecursionError):
            return where, f"{_kind(value)} that is nested too deeply"
        inner = _failing(value, visited, attempt)
        if inner is None:
            break
        step, value, failure = inner
        where += step
    return where, _described(value, failure)


def text_of(exc: BaseException) -> str:
    """Type and message of an exception."""
    return f"{type(exc).__qualname__}: {said_by(exc)}"


def said_by(exc: BaseException) -> str:
    """The message of an exception; also of one whose `__str__` raises."""
    try:
        return str(exc)
    except Exception as failure:  # it is the user's
        return f"<str() raised {type(failure).__name__}>"


def _failing(
    value: object, visited: dict[int, object], attempt: Callable[[object], Exception | None]
) -> tuple[str, object, Exception] | None:
    for step, part in _parts(value):
        if id(part) in visited:
            continue
        failure = attempt(part)
        if failure is not None:
            return step, part, failure
    return None


def _parts(value: object) -> list[tuple[str, object]]:
    try:
        return [*_items(value), *_attributes(value)]
    except Exception:  # CU-1: an __iter__ or a __getattr__ of the user's that raises
        return []


def _items(value: object) -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            yield from ((f" key {_key(key)}", key) for key in value)
            yield from ((f"[{_key(key)}]", item) for key, item in value.items())
        case list() | tuple() | deque():
            yield from ((f"[{index}]", item) for index, item in enumerate(value))
        case set() | frozenset():
            yield from ((" element", item) for item in value)
        case functools.partial():
            yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
        case MethodType():
            yield from ((".__self__", value.__self__), (".__func__", value.__func__))
        case FunctionType():
            yield from _captured(value)
        case type():
            yield from ((f".{name}", _plain(attribute)) for name, attribute in vars(value).items())
        case _:
            return


def _captured(function: FunctionType) -> Iterator[tuple[str, object]]:
    """What a function that goes by value takes along."""
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        yield f" closure {name}", cell.cell_contents
    for name in sorted(_names_in(function.__code__)):
        if name in function.__globals__:
            yield f" global {name}", function.__globals__[name]
    yield " defaults", function.__defaults__


def _names_in(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names_in, inner))


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, type | FunctionType | MethodType):
        return
    yield from ((f".{name}", attribute) for name, attribute in getattr(value, "__dict__", {}).items())
    for name in slots_of(type(value)):
        if hasattr(value, name):
            yield f".{name}", getattr(value, name)
    yield ".__class__", type(value)  # which may go by value, and take something along


def slots_of(cls: type) -> list[str]:
    """The names of all slots of a class and its bases, but for `__dict__` and `__weakref__`."""
    declared = [base.__dict__.get("__slots__", ()) for base in cls.__mro__]
    names = [name for slots in declared for name in ([slots] if isinstance(slots, str) else slots)]
    return [name for name in names if not name.startswith("__")]


def _plain(attribute: object) -> object:
    return attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute


def _key(key: object) -> str:
    match key:
        case str():
            return json.dumps(key[:_SHOWN], ensure_ascii=False)
        case int() | float() | bytes() | None:
            return repr(key)[:_SHOWN]
        case _:
            return type(key).__qualname__


def _kind(value: object) -> str:
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _described(value: object, failure: Exception) -> str:
    """What stands there; with the reason, unless that only repeats that there is no way to pickle it."""
    reason = text_of(failure)
    return _kind(value) if "cannot pickle" in reason else f"{_kind(value)} ({reason})"
