"""Crash points: an actor that kills itself at a chosen place in our code, to show that nothing queued is lost by it.

UNDERSTUDY_CRASH_AT in an actor's environment is `point`, `point:n` or `point:n:incarnation`: SIGKILL to itself when the
point is reached for the n-th time (default: the first) in that incarnation (default: 1).

    init            the journal has been recovered, the constructor has not run
    before-ready    on_start has returned
    after-read      the mailbox has been read to the journal
    mid-zeroing     the first length of the last extent is zeroed, the rest of it is not (JO-1)
    after-take      a frame's state is stored, its payload is not touched yet (JO-2)
    mid-decode      its payload has been decoded, its handler has not begun
    before-answer   its handler has returned
    after-answer    its answer is written, the frame is not done yet
    stopping        an ordered stop has been seen
    slab-sent       the slab of a large message or answer is marked as sent, its frame is not written
    slab-written    its frame is written, the slab does not say so yet
    instruction     the n-th byte code of inbox, journal, aside and replies while the journal holds something

CR-1  Without the variable nothing is wrapped: it costs one look at the environment at each start.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from runtime.mailbox import aside as aside_module
from runtime.mailbox import asyncinbox as asyncinbox_module
from runtime.mailbox import commits as commits_module
from runtime.mailbox import inbox as inbox_module
from runtime.mailbox import journal as journal_module
from runtime.mailbox import replies as replies_module
from runtime.mailbox.inbox import Inbox
from runtime.mailbox.journal import Journal
from runtime.mailbox.lane import Lane
from runtime.wire.codec import unpack_plain

VARIABLE = "UNDERSTUDY_CRASH_AT"
POINTS = frozenset(
    {
        "init",
        "before-ready",
        "after-read",
        "mid-zeroing",
        "after-take",
        "mid-decode",
        "before-answer",
        "after-answer",
        "stopping",
        "slab-sent",
        "slab-written",
        "instruction",
    }
)

_TRACED_MODULES = (inbox_module, asyncinbox_module, commits_module, aside_module, journal_module, replies_module)
_TRACED = frozenset(module.__file__ for module in _TRACED_MODULES)


def arm(inbox: Inbox, host: Any, incarnation: int) -> None:
    """Set up the crash that the environment asks for, if it does (CR-1).

    Args:
        inbox: of the actor, just made.
        host: whose `tell_ready` says that it is ready, and whose endpoint has its slabs.
        incarnation: of the actor.
    Raises:
        ValueError: the variable names no crash point.
    """
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    point, times, incarnations = (*wanted.split(":"), "1", "1")[:3]
    if point not in POINTS:
        raise ValueError(f"{VARIABLE}: expected one of {', '.join(sorted(POINTS))}, got {point!r}")
    if int(incarnations) != incarnation:
        return
    _wrap(inbox, host, _Fuse(point, int(times)))


class _Fuse:
    """Counts how often its point is reached, and kills the process at the last."""

    __slots__ = ("_left", "_point")

    def __init__(self, point: str, times: int) -> None:
        self._point = point
        self._left = times

    def is_for(self, point: str) -> bool:
        """It is that point that is counted."""
        return self._point == point

    def reached(self, point: str) -> None:
        """We are at that point."""
        if self._point == point:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


class _Answering:
    """Stands before an inbox's replies: a point behind each answer."""

    def __init__(self, replies: Any, fuse: _Fuse) -> None:
        self._replies = replies
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._replies, name)
        return _after("after-answer", found, self._fuse, always=True) if name == "send" else found


def _wrap(inbox: Inbox, host: Any, fuse: _Fuse) -> None:
    """All points in one place: methods of these two objects, and the two ways a payload is decoded."""
    fuse.reached("init")
    own = vars(inbox)
    arena, replies = host.endpoint.arena, own["_replies"]
    vars(arena)["sending"] = _after("slab-sent", arena.sending, fuse, always=True)
    vars(arena)["written"] = replies._written = _before("slab-written", arena.written, fuse)  # noqa: SLF001
    own["_replies"] = _Answering(replies, fuse)
    own["done"] = _before("before-answer", inbox.done, fuse)
    own["_refill"] = _after("after-read", inbox.__getattribute__("_refill"), fuse)
    own["stop_wanted"] = _after("stopping", inbox.stop_wanted, fuse)
    own["_decode"] = _around(inbox.__getattribute__("_decode"), fuse)
    vars(host)["tell_ready"] = _before("before-ready", host.__getattribute__("tell_ready"), fuse)
    inbox_module.__dict__["unpack_plain"] = _around(unpack_plain, fuse)
    if fuse.is_for("mid-zeroing"):
        sys.settrace(_zeroing(fuse))
    if fuse.is_for("instruction"):
        sys.settrace(_instructions(fuse, own["_main"]))


def _before(point: str, call: Callable[..., Any], fuse: _Fuse) -> Callable[..., Any]:
    def crashing(*args: Any, **kwargs: Any) -> Any:
        fuse.reached(point)
        return call(*args, **kwargs)

    return crashing


def _after(point: str, call: Callable[..., Any], fuse: _Fuse, *, always: bool = False) -> Callable[..., Any]:
    """A point behind a call, or only behind one that came to something."""

    def crashing(*args: Any, **kwargs: Any) -> Any:
        value = call(*args, **kwargs)
        if value or always:
            fuse.reached(point)
        return value

    return crashing


def _around(call: Callable[..., Any], fuse: _Fuse) -> Callable[..., Any]:
    return _before("after-take", _after("mid-decode", call, fuse), fuse)


def _zeroing(fuse: _Fuse) -> Callable[[FrameType, str, Any], Any]:
    """A trace that knows when `Journal.fill` has zeroed the first length of an extent, and nothing else yet."""
    fill: CodeType = Journal.fill.__code__

    def line(frame: FrameType, event: str, _arg: object) -> Any:
        area = frame.f_locals.get("area")
        if event == "line" and area is not None and not any(area[:4]) and any(area[4:8]):
            fuse.reached("mid-zeroing")
        return line

    def call(frame: FrameType, _event: str, _arg: object) -> Any:
        return line if frame.f_code is fill else None

    return call


def _instructions(fuse: _Fuse, lane: Lane) -> Callable[[FrameType, str, Any], Any]:
    def instruction(_frame: FrameType, event: str, _arg: object) -> Any:
        if event == "opcode" and lane.extent:
            fuse.reached("instruction")
        return instruction

    def call(frame: FrameType, _event: str, _arg: object) -> Any:
        if frame.f_code.co_filename not in _TRACED:
            return None
        frame.f_trace_opcodes = True
        return instruction

    return call
