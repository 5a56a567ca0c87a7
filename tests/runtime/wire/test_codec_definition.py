"""By value: what other processes cannot import travels as its definition, once per system where there is a store."""

import base64
import json
import subprocess
import sys
import types
from typing import Any

import pytest

from actors.errors import RemoteError, SystemGone, Undecodable, Unencodable
from runtime.wire.codec import PICKLED, Codec
from runtime.wire.definitions import MOST_REGISTERED

SCRIPT = """
import abc, collections, dataclasses, enum, typing
from actors.actor import Actor
from actors.message import message

T = typing.TypeVar("T")
P = typing.ParamSpec("P")
Cents = typing.NewType("Cents", int)
RATE = 2

@dataclasses.dataclass
class Order:
    item: str
    count: int = 1
    def doubled(self):
        return Order(self.item, self.count * RATE)

@dataclasses.dataclass(frozen=True, slots=True)
class Price:
    amount: int

class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    def other(self):
        return Colour.GREEN if self is Colour.RED else Colour.RED

class Permission(enum.Flag):
    READ = 1
    WRITE = 2

class Point(typing.NamedTuple):
    x: int
    y: int

class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

class Square(Shape):
    sides = 4
    def __init__(self, side): self.side = side
    def area(self): return self.side ** 2
    def __eq__(self, other): return type(other) is Square and other.side == self.side

class Box(typing.Generic[T, P]):
    def __init__(self, held): self.held = held

class Odd(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code

class Counter(Actor, on_raise="crash"):
    def __init__(self, start=0): self.value = start
    @message(retry=3)
    def add(self, n: int) -> int:
        self.value += n
        return self.value

class Sentinel:
    def __reduce__(self): return "MISSING"

MISSING = Sentinel()
def twice(n): return n * RATE
"""

OTHER = """
import base64, json, sys
from runtime.wire.codec import Codec

class Store:
    def __init__(self, blobs): self.blobs = blobs
    def number_of(self, blob, key): raise AssertionError("registered again")
    def blob_of(self, number): return self.blobs[number]

asked = json.load(sys.stdin)
blobs = {int(number): base64.b64decode(blob) for number, blob in asked["blobs"].items()}
codec = Codec(Store(blobs) if asked["stored"] else None)
try:
    value = codec.decode_value(1, base64.b64decode(asked["payload"]))
    outcome = codec.encode_value(eval(asked["expression"]), "outcome")
except Exception as exc:
    sys.exit(f"{type(exc).__name__}: {exc}")
sys.stdout.write(json.dumps([outcome[0], base64.b64encode(outcome[1]).decode()]))
"""


class Store:
    """A system's store in memory."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.blobs: dict[int, bytes] = {}
        self.fetched: list[int] = []

    def number_of(self, blob: bytes, key: str) -> int:
        number = self.numbers.setdefault(key, len(self.numbers) + 1)
        self.blobs.setdefault(number, blob)
        return number

    def blob_of(self, number: int) -> bytes:
        self.fetched.append(number)
        return self.blobs[number]


class Gone:
    """The store of a system that ended."""

    def number_of(self, blob: bytes, key: str) -> int:
        raise SystemGone("shop", "unknown")

    def blob_of(self, number: int) -> bytes:
        raise SystemGone("shop", "unknown")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """What a script defines: in `__main__`, and to be found there, as far as this process can see."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(SCRIPT, space)
    for name, value in space.items():
        if not name.startswith("__"):
            monkeypatch.setattr(sys.modules["__main__"], name, value, raising=False)
    return types.SimpleNamespace(**space)


def elsewhere(expression: str, codec: Codec, value: object, store: Store | None = None) -> Any:
    """Send a value to another process, have the expression evaluated there, and receive its outcome."""
    blobs = store.blobs if store is not None else {}
    kind, payload = codec.encode_value(value, "value")
    assert kind == PICKLED
    asked = {
        "expression": expression,
        "payload": base64.b64encode(payload).decode(),
        "blobs": {number: base64.b64encode(blob).decode() for number, blob in blobs.items()},
        "stored": store is not None,
    }
    done = subprocess.run(
        [sys.executable, "-c", OTHER], input=json.dumps(asked), capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    kind, outcome = json.loads(done.stdout)
    return codec.decode_value(kind, base64.b64decode(outcome))


def everything(script: types.SimpleNamespace) -> list[Any]:
    return [
        script.Order("tea", 2),
        script.Price(3),
        script.Colour.RED,
        script.Permission.READ | script.Permission.WRITE,
        script.Point(1, 2),
        script.Square(3),
        script.Order,
        script.Colour,
        script.Cents,
    ]


@pytest.mark.parametrize("is_stored", [False, True], ids=["whole", "by number"])
def test_what_a_script_defines_goes_to_another_process_and_comes_back_as_what_it_was(
    script: types.SimpleNamespace, is_stored: bool
) -> None:
    store = Store() if is_stored else None
    sent = everything(script)
    expression = "[value, [value[0].doubled(), value[2].other(), value[5].area(), value[6]('mate')]]"

    came, made = elsewhere(expression, Codec(store), sent, store)

    assert came[:-1] == sent[:-1]
    assert [type(value) for value in came] == [type(value) for value in sent]
    assert (came[2], came[6], came[7]) == (script.Colour.RED, script.Order, script.Colour)
    assert came[2] is script.Colour.RED
    assert made == [script.Order("tea", 4), script.Colour.GREEN, 9, script.Order("mate")]


def test_functions_of_a_script_run_elsewhere(script: types.SimpleNamespace) -> None:
    offset = 10
    sent = [script.twice, lambda n: n + offset, script.Order("tea", 2).doubled, script.Box[int, [str]]]

    assert elsewhere("[value[0](4), value[1](4), value[2]().count]", Codec(), sent) == [8, 14, 4]


def test_the_actor_class_of_a_script_keeps_its_messages_and_its_options(script: types.SimpleNamespace) -> None:
    store = Store()
    expression = (
        "[value.__messages__['add'].options.retry, value.__on_raise__, value.add(value(1), 2),"
        " [base.__module__ for base in value.__mro__[1:]]]"
    )

    assert elsewhere(expression, Codec(store), script.Counter, store) == [3, "crash", 3, ["actors.actor", "builtins"]]


def test_a_definition_is_sent_once(script: types.SimpleNamespace) -> None:
    store = Store()
    codec = Codec(store)
    codec.encode_value(script.Order("tea"), "value")
    registered = dict(store.blobs)

    _, payload = codec.encode_value([script.Order("tea"), script.Order("mate")], "value")

    assert store.blobs == registered
    assert b"doubled" not in payload
    assert len(payload) < 250


def test_a_definition_is_fetched_once_and_is_one_class(script: types.SimpleNamespace) -> None:
    store = Store()
    payloads = [Codec(store).encode_value(script.Order(item), "value") for item in ("tea", "mate")]
    receiver = Codec(store)

    first, second = (receiver.decode_value(*payload) for payload in payloads)

    assert type(first) is type(second)
    assert store.fetched == [1]


def test_instances_of_the_original_class_arrive_where_it_was_defined(script: types.SimpleNamespace) -> None:
    codec = Codec()
    payload = codec.encode_value(script.Order("tea"), "value")
    before = dict(vars(script.Order))

    arrived = codec.decode_value(*payload)

    assert type(arrived) is script.Order
    assert dict(vars(script.Order)) == before


def test_an_arriving_definition_leaves_the_state_of_a_class_that_is_in_use_alone(script: types.SimpleNamespace) -> None:
    codec = Codec()
    payload = codec.encode_value(script.Square(3), "value")
    script.Square.sides = 5

    assert codec.decode_value(*payload).sides == 5


def test_a_class_that_was_redefined_is_another_class(
    script: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    codec = Codec(store)
    old = codec.encode_value(script.Order("tea"), "value")
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("class Order:\n    def __init__(self, item): self.item = item", space)
    monkeypatch.setattr(sys.modules["__main__"], "Order", space["Order"])

    new = codec.encode_value(space["Order"]("tea"), "value")

    assert type(codec.decode_value(*old)) is script.Order
    assert type(codec.decode_value(*new)) is space["Order"]
    assert len(store.blobs) == 2


def test_local_classes_and_their_instances_go_by_value() -> None:
    class Local:
        def __init__(self, n: int) -> None:
            self.n = n

    store = Store()

    back = elsewhere("[value.n, value.__class__.__qualname__, value]", Codec(store), Local(3), store)

    assert back[:2] == [3, Local.__qualname__]
    assert type(back[2]) is Local


def test_a_module_that_others_cannot_import_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    handmade = types.ModuleType("handmade")
    exec("RATE = 3\nclass Cart:\n    def total(self): return RATE\ndef rate(): return RATE", vars(handmade))
    monkeypatch.setitem(sys.modules, "handmade", handmade)

    sent = [handmade.Cart(), handmade.rate, handmade]

    assert elsewhere("[value[0].total(), value[1](), value[2].RATE]", Codec(), sent) == [3, 3, 3]


def test_the_caller_decides_which_modules_others_can_import() -> None:
    codec = Codec(importable=lambda name: name != __name__ and name not in ("__main__", "tests"))
    _, payload = codec.encode_value(Gone(), "value")

    assert b"unknown" in payload  # a constant of its methods: the definition is in it
    assert b"unknown" not in Codec().encode_value(Gone(), "value")[1]


def test_each_module_is_asked_about_once() -> None:
    asked: list[str] = []
    codec = Codec(importable=lambda name: not asked.append(name))  # type: ignore[func-returns-value]

    codec.encode_value([Store(), Store()], "value")
    codec.encode_value([Store(), Gone()], "value")

    assert asked == [__name__]


def test_code_that_makes_a_class_per_call_cannot_fill_the_store() -> None:
    store = Store()
    codec = Codec(store)
    rows = [type("Row", (), {"n": n})() for n in range(MOST_REGISTERED + 2)]

    payloads = [codec.encode_value(row, "value") for row in rows]

    assert len(store.blobs) == MOST_REGISTERED
    assert [codec.decode_value(*payload).n for payload in payloads[-3:]] == [row.n for row in rows[-3:]]


def test_an_object_that_is_sent_by_its_name_alone_is_refused_where_that_name_is_of_no_use(
    script: types.SimpleNamespace,
) -> None:
    with pytest.raises(Unencodable, match="MISSING"):
        Codec().encode_value(script.MISSING, "value")


def test_a_store_that_is_gone_says_so_and_the_value_is_not_blamed(script: types.SimpleNamespace) -> None:
    with pytest.raises(SystemGone):
        Codec(Gone()).encode_call("add", (script.Order("tea"),), {}, ())


def test_a_number_without_a_store_or_a_definition_is_undecodable(script: types.SimpleNamespace) -> None:
    payload = Codec(Store()).encode_value(script.Order("tea"), "value")

    with pytest.raises(Undecodable, match="definition 1"):
        Codec().decode_value(*payload)
    with pytest.raises(Undecodable, match="SystemGone"):
        Codec(Gone()).decode_value(*payload)


def test_an_exception_class_of_a_script_comes_back_as_itself(script: types.SimpleNamespace) -> None:
    codec = Codec(Store())

    arrived = codec.decode_error(codec.encode_error(script.Odd(7, "no tea")))

    assert type(arrived) is script.Odd
    assert (str(arrived), vars(arrived)) == ("7: no tea", {"code": 7})


def test_an_exception_is_answered_even_when_the_store_is_gone(script: types.SimpleNamespace) -> None:
    arrived = Codec().decode_error(Codec(Gone()).encode_error(script.Odd(7, "no tea")))

    assert isinstance(arrived, RemoteError)
    assert (arrived.type_path, arrived.arguments) == ("__main__.Odd", ("7: no tea",))
