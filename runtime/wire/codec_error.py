"""Exceptions as data: a report of it in any case, and the exception itself where it can be rebuilt.

    WHOLE   as pickle does it: class(*args), then its attributes
    BARE    class, args and attributes put together without __init__, for the many whose __init__ does not take `args`
    GROUP   ExceptionGroup: its members are reports
    NONE    only the report; the caller gets a RemoteError

ER-1  Encoding never raises and never loses the answer: whatever goes wrong, less of the exception is sent.
ER-2  Sent is what was rebuilt here, in memory, and found the same: type, text, number and types of arguments, names of
      attributes. An exception that would arrive as another one is worse than a RemoteError.
ER-3  Rebuilt or not, where it was raised arrives as text, causes and contexts included, its end kept. It is the cause
      of the exception, or of the last of the causes that it brought along, so that every traceback shows it.
ER-4  An attribute that cannot be pickled (a lock, a connection) is left out; an argument that cannot is a RemoteError.
"""

import re
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.errors import RemoteError
from runtime.wire.codec_culprit import said_by, slots_of, text_of
from runtime.wire.exceptions import RemoteTraceback
from runtime.wire.late import GOES_THROUGH

_MOST_TEXT_BYTES = 64 * 1024
_MOST_BODY_BYTES = 1 << 20  # an answer has to get through when there is little memory for large bodies
_MOST_ARGUMENTS = 32
_MOST_ARGUMENT_BYTES = 4096
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # in the repr of most objects: another one in every copy

Dumps = Callable[[object], bytes]
Loads = Callable[[bytes], Any]


class Argument(msgspec.Struct, frozen=True, array_like=True):
    """One argument: its repr, and its pickle if it has one that is small."""

    text: str
    pickled: bytes | None


class Whole(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The exception's own pickle."""

    pickled: bytes


class Bare(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The pickle of class, arguments and attributes."""

    pickled: bytes


class Group(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A message, members, and the pickle of the attributes."""

    message: str
    members: tuple["Report", ...]
    attributes: bytes


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What is sent of an exception.

    Attributes:
        type_path: "module.Class".
        text: its `str()`.
        notes: its `__notes__`.
        trace: as formatted where it was raised; "" for members of a group, whose own trace shows them.
        arguments: for a RemoteError.
        body: to rebuild it from; None: it cannot be.
    """

    type_path: str
    text: str
    notes: tuple[str, ...] = ()
    trace: str = ""
    arguments: tuple[Argument, ...] = ()
    body: Whole | Bare | Group | None = None


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Report).decode


def encode(exc: BaseException, dumps: Dumps, loads: Loads) -> bytes:
    """The report of an exception as bytes; never raises (ER-1)."""
    try:
        return _pack(_report(exc, _trace(exc), dumps, loads))
    except Exception as failure:  # ER-1
        return _pack(Report(_sendable(type(exc).__name__), f"(not described: {type(failure).__name__})"))


def decode(payload: bytes | memoryview, loads: Loads) -> BaseException:
    """The exception that was reported.

    Raises:
        msgspec.DecodeError: the payload is no report.
    """
    return _raised(_unpack(payload), loads)


def _report(exc: BaseException, trace: str, dumps: Dumps, loads: Loads) -> Report:
    notes = getattr(exc, "__notes__", ())
    return Report(
        _type_path(type(exc)),
        _cut(said_by(exc)),
        tuple(_cut(note) for note in notes if isinstance(note, str)) if isinstance(notes, list | tuple) else (),
        trace,
        tuple(_argument(argument, dumps) for argument in exc.args[:_MOST_ARGUMENTS]),
        _body(exc, dumps, loads),
    )


def _body(exc: BaseException, dumps: Dumps, loads: Loads) -> Whole | Bare | Group | None:
    for form in (_group, _whole, _bare):
        try:
            body = form(exc, dumps, loads)
            if body is not None and len(_pack(body)) <= _MOST_BODY_BYTES:
                return body
        except GOES_THROUGH:
            raise
        except BaseException:  # noqa: S112  # ER-1: this form does not suit it, the next one may
            continue
    return None


def _group(exc: BaseException, dumps: Dumps, loads: Loads) -> Group | None:
    if not isinstance(exc, BaseExceptionGroup) or type(exc) not in (ExceptionGroup, BaseExceptionGroup):
        return None  # a subclass may have an __init__ and a derive() of its own
    members = tuple(_report(member, "", dumps, loads) for member in exc.exceptions)
    return Group(exc.message, members, dumps(_sendable_attributes(exc, dumps)))


def _whole(exc: BaseException, dumps: Dumps, loads: Loads) -> Whole | None:
    pickled = dumps(exc)
    return Whole(pickled) if _is_same(exc, loads(pickled), set(_attributes(exc))) else None


def _bare(exc: BaseException, dumps: Dumps, loads: Loads) -> Bare | None:
    attributes = _sendable_attributes(exc, dumps)
    pickled = dumps((type(exc), exc.args, attributes))
    return Bare(pickled) if _is_same(exc, _assembled(*loads(pickled)), set(attributes)) else None


def _raised(report: Report, loads: Loads) -> BaseException:
    try:
        exc = _rebuilt(report, loads)
    except GOES_THROUGH:
        raise
    except BaseException:  # the class is missing here, or is another one; or that is what it does to be rebuilt
        exc = RemoteError(
            report.type_path,
            report.text,
            tuple(_argument_of(argument, loads) for argument in report.arguments),
            report.notes,
            report.trace,
        )
    if report.trace:
        last = exc
        while last.__cause__ is not None:
            last = last.__cause__
        BaseException.__setattr__(last, "__cause__", RemoteTraceback(report.trace))  # not by its own, if frozen
    return exc


def _rebuilt(report: Report, loads: Loads) -> BaseException:
    match report.body:
        case Whole(pickled):
            exc = loads(pickled)
        case Bare(pickled):
            exc = _assembled(*loads(pickled))
        case Group(message, members, attributes):
            group = BaseExceptionGroup(message, [_raised(member, loads) for member in members])
            vars(group).update(loads(attributes))
            return group
        case None:
            raise LookupError(report.type_path)
    if not isinstance(exc, BaseException) or _type_path(type(exc)) != report.type_path:
        raise TypeError(f"expected {report.type_path}, got {type(exc)}")
    return exc


def _assembled(cls: type[BaseException], args: Sequence[Any], attributes: dict[str, Any]) -> BaseException:
    """Class, arguments and attributes put together without __init__."""
    exc = cls.__new__(cls, *args)
    BaseException.__setattr__(exc, "args", tuple(args))
    for name, value in attributes.items():
        BaseException.__setattr__(exc, name, value)
    return exc


def _is_same(exc: BaseException, again: object, attributes: set[str]) -> bool:
    """ER-2."""
    return (
        isinstance(again, BaseException)
        and type(again) is type(exc)
        and [type(argument) for argument in again.args] == [type(argument) for argument in exc.args]
        and set(_attributes(again)) == attributes
        and _ADDRESS.sub("", said_by(again)) == _ADDRESS.sub("", said_by(exc))
    )


def _attributes(exc: BaseException) -> dict[str, Any]:
    slots = {name: getattr(exc, name) for name in slots_of(type(exc)) if hasattr(exc, name)}
    return {**vars(exc), **slots}


def _sendable_attributes(exc: BaseException, dumps: Dumps) -> dict[str, Any]:
    """Those that can be pickled (ER-4)."""
    return {name: value for name, value in _attributes(exc).items() if _pickled(value, dumps) is not None}


def _argument(value: object, dumps: Dumps) -> Argument:
    pickled = _pickled(value, dumps)
    is_small = pickled is not None and len(pickled) <= _MOST_ARGUMENT_BYTES
    try:
        text = repr(value)
    except Exception as failure:  # it is the user's
        text = f"<{type(value).__qualname__}: repr() raised {type(failure).__name__}>"
    return Argument(_sendable(text[:_MOST_ARGUMENT_BYTES]), pickled if is_small else None)


def _argument_of(argument: Argument, loads: Loads) -> object:
    if argument.pickled is None:
        return argument.text
    try:
        return loads(argument.pickled)
    except GOES_THROUGH:
        raise
    except BaseException:  # its class is missing here; or that is what it does to be rebuilt
        return argument.text


def _pickled(value: object, dumps: Dumps) -> bytes | None:
    try:
        return dumps(value)
    except GOES_THROUGH:
        raise
    except BaseException:  # what cannot be pickled is left out
        return None


def _trace(exc: BaseException) -> str:
    try:
        return _cut("".join(traceback.format_exception(exc)))
    except Exception:  # formatting meets what users wrote: properties, __cause__ chains thousands long
        return _cut(f"{text_of(exc)}\n")


def _type_path(cls: type) -> str:
    return _sendable(f"{cls.__module__}.{cls.__qualname__}")


def _cut(text: str) -> str:
    """The text, or its end, in at most _MOST_TEXT_BYTES bytes."""
    raw = text.encode("utf-8", "backslashreplace")
    return (raw if len(raw) <= _MOST_TEXT_BYTES else raw[-_MOST_TEXT_BYTES:]).decode("utf-8", "ignore")


def _sendable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 does not have."""
    return text.encode("utf-8", "backslashreplace").decode()
