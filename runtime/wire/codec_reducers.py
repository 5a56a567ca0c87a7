"""Reducers: what the C pickler cannot do, or does by a name that others may not have, or cloudpickle not faithfully."""

import contextvars
import copyreg
import functools
import io
import struct
import sys
import typing
import uuid
from collections.abc import Callable
from pickle import PickleBuffer, PicklingError
from types import CodeType, ModuleType
from typing import Any, Protocol

from cloudpickle import cloudpickle as machinery

from actors.ref import Ref
from runtime.wire.codec_arrival import (
    CACHED,
    NAMELESS,
    cached,
    context_variable,
    dispatching,
    dispatching_method,
    fill_dispatching,
    fill_named_function,
    has_name,
    key_of,
    tracked,
    view_of,
)
from runtime.wire.codec_reference import decoded, encoded

PROTOCOL = 5
DISPATCHER = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]  # of all that it makes
OUT_OF_BAND_BYTES = 4096  # a frame's size: a payload with one of these goes through shared memory anyway

_DEFAULT_REDUCE: Any = object.__reduce__
_DEFAULT_REDUCE_EX: Any = object.__reduce_ex__
_OF_DISPATCHERS = frozenset({"register", "dispatch", "registry", "_clear_cache", "__wrapped__"})
_NO_FILE = "<dynamic-code>"  # what cloudpickle puts in the place of a file's name


class Reach(Protocol):
    """Which modules the others can import (`codec_pickler.Names`)."""

    def reach(self, module: object, /) -> bool:
        """True when what says it is of that module can go by name."""
        ...


def can_name_itself(kind: type) -> bool:
    """Whether pickle may take the word of an object of this type that its name is enough, as that of a function is."""
    is_default = kind.__reduce_ex__ is _DEFAULT_REDUCE_EX and kind.__reduce__ is _DEFAULT_REDUCE
    return not is_default or kind in copyreg.dispatch_table


def reduced(obj: Any) -> Any:
    """What plain pickle would make of an object."""
    reduce = copyreg.dispatch_table.get(type(obj))
    return reduce(obj) if reduce is not None else obj.__reduce_ex__(PROTOCOL)


def is_reached(obj: Any, name: str, names: Reach) -> bool:
    """Whether the others can import the module of an object that gave this name; pickle looks whether it is there."""
    return names.reach(machinery._whichmodule(obj, name))


def is_found(obj: Any, names: Reach) -> bool:
    """Whether an object is in a module that the others can import, under its name."""
    return names.reach(obj.__module__) and machinery._lookup_module_and_qualname(obj) is not None


def reduce_view(view: memoryview, _names: Reach) -> Any:
    """A memoryview; of bytes, or of a buffer that is put apart."""
    layout = view.format.lstrip("@")
    shape = view.shape or ()
    if len(layout) != 1 or (view.ndim > 1 and 0 in shape):  # what cast() cannot make
        raise PicklingError(f"cannot pickle a memoryview of format {view.format!r} and shape {shape}")
    is_large = view.nbytes >= OUT_OF_BAND_BYTES and view.c_contiguous
    return view_of, (PickleBuffer(view) if is_large else view.tobytes(), layout, shape)


def _reduce_file(file: io.TextIOWrapper, _names: Reach) -> Any:
    if file is sys.stdout or file is sys.stderr:
        return NotImplemented  # by name: the receiver's own
    raise PicklingError("cannot pickle an open file")  # cloudpickle would read it and send a StringIO


def _reduce_module(module: ModuleType, names: Reach) -> Any:
    if names.reach(module.__name__):
        return machinery.subimport, (module.__name__,)
    state = {key: value for key, value in vars(module).items() if key != "__builtins__"}
    return machinery.dynamic_subimport, (module.__name__, state)


def _reduce_code(code: CodeType, _names: Reach) -> Any:
    """With the name of its file: tracebacks show it."""
    make, arguments = machinery._code_reduce(code)
    files = {_NO_FILE: code.co_filename}
    return make, tuple(files.get(each, each) if isinstance(each, str) else each for each in arguments)


def _reduce_cached(function: Any, names: Reach) -> Any:
    """What lru_cache made of a function."""
    if is_found(function, names):
        return function.__qualname__
    state = {name: value for name, value in vars(function).items() if name not in ("__wrapped__", "cache_parameters")}
    made = cached, (function.cache_parameters(), function.__wrapped__), state
    return (*made, None, None, fill_named_function) if has_name(function) else made


def reduce_dispatching(function: Any) -> Any:
    """What singledispatch made: its cache cannot be pickled."""
    registry = dict(function.registry)
    own = {name: value for name, value in vars(function).items() if name not in _OF_DISPATCHERS}
    base = registry.pop(object)
    return dispatching, (base,), (own, list(registry.items())), None, None, fill_dispatching


def _reduce_dispatching_method(method: "functools.singledispatchmethod[Any]", _names: Reach) -> Any:
    """Without its cache (from Python 3.13)."""
    return dispatching_method, (method.func, method.dispatcher)


def _reduce_cached_property(cached_property: "functools.cached_property[Any]", _names: Reach) -> Any:
    """Without its lock (until Python 3.12); its name is not told it again."""
    return functools.cached_property, (cached_property.func,), {"attrname": cached_property.attrname}


def _reduce_context_variable(variable: "contextvars.ContextVar[Any]", names: Reach) -> Any:
    for module in list(sys.modules.values()):  # it does not know its module
        if isinstance(module, ModuleType) and module.__name__ not in NAMELESS and names.reach(module.__name__):
            for name, value in list(vars(module).items()):
                if value is variable:
                    return getattr, (module, name)
    try:
        default: tuple[Any, ...] = (contextvars.Context().run(variable.get),)
    except LookupError:
        default = ()
    return context_variable, (variable.name, default, key_of(variable, lambda: uuid.uuid4().hex))


def _reduce_type_variable(variable: typing.TypeVar, names: Reach) -> Any:
    if is_found(variable, names):
        return NotImplemented
    return machinery._make_typevar, machinery._decompose_typevar(variable)


def _reduce_parameters(parameters: Any, names: Reach) -> Any:
    if is_found(parameters, names):
        return NotImplemented
    return tracked, (type(parameters), (parameters.__name__,), machinery._get_or_create_tracker_id(parameters))


def _reduce_new_type(new_type: typing.NewType, names: Reach) -> Any:
    if is_found(new_type, names):
        return NotImplemented
    arguments = (new_type.__name__, new_type.__supertype__)
    return tracked, (typing.NewType, arguments, machinery._get_or_create_tracker_id(new_type))


def _reduce_ref(ref: Ref, _names: Reach) -> Any:
    return decoded, (encoded(ref),)


REDUCERS: dict[type, Callable[[Any, Reach], Any]] = {
    CACHED: _reduce_cached,
    CodeType: _reduce_code,
    ModuleType: _reduce_module,
    contextvars.ContextVar: _reduce_context_variable,
    functools.cached_property: _reduce_cached_property,
    functools.singledispatchmethod: _reduce_dispatching_method,
    io.TextIOWrapper: _reduce_file,
    memoryview: reduce_view,
    Ref: _reduce_ref,
    struct.Struct: lambda layout, _names: (struct.Struct, (layout.format,)),
    typing.NewType: _reduce_new_type,
    typing.ParamSpec: _reduce_parameters,
    typing.TypeVar: _reduce_type_variable,
    typing.TypeVarTuple: _reduce_parameters,
}
