"""Payloads: arguments, replies, exceptions and constructor calls as bytes. The one place that unpickles.

    PLAIN     msgpack: what is flat and of the commonest types (int of 64 bits, str, bytes, float, bool, None,
              references to actors)
    PICKLED   pickle protocol 5, by name or by value (codec_pickler); exceptions are data around one (codec_error)
    BUFFERED  a pickle and, apart from it, the large buffers it refers to (runtime.wire.parts)

The kind is one flag of the frame. Pickles are exchanged between processes of one uid only (the FIFOs are 0600 in a
directory that is 0700); what comes from a socket never gets here.

Only flat values are plain: msgpack turns a tuple into a list and a bytearray into bytes, and the walk through a
container that would find out takes longer than the C pickler takes for the whole.

CO-1  What arrives is equal to what was sent and of the same exact type, or the sender gets `Unencodable`. A view
      (memoryview) arrives as a read-only one; what goes by value is a copy, as cloudpickle makes it.
CO-2  An instance that comes back has the class it had; one definition makes one class per process (DF-2).
CO-3  Every method may be called by several threads at once, and from code that runs inside another of its calls, as
      an object's `__reduce__` does: a pickler belongs to one call for as long as that takes.
CO-4  An error in here is `Unencodable` or `Undecodable`; `encode_error` has none. What is no `Exception` goes through
      encoding, where it is the caller's own. Decoding, it is `Undecodable` too, a SystemExit for one: what a payload
      raises ends neither who reads it nor an event loop. Only KeyboardInterrupt goes through, and `Late`.
"""

import pickle
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from actors.errors import Undecodable, Unencodable
from actors.ref import Ref
from runtime.wire import codec_culprit, codec_error
from runtime.wire.codec_arrival import definition, enter
from runtime.wire.codec_pickler import NUMBERED, NamePickler, Names, ValuePickler, is_importable
from runtime.wire.codec_reference import from_extension, to_extension
from runtime.wire.codec_unpickler import READ_ONLY_BUFFER, NumberedUnpickler, WritingUnpickler
from runtime.wire.definitions import Catalogue, Definitions, StoreFailed
from runtime.wire.late import GOES_THROUGH
from runtime.wire.parts import Buffer, Parts, Payload, split, whole

PLAIN = 0
PICKLED = 1
BUFFERED = 2

_PLAIN_TYPES = frozenset({int, str, bytes, float, bool, type(None), Ref})
_MOST_KEPT_BYTES = 64 * 1024  # a pickler that made more than that is not kept: its memo has grown with it

# msgspec and not msgpack: half the time, and an encoder keeps no buffer that a second thread could get into (CO-3).
_pack = msgspec.msgpack.Encoder(enc_hook=to_extension).encode
unpack_value = msgspec.msgpack.Decoder(ext_hook=from_extension).decode  # a plain value
# a plain call: chain or nothing, name, arguments
unpack_plain = msgspec.msgpack.Decoder(list[Any], ext_hook=from_extension).decode


class Codec:
    """Encodes and decodes payloads for one process.

    Args:
        definitions: the system's store of definitions; None: what goes by value is whole in every payload.
        importable: can the other processes import the module of this name? Asked once per module.
    """

    __slots__ = ("_catalogue", "_names", "_picklers")

    def __init__(
        self, definitions: Definitions | None = None, importable: Callable[[str], bool] = is_importable
    ) -> None:
        self._catalogue = Catalogue(definitions) if definitions is not None else None
        self._names = Names(importable)
        self._picklers: list[NamePickler] = []  # those not in use; pop and append are atomic (CO-3)

    def encode_call(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], chain: tuple[str, ...]
    ) -> tuple[int, Payload]:
        """Encode a message.

        Args:
            chain: paths of the actors that wait for this ask, the first asker first.
        Returns:
            Kind and payload.
        Raises:
            Unencodable: where and what: `add() argument 2["key"][0]`; arguments count from 1.
        """
        if not kwargs:
            for argument in args:
                if type(argument) not in _PLAIN_TYPES:
                    break
            else:
                try:
                    return PLAIN, _pack((chain or None, name, args))
                except (OverflowError, ValueError):  # an int beyond 64 bits, a lone surrogate: pickle has them
                    pass
        try:
            return self._dumps_apart((name, args, kwargs, chain), name)
        except Exception as exc:  # whatever a user's __reduce__ or __getstate__ raises, here and below
            raise self._refused(exc, f"{name}()", _arguments(name, args, kwargs)) from exc

    def decode_call(
        self, kind: int, payload: Payload, copied: Container[str] = ()
    ) -> tuple[str, Sequence[Any], dict[str, Any], Sequence[str]]:
        """Decode a message: name, args, kwargs, chain.

        Args:
            copied: names of the messages whose large arguments are to be private, writable copies.
        Raises:
            Undecodable: with the error that it was as its cause.
        """
        try:
            if kind == PLAIN:
                chain, name, args = unpack_plain(whole(payload))
                return name, args, {}, chain or ()
            name, args, kwargs, chain = self._loads_any(kind, payload, copied)
            return name, args, kwargs, chain
        except GOES_THROUGH:
            raise
        except BaseException as exc:  # whatever it raises is this payload's (CO-4)
            raise _undecodable("message", exc) from exc

    def encode_value(self, value: object, where: str) -> tuple[int, Payload]:
        """Encode one value, such as a reply.

        Args:
            where: what it is, for the error: `reply of add()`.
        Returns:
            Kind and payload.
        Raises:
            Unencodable: where and what: `reply of add()["key"][0]`.
        """
        if type(value) in _PLAIN_TYPES:
            try:
                return PLAIN, _pack(value)
            except (OverflowError, ValueError):  # as in encode_call
                pass
        try:
            return self._dumps_apart(value)
        except Exception as exc:
            raise self._refused(exc, where, [(where, value)]) from exc

    def decode_value(self, kind: int, payload: Payload) -> Any:
        """Decode one value.

        Raises:
            Undecodable: with the error that it was as its cause.
        """
        try:
            return unpack_value(whole(payload)) if kind == PLAIN else self._loads_any(kind, payload)
        except GOES_THROUGH:
            raise
        except BaseException as exc:  # whatever it raises is this payload's (CO-4)
            raise _undecodable("value", exc) from exc

    def encode_error(self, exc: BaseException) -> bytes:
        """Encode an exception as data: itself, if it can be rebuilt, and what there is to say of it in any case."""
        return codec_error.encode(exc, self._dumps, self._loads)

    def decode_error(self, payload: Payload) -> BaseException:
        """The exception, with the traceback it had as its cause; a `RemoteError` if it cannot be rebuilt here.

        Raises:
            Undecodable: the payload is no exception.
        """
        try:
            return codec_error.decode(whole(payload), self._loads)
        except GOES_THROUGH:
            raise
        except BaseException as exc:  # whatever it raises is this payload's (CO-4)
            raise _undecodable("failure", exc) from exc

    def encode_constructor(self, actor: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Encode how an actor is made: its class, by name or by value, and its arguments.

        Raises:
            Unencodable: where and what: `Counter() argument 1`.
        """
        try:
            return self._dumps((actor, args, kwargs))
        except Exception as exc:
            name = actor.__qualname__
            raise self._refused(exc, name, [(name, actor), *_arguments(name, args, kwargs)]) from exc

    def decode_constructor(self, payload: Payload) -> tuple[type, tuple[Any, ...], dict[str, Any]]:
        """Decode how an actor is made: class, args, kwargs.

        Raises:
            Undecodable: with the error that it was as its cause.
        """
        try:
            actor, args, kwargs = self._loads(whole(payload))
            enter(actor)  # after what its arguments brought along
        except Exception as exc:
            raise _undecodable("constructor call", exc) from exc
        return actor, args, kwargs

    def _dumps_apart(self, value: object, name: str = "") -> tuple[int, Payload]:
        apart: list[memoryview] = []
        pickled = self._dumps(value, apart)
        return (BUFFERED, Parts(pickled, apart, name)) if apart else (PICKLED, pickled)

    def _loads_any(self, kind: int, payload: Payload, copied: Container[str] = ()) -> Any:
        if kind == PICKLED:
            return self._loads(whole(payload))
        pickled, buffers = split(payload, copied)
        if isinstance(buffers[0], bytearray) and READ_ONLY_BUFFER in bytes(pickled):
            return WritingUnpickler(pickled, self._class_of, buffers).load()
        return self._loads(pickled, buffers)

    def _dumps(self, value: object, apart: list[memoryview] | None = None) -> bytes:
        try:
            pickler = self._picklers.pop()
        except IndexError:
            pickler = NamePickler(self._names, self._catalogue)
        try:
            pickled = pickler.dumps(value, apart)
        except Exception:  # GoesByValue, a local class; what cannot be pickled at all fails again, and that counts
            if apart:
                apart.clear()
            return ValuePickler(self._names, self._catalogue).dumps(value, apart)
        if len(pickled) < _MOST_KEPT_BYTES:
            self._picklers.append(pickler)
        return pickled

    def _loads(self, payload: Buffer, buffers: Sequence[memoryview | bytearray] = ()) -> Any:
        if payload[0] == NUMBERED[0]:
            return NumberedUnpickler(payload, self._class_of, buffers).load()
        return pickle.loads(payload, buffers=buffers)

    def _class_of(self, number: int) -> type:
        if self._catalogue is None:
            return definition(number)
        return self._catalogue.class_of(number, pickle.loads)

    def _refused(self, failure: Exception, where: str, parts: Iterable[tuple[str, object]]) -> Exception:
        """What to raise for a value that could not be pickled."""
        if isinstance(failure, StoreFailed):
            return failure.error
        for path, part in parts:
            alone = self._attempt(part)
            if alone is not None:
                return Unencodable(*codec_culprit.find(path, part, alone, self._attempt))
        return Unencodable(where, codec_culprit.text_of(failure))  # each passed: changed meanwhile, or just too deep

    def _attempt(self, part: object) -> Exception | None:
        try:
            self._dumps(part)
        except Exception as exc:  # it is looked for
            return exc
        return None


def _arguments(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for index, argument in enumerate(args, start=1):
        yield f"{name}() argument {index}", argument
    for key, argument in kwargs.items():
        yield f"{name}() argument {key}=", argument


def _undecodable(what: str, exc: BaseException) -> Undecodable:
    return Undecodable(f"a {what} that arrived cannot be rebuilt here: {codec_culprit.text_of(exc)}")
