"""What the transliteration of supervisor.erl keeps: processes, child records, a supervisor's state and mailbox."""

from collections import deque
from dataclasses import dataclass, field

from runtime.supervision.spec import Spec, SupervisorSpec, WorkerSpec


class KilledError(Exception):
    """A supervisor did not stop in time."""


class FailedError(Exception):
    """A start failed; the first argument is the direct child."""


@dataclass(eq=False)
class Process:
    """A worker's process."""

    spec: WorkerSpec
    supervisor: "Supervisor"
    is_alive: bool = True


@dataclass
class ChildRecord:
    """OTP's #child: pid is a process, a supervisor, "restarting", or None for undefined."""

    spec: Spec
    pid: "Process | Supervisor | str | None" = None


@dataclass(eq=False)
class Supervisor:
    """OTP's #state, and its mailbox."""

    spec: SupervisorSpec
    parent: "Supervisor | None"
    children: dict[str, ChildRecord] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    mailbox: deque[tuple[str, str, object, str]] = field(default_factory=deque)
    is_alive: bool = True

    @property
    def is_simple(self) -> bool:
        return self.spec.strategy == "dynamic"
