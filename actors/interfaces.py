"""The one thing `actors` needs from a machine, and the ContextVar that holds the current one.

`actors` has no file descriptor, no process and no queue of its own. Whatever a reference or a context does is done by
a `Machine`: in a client process `runtime.client` sets it, in an actor process `runtime.host`, in tests the `Stage`.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

from actors.errors import ActorError
from actors.layout import Layout
from actors.message import BoundMessage, MessageEntry
from actors.region import Region


class Machine(Protocol):
    """What carries messages for the references of one process, to the actors of one system."""

    @property
    def system(self) -> str:
        """Name of the system it belongs to."""
        ...

    @property
    def refs(self) -> dict[bytes, Any]:
        """The references that arrived here, by what they travel as."""
        ...

    def now_ns(self) -> int:
        """Monotonic time in ns; virtual on a `Stage`."""
        ...

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """The message `name` of the actor at `path`; entry is its row in the class, None to look it up.

        Raises:
            NoSuchMessage: the running actor publishes no such message (entry is None).
            NotFound: nothing is known at that path (entry is None).
        """
        ...

    def region(self, name: str, layout: type[Layout] | None = None) -> Region[Any]:
        """The region of that name, opened for this process; layout None: as it was described when it was made.

        Raises:
            NotFound: there is none.
            LayoutMismatch: it was made with another layout.
        """
        ...


class Backstage(Machine, Protocol):
    """The machine of an actor's own process: what its context needs beside messages."""

    @property
    def log(self) -> Any:
        """A structlog BoundLogger with the actor's name and incarnation."""
        ...

    @property
    def supervisor(self) -> Any:
        """A handle of the supervisor this actor lives under."""
        ...

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> Any:
        """An array to fill in place and send; see `actors.context.Context.empty`."""
        ...

    def watch(self, path: str) -> None:
        """Have `on_down` called when the actor at path dies or stops; at once when there is none."""
        ...

    def unwatch(self, path: str) -> None:
        """Undo `watch`; nothing when there was none."""
        ...

    def watch_letters(self) -> None:
        """Have `on_letter` called for every dead letter of another actor."""
        ...

    def unwatch_letters(self) -> None:
        """Undo `watch_letters`; nothing when there was none."""
        ...


_machine: ContextVar[Machine] = ContextVar("understudy_machine")
_fallback: list[Machine] = []  # the process's own machine, for threads that inherit no context


def current_machine() -> Machine:
    """The machine that references decoded or built here bind to.

    Raises:
        ActorError: this process is attached to no system.
    """
    machine = _machine.get(None)
    if machine is not None:
        return machine
    if _fallback:
        return _fallback[-1]
    raise ActorError("no system here: use a reference inside `with Supervisor()`, `connect(…)` or an actor")


def machine_for(system: str) -> Machine:
    """The machine of that system, if there is one here, the context's own first; else as `current_machine`."""
    own = _machine.get(None)
    if own is not None and own.system == system:
        return own
    for machine in reversed(_fallback):
        if machine.system == system:
            return machine
    return current_machine()


def attach(machine: Machine) -> None:
    """Make a machine this process's own, until `detach`."""
    _fallback.append(machine)


def detach(machine: Machine) -> None:
    """Undo `attach`."""
    with contextlib.suppress(ValueError):  # a second close is no error
        _fallback.remove(machine)


@contextlib.contextmanager
def using(machine: Machine) -> Iterator[None]:
    """Let a machine be the current one in this context."""
    token = _machine.set(machine)
    try:
        yield
    finally:
        _machine.reset(token)
