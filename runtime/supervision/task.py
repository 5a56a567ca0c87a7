"""Tasks: what a supervisor, or one child of it, is at, and whom that is for. Data only."""

from dataclasses import dataclass
from typing import Literal

from runtime.supervision.event import Reason, Timer
from runtime.supervision.spec import Path

EndKind = Literal["asked", "gave_up", "auto_shutdown", "start_failed", "killed", "orphaned"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A start that somebody asked for and waits for.

    Attributes:
        request: to be answered.
        is_new: the specification is kept only if the start succeeds.
    """

    request: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class Cycle:
    """A request to start a child again.

    Attributes:
        request: to be answered.
        is_importing: its code is being imported, and it is not touched before; else it is being stopped.
    """

    request: int
    is_importing: bool


@dataclass(frozen=True, slots=True)
class StartSequence:
    """Children are started one after another; names[index] is at it."""

    names: tuple[str, ...]
    index: int
    is_restart: bool


@dataclass(frozen=True, slots=True)
class Regroup:
    """What follows when a group has been stopped: start it again, because of trigger, after a delay in seconds."""

    trigger: str
    delay: float


@dataclass(frozen=True, slots=True)
class StopSequence:
    """Children are stopped one after another; names[index] is at it.

    Attributes:
        then: start them again; None: the supervisor ends.
    """

    names: tuple[str, ...]
    index: int
    then: Regroup | None


@dataclass(frozen=True, slots=True)
class Draining:
    """All children are stopped side by side.

    Attributes:
        left: how many have not ended.
        timer: the deadline they share.
        reported: kinds of unexpected ends already told of, once each.
    """

    left: int
    timer: Timer | None
    reported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Single:
    """One child is started or stopped on request, in a supervisor whose children depend on each other."""

    name: str


Task = StartSequence | StopSequence | Draining | Single


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a supervisor ends.

    Attributes:
        kind: what ends it.
        reason: its exit, as its own supervisor sees it.
        cause: the death behind it.
        is_final: it will not be started again: what ends is closed at once.
        culprit: path of the child that could not be started.
    """

    kind: EndKind
    reason: Reason
    cause: Reason | None
    is_final: bool
    culprit: Path = ""
