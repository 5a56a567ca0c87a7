"""Unencodable: the error names the argument, the path in it, and what stands there."""

import collections
import functools
import threading
import types
from collections.abc import Callable

import pytest

from actors.errors import Unencodable
from runtime.wire.codec import Codec

LOCK = threading.Lock()


class Holder:
    def __init__(self, held: object) -> None:
        self.held = held


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held: object) -> None:
        self.held = held


class Secret:
    def __reduce__(self) -> tuple[object, ...]:
        raise PermissionError("not for others")


class Endless:
    def __reduce__(self) -> tuple[object, ...]:
        return list, ([Endless()],)


class Unlookable(dict[str, object]):
    def items(self) -> object:  # type: ignore[override]  # that is what is wrong with it
        raise RuntimeError("no looking")


def captured() -> Callable[[], object]:
    lock = threading.Lock()
    return lambda: lock


def refused(args: tuple[object, ...], kwargs: dict[str, object] | None = None) -> tuple[str, str]:
    with pytest.raises(Unencodable) as raised:
        Codec().encode_call("add", args, kwargs or {}, ())
    return raised.value.where, raised.value.got


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, ""),
        ({"key": [LOCK]}, '["key"][0]'),
        ([1, (2, LOCK)], "[1][1]"),
        ({3: LOCK}, "[3]"),
        ({(1, 2): LOCK}, "[tuple]"),
        ({LOCK: 1}, " key lock"),
        ({LOCK}, " element"),
        (collections.deque([1, LOCK]), "[1]"),
        (Holder(LOCK), ".held"),
        (Slotted([LOCK]), ".held[0]"),
        (functools.partial(print, LOCK), ".args[0]"),
        (Holder(Holder(LOCK)).__init__, ".__self__.held.held"),  # type: ignore[misc]  # as any bound method
        (lambda: LOCK, " global LOCK"),
        (captured(), " closure lock"),
        ({"x" * 100: LOCK}, '["' + "x" * 40 + '"]'),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_path_of_the_culprit_is_named(value: object, path: str) -> None:
    assert refused((1, value)) == (f"add() argument 2{path}", "a _thread.lock")


def test_a_keyword_argument_is_named_by_its_keyword() -> None:
    assert refused((1,), {"n": 1, "key": [LOCK]}) == ("add() argument key=[0]", "a _thread.lock")


def test_a_reply_is_named_as_its_encoder_says() -> None:
    with pytest.raises(
        Unencodable, match=r"reply of add\(\)\[1\]: expected a value that can be pickled, got a generator"
    ):
        Codec().encode_value((1, (n for n in [1])), "reply of add()")


def test_a_constructor_argument_is_named_with_its_class() -> None:
    with pytest.raises(Unencodable, match=r"Holder\(\) argument 1: .*got a _thread.lock"):
        Codec().encode_constructor(Holder, (LOCK,), {})


def test_a_class_that_takes_along_what_cannot_be_sent_is_named_with_its_method() -> None:
    space: dict[str, object] = {"__name__": "__main__", "LOCK": LOCK}
    exec("class Cart:\n    def add(self): return LOCK", space)
    cart = space["Cart"]
    assert isinstance(cart, type)

    assert refused((cart(),)) == ("add() argument 1.__class__.add global LOCK", "a _thread.lock")
    with pytest.raises(Unencodable) as raised:
        Codec().encode_constructor(cart, (), {})
    assert raised.value.where == "Cart.add global LOCK"


def test_an_open_file_is_refused_and_not_read() -> None:
    with open("/proc/self/comm", encoding="utf-8") as file:
        assert refused((file,)) == ("add() argument 1", "a _io.TextIOWrapper")


def test_the_reason_is_told_where_the_type_alone_does_not_tell_it() -> None:
    assert refused(([Secret()],)) == (
        "add() argument 1[0]",
        "a tests.runtime.wire.test_codec_culprit.Secret (PermissionError: not for others)",
    )


def test_the_error_behind_it_is_the_cause() -> None:
    with pytest.raises(Unencodable) as raised:
        Codec().encode_value(LOCK, "value")

    assert type(raised.value.__cause__) is TypeError


def test_what_is_nested_too_deeply_is_unencodable_and_no_recursion_error() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    assert refused((deep,)) == ("add() argument 1", "a list that is nested too deeply")
    assert refused((Endless(),))[1].endswith("Endless that is nested too deeply")
    while deep:  # taken apart by hand: the interpreter would go down into it
        deep = deep[0]  # type: ignore[assignment]


def test_an_object_that_cannot_be_looked_into_is_the_culprit_itself() -> None:
    where, got = refused((Unlookable(a=LOCK),))

    assert where == "add() argument 1"
    assert got.startswith("a tests.runtime.wire.test_codec_culprit.Unlookable")


def test_a_circle_with_a_culprit_in_it_is_searched_once() -> None:
    ring: list[object] = []
    ring += [ring, {"ring": ring, "lock": LOCK}]

    assert refused((ring,)) == ('add() argument 1[1]["lock"]', "a _thread.lock")


class Interrupting:
    def __reduce__(self) -> tuple[object, ...]:
        raise KeyboardInterrupt


def test_an_interrupt_while_pickling_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        Codec().encode_value([Interrupting()], "value")


def test_a_module_made_by_hand_with_what_cannot_be_sent_is_refused() -> None:
    module = types.ModuleType("handmade")
    module.lock = LOCK  # type: ignore[attr-defined]  # a module takes any

    assert refused((module,)) == ("add() argument 1.lock", "a _thread.lock")
