"""Payloads: what arrives is what was sent, of the same exact type."""

import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import struct
import sys
import threading
import typing
import uuid
import zoneinfo
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actors import Actor, NotAMessage, interfaces, message
from actors.certificate import DeathCertificate, MessageInHand
from actors.errors import Undecodable
from actors.ref import Ref
from runtime.wire import codec_reference as reference
from runtime.wire.codec import PICKLED, PLAIN, Codec


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"


class Permission(enum.IntFlag):
    READ = 1
    WRITE = 2


class Name(str):
    __slots__ = ()


class Count(int):
    pass


class Point(typing.NamedTuple):
    x: int
    y: float


@dataclasses.dataclass
class Order:
    item: object
    tags: list[object] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Price:
    amount: decimal.Decimal
    currency: str


def same(left: object, right: object) -> bool:
    """Equal and of the same exact type, all the way down; NaN is NaN and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    match left:
        case float() | complex():
            return repr(left) == repr(right)
        case dict():
            assert isinstance(right, dict)
            return len(left) == len(right) and all(
                same(a, b) and same(left[a], right[b]) for a, b in zip(left, right, strict=True)
            )
        case list() | tuple() | collections.deque():
            assert isinstance(right, list | tuple | collections.deque)
            return len(left) == len(right) and all(map(same, left, right))
        case np.ndarray():
            assert isinstance(right, np.ndarray)
            return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
        case _ if dataclasses.is_dataclass(left):
            return all(same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
        case _:
            return left == right


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**63) - 2, 2**64 + 2),
    st.floats(),
    st.text(st.characters()),
    st.text(st.characters(categories=["Cs", "L"])),
    st.binary(),
)
atoms = st.one_of(
    scalars,
    st.complex_numbers(),
    st.binary().map(bytearray),
    st.binary().map(lambda raw: memoryview(raw)),
    st.text().map(Name),
    st.integers().map(Count),
    st.sampled_from(Colour),
    st.sampled_from(list(Permission)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=st.just(datetime.UTC) | st.none()),
    st.datetimes(timezones=st.just(zoneinfo.ZoneInfo("Europe/Vienna"))),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.text(st.characters(categories=["L"])).map(pathlib.Path),
    st.builds(Point, st.integers(), st.floats()),
    st.builds(Price, st.decimals(allow_nan=False), st.text()),
)
keys = st.one_of(st.integers(), st.text(), st.booleans(), st.uuids(), st.tuples(st.integers(), st.text()))
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(collections.deque),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4).map(collections.OrderedDict),
        st.dictionaries(keys, inner, max_size=4).map(lambda plain: collections.defaultdict(list, plain)),
        st.frozensets(keys, max_size=4),
        st.sets(keys, max_size=4),
        st.builds(Order, inner, st.lists(inner, max_size=3)),
    ),
    max_leaves=12,
)
tables = arrays.arrays(np.dtype([("id", "<i4"), ("price", ">f8"), ("name", "S5")]), arrays.array_shapes(max_side=3))
# numpy itself brings dates back in native byte order, the values equal
dtypes = arrays.scalar_dtypes().filter(lambda dtype: dtype.kind not in "mM" or dtype.isnative)
plain_arrays = arrays.arrays(dtypes, arrays.array_shapes(max_side=4))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec()


@given(values)
@settings(max_examples=200, deadline=None)
def test_a_value_arrives_equal_and_of_the_same_type(value: object) -> None:
    codec = Codec()

    assert same(codec.decode_value(*codec.encode_value(value, "value")), value)


@given(st.lists(scalars, max_size=5), st.lists(st.text(), max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_call_with_scalars_arrives_as_it_was_made(args: list[object], chain: list[str]) -> None:
    codec = Codec()

    name, arrived, kwargs, through = codec.decode_call(*codec.encode_call("add", tuple(args), {}, tuple(chain)))

    assert (name, kwargs, list(through)) == ("add", {}, chain)
    assert same(list(arrived), args)


@given(st.lists(values, max_size=3), st.dictionaries(st.text(), values, max_size=2))
@settings(max_examples=100, deadline=None)
def test_a_call_with_any_arguments_arrives_as_it_was_made(args: list[object], kwargs: dict[str, object]) -> None:
    codec = Codec()

    name, arrived, named, chain = codec.decode_call(*codec.encode_call("add", tuple(args), kwargs, ("shop", "cart")))

    assert (name, list(chain)) == ("add", ["shop", "cart"])
    assert same(list(arrived), args)
    assert same(named, kwargs)


@given(plain_arrays | tables)
@settings(max_examples=60, deadline=None)
def test_an_array_arrives_with_its_dtype_shape_and_bytes(array: object) -> None:
    codec = Codec()

    assert same(codec.decode_value(*codec.encode_value(array, "value")), array)


@pytest.mark.parametrize("scalar", [np.float32(1.5), np.int8(-1), np.datetime64("2024-01-01"), np.str_("tea")])
def test_a_numpy_scalar_stays_a_numpy_scalar(codec: Codec, scalar: object) -> None:
    assert same(codec.decode_value(*codec.encode_value(scalar, "value")), scalar)


def test_an_array_that_arrived_can_be_written_to(codec: Codec) -> None:
    arrived = codec.decode_value(*codec.encode_value(np.zeros(3), "value"))

    arrived[0] = 1.0

    assert arrived.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, -0.0, math.inf, "", "tea", "日本", b"", b"\0\xff"],
)
def test_a_scalar_travels_plain(codec: Codec, value: object) -> None:
    kind, payload = codec.encode_value(value, "value")

    assert kind == PLAIN
    assert same(codec.decode_value(kind, memoryview(payload)), value)
    assert codec.encode_call("add", (value,), {}, ())[0] == PLAIN


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, 10**400, "\ud800", Name("tea"), Count(1), bytearray(b"x"), (1,), [1], {"a": 1}, ...]
)
def test_what_msgpack_would_change_travels_pickled(codec: Codec, value: object) -> None:
    kind, payload = codec.encode_value(value, "value")

    assert kind == PICKLED
    assert same(codec.decode_value(kind, memoryview(payload)), value)
    assert codec.encode_call("add", (value,), {}, ())[0] == PICKLED


def test_the_bits_of_a_nan_arrive(codec: Codec) -> None:
    nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0123))[0]

    assert struct.pack("<d", codec.decode_value(*codec.encode_value(nan, "value"))) == struct.pack("<d", nan)


def test_keyword_arguments_travel_pickled(codec: Codec) -> None:
    kind, payload = codec.encode_call("add", (1,), {"n": 2}, ())

    assert kind == PICKLED
    assert codec.decode_call(kind, payload) == ("add", (1,), {"n": 2}, ())


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"abc"),
        memoryview(bytearray(b"abc")),
        memoryview(b""),
        memoryview(b"abcdefgh")[::2],
        memoryview(struct.pack("6d", *range(6))).cast("B").cast("d", (2, 3)),
        memoryview(struct.pack("3i", 1, 2, 3)).cast("i"),
        memoryview(b"").cast("i"),
    ],
    ids=lambda view: f"{view.format} {view.shape}",
)
def test_a_memoryview_arrives_as_a_read_only_view_of_the_same_format_and_shape(codec: Codec, view: memoryview) -> None:
    arrived = codec.decode_value(*codec.encode_value(view, "value"))

    assert type(arrived) is memoryview
    assert arrived == view
    assert (arrived.format, arrived.shape, arrived.readonly) == (view.format, view.shape, True)


def test_a_structure_that_contains_itself_arrives_containing_itself(codec: Codec) -> None:
    ring: list[object] = [1]
    ring.append(ring)

    arrived = codec.decode_value(*codec.encode_value(ring, "value"))

    assert arrived[0] == 1
    assert arrived[1] is arrived


def test_one_object_in_two_arguments_is_one_object_at_the_other_end(codec: Codec) -> None:
    shared = [1]

    _, (first, second), _, _ = codec.decode_call(*codec.encode_call("add", (shared, shared), {}, ()))

    assert first is second


@pytest.mark.parametrize(
    "reached", [len, datetime.datetime, Order, dataclasses.field, [].append.__class__, Point._make]
)
def test_what_can_be_imported_arrives_as_itself(codec: Codec, reached: object) -> None:
    assert codec.decode_value(*codec.encode_value(reached, "value")) == reached


def test_a_generic_alias_and_a_module_arrive(codec: Codec) -> None:
    assert codec.decode_value(*codec.encode_value([list[int], math], "value")) == [list[int], math]


class Shop:
    """As much of a machine as a reference needs."""

    system = "shop"

    def __init__(self) -> None:
        self.refs: dict[bytes, Ref] = {}


class Gateway(Actor):
    @message
    def pay(self, pence: int) -> None: ...


@pytest.fixture
def shop() -> Iterator[interfaces.Machine]:
    shop = typing.cast("interfaces.Machine", Shop())
    with interfaces.using(shop):
        yield shop


def test_a_reference_arrives_as_a_reference_to_the_same_place(codec: Codec, shop: interfaces.Machine) -> None:
    ref = Ref(shop, "payments.gateway", None)

    for value, taken in (({"gateway": ref}, lambda value: value["gateway"]), (ref, lambda value: value)):
        arrived = taken(codec.decode_value(*codec.encode_value(value, "value")))

        assert type(arrived) is Ref
        assert arrived == ref


def test_a_reference_beside_plain_arguments_takes_no_pickle(codec: Codec, shop: interfaces.Machine) -> None:
    ref = Ref(shop, "payments.gateway", Gateway)

    kind, payload = codec.encode_call("pay", (ref, 1, "tea"), {}, ())

    assert kind == PLAIN
    assert codec.decode_call(kind, payload) == ("pay", [ref, 1, "tea"], {}, ())


@pytest.mark.parametrize("where", ["alone", "nested"])
def test_a_reference_keeps_what_it_knows_of_its_class(codec: Codec, shop: interfaces.Machine, where: str) -> None:
    class Local(Gateway):
        """Goes by value."""

    for actor in (Gateway, Local):
        ref = Ref(shop, "payments.gateway", actor)
        value = ref if where == "alone" else [ref]
        arrived = codec.decode_value(*codec.encode_value(value, "value"))
        arrived = arrived if where == "alone" else arrived[0]

        assert repr(arrived) == repr(ref)
        with pytest.raises(NotAMessage):
            _ = arrived.refund


def test_the_class_of_a_reference_goes_on_through_those_who_do_not_have_it(
    codec: Codec, shop: interfaces.Machine
) -> None:
    unknown = reference.decoded(b"shop\0payments.gateway\0elsewhere:Gateway")

    assert repr(unknown) == "<ref actor 'payments.gateway' in 'shop'>"
    assert reference.encoded(codec.decode_value(*codec.encode_value(unknown, "value"))).endswith(b"elsewhere:Gateway")


def test_a_reference_that_arrives_again_is_the_one_that_is_here(codec: Codec, shop: interfaces.Machine) -> None:
    kind, payload = codec.encode_value(Ref(shop, "payments.gateway", Gateway), "value")

    first, second = codec.decode_value(kind, payload), codec.decode_value(kind, payload)

    assert first is second
    other = typing.cast("interfaces.Machine", Shop())
    with interfaces.using(other):
        assert codec.decode_value(kind, payload) is not first


def test_references_that_arrived_are_not_kept_without_end(codec: Codec, shop: interfaces.Machine) -> None:
    for n in range(5000):
        codec.decode_value(*codec.encode_value(Ref(shop, f"a{n}", Gateway), "value"))

    assert len(shop.refs) <= 1024


@pytest.mark.parametrize("raw", [b"", b"shop", b"shop\0a\0b\0c", b"\xff\0a\0"])
def test_what_is_no_reference_is_undecodable(codec: Codec, shop: interfaces.Machine, raw: bytes) -> None:
    assert shop.refs == {}
    for code in (reference.CODE, 7):
        with pytest.raises(Undecodable):
            codec.decode_value(PLAIN, msgspec.msgpack.encode(msgspec.msgpack.Ext(code, raw)))


def test_a_constructor_call_arrives_with_class_and_arguments(codec: Codec) -> None:
    payload = codec.encode_constructor(Order, ("tea",), {"tags": [1]})

    assert codec.decode_constructor(payload) == (Order, ("tea",), {"tags": [1]})


def test_a_certificate_arrives_as_it_was(codec: Codec) -> None:
    certificate = DeathCertificate(
        "shop.cart", 2, 4711, "run", "signal", None, "SIGKILL", in_hand=MessageInHand("add", 1, 0.5)
    )

    assert codec.decode_value(*codec.encode_value(certificate, "value")) == certificate


@pytest.mark.parametrize("kind", [PLAIN, PICKLED])
@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80\x05", b"\x01\x80", b"\xff" * 10], ids=repr)
def test_a_payload_that_is_none_is_undecodable(codec: Codec, kind: int, payload: bytes) -> None:
    if not (kind == PLAIN and payload[:1] == b"\xff"):  # which is -1 and more
        with pytest.raises(Undecodable):
            codec.decode_value(kind, payload)
    with pytest.raises(Undecodable) as raised:
        codec.decode_call(kind, payload)

    assert raised.value.__cause__ is not None
    with pytest.raises(Undecodable):
        codec.decode_constructor(payload)
    with pytest.raises(Undecodable):
        codec.decode_error(payload)


class Fragile:
    """Cannot be rebuilt, in a way that it is told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __setstate__(self, state: dict[str, BaseException]) -> None:
        raise state["error"]


def test_an_object_that_cannot_be_rebuilt_is_undecodable_with_its_error_as_cause_and_in_the_text(codec: Codec) -> None:
    payload = codec.encode_value(Fragile(ValueError("no such tea")), "value")

    with pytest.raises(Undecodable, match=r"ValueError: no such tea") as raised:
        codec.decode_value(*payload)

    assert type(raised.value.__cause__) is ValueError


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError()])
def test_what_is_no_exception_is_undecodable_too(codec: Codec, error: BaseException) -> None:
    payload = codec.encode_value(Fragile(error), "value")
    call = codec.encode_call("take", (Fragile(error),), {}, ())

    with pytest.raises(Undecodable, match=type(error).__name__):
        codec.decode_value(*payload)
    with pytest.raises(Undecodable, match=type(error).__name__):
        codec.decode_call(*call)


def test_an_interrupt_goes_through(codec: Codec) -> None:
    payload = codec.encode_value(Fragile(KeyboardInterrupt()), "value")

    with pytest.raises(KeyboardInterrupt):
        codec.decode_value(*payload)


class Ends(Exception):
    """Rebuilding it ends the program."""

    def __reduce__(self) -> tuple[object, ...]:
        return sys.exit, (3,)


def test_an_exception_whose_rebuilding_ends_the_program_is_sent_in_another_form(codec: Codec) -> None:
    assert isinstance(codec.decode_error(codec.encode_error(Ends("so"))), Ends)


class Nosy:
    """Uses the codec while it is being pickled by it."""

    def __init__(self, codec: Codec, value: object) -> None:
        self.codec = codec
        self.value = value

    def __reduce__(self) -> tuple[object, ...]:
        return bytes, (self.codec.encode_value(self.value, "value")[1],)


def test_an_object_may_use_the_codec_while_it_is_pickled(codec: Codec) -> None:
    inner = codec.encode_value([1, "tea"], "value")[1]

    assert codec.decode_value(*codec.encode_value([Nosy(codec, [1, "tea"]), 2], "value")) == [inner, 2]


def test_threads_may_encode_at_the_same_time(codec: Codec) -> None:
    start = threading.Barrier(4)

    def encode(seed: int) -> bool:
        start.wait(timeout=5)
        calls = [(seed, n, "x" * n, Price(decimal.Decimal(n), "€")) for n in range(200)]
        return all(
            same(list(codec.decode_call(*codec.encode_call("add", call[:size], {}, ()))[1]), list(call[:size]))
            for call in calls
            for size in (3, 4)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(encode, range(4)))


def test_a_failure_leaves_nothing_behind_for_the_next_call(codec: Codec) -> None:
    with pytest.raises(TypeError):
        codec.encode_value([1, threading.Lock()], "value")

    assert codec.decode_value(*codec.encode_value([uuid.UUID(int=1), fractions.Fraction(1, 3)], "value")) == [
        uuid.UUID(int=1),
        fractions.Fraction(1, 3),
    ]
