"""Layouts: what a shared region holds, declared like a dataclass, with every byte at a known place.

    class Prices(Layout):
        gbp = array("f8", 1000)
        updated = field("u8")

A class of fields is a `Shape`: members at aligned offsets, a size, a fingerprint, a description. An instance is a view
of memory that somebody else owns; reading a field reads that memory, setting one writes it:

    field("u8")            an int, a float, a bool, or bytes ("S16": up to 16 bytes, padding NULs taken off)
    field(Point)           a view of the nested layout
    array("f8", 1000)      a numpy array or a memoryview, as the owner of the memory decides (`ArrayMaker`)
    array(Point, 10)       `Rows` of views
    Layout.of(dtype)       the same from a numpy structured dtype, with its offsets; numpy itself is not needed

LY-1  Offsets follow from the declaration alone: in order, each aligned to its own size; a dtype keeps its own.
LY-2  An array or a nested layout is never assigned as a whole: `view.gbp[:] = …`.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, Never, Self, TypeVar, overload

from actors.errors import BadLayout
from actors.shape import Code, Member, Shape, aligned, code_of

T = TypeVar("T")
L = TypeVar("L", bound="Layout")

IntCode = Literal["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FloatCode = Literal["f4", "f8"]

ArrayMaker = Callable[[memoryview, Code, tuple[int, ...]], Any]
"""Shows memory (1-dimensional, bytes) as an array of that code and shape, without copying."""


def cast(memory: memoryview, code: Code, shape: tuple[int, ...]) -> memoryview:
    """The `ArrayMaker` without numpy: a memoryview of that shape; of "S16" its last dimension is the 16 bytes."""
    if code.format.endswith("s"):
        return memory.cast("B", (*shape, code.nbytes))
    return memory.cast(code.format, shape)  # type: ignore[call-overload, no-any-return]  # typeshed knows literals only


class _Closed(type):
    """Gives every layout empty slots, so that a misspelt field is an AttributeError and no new attribute."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "_Closed":
        is_filled_later = namespace.keys() == {"__module__"}  # cloudpickle's beginning of a class that goes by value
        namespace.setdefault("__slots__", ())
        made = super().__new__(cls, name, bases, namespace)
        if bases and not is_filled_later and "__shape__" not in vars(made):
            raise BadLayout(f"{made.__qualname__}: expected at least one field(…) or array(…)")
        return made


class Layout(metaclass=_Closed):
    """The base of all layouts; an instance is a view, made by whoever owns the memory."""

    __slots__ = ("__arrays__", "__at__", "__commit__", "__memory__")
    __shape__ = Shape((), 0, 1)
    __arrays__: ArrayMaker
    __at__: int
    __commit__: tuple[int, float]
    __memory__: memoryview

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, _Declared)}
        for name in own:
            if name.startswith("_") or hasattr(Layout, name):
                raise BadLayout(f"{cls.__qualname__}.{name}: expected a name that Layout does not use itself")
        members = list(cls.__shape__.members)
        for name, declared in own.items():
            end = members[-1].offset + members[-1].nbytes if members else 0
            offset = declared.offset if declared.offset is not None else aligned(end, declared.of.alignment)
            members.append(Member(name, declared.of, declared.shape, offset))
            declared.place(f"{cls.__name__}.{name}", offset)
        if not members:
            return
        alignment = max(member.of.alignment for member in members)
        nbytes = aligned(max(member.offset + member.nbytes for member in members), alignment)
        cls.__shape__ = Shape(tuple(members), nbytes, alignment)

    @classmethod
    def of(cls, source: Any, name: str = "Record") -> "type[Layout]":
        """The layout of a numpy structured dtype, at the dtype's own offsets, or of a `Shape`; a layout class stays.

        Raises:
            BadLayout: none of these, or with fields that have no code here.
        """
        if isinstance(source, type) and issubclass(source, Layout):
            return source
        return _of_shape(source, name) if isinstance(source, Shape) else _of_dtype(source, name)

    def __repr__(self) -> str:
        shown = ", ".join(f"{member.name}={getattr(self, member.name)!r}" for member in self.__shape__.members)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (type(self), bytes(memory_of(self)), self.__arrays__, self.__commit__)


def bind(
    layout: type[L], memory: memoryview, arrays: ArrayMaker = cast, at: int = 0, commit: tuple[int, float] = (0, 0.0)
) -> L:
    """A view of the layout over memory (bytes), from an offset on; it ends when the memoryview is released.

    Args:
        memory: 1-dimensional, at least as large as the layout needs.
        arrays: how arrays are shown.
        at: where the layout starts.
        commit: generation and monotonic time of what is seen, for `generation_of` and `committed_at_of`.
    """
    view = layout.__new__(layout)
    view.__memory__ = memory
    view.__at__ = at
    view.__arrays__ = arrays
    view.__commit__ = commit
    return view


def generation_of(view: Layout) -> int:
    """Number of the commit a view shows: of a snapshot its own, in a transaction the one it started from."""
    return view.__commit__[0]


def committed_at_of(view: Layout) -> float:
    """When that commit was made, in monotonic seconds: `time.monotonic() - committed_at_of(view)` is its age."""
    return view.__commit__[1]


def memory_of(view: Layout) -> memoryview:
    """The bytes a view shows, not copied: for `numpy.frombuffer(memory_of(view), dtype)` or a file."""
    return view.__memory__[view.__at__ : view.__at__ + view.__shape__.nbytes]


def shape_of(layout: type[Layout]) -> Shape:
    """Members, size, fingerprint and description of a layout.

    Raises:
        BadLayout: it is none.
    """
    if not (isinstance(layout, type) and issubclass(layout, Layout)):
        raise BadLayout(f"expected a subclass of Layout, got {layout!r}")
    return layout.__shape__


class _Declared:
    """A field as declared; the class it stands in gives it its place."""

    __slots__ = ("at", "of", "offset", "shape", "where")

    def __init__(self, of: Code | Shape, shape: tuple[int, ...] | None, offset: int | None) -> None:
        self.of = of
        self.shape = shape
        self.offset = offset
        self.at = 0
        self.where = ""

    def place(self, where: str, at: int) -> "_Declared":
        self.where = where
        self.at = at
        return self

    def source(self) -> "str | type[Layout]":
        """What it was declared with."""
        assert isinstance(self.of, Code)
        return self.of.text

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels with a class that goes by value: one of a script, or of `Layout.of`."""
        return _placed, (self.source(), self.shape, self.offset, self.where, self.at)

    def __set__(self, view: Layout, value: Never) -> None:
        kind = "an array" if self.shape is not None else "a layout"
        raise AttributeError(f"{self.where} is {kind}: assign to its items, got {value!r}")  # LY-2


class Scalar(_Declared, Generic[T]):
    """A field of one value."""

    __slots__ = ("_pack", "_strip", "_unpack")

    def __init__(self, code: Code, offset: int | None = None) -> None:
        super().__init__(code, None, offset)
        packer = struct.Struct("=" + code.format)
        self._pack = packer.pack_into
        self._unpack = packer.unpack_from
        self._strip = code.nbytes if code.text.startswith("S") else 0

    @overload
    def __get__(self, view: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, view: Layout, owner: type[Layout]) -> T: ...
    def __get__(self, view: Layout | None, owner: type[Layout]) -> Self | T:
        if view is None:
            return self
        value = self._unpack(view.__memory__, view.__at__ + self.at)[0]
        return value.rstrip(b"\0") if self._strip else value  # type: ignore[no-any-return]  # struct knows no T

    def __set__(self, view: Layout, value: T) -> None:
        if self._strip and isinstance(value, bytes) and len(value) > self._strip:  # struct would cut it silently
            raise ValueError(f"{self.where}: expected at most {self._strip} bytes, got {len(value)}")
        try:
            self._pack(view.__memory__, view.__at__ + self.at, value)
        except struct.error as exc:
            assert isinstance(self.of, Code)
            raise ValueError(f"{self.where}: expected {self.of.text}, got {value!r}") from exc
        except TypeError as exc:
            raise TypeError(f"{self.where}: a snapshot cannot be changed, nor a view whose transaction ended") from exc


class Nested(_Declared, Generic[L]):
    """A field that is a layout."""

    __slots__ = ("_layout",)

    def __init__(self, layout: type[L], offset: int | None = None) -> None:
        super().__init__(layout.__shape__, None, offset)
        self._layout = layout

    def source(self) -> type[Layout]:
        """The layout."""
        return self._layout

    @overload
    def __get__(self, view: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, view: Layout, owner: type[Layout]) -> L: ...
    def __get__(self, view: Layout | None, owner: type[Layout]) -> Self | L:
        if view is None:
            return self
        return bind(self._layout, view.__memory__, view.__arrays__, view.__at__ + self.at, view.__commit__)


class Array(_Declared):
    """A field of many values."""

    __slots__ = ("_nbytes",)

    def __init__(self, code: Code, shape: tuple[int, ...], offset: int | None = None) -> None:
        super().__init__(code, shape, offset)
        self._nbytes = code.nbytes * math.prod(shape)

    @overload
    def __get__(self, view: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, view: Layout, owner: type[Layout]) -> Any: ...
    def __get__(self, view: Layout | None, owner: type[Layout]) -> Any:
        """A numpy array or a memoryview: Any, for numpy need not be installed and its users want its methods."""
        if view is None:
            return self
        assert isinstance(self.of, Code)
        assert self.shape is not None
        start = view.__at__ + self.at
        return view.__arrays__(view.__memory__[start : start + self._nbytes], self.of, self.shape)


class Rows(Sequence[L]):
    """The items of an array of layouts; each is a view."""

    __slots__ = ("_layout", "_view", "_where")

    def __init__(self, layout: type[L], view: Layout, where: range) -> None:
        self._layout = layout
        self._view = view
        self._where = where

    def __len__(self) -> int:
        return len(self._where)

    @overload
    def __getitem__(self, index: int) -> L: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows[L]": ...
    def __getitem__(self, index: int | slice) -> "L | Rows[L]":
        if isinstance(index, slice):
            return Rows(self._layout, self._view, self._where[index])
        return bind(
            self._layout, self._view.__memory__, self._view.__arrays__, self._where[index], self._view.__commit__
        )


class RowArray(_Declared, Generic[L]):
    """A field of many layouts, one dimension."""

    __slots__ = ("_layout",)

    def __init__(self, layout: type[L], shape: tuple[int], offset: int | None = None) -> None:
        super().__init__(layout.__shape__, shape, offset)
        self._layout = layout

    def source(self) -> type[Layout]:
        """The layout of one row."""
        return self._layout

    @overload
    def __get__(self, view: None, owner: type[Layout]) -> Self: ...
    @overload
    def __get__(self, view: Layout, owner: type[Layout]) -> Rows[L]: ...
    def __get__(self, view: Layout | None, owner: type[Layout]) -> Self | Rows[L]:
        if view is None:
            return self
        assert self.shape is not None
        start, step = view.__at__ + self.at, self.of.nbytes
        return Rows(self._layout, view, range(start, start + self.shape[0] * step, step))


@overload
def field(of: IntCode) -> Scalar[int]: ...  # type: ignore[overload-overlap]  # the last one is for "S16"
@overload
def field(of: FloatCode) -> Scalar[float]: ...  # type: ignore[overload-overlap]  # the last one is for "S16"
@overload
def field(of: Literal["bool"]) -> Scalar[bool]: ...  # type: ignore[overload-overlap]  # the last one is for "S16"
@overload
def field(of: type[L]) -> Nested[L]: ...
@overload
def field(of: str) -> Scalar[bytes]: ...
def field(of: Any) -> Any:
    """One value ("i1" to "i8", "u1" to "u8", "f4", "f8", "bool", bytes as "S16"), or one nested layout.

    Raises:
        BadLayout: anything else.
    """
    return _declared(of, None, None)


@overload
def array(of: str, shape: int | tuple[int, ...]) -> Array: ...
@overload
def array(of: type[L], shape: int) -> RowArray[L]: ...
def array(of: Any, shape: Any) -> Any:
    """An array of values in C order, or a row of nested layouts (one dimension).

    Raises:
        BadLayout: no such code, or a shape with a size under 1.
    """
    return _declared(of, (shape,) if isinstance(shape, int) else tuple(shape), None)


def _declared(of: Any, shape: tuple[int, ...] | None, offset: int | None) -> _Declared:
    if shape is not None and not (shape and all(isinstance(size, int) and size >= 1 for size in shape)):
        raise BadLayout(f"array: expected sizes of at least 1, got {shape!r}")
    if isinstance(of, type) and issubclass(of, Layout) and of is not Layout:
        if shape is None:
            return Nested(of, offset)
        if len(shape) == 1:
            return RowArray(of, (shape[0],), offset)
        raise BadLayout(f"array of {of.__name__}: expected one dimension, got {shape!r}")
    code = code_of(of)
    return Scalar(code, offset) if shape is None else Array(code, shape, offset)


def _of_dtype(dtype: Any, name: str) -> type[Layout]:
    fields = getattr(dtype, "fields", None)
    if not fields:
        raise BadLayout(f"{name}: expected a Layout class or a structured dtype, got {dtype!r}")
    namespace: dict[str, Any] = {}
    for key in sorted(dtype.names, key=lambda key: fields[key][1]):
        of, offset = fields[key][:2]
        base, shape = of.subdtype or (of, None)
        element = _of_dtype(base, f"{name}_{key}") if base.fields else _dtype_code(base, f"{name}.{key}")
        namespace[key] = _declared(element, shape, offset)
    return _made(name, namespace, dtype.itemsize)  # what is padded is the dtype's affair: numpy packs unless told


def _of_shape(shape: Shape, name: str) -> type[Layout]:
    namespace: dict[str, Any] = {}
    for member in shape.members:
        inner = f"{name}_{member.name}"
        element = member.of.text if isinstance(member.of, Code) else _of_shape(member.of, inner)
        namespace[member.name] = _declared(element, member.shape, member.offset)
    return _made(name, namespace, shape.nbytes)


def _made(name: str, namespace: dict[str, Any], nbytes: int) -> type[Layout]:
    layout = _Closed(name, (Layout,), namespace)
    assert issubclass(layout, Layout)
    layout.__shape__ = Shape(layout.__shape__.members, nbytes, 1)
    return layout


def _dtype_code(dtype: Any, where: str) -> str:
    if dtype.byteorder == ">":
        raise BadLayout(f"{where}: expected native byte order, got {dtype.str}")
    return "bool" if dtype.kind == "b" else f"{dtype.kind}{dtype.itemsize}"


def _placed(of: Any, shape: tuple[int, ...] | None, offset: int | None, where: str, at: int) -> _Declared:
    return _declared(of, shape, offset).place(where, at)


def _copied(layout: type[L], content: bytes, arrays: ArrayMaker, commit: tuple[int, float]) -> L:
    return bind(layout, memoryview(content), arrays, commit=commit)
