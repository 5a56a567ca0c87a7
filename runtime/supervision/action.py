"""What the decisions ask for, to be performed in the order given. Data only.

AC-1  Every Launch is answered by one of Started, StartFailed, Ignored, Exited; a Started by one Exited later on.
AC-2  Every request gets exactly one Answer.
AC-3  A path is launched only after the Exited (or StartFailed, Ignored) of its previous incarnation.
AC-4  Close comes once for what a Launch opened, with no process left; Forget comes after Close. Until then the mailbox
      and all that is committed stay: a start that failed on request closes nothing.
AC-5  Every Import is answered by one Imported.
"""

from dataclasses import dataclass
from typing import Literal

from actors.child import RestartType
from actors.errors import SupervisionError
from runtime.supervision.event import Reason, Timer
from runtime.supervision.spec import Path, Spec, WorkerSpec

ReportKind = Literal[
    "child_started",
    "child_terminated",
    "start_error",
    "restart",
    "shutdown_error",
    "max_restarts",
    "supervisor_started",
    "supervisor_terminated",
    "auto_shutdown",
]


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a process; its mailbox is opened if it is not open."""

    path: Path
    incarnation: int
    spec: WorkerSpec


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Ask a process to stop, politely; it may still be starting.

    Attributes:
        is_final: it stops for good: no other incarnation will handle what is queued.
    """

    path: Path
    incarnation: int
    reason: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill a process: a deadline has passed, or it wants no other end.

    Attributes:
        is_late: its start took too long.
    """

    path: Path
    incarnation: int
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """Import the code of a worker, or of all workers below a supervisor, anew; what runs is not touched.

    Attributes:
        request: the request it is for.
    """

    path: Path
    request: int
    spec: Spec


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send Due(timer) at a point in time. It may be now: that leaves room for other events before a retry."""

    timer: Timer
    at: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """A timer is not needed any more; a Due that is already on its way does no harm."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Close:
    """A worker has stopped for good: its mailbox ends, and what was committed. Never a supervisor's path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Forget:
    """A worker's specification is gone. Never a supervisor's path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Done:
    """The request was granted.

    Attributes:
        incarnation: of what was started; 0 where nothing was.
    """

    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class IgnoredStart:
    """The child's start said that it need not run."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request was refused.

    Attributes:
        error: to be raised where the request came from.
    """

    error: SupervisionError


Result = Done | IgnoredStart | Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    request: int
    result: Result


@dataclass(frozen=True, slots=True)
class Report:
    """Something worth telling.

    Attributes:
        kind: what happened.
        supervisor: path of the supervisor it happened to.
        child: name of the child concerned; "" for the supervisor itself.
        restart_type: of the child, or of the supervisor itself.
        reason: of the death or the failed start.
        incarnation: of the child; 0 for the supervisor itself.
    """

    kind: ReportKind
    supervisor: Path
    child: str
    restart_type: RestartType
    reason: Reason | None
    incarnation: int


@dataclass(frozen=True, slots=True)
class Halt:
    """The root is down and everything is reaped.

    Attributes:
        reason: its exit, "shutdown"; of a tree whose specification is bad, that.
        gave_up: it was restarting too often.
        cause: the last death that used up the window; of a tree that could not be started, why.
    """

    reason: Reason
    gave_up: bool
    cause: Reason | None


Action = Launch | AskToStop | Kill | Import | SetTimer | CancelTimer | Close | Forget | Answer | Report | Halt
