"""Picklers: what goes by name and what goes by value.

A class or function goes by name when the other processes can import its module and find it there. All else goes by
value, with cloudpickle: what was defined in `__main__`, a REPL, a notebook, a function, a module others cannot import.

`NamePickler` does the first and is the fast one: the C pickler, one Python call per object that is no builtin, kept and
used again. It gives up at the first thing that is neither importable nor known by number. `ValuePickler` does it all.

PK-1  Plain pickle would send a class of `__main__` by name and fail in the receiver; nothing here relies on that name.
PK-2  A class that goes by value carries a key, cloudpickle's tracker id. A process that has the class of that key
      uses it and leaves it as it is: an arriving definition never changes a class that is in use.
PK-3  Nothing is turned into something else on the way: a memoryview stays one, an open file is refused.
PK-4  Buffers of OUT_OF_BAND_BYTES and more (numpy arrays, what pickles out of band) stay where they are, to be copied
      once, into shared memory.
PK-5  What pickles name of ours is in codec_arrival, and is here too for the files that were written when it was.
PK-6  An object that says that its name is enough, as a function compiled by Cython does, goes by that name where the
      others can import the module of the object. Where the module of its type is does not matter.
"""

import dis
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from inspect import CO_OPTIMIZED
from pickle import PickleBuffer, Pickler, PicklingError
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
import msgspec
from cloudpickle import cloudpickle as machinery

from actors.ref import Ref
from runtime.wire.codec_arrival import (
    NAMELESS,
    definition,
    fill_class,
    fill_named_class,
    fill_named_function,
    has_name,
    is_whole,
    slotted,
    tracked,
    view_of,
)
from runtime.wire.codec_reducers import (
    DISPATCHER,
    OUT_OF_BAND_BYTES,
    PROTOCOL,
    REDUCERS,
    can_name_itself,
    is_reached,
    reduce_dispatching,
    reduce_view,
    reduced,
)
from runtime.wire.codec_reference import decoded, encoded
from runtime.wire.definitions import Catalogue

NUMBERED = b"\x01"  # leads a pickle that refers to definitions; a pickle without it starts with \x80 (PROTO)
NAMED_HERE = (definition, fill_class, tracked, view_of)  # PK-5

_STRUCT = type(msgspec.Struct)
_OF_ENUM = frozenset({"_name_", "_value_", "__objclass__", "_sort_order_"})  # what the machinery of enum gives a member
_CLASS_GLOBALS = frozenset({"LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})  # how the body of a class reads a global


def is_importable(name: str, front: Sequence[str] = ()) -> bool:
    """Can others import this module by name, as far as can be told from here? One without a spec was made by hand.

    Args:
        front: directories that the others have in front of a `sys.path` like ours.
    """
    if name in NAMELESS:
        return False
    module = sys.modules.get(name)
    if module is not None:
        spec = getattr(module, "__spec__", None)
        return spec is not None and _is_on_path(name, spec.origin, front)
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):  # how find_spec says that a parent is missing or no package
        return False


def _is_on_path(name: str, origin: str | None, front: Sequence[str]) -> bool:
    """Would an import find this module where it came from? One that was loaded from a file by hand would not be."""
    if origin in ("built-in", "frozen"):  # found before any directory is looked at; `os` is one
        return True
    parent = name.rpartition(".")[0]
    if parent and not is_importable(parent, front):
        return False
    first = None if parent else importlib.machinery.PathFinder.find_spec(name, front)
    if first is not None:
        return first.origin == origin
    path = getattr(sys.modules.get(parent), "__path__", None)
    for finder in sys.meta_path:
        found = finder.find_spec(name, path)
        if found is not None:
            return found.origin == origin
    return False


class Names:
    """Which modules the others can import; asked once per module."""

    __slots__ = ("_importable", "_known")

    def __init__(self, importable: Callable[[str], bool]) -> None:
        self._importable = importable
        self._known: dict[object, bool] = {}

    def reach(self, module: object) -> bool:
        """True when what says it is of that module can go by name."""
        known = self._known.get(module)
        if known is None:
            known = isinstance(module, str) and self._importable(module)
            self._known[module] = known
        return known


class _Pieces:
    """What a pickler writes to: a list, which is faster than a BytesIO and copies what is large once and not twice."""

    __slots__ = ("_pieces", "write")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.write = self._pieces.append

    def take(self) -> bytes:
        """All that was written, taken out."""
        if len(self._pieces) == 1:
            return self._pieces.pop()
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class GoesByValue(Exception):
    """Met by a NamePickler: something that cannot go by name."""


class NamePickler(Pickler):
    """Pickles what needs no definition but those that are known by number. For one thread at a time."""

    def __init__(self, names: Names, catalogue: Catalogue | None) -> None:
        self._pieces = _Pieces()
        self._apart: list[memoryview] | None = None
        super().__init__(self._pieces, PROTOCOL, buffer_callback=self._keep_in_band)
        self._names = names
        self._catalogue = catalogue
        self._is_numbered = False

    def dumps(self, value: object, apart: list[memoryview] | None = None) -> bytes:
        """The pickle of a value; the pickler is as new afterwards. After an exception it is of no more use.

        Args:
            apart: large buffers are put there instead of into the pickle (PK-4).
        Raises:
            GoesByValue: it takes a ValuePickler.
        """
        self._is_numbered = False
        self._apart = apart
        self.dump(value)
        pickled = self._pieces.take()
        self._apart = None  # a pickler that is kept keeps nothing of what it pickled
        self.clear_memo()
        return NUMBERED + pickled if self._is_numbered else pickled

    def _keep_in_band(self, buffer: PickleBuffer) -> bool:
        return keep_in_band(buffer, self._apart)

    def reducer_override(self, obj: Any) -> Any:
        """Called by the C pickler for each object that is not of a builtin data type."""
        kind = type(obj)
        if kind is FunctionType or issubclass(kind, type):
            if self._names.reach(obj.__module__):
                return NotImplemented  # the C pickler checks that it is found there under its name
            number = self._catalogue.number_of(obj) if self._catalogue is not None else None
            if number is None:
                raise GoesByValue
            self._is_numbered = True
            return definition, (number,)
        if kind is Ref:
            return decoded, (encoded(obj),)
        if kind is memoryview:
            return reduce_view(obj, self._names)
        if kind in REDUCERS:
            raise GoesByValue
        if not can_name_itself(kind):
            return NotImplemented
        made = reduced(obj)
        if isinstance(made, str) and not is_reached(obj, made, self._names):
            raise GoesByValue  # PK-6
        return made


class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Pickles all that can be. For one value.

    Args:
        catalogue: gives classes their numbers; None: every definition is in the pickle itself.
    """

    def __init__(self, names: Names, catalogue: Catalogue | None = None) -> None:
        self._pieces = _Pieces()
        self._apart: list[memoryview] | None = None
        super().__init__(self._pieces, PROTOCOL, buffer_callback=self._keep_in_band)
        self._names = names
        self._catalogue = catalogue
        self._is_numbered = False

    def dumps(self, value: object, apart: list[memoryview] | None = None) -> bytes:
        """The pickle of a value; as of NamePickler."""
        self._apart = apart
        Pickler.dump(self, value)  # cloudpickle's dump turns a RecursionError into another error
        pickled = self._pieces.take()
        return NUMBERED + pickled if self._is_numbered else pickled

    def _keep_in_band(self, buffer: PickleBuffer) -> bool:
        return keep_in_band(buffer, self._apart)

    def reducer_override(self, obj: Any) -> Any:
        """Called by the C pickler for each object that is not of a builtin data type."""
        kind = type(obj)
        if issubclass(kind, type):
            return self._reduce_class(obj)
        if kind is FunctionType:
            return self._reduce_function(obj)
        if kind in REDUCERS:
            return REDUCERS[kind](obj, self._names)
        if kind in self._dispatch_table or not can_name_itself(kind):
            return NotImplemented
        made = reduced(obj)
        if isinstance(made, str) and not is_reached(obj, made, self._names):
            raise PicklingError(f"it pickles as the name {made!r} of a module that cannot be imported elsewhere")
        return made

    def _reduce_function(self, function: FunctionType) -> Any:
        if self._names.reach(function.__module__) and machinery._should_pickle_by_reference(function):
            return NotImplemented
        if function.__code__ is DISPATCHER:
            return reduce_dispatching(function)
        make, arguments, (attributes, slots), *rest, fill = self._dynamic_function_reduce(function)
        for name in class_globals_of(function.__code__):
            if name in function.__globals__:
                slots["__globals__"][name] = function.__globals__[name]
        return make, arguments, (attributes, slots), *rest, fill_named_function if has_name(function) else fill

    def _reduce_class(self, cls: type) -> Any:
        if self._names.reach(cls.__module__):
            made = super().reducer_override(cls)  # a local class goes by value all the same
            if made is NotImplemented or made[-1] is not machinery._class_setstate:
                return made
        else:
            made = machinery._dynamic_class_reduce(cls)
        if isinstance(cls, _STRUCT):  # its fields are its metaclass's, which has no way to be told them
            raise PicklingError("a msgspec.Struct goes by name only: define it in a module that can be imported")
        make, arguments, state, *rest, _ = made
        if make is machinery._make_skeleton_enum:
            state = _enum_state(cls, arguments, state)
        elif "__slots__" in vars(cls):  # cloudpickle makes a class without any
            make = slotted
            arguments[3]["__slots__"] = vars(cls)["__slots__"]
        state[0]["__qualname__"] = cls.__qualname__  # cloudpickle gives a local class its last name only
        is_whole(cls)  # PK-2
        if self._catalogue is not None:
            key = machinery._get_or_create_tracker_id(cls)
            number = self._catalogue.register(cls, key, ValuePickler(self._names).dumps)  # a definition is whole
            if number is not None:
                self._is_numbered = True
                return definition, (number,)
        return make, arguments, state, *rest, fill_named_class if has_name(cls) else fill_class


def _enum_state(cls: Any, arguments: tuple[Any, ...], state: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
    """With what cloudpickle leaves out: aliases, and what a member was given by its own __new__ or __init__."""
    arguments[3].update((name, member.value) for name, member in cls.__members__.items())
    attributes = {name: value for name, value in state[0].items() if name not in cls.__members__}
    members = {member.name: _given(member) for member in cls}
    return attributes, {name: given for name, given in members.items() if given}


def _given(member: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(member).items() if name not in _OF_ENUM}


def class_globals_of(code: CodeType) -> Iterator[str]:
    """The globals that bodies of classes in a function read: cloudpickle knows those of functions only."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from class_globals_of(inner)
            if not inner.co_flags & CO_OPTIMIZED:
                yield from (step.argval for step in dis.get_instructions(inner) if step.opname in _CLASS_GLOBALS)


def keep_in_band(buffer: PickleBuffer, apart: list[memoryview] | None) -> bool:
    """Whether a buffer goes into the pickle; else it was put apart."""
    if apart is None:
        return True
    raw = buffer.raw()
    if raw.nbytes < OUT_OF_BAND_BYTES:
        return True
    apart.append(raw)
    return False
