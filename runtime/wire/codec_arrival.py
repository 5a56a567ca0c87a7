"""Arrival: what pickles name, called while something that went by value is unpickled.

The names of this module are in files (a durable state): none is renamed or removed, and what a function takes stays.

In an actor's process `__main__` is a `Script`: what has arrived of the scripts of others is found in it under its name.
So plain pickle works on it: `pickle.dumps`, `shelve`, and a ProcessPoolExecutor whose processes are forked.

AR-1  A class that goes by value carries a key. A process that has the class of that key uses it and leaves it as it is:
      an arriving definition never changes a class that is in use. A context variable likewise.
AR-2  A function that goes by value is a copy with globals of its own, as cloudpickle makes it. Of several copies that
      live, its name means the one that arrived last; the name keeps none alive.
AR-3  Nothing is entered into a `__main__` that is a program's own.
"""

import functools
import sys
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import FunctionType, ModuleType
from typing import Any

from cloudpickle import cloudpickle as machinery

NAMELESS = frozenset({"__main__", "__mp_main__"})  # a module of its own in every process
CACHED = type(functools.lru_cache(lambda: None))  # what lru_cache makes has a type without a public name
_FUNCTIONS = (FunctionType, CACHED)


class Script(ModuleType):
    """`__main__` of an actor's process: classes of scripts are its attributes, functions are found while they live."""

    def __init__(self) -> None:
        super().__init__("__main__")
        self.__copies: dict[str, list[weakref.ref[Any]]] = {}

    def enter(self, thing: Any) -> None:
        """Have a class or function found under its name."""
        name = thing.__qualname__
        if isinstance(thing, type):
            setattr(self, name, thing)
            return
        others = [copy for copy in self.__copies.get(name, ()) if copy() is not None and copy() is not thing]
        self.__copies[name] = [*others, weakref.ref(thing)]

    def __getattr__(self, name: str) -> Any:
        """The function of that name that arrived last and lives (AR-2)."""
        for copy in reversed(self.__copies.get(name, ())):
            thing = copy()
            if thing is not None:
                return thing
        raise AttributeError(
            f"module '__main__' of an actor has no attribute {name!r}: nothing of that name has arrived"
        )


def become_script() -> None:
    """Make `__main__` of this process a `Script`; what it was runs on."""
    for name in NAMELESS:
        sys.modules[name] = Script()


def has_name(thing: Any) -> bool:
    """Whether the script that a class or function is of has it under its name."""
    module = sys.modules.get(thing.__module__) if thing.__module__ in NAMELESS else None
    return module is not None and getattr(module, thing.__qualname__, None) is thing


def enter(thing: Any) -> None:
    """Have what has a name in its script found under it here, with the functions that a class uses (AR-3)."""
    script = sys.modules.get(thing.__module__)
    if not isinstance(script, Script):
        return
    if isinstance(thing, type):
        for function in _functions_of(thing):
            script.enter(function)
    if "." not in thing.__qualname__:
        script.enter(thing)


def _functions_of(cls: type) -> Iterator[Any]:
    """Those that methods of a class have among their globals, under their names."""
    methods = (getattr(attribute, "__func__", attribute) for attribute in vars(cls).values())
    spaces = {id(method.__globals__): method.__globals__ for method in methods if isinstance(method, FunctionType)}
    for space in spaces.values():
        for name, value in list(space.items()):
            if isinstance(value, _FUNCTIONS) and value.__module__ in NAMELESS and value.__qualname__ == name:
                yield value


def definition(number: int) -> type:
    """Stands in a pickle for the class of that number; the unpickler puts its own lookup in this place."""
    raise LookupError(f"definition {number} in a process that has no store of definitions")


def slotted(*skeleton: Any) -> type:
    """A class that arrives, still without attributes but for its slots; its metaclass may not take them."""
    try:
        return machinery._make_skeleton_class(*skeleton)  # type: ignore[no-any-return]
    except (AttributeError, TypeError):  # as typing.NamedTuple, which makes slots by itself
        make, name, bases, attributes, *rest = skeleton
        without = {key: value for key, value in attributes.items() if key != "__slots__"}
        return machinery._make_skeleton_class(make, name, bases, without, *rest)  # type: ignore[no-any-return]


def fill_class(cls: type, state: Any) -> None:
    """Give a class that arrives its attributes, unless it has them (AR-1).

    Args:
        state: attributes by name, and of an enumeration those of its members by their names.
    """
    if cls not in _whole:
        machinery._class_setstate(cls, state)
        for name, attributes in state[1].items():
            vars(cls.__members__[name]).update(attributes)  # type: ignore[attr-defined]  # it is one
        _whole.add(cls)


def fill_named_class(cls: type, state: Any) -> None:
    """As fill_class, of one that has a name in its script."""
    fill_class(cls, state)
    enter(cls)


def fill_named_function(function: Any, state: Any) -> None:
    """Give a function, or what lru_cache made of one, its attributes; it has a name in its script."""
    if isinstance(function, FunctionType):
        machinery._function_setstate(function, state)
    else:
        vars(function).update(state)
    enter(function)


# Per process, as the tracker of cloudpickle is: the classes that go by value and are complete here.
_whole: "weakref.WeakSet[type]" = weakref.WeakSet()


def is_whole(cls: type) -> None:
    """This process has that class, and all of it (AR-1): it is the original, or was filled when it came."""
    _whole.add(cls)


def dispatching(function: Callable[..., Any]) -> Any:
    """What singledispatch makes of a function; `fill_dispatching` adds the others."""
    return functools.singledispatch(function)


def fill_dispatching(function: Any, state: tuple[dict[str, Any], list[tuple[type, Callable[..., Any]]]]) -> None:
    """Give what singledispatch made its attributes, and the functions for other types."""
    attributes, functions = state
    vars(function).update(attributes)
    for kind, each in functions:
        function.register(kind, each)
    enter(function)


def dispatching_method(function: Callable[..., Any], dispatcher: Any) -> Any:
    """What singledispatchmethod makes of a function, with this dispatcher."""
    method = functools.singledispatchmethod(function)
    method.dispatcher = dispatcher
    return method


def view_of(raw: Any, layout: Any, shape: tuple[int, ...]) -> memoryview:
    """The view that arrived, of bytes or of a buffer that was put apart (PK-4)."""
    flat = memoryview(raw)
    view: memoryview = flat.cast(layout) if len(shape) == 1 else flat.cast(layout, shape)
    return view


def tracked(kind: Callable[..., Any], arguments: tuple[Any, ...], key: str) -> Any:
    """The one of that key that is here, else a new one."""
    return machinery._lookup_class_or_track(key, kind(*arguments))


def cached(parameters: dict[str, Any], function: Callable[..., Any]) -> Any:
    """What lru_cache makes of a function; its cache is empty."""
    return functools.lru_cache(**parameters)(function)


def context_variable(name: str, default: tuple[()] | tuple[Any], key: str) -> "ContextVar[Any]":
    """The variable of that key that is here, else a new one (AR-1)."""
    variable = _variables.get(key)
    if variable is None:
        made: ContextVar[Any] = ContextVar(name, default=default[0]) if default else ContextVar(name)
        variable = _variables.setdefault(key, made)  # atomic, without a lock that a fork could find held
        _keys[variable] = key
    return variable


def key_of(variable: "ContextVar[Any]", new_key: Callable[[], str]) -> str:
    """The key of a context variable."""
    key = _keys.get(variable)
    if key is None:
        key = _keys.setdefault(variable, new_key())  # as above
        _variables[key] = variable
    return key


# As cloudpickle tracks classes, but for good: Python keeps a context variable, and has no weak references to it.
_keys: "dict[ContextVar[Any], str]" = {}
_variables: "dict[str, ContextVar[Any]]" = {}
