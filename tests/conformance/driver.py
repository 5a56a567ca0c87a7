"""What the script protocol needs of a tree that it drives: one operation each, run until nothing more happens."""

from typing import Literal, Protocol

from runtime.supervision.spec import Path, Spec, SupervisorSpec
from runtime.supervision.tree import ChildState, Counts

StartBehaviour = Literal["ok", "fail", "ignore"]
StopBehaviour = Literal["ok", "hang", "crash"]
StartOutcome = Literal["ok", "ignored"]
Record = tuple[str, str]


class Driver(Protocol):
    """A tree and its workers. Operations that are refused raise a SupervisionError.

    A worker is known by its id, the last part of its path: ids are unique in a script's tree.
    """

    def start_tree(self, spec: SupervisorSpec) -> None:
        """Start a tree, whose root is called by its spec's name."""
        ...

    def stop(self) -> None:
        """Ask the root to stop."""
        ...

    def status(self) -> str | None:
        """The word "running", or the reason the root exited with; None if none ever ran."""
        ...

    def behave_start(self, worker: str, behaviour: StartBehaviour, times: int | None) -> None:
        """How the next starts of a worker go: so many times, then ok; None: until told otherwise."""
        ...

    def behave_stop(self, worker: str, behaviour: StopBehaviour) -> None:
        """How a worker takes a polite stop."""
        ...

    def start_child(self, supervisor: Path, spec: Spec) -> StartOutcome:
        """Add a child and start it."""
        ...

    def terminate_child(self, path: Path) -> None:
        """Stop a child."""
        ...

    def restart_child(self, path: Path) -> StartOutcome:
        """Start a stopped child."""
        ...

    def delete_child(self, path: Path) -> None:
        """Drop the specification of a stopped child."""
        ...

    def die(self, path: Path, reason: str) -> None:
        """Let a worker exit by itself."""
        ...

    def which_children(self, supervisor: Path) -> tuple[tuple[str, ChildState], ...]:
        """Names and states, in start order."""
        ...

    def count_children(self, supervisor: Path) -> Counts:
        """How many there are."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def take_trace(self) -> list[Record]:
        """What the workers recorded since the last call, in order."""
        ...
