"""References in payloads: the place, and what is known of its class, as a short text that msgpack and pickle carry.

    system NUL path NUL class      "module:Class"; "#key" of a class that goes by value; "" when it is not known

Passing the address for an answer is the commonest idiom there is, so a reference travels as plain data: no pickler is
started for it, and the one that arrives is the one that arrived before, its messages bound.

RW-1  A class is named, never sent, and never imported here: who does not have it has a reference that looks its
      messages up, as any without a class. The name goes on with it, to those who have it.
"""

import sys
from typing import Any

from cloudpickle import cloudpickle as machinery
from msgspec.msgpack import Ext

from actors.actor import Actor
from actors.ref import Ref, received, sent
from runtime.wire.codec_arrival import NAMELESS

CODE = 1  # of the msgpack extension


def encoded(ref: Ref) -> bytes:
    """What a reference travels as."""
    return sent(ref, _named)


def decoded(wire: bytes) -> Ref:
    """The reference that arrived, bound to the machine here.

    Raises:
        ValueError: it is none.
        ActorError: this process is attached to no system.
    """
    return received(wire, _class_of)


def to_extension(value: object) -> Ext:
    """Called while packing for what is not of msgpack's own types.

    Raises:
        NotImplementedError: it is no reference.
    """
    if type(value) is Ref:
        return Ext(CODE, sent(value, _named))
    raise NotImplementedError(type(value).__qualname__)


def from_extension(code: int, wire: memoryview) -> Ref:
    """Called while unpacking for what is not of msgpack's own types.

    Raises:
        ValueError: it is no reference.
    """
    if code != CODE:
        raise ValueError(f"expected extension {CODE}, got {code}")
    return received(bytes(wire), _class_of)


def _named(actor: type[Any]) -> str:
    """What others may know a class by."""
    if actor.__module__ not in NAMELESS and _attribute(actor.__module__, actor.__qualname__) is actor:
        return f"{actor.__module__}:{actor.__qualname__}"
    return f"#{machinery._get_or_create_tracker_id(actor)}"  # noqa: SLF001  # the key its definition travels with, too


def _class_of(name: str) -> type[Any] | None:
    """The class of that name, if it is here (RW-1)."""
    if name.startswith("#"):
        found = machinery._DYNAMIC_CLASS_TRACKER_BY_ID.get(name[1:])  # noqa: SLF001
    else:
        found = _attribute(*name.partition(":")[::2])
    return found if isinstance(found, type) and issubclass(found, Actor) else None


def _attribute(module: str, qualified_name: str) -> object:
    found: object = sys.modules.get(module)
    for name in qualified_name.split("."):
        found = getattr(found, name, None)
    return found
