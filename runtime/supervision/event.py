"""What can happen to a tree: outcomes of launches, deaths, timers, requests. Data only.

A path is dotted; the root supervisor's is "", its children's "a", a nested one's "payments.gateway". A request is an
opaque number, given back with its one Answer. An event about a path or an incarnation that the tree does not know is
ignored, as OTP ignores unknown messages.
"""

from dataclasses import dataclass
from typing import Literal

from runtime.supervision.spec import Path, Spec, SupervisorSpec

TimerKind = Literal["queue", "ready", "shutdown", "drain", "retry", "backoff"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a process ended, or did not start.

    Attributes:
        kind: "normal" and "shutdown" are clean ends; everything else is abnormal: "crash", "killed", "timeout", …
            A process that ends because it was asked to has the kind "shutdown"; one that was recycled "recycled".
        certificate: what is known of the death; never looked at.
        together: a number that several ends of one cause have in common, as when a process ends that hosted several
            actors; 0: of none.
    """

    kind: str
    certificate: object = None
    together: int = 0


@dataclass(frozen=True, slots=True)
class Timer:
    """A point in time that was asked for.

    Attributes:
        kind: "queue" the turn of its start did not come; "ready" its start took too long; "shutdown" its stop did;
            "drain" the stop of a dynamic supervisor's children did; "retry" try a failed start again; "backoff" the
            delay before a restart is over.
        path: of the child, or (drain) the supervisor.
        number: makes it unique; numbers only grow.
    """

    kind: TimerKind
    path: Path
    number: int


@dataclass(frozen=True, slots=True)
class Boot:
    """Start the tree. Answered with Done when all of it runs, or Refused."""

    request: int


@dataclass(frozen=True, slots=True)
class Queued:
    """A launch waits behind others: its time to become ready does not count yet."""

    path: Path
    incarnation: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A launch has got its turn, or its process has just come to exist: its time to become ready counts from now on."""

    path: Path
    incarnation: int


@dataclass(frozen=True, slots=True)
class Started:
    """A launched process is ready."""

    path: Path
    incarnation: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """A launch came to nothing: there is no process, or it is reaped. No Exited follows."""

    path: Path
    incarnation: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Ignored:
    """A launched process said it need not run; it is reaped, and no Exited follows."""

    path: Path
    incarnation: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A process is gone and reaped, asked to or not. Before Started it is a failed start."""

    path: Path
    incarnation: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Due:
    """The time of a timer has come."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Imported:
    """The code of a child was imported anew, or could not be: what came of an `action.Import`.

    Attributes:
        request: as in the action.
        failure: why it could not be; None: it can be started.
    """

    path: Path
    request: int
    failure: Reason | None = None


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a child and start it. Under a dynamic supervisor only the spec's name and payload count.

    Attributes:
        place: of a child that the supervisor's own specification has, where it stands there; None: of any other.
    """

    request: int
    supervisor: Path
    spec: Spec
    place: int | None = None


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """Stop a child.

    Attributes:
        incarnation: what OTP does by pid. None: by name, which a dynamic supervisor refuses. A number: that process of
            a dynamic supervisor's child, where one that is gone is fine; other supervisors know no child by it.
            "present": by name, and of a dynamic supervisor's child its present process.
    """

    request: int
    path: Path
    incarnation: int | Literal["present"] | None = None


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Start a child that is specified and stopped."""

    request: int
    path: Path


@dataclass(frozen=True, slots=True)
class CycleChild:
    """Stop a child, if it runs, and start it again: its mailbox stays. OTP has this as two requests of its caller.

    Attributes:
        code: only once its code has been imported anew, and not at all if it cannot be.
    """

    request: int
    path: Path
    code: bool = False


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Drop the specification of a child that is stopped."""

    request: int
    path: Path


@dataclass(frozen=True, slots=True)
class Amend:
    """Give a supervisor a new specification; no process is touched."""

    request: int
    path: Path
    spec: SupervisorSpec


@dataclass(frozen=True, slots=True)
class StopTree:
    """Stop everything. Answered when all is reaped."""

    request: int


ChildRequest = StartChild | TerminateChild | RestartChild | CycleChild | DeleteChild
Request = ChildRequest | Amend
Event = Boot | Queued | Begun | Started | StartFailed | Ignored | Exited | Due | Imported | Request | StopTree
