"""What people write in scripts and notebooks: every kind of class and function arrives as what it was."""

import gc
import pickle
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from actors.deadline import ambient
from actors.errors import Unencodable
from runtime.wire.codec import Codec
from runtime.wire.codec_arrival import NAMELESS, Script, become_script, enter
from tests.runtime.wire.test_codec_definition import elsewhere

SCRIPT = """
import contextvars, dataclasses, enum, functools, struct, typing
from actors.actor import Actor
from actors.message import message

@dataclasses.dataclass(slots=True)
class Point:
    x: int
    tags: list = dataclasses.field(default_factory=list)

class Slotted:
    __slots__ = ("x", "__hidden", "__weakref__")
    def __init__(self, x): self.x, self.__hidden = x, x + 1
    def hidden(self): return self.__hidden

class More(Slotted):
    __slots__ = {"y": "documented"}

class Open(Slotted):
    __slots__ = ("y", "__dict__")

class Planet(enum.Enum):
    MERCURY = (3.3e23, 2.4e6)
    EARTH = (6.0e24, 6.4e6)
    TERRA = (6.0e24, 6.4e6)
    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius

class Coded(enum.Enum):
    A = (1, "first")
    B = (2, "second")
    def __new__(cls, code, text):
        self = object.__new__(cls)
        self._value_, self.text = code, text
        return self

class Lazy:
    @functools.cached_property
    def size(self): return 42

class Kinds:
    @functools.singledispatchmethod
    def of(self, value): return "object"
    @of.register
    def _(self, value: int): return "int"

@functools.singledispatch
def kind(value): return "object"
@kind.register
def _(value: int): return "int"
@kind.register(list)
def _(value): return [kind(each) for each in value]

@functools.lru_cache(maxsize=7, typed=True)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
fib.note = "kept"

def square(n): return n * n

def decorated(function):
    @functools.wraps(function)
    def wrapper(*args): return function(*args) + 1
    return wrapper

@decorated
def cube(n): return n * square(n)

LAYOUT = struct.Struct("<IH")
TRACE = contextvars.ContextVar("TRACE")
LEVEL = contextvars.ContextVar("LEVEL", default=[3])
Ts = typing.TypeVarTuple("Ts")

class Outer(Actor):
    @message
    def inner(self):
        class Inner(Actor, on_raise="crash"):
            rate = square(3)
            @message
            def hi(self): return "hi"
        return Inner

class Asked(Actor):
    def __init__(self): self.level = LEVEL
    @message
    @functools.lru_cache
    def twice(self, n): return 2 * n
    def squared(self, ns): return list(map(square, ns))
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """What a script defines: in `__main__`, and to be found there, as far as this process can see."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(SCRIPT, "/shop/script.py", "exec"), space)
    for name, value in space.items():
        if not name.startswith("__"):
            monkeypatch.setattr(sys.modules["__main__"], name, value, raising=False)
    return types.SimpleNamespace(**space)


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """An actor's `__main__` in the place of ours."""
    for name in NAMELESS:
        monkeypatch.setitem(sys.modules, name, None)
    become_script()
    main = sys.modules["__main__"]
    assert isinstance(main, Script)
    yield main


def test_slots_stay_slots(script: types.SimpleNamespace) -> None:
    more = script.More(1)
    more.y = 3
    is_open = script.Open(4)
    is_open.z = 5
    seen = "[(v.x, hasattr(v, '__dict__')) for v in value] + [value[1].hidden(), value[2].y, value[2].hidden(), value[3].z]"

    there = elsewhere(seen, Codec(), [script.Point(7), script.Slotted(8), more, is_open])

    assert there == [(7, False), (8, False), (1, False), (4, True), 9, 3, 2, 5]


def test_instances_with_slots_come_back(script: types.SimpleNamespace) -> None:
    came = elsewhere("[type(value)(2), value]", Codec(), script.Point(1, ["a"]))

    assert came == [script.Point(2), script.Point(1, ["a"])]
    weakref.ref(elsewhere("value", Codec(), script.Slotted(1)))


def test_members_of_an_enumeration_keep_what_they_were_given(script: types.SimpleNamespace) -> None:
    seen = (
        "[value[0].EARTH.mass, value[0].MERCURY.radius, value[0]['TERRA'].name, len(value[0]),"
        " value[1].B.text, value[1](1).text]"
    )

    assert elsewhere(seen, Codec(), [script.Planet, script.Coded]) == [6.0e24, 2.4e6, "EARTH", 2, "second", "first"]
    assert elsewhere("value.TERRA", Codec(), script.Planet) is script.Planet.EARTH


def test_what_lru_cache_made_works_and_is_cached_there(script: types.SimpleNamespace) -> None:
    seen = "[value(20), value.cache_info().misses, value.cache_parameters(), value.note, value.__wrapped__.__name__]"
    parameters = {"maxsize": 7, "typed": True}

    assert elsewhere(seen, Codec(), script.fib) == [6765, 21, parameters, "kept", "fib"]


def test_what_lru_cache_made_of_a_method_is_a_message_still(script: types.SimpleNamespace) -> None:
    seen = "[list(value.__messages__), value.twice(value(), 4)]"

    assert elsewhere(seen, Codec(), script.Asked) == [["twice"], 8]


def test_functions_by_type_and_cached_properties_work_there(script: types.SimpleNamespace) -> None:
    seen = "[value[0]([1, 's']), value[0].dispatch(str)(''), value[1].of(1), value[1].of(''), value[2].size, vars(value[2])]"
    expected = [["int", "object"], "object", "int", "object", 42, {"size": 42}]

    assert elsewhere(seen, Codec(), [script.kind, script.Kinds(), script.Lazy()]) == expected


def test_a_class_in_a_method_finds_the_globals_it_is_made_of(script: types.SimpleNamespace) -> None:
    seen = "[value.inner(None)().hi(), value.inner(None).rate, value.inner(None).__on_raise__]"

    assert elsewhere(seen, Codec(), script.Outer) == ["hi", 9, "crash"]


def test_a_context_variable_of_a_script_is_one_variable(script: types.SimpleNamespace) -> None:
    seen = "[value[0].get('none'), value[1].get(), value[1].name, value[2]().level is value[1]]"

    assert elsewhere(seen, Codec(), [script.TRACE, script.LEVEL, script.Asked]) == ["none", [3], "LEVEL", True]
    assert elsewhere("value", Codec(), script.LEVEL) is script.LEVEL


def test_a_context_variable_of_a_module_that_others_can_import_is_that_modules_own() -> None:
    seen = "value is __import__('actors.deadline', fromlist=['_']).ambient"

    assert elsewhere(seen, Codec(), ambient) is True


def test_layouts_and_type_variables_arrive(script: types.SimpleNamespace) -> None:
    seen = "[value[0].pack(1, 2), value[1].__name__]"

    assert elsewhere(seen, Codec(), [script.LAYOUT, script.Ts]) == [b"\x01\0\0\0\x02\0", "Ts"]
    assert elsewhere("value", Codec(), script.Ts) is script.Ts


def test_code_of_a_script_names_its_file_and_line(script: types.SimpleNamespace) -> None:
    seen = "[value.__code__.co_filename, value.__code__.co_firstlineno]"

    there = elsewhere(seen, Codec(), script.square)

    assert there == ["/shop/script.py", script.square.__code__.co_firstlineno]


def test_a_struct_of_a_script_is_refused_by_name() -> None:
    class Order(msgspec.Struct):
        item: str

    with pytest.raises(Unencodable, match=r"a msgspec\.Struct goes by name only"):
        Codec().encode_value(Order("tea"), "value")


def copy_of_f() -> types.FunctionType:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(): ...", space)
    return space.pop("f")


def test_the_name_of_a_function_means_the_copy_that_came_last_and_lives(main: Script) -> None:
    first, second = copy_of_f(), copy_of_f()
    enter(first)
    enter(second)

    assert main.f is second
    assert pickle.loads(pickle.dumps(second)) is second
    del second
    gc.collect()
    assert main.f is first
    enter(first)
    del first
    gc.collect()
    with pytest.raises(AttributeError, match="nothing of that name has arrived"):
        _ = main.f


def test_a_class_is_found_under_its_name_with_the_functions_that_it_uses(main: Script) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def used(): ...\nclass C:\n  class In: ...\n  def m(self): return used\nalias = used", space)

    enter(space["C"])
    enter(space["C"].In)

    assert (main.C, main.used) == (space["C"], space["used"])
    assert not hasattr(main, "alias")
    assert not hasattr(main, "In")
    assert pickle.loads(pickle.dumps(space["C"].In())).__class__ is space["C"].In


def test_nothing_is_entered_into_the_main_module_of_a_program(script: types.SimpleNamespace) -> None:
    before = dict(vars(sys.modules["__main__"]))
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("class Stranger: ...", space)

    enter(space["Stranger"])

    assert dict(vars(sys.modules["__main__"])) == before
