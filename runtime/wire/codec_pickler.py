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
"""

import copyreg
import importlib.machinery
import importlib.util
import io
import sys
import typing
import weakref
from collections.abc import Callable, Sequence
from pickle import PickleBuffer, Pickler, PicklingError
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as machinery

from actors.ref import Ref
from runtime.wire.codec_reference import decoded, encoded
from runtime.wire.definitions import Catalogue

PROTOCOL = 5
OUT_OF_BAND_BYTES = 4096  # a frame's size: a payload with one of these goes through shared memory anyway
NUMBERED = b"\x01"  # leads a pickle that refers to definitions; a pickle without it starts with \x80 (PROTO)

_NAMELESS = frozenset({"__main__", "__mp_main__"})  # a module of its own in every process


def is_importable(name: str, front: Sequence[str] = ()) -> bool:
    """Can others import this module by name, as far as can be told from here? One without a spec was made by hand.

    Args:
        front: directories that the others have in front of a `sys.path` like ours.
    """
    if name in _NAMELESS:
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


def definition(number: int) -> type:
    """Stands in a pickle for the class of that number; the unpickler puts its own lookup in this place."""
    raise LookupError(f"definition {number} in a process that has no store of definitions")


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
            return _reduce_view(obj, self._names)
        if kind in _REDUCERS:
            raise GoesByValue
        return NotImplemented if self._names.reach(kind.__module__) else _reduce_instance(obj)


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
            is_reached = self._names.reach(obj.__module__)
            return super().reducer_override(obj) if is_reached else self._dynamic_function_reduce(obj)
        if kind in _REDUCERS:
            return _REDUCERS[kind](obj, self._names)
        return NotImplemented if self._names.reach(kind.__module__) else _reduce_instance(obj)

    def _reduce_class(self, cls: type) -> Any:
        if self._names.reach(cls.__module__):
            reduced = super().reducer_override(cls)  # a local class goes by value all the same
            if reduced is NotImplemented or reduced[-1] is not machinery._class_setstate:
                return reduced
        else:
            reduced = machinery._dynamic_class_reduce(cls)
        reduced[2][0]["__qualname__"] = cls.__qualname__  # cloudpickle gives a local class its last name only
        _whole.add(cls)  # PK-2: it is the original, or was filled when it came
        if self._catalogue is not None:
            key = machinery._get_or_create_tracker_id(cls)
            number = self._catalogue.register(cls, key, ValuePickler(self._names).dumps)  # a definition is whole
            if number is not None:
                self._is_numbered = True
                return definition, (number,)
        return (*reduced[:-1], fill_class)


def keep_in_band(buffer: PickleBuffer, apart: list[memoryview] | None) -> bool:
    """Whether a buffer goes into the pickle; else it was put apart."""
    if apart is None:
        return True
    raw = buffer.raw()
    if raw.nbytes < OUT_OF_BAND_BYTES:
        return True
    apart.append(raw)
    return False


def fill_class(cls: type, state: Any) -> None:
    """Called while unpickling: give a class that arrives its attributes, unless it has them (PK-2)."""
    if cls not in _whole:
        machinery._class_setstate(cls, state)
        _whole.add(cls)


# Per process, as the tracker of cloudpickle is: the classes that go by value and are complete here.
_whole: "weakref.WeakSet[type]" = weakref.WeakSet()


def view_of(raw: Any, layout: Any, shape: tuple[int, ...]) -> memoryview:
    """Called while unpickling: the view that arrived, of bytes or of a buffer that was put apart (PK-4)."""
    flat = memoryview(raw)
    view: memoryview = flat.cast(layout) if len(shape) == 1 else flat.cast(layout, shape)
    return view


def _reduce_view(view: memoryview, _names: Names) -> Any:
    layout = view.format.lstrip("@")
    shape = view.shape or ()
    if len(layout) != 1 or (view.ndim > 1 and 0 in shape):  # what cast() cannot make
        raise PicklingError(f"cannot pickle a memoryview of format {view.format!r} and shape {shape}")
    is_large = view.nbytes >= OUT_OF_BAND_BYTES and view.c_contiguous
    return view_of, (PickleBuffer(view) if is_large else view.tobytes(), layout, shape)


def _reduce_ref(ref: Ref, _names: Names) -> Any:
    return decoded, (encoded(ref),)


def _reduce_file(file: io.TextIOWrapper, _names: Names) -> Any:
    if file is sys.stdout or file is sys.stderr:
        return NotImplemented  # by name: the receiver's own
    raise PicklingError("cannot pickle an open file")  # cloudpickle would read it and send a StringIO


def _reduce_module(module: ModuleType, names: Names) -> Any:
    if names.reach(module.__name__):
        return machinery.subimport, (module.__name__,)
    state = {key: value for key, value in vars(module).items() if key != "__builtins__"}
    return machinery.dynamic_subimport, (module.__name__, state)


def _reduce_type_variable(variable: typing.TypeVar, names: Names) -> Any:
    if _is_found(variable, names):
        return NotImplemented
    return machinery._make_typevar, machinery._decompose_typevar(variable)


def _reduce_parameters(parameters: typing.ParamSpec, names: Names) -> Any:
    if _is_found(parameters, names):
        return NotImplemented
    return tracked, (typing.ParamSpec, (parameters.__name__,), machinery._get_or_create_tracker_id(parameters))


def _reduce_new_type(new_type: typing.NewType, names: Names) -> Any:
    if _is_found(new_type, names):
        return NotImplemented
    arguments = (new_type.__name__, new_type.__supertype__)
    return tracked, (typing.NewType, arguments, machinery._get_or_create_tracker_id(new_type))


def tracked(kind: Callable[..., Any], arguments: tuple[Any, ...], key: str) -> Any:
    """Called while unpickling: the one of that key that is here, else a new one."""
    return machinery._lookup_class_or_track(key, kind(*arguments))


def _is_found(variable: Any, names: Names) -> bool:
    return names.reach(variable.__module__) and machinery._lookup_module_and_qualname(variable) is not None


def _reduce_instance(obj: Any) -> Any:
    """As pickle would; but what says that its name is enough is refused, as its module cannot be imported elsewhere."""
    if type(obj) in copyreg.dispatch_table:
        return NotImplemented
    reduced = obj.__reduce_ex__(PROTOCOL)
    if isinstance(reduced, str):
        raise PicklingError(f"it pickles as the name {reduced!r} of a module that cannot be imported elsewhere")
    return reduced


# What the C pickler cannot do, or does by a name that others may not have, or cloudpickle does not faithfully.
_REDUCERS: dict[type, Callable[[Any, Names], Any]] = {
    ModuleType: _reduce_module,
    io.TextIOWrapper: _reduce_file,
    memoryview: _reduce_view,
    Ref: _reduce_ref,
    typing.NewType: _reduce_new_type,
    typing.ParamSpec: _reduce_parameters,
    typing.TypeVar: _reduce_type_variable,
}
