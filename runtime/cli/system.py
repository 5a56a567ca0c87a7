"""What the commands need of running systems, and how one is chosen.

The commands see systems through `Doors`; `runtime.cli.doors` has the real ones.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from actors.certificate import DeathCertificate
from actors.child import Tree
from actors.letter import Letter
from runtime.cli.outcome import ABSENT
from runtime.wire.answer import Change, ChildStatus, Ending, MemoryStatus


class System(Protocol):
    """A system, one's own or one attached to."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def open(self) -> Any:
        """Start it, or attach to it; blocks until it is ready."""
        ...

    def close(self) -> None:
        """End it if it is one's own, else detach."""
        ...

    def stop(self, path: str = "") -> None:
        """Stop a child, or all of it, in reverse order; blocks until that is done."""
        ...

    def restart(self, path: str, *, code: bool = False) -> None:
        """Restart a child, on freshly imported code if asked to; blocks until it is ready."""
        ...

    def reload(self, spec: Tree, *, path: Sequence[str] = ()) -> Sequence[Change]:
        """Turn it into what spec says; blocks until that is done, and says what it took."""
        ...

    def memory(self) -> MemoryStatus:
        """The shared memory of the whole system."""
        ...

    def status(self) -> Sequence[ChildStatus]:
        """Everything in it, depth first."""
        ...

    def why(self, path: str) -> DeathCertificate | None:
        """The last death of an actor, or below a supervisor."""
        ...

    def letters(self, path: str = "") -> Sequence[Letter]:
        """The dead letters of an actor, or below a supervisor, oldest first."""
        ...

    def resend(self, letter: int) -> None:
        """Send a dead letter to its actor again."""
        ...

    def drop(self, letter: int) -> None:
        """Forget a dead letter."""
        ...

    def wait(self, timeout: float | None = None) -> Ending | None:
        """Block until it has ended; None at the timeout, in seconds."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def __getitem__(self, path: str) -> Any:
        """An untyped reference to the actor at path."""
        ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How a reload went: the exit code of `understudy reload`, and what was done, in this order."""

    code: int
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Doors:
    """The ways to systems.

    Attributes:
        supervisor: a new system of that name, tree and path, not yet opened.
        connect: the running system of that name, not yet attached to; closing it leaves it running.
        systems: names of those that run.
        reload: apply a file to the running system of that name, in a process that imports its classes anew.
    """

    supervisor: Callable[[str, Tree, Sequence[str]], System]
    connect: Callable[[str], System]
    systems: Callable[[], Sequence[str]]
    reload: Callable[[Path, str], Reloaded]


@contextlib.contextmanager
def attached(doors: Doors, name: str | None) -> Iterator[System]:
    """The running system of that name; without one, the only one that runs.

    Raises:
        NoSuchSystem: it does not run.
        click.ClickException: none was named, and none or several run.
    """
    system = doors.connect(name if name is not None else _only(doors.systems()))
    system.open()
    try:
        yield system
    finally:
        system.close()


class _NoneRunning(click.ClickException):
    exit_code = ABSENT


def _only(running: Sequence[str]) -> str:
    match list(running):
        case [name]:
            return name
        case []:
            raise _NoneRunning("no system is running")
        case names:
            raise click.UsageError(f"expected the name of one system, got none while several run: {', '.join(names)}")
