"""Exceptions as data: rebuilt where that is faithful, else a RemoteError; the remote traceback is always visible."""

import asyncio
import dataclasses
import inspect
import json
import pickle
import sys
import threading
import traceback
import types
import unicodedata
from typing import NoReturn

import pytest

from actors import errors
from actors.certificate import DeathCertificate, MessageInHand
from actors.errors import ActorDied, ActorError, RemoteError, StartFailed, Undecodable
from runtime.wire.codec import Codec
from runtime.wire.exceptions import RemoteTraceback

CERTIFICATE = DeathCertificate(
    "shop.cart", 3, 4711, "run", "exception", 1, "", "Traceback …\nValueError: no tea\n", "", False,
    MessageInHand("add", 2, 0.25), ("one", "two"), 2,
)  # fmt: skip

ARGUMENTS: dict[type[ActorError], tuple[object, ...]] = {
    errors.AskCycle: (("a", "b", "a"),),
    errors.ActorDied: (CERTIFICATE, "started"),
    errors.StartFailed: ("shop.cart", "no tea", CERTIFICATE),
    errors.BadSpec: ("shop.cart", "invalid_restart_type", "expected permanent"),
    errors.Unencodable: ("add() argument 1", "a _thread.lock"),
    errors.RemoteError: ("shop.NoTea", "none left", (1, "tea"), ("a note",), "Traceback …"),
    errors.AlreadyRunning: ("shop", 4711),
    errors.NoSuchSystem: ("shop", "no lock"),
    errors.OutOfMemory: (4096, 100, "no room"),
    errors.RegionBusy: ("prices", "cart (pid 7)", 1.5),
    errors.LayoutMismatch: ("prices", "gbp: f8 at 0"),
    errors.SecondWriter: ("prices", "cart (pid 7)"),
    errors.ConfigError: (("shop.toml:3: name: expected a name, got 4",),),
}


def every_error() -> list[ActorError]:
    found = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, ActorError)]
    return [cls(*_arguments_of(cls)) for cls in found]


def _arguments_of(cls: type[ActorError]) -> tuple[object, ...]:
    if cls in ARGUMENTS:
        return ARGUMENTS[cls]
    if issubclass(cls, errors.AskFailed):
        return ("shop.cart", "no", "why")
    return ("shop.cart", "why") if issubclass(cls, errors.SupervisionError) else ("why",)


def state_of(exc: BaseException) -> tuple[object, ...]:
    kept = {name: value for name, value in vars(exc).items() if name != "__notes__"}
    return type(exc), exc.args, str(exc), kept


def sent(exc: BaseException) -> BaseException:
    codec = Codec()
    return codec.decode_error(codec.encode_error(exc))


def raised(exc: BaseException) -> BaseException:
    """The exception, after it went through a frame or two."""

    def buy() -> NoReturn:
        raise exc

    try:
        buy()
    except BaseException as caught:
        return caught


class OddInit(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class Prefixing(Exception):
    """Rebuilt by pickle, it has its prefix twice."""

    def __init__(self, code: object) -> None:
        super().__init__(f"failed with {code}")


class KeywordOnly(Exception):
    def __init__(self, *, status: int) -> None:
        self.status = status


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int
    reason: str = ""


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


class Holding(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.code = 7


class OddNew(Exception):
    def __new__(cls, *args: object, **kwargs: object) -> "OddNew":
        if not kwargs:
            raise ValueError("needs a keyword")
        return super().__new__(cls, *args)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args)


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("speechless")

    __repr__ = __str__


class Posing(Exception):
    def __reduce__(self) -> tuple[type[ValueError], tuple[str]]:
        return ValueError, ("posing",)


class Unwilling(Exception):
    def __reduce__(self) -> NoReturn:
        raise RuntimeError("no")


class Group(ExceptionGroup[Exception]):
    """Of a class of its own."""


@pytest.mark.parametrize("exc", every_error(), ids=lambda exc: type(exc).__name__)
def test_every_error_of_ours_survives_the_codec_and_pickling(exc: ActorError) -> None:
    assert state_of(sent(exc)) == state_of(exc)
    assert state_of(pickle.loads(pickle.dumps(exc))) == state_of(exc)


def test_the_certificate_comes_along() -> None:
    died, failed = sent(ActorDied(CERTIFICATE, "started")), sent(StartFailed("shop.cart", "", CERTIFICATE))

    assert isinstance(died, ActorDied)
    assert isinstance(failed, StartFailed)
    assert died.certificate == failed.certificate == CERTIFICATE
    assert died.delivered == "started"


def standard_errors() -> list[BaseException]:
    made: list[BaseException] = [
        ValueError("no tea"),
        KeyError("tea"),
        ZeroDivisionError(),
        FileNotFoundError(2, "No such file or directory", "/tea"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        StopIteration(3),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError("stop"),
        ValueError("\ud800"),
        ValueError(1, None, (2, [3])),
        ImportError("no tea", name="tea", path="/tea"),
        RuntimeError("x" * 100_000),
    ]
    for fails in (lambda: json.loads("{"), lambda: compile("1 +", "<tea>", "exec"), lambda: unicodedata.lookup("tea")):
        try:
            fails()
        except Exception as exc:
            made.append(exc)
    return made


@pytest.mark.parametrize("exc", standard_errors(), ids=lambda exc: type(exc).__name__)
def test_a_standard_exception_arrives_as_it_was(exc: BaseException) -> None:
    arrived = sent(exc)

    assert state_of(arrived) == state_of(exc)
    assert isinstance(arrived.__cause__, RemoteTraceback)


def test_the_fields_of_an_os_error_arrive() -> None:
    arrived = sent(PermissionError(13, "Permission denied", "/tea"))

    assert isinstance(arrived, PermissionError)
    assert (arrived.errno, arrived.strerror, arrived.filename) == (13, "Permission denied", "/tea")


@pytest.mark.parametrize(
    "exc",
    [OddInit(7, "no tea"), Prefixing(7), KeywordOnly(status=404), Frozen(1, "x"), Frozen(code=1), Slotted(3)],
    ids=lambda exc: type(exc).__name__,
)
def test_an_exception_whose_init_does_not_take_its_args_is_rebuilt_all_the_same(exc: BaseException) -> None:
    arrived = sent(raised(exc))

    assert state_of(arrived) == state_of(exc)
    assert getattr(arrived, "code", None) == getattr(exc, "code", None)


def test_an_attribute_that_cannot_be_pickled_is_left_out() -> None:
    arrived = sent(Holding("busy"))

    assert (type(arrived), arrived.args, vars(arrived)) == (Holding, ("busy",), {"code": 7})


@pytest.mark.parametrize(
    "exc",
    [OddNew(1, key=2), ValueError(threading.Lock()), Group("many", [ValueError(threading.Lock())])],
    ids=lambda exc: type(exc).__name__,
)
def test_what_cannot_be_rebuilt_faithfully_is_a_remote_error(exc: BaseException) -> None:
    arrived = sent(exc)

    assert isinstance(arrived, RemoteError)
    assert arrived.type_path == f"{type(exc).__module__}.{type(exc).__qualname__}"
    assert arrived.text == str(exc)
    assert isinstance(arrived.__cause__, RemoteTraceback)


def test_an_exception_that_pickles_as_another_one_arrives_as_itself() -> None:
    assert state_of(sent(Posing("x"))) == state_of(Posing("x"))


def test_a_remote_error_has_arguments_notes_and_traceback_of_the_original() -> None:
    lock = threading.Lock()
    exc = raised(ValueError(1, "tea", lock))
    exc.add_note("a note")

    arrived = sent(exc)

    assert isinstance(arrived, RemoteError)
    assert arrived.arguments == (1, "tea", repr(lock))
    assert arrived.notes == ("a note",)
    assert "in buy" in arrived.remote_traceback
    assert str(arrived).startswith("builtins.ValueError: (1, 'tea', <unlocked _thread.lock")


def test_a_class_that_the_caller_does_not_have_arrives_as_a_remote_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("onlythere")
    exec("class NoTea(Exception):\n    pass\nclass Cup:\n    def __repr__(self): return 'a cup'", vars(module))
    monkeypatch.setitem(sys.modules, "onlythere", module)
    codec = Codec(importable=lambda name: name != "__main__")
    payload = codec.encode_error(raised(module.NoTea("none left", module.Cup(), 3)))
    monkeypatch.delitem(sys.modules, "onlythere")

    arrived = codec.decode_error(payload)

    assert isinstance(arrived, RemoteError)
    assert arrived.type_path == "onlythere.NoTea"
    assert arrived.arguments == ("none left", "a cup", 3)


def test_the_remote_traceback_is_visible_when_the_exception_is_printed() -> None:
    exc = raised(KeyError("tea"))
    exc.add_note("ask for mate")

    printed = "".join(traceback.format_exception(sent(exc)))

    assert "in buy" in printed
    assert printed.count("ask for mate") == 2  # in the remote text, and of the exception itself
    assert printed.endswith("KeyError: 'tea'\nask for mate\n")
    assert "direct cause" in printed


def test_causes_and_contexts_arrive_as_text() -> None:
    cause, exc = raised(ValueError("the reason")), RuntimeError("the outcome")
    exc.__cause__ = cause

    arrived = sent(exc)

    assert isinstance(arrived.__cause__, RemoteTraceback)
    assert "ValueError: the reason" in arrived.__cause__.text


def test_a_long_traceback_is_cut_and_its_end_kept() -> None:
    arrived = sent(ValueError("x" * 200_000 + "the end"))

    assert isinstance(arrived.__cause__, RemoteTraceback)
    assert len(arrived.__cause__.text) <= 64 * 1024
    assert arrived.__cause__.text.endswith("the end\n")


def test_an_exception_that_is_huge_arrives_as_a_remote_error_of_bounded_size() -> None:
    payload = Codec().encode_error(ValueError("x" * (4 << 20)))

    assert len(payload) < 256 * 1024
    assert isinstance(Codec().decode_error(payload), RemoteError)


def test_the_members_of_a_group_are_rebuilt_one_by_one() -> None:
    group = ExceptionGroup(
        "many", [KeyError("tea"), OddInit(7, "x"), ExceptionGroup("more", [ValueError(threading.Lock())])]
    )
    group.add_note("a note")

    arrived = sent(raised(group))

    assert isinstance(arrived, ExceptionGroup)
    assert [type(member) for member in arrived.exceptions] == [KeyError, OddInit, ExceptionGroup]
    assert isinstance(arrived.exceptions[2].exceptions[0], RemoteError)
    assert (arrived.message, arrived.__notes__) == ("many", ["a note"])
    assert isinstance(arrived.__cause__, RemoteTraceback)
    assert arrived.split(KeyError)[0] is not None


def test_a_group_of_a_class_of_its_own_and_one_of_base_exceptions_arrive_as_they_were() -> None:
    assert type(sent(Group("many", [ValueError(1)]))) is Group
    assert type(sent(BaseExceptionGroup("many", [KeyboardInterrupt()]))) is BaseExceptionGroup


def recursive() -> BaseException:
    exc = ValueError()
    exc.args = (exc,)
    return exc


def endless_chain() -> BaseException:
    first = exc = ValueError(0)
    for index in range(5_000):
        exc.__cause__ = exc = ValueError(index)
    return first


def deep_group() -> BaseException:
    group: ExceptionGroup[Exception] = ExceptionGroup("0", [ValueError()])
    for index in range(2_000):
        group = ExceptionGroup(str(index), [group])
    return group


def too_deep() -> BaseException:
    def down() -> None:
        down()

    try:
        down()
    except RecursionError as exc:
        return exc
    raise AssertionError


def oddly_noted() -> BaseException:
    exc = ValueError("x")
    exc.__notes__ = 5  # type: ignore[assignment]  # nobody checks
    return exc


class Nameless(Exception):
    __module__ = None  # type: ignore[assignment]  # nobody checks


@pytest.mark.parametrize(
    "make",
    [
        recursive,
        endless_chain,
        deep_group,
        too_deep,
        oddly_noted,
        lambda: Speechless(1),
        lambda: Unwilling(1),
        lambda: Nameless(1),
        lambda: ValueError(Speechless(1)),
    ],
    ids=["recursive", "chain", "group", "deep", "notes", "str", "reduce", "module", "repr"],
)
def test_whatever_an_exception_is_an_answer_arrives(make: types.FunctionType) -> None:
    exc = make()

    arrived = sent(exc)

    assert isinstance(arrived, type(exc) | RemoteError)


def test_bytes_that_are_no_exception_are_undecodable() -> None:
    with pytest.raises(Undecodable) as caught:
        Codec().decode_error(b"\x93\x01\x02\x03")

    assert caught.value.__cause__ is not None
