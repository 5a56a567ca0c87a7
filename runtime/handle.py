"""Handles: the sync face of one supervisor of a running system, over a process's lines. No state of its own.

`Supervisor` and `connect(…)` are handles of the root; `supervisors["payments"]` and `context.supervisor` of others.
Every call blocks for the supervisor's answer: a start until the child is ready, a stop until it is reaped.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

import msgspec

from actors.certificate import DeathCertificate
from actors.child import Child, Options, Tree
from actors.errors import ActorError, BadSpec, BlockingCall, NotFound, NotRunning
from actors.interfaces import machine_for
from actors.layout import Layout
from actors.letter import Letter
from actors.ref import Ref
from actors.region import Writers
from runtime.endpoint import Endpoint
from runtime.eventloop import current_loop
from runtime.memory.region import Region
from runtime.plan import Packer
from runtime.wire import control
from runtime.wire.answer import Change, ChildStatus, MemoryStatus
from runtime.wire.stream import encode
from runtime.workdir import absolute, encoded

A = TypeVar("A")
L = TypeVar("L", bound=Layout)


class Handle:
    """One supervisor of a system, seen from a process attached to that system."""

    def __init__(self, endpoint: Endpoint, path: str = "", starting: str = "") -> None:
        """Address the supervisor at path.

        Args:
            endpoint: of this process.
            path: dotted; "" is the root.
            starting: path of the actor whose start this code is part of, else "".
        """
        self._endpoint = endpoint
        self._path = path
        self._starting = starting

    @overload
    def start(self, spec: Child[A], *, name: str, **options: Unpack[Options]) -> A: ...
    @overload
    def start(self, spec: Tree, *, name: str) -> "Handle": ...
    def start(self, spec: Child[Any] | Tree, *, name: str, **options: Unpack[Options]) -> Any:
        """Start a child, and block until it is ready.

        Args:
            spec: `child(…)`, `tree(…)` or `dynamic(…)`.
            name: unique among its siblings.
            options: as of `Child.options`.
        Returns:
            A reference to the actor, typed as its class; of a nested supervisor its handle.
        Raises:
            StartFailed: with the certificate of the start that failed.
            AlreadyStarted, AlreadyPresent: the name is taken.
            BadSpec: a name or an option that cannot be.
            Unencodable: a constructor argument that cannot be sent.
            StartCycle: called by an actor that is itself being started by this supervisor.
        """
        if isinstance(spec, Child) and options:
            spec = spec.options(**options)
        elif isinstance(spec, Tree) and options:
            raise BadSpec(name, "invalid_options", f"expected them in the tree itself, tree({', '.join(options)}=…)")
        packer = Packer(system=self._endpoint.system)
        try:
            plan = packer.pack(name, spec, self._joined(name))
            path, _ = self._request(
                control.Start(supervisor=self._path, child=plan, starting=self._starting), packer.fds
            )
        finally:
            packer.close()
        if isinstance(spec, Tree):
            return Handle(self._endpoint, path, self._starting)
        return Ref(self._endpoint, path, spec.actor if isinstance(spec.actor, type) else None)

    def start_instance(self, name: str) -> Any:
        """Start an instance of this dynamic supervisor's template, as it stands; returns an untyped reference.

        To give an instance arguments of its own, `start(child(…), name=…)`: of that only name, class and arguments
        count, all options are the template's.

        Raises:
            StartFailed: with the certificate; also when max_children are there.
            AlreadyStarted: the name is taken.
            BadSpec: this supervisor is not dynamic, or that is no name.
        """
        request = control.StartInstance(supervisor=self._path, name=name, starting=self._starting)
        path, _ = self._request(request)
        return Ref(self._endpoint, path)

    def stop(self, path: str = "") -> None:
        """Stop a child, or this whole supervisor: in reverse order, each within its `shutdown`; returns when reaped."""
        self._request(control.Stop(path=self._joined(path), starting=self._starting))

    def restart(self, path: str, *, code: bool = False) -> None:
        """Stop a child and start it again; its queue is kept. Returns when it is ready.

        Args:
            code: import its module anew. No other actor is touched; one that restarts later runs the new code too.
        """
        self._request(control.Restart(path=self._joined(path), starting=self._starting, code=code))

    def reload(self, spec: Tree, *, path: Sequence[str] = ()) -> list[Change]:
        """Turn this supervisor into what spec says, and return what that took, in this order; [] if nothing.

        Children that spec does not have stop, changed ones restart one by one with their queues, new ones start,
        all others are not touched; changed flags apply at once. Children that were started on request stay. What
        could not be started is told of in `Change.error`, and the rest goes on.

        Args:
            spec: of the whole supervisor, as it is to be.
            path: directories for the front of the actors' `sys.path`.
        Raises:
            BadSpec: it is not valid, or would make a running supervisor dynamic; nothing was touched.
            Unencodable: a constructor argument that cannot be sent; nothing was touched.
            NotRunning, NotFound: this supervisor is down, or there is none.
            LayoutMismatch, OutOfMemory: of a region; nothing else was touched. Regions that spec does not have stay.
        """
        self._make_regions(spec)
        front = absolute(path)
        packer = Packer(front, self._endpoint.system)
        try:
            plan = packer.pack_tree(self._path.rpartition(".")[2] or self._endpoint.system, spec, self._path)
            request = control.Reload(path=self._path, tree=plan, front=encoded(front), starting=self._starting)
            value, _ = self._request(request, packer.fds)
        finally:
            packer.close()
        return msgspec.convert(value, list[Change])

    def delete(self, path: str) -> None:
        """Forget the specification of a child that is stopped."""
        self._request(control.Delete(path=self._joined(path)))

    def children(self, path: str = "") -> list[ChildStatus]:
        """The children of this supervisor, or of the one below it at path, in start order."""
        return self._status(path, deep=False)

    def status(self) -> list[ChildStatus]:
        """Everything below this supervisor, depth first."""
        return self._status("", deep=True)

    def count(self) -> Mapping[str, int]:
        """How many children: specs, active, supervisors, workers (OTP's count_children)."""
        value, _ = self._request(control.Count(path=self._path))
        return dict(value)

    def why(self, path: str) -> DeathCertificate | None:
        """The certificate of the last death at path, or below the supervisor there; None: nobody has died.

        Raises:
            NotFound: there is no such child, and none of that name is remembered.
        """
        value, _ = self._request(control.Why(path=self._joined(path)))
        return None if value is None else DeathCertificate.from_dict(value)

    def letters(self, path: str = "") -> list[Letter]:
        """The dead letters of the actor at path, or of all below this supervisor, oldest first."""
        value, _ = self._request(control.ListLetters(path=self._joined(path)))
        return msgspec.convert(value, list[Letter])

    def resend(self, letter: int) -> None:
        """Send a dead letter, by its id, to its actor again: as a tell, since whoever asked has been told.

        Raises:
            NotFound: there is none of that id, or its large payload was not kept.
            ActorStopped, MailboxFull: it stays a dead letter.
        """
        self._request(control.ResendLetter(id=letter))

    def drop(self, letter: int) -> None:
        """Forget a dead letter, by its id."""
        self._request(control.DropLetter(id=letter))

    @overload
    def ref(self, path: str) -> Any: ...
    @overload
    def ref(self, path: str, actor: type[A]) -> A: ...
    def ref(self, path: str, actor: type[Any] | None = None) -> Any:
        """A reference to the actor at path below this supervisor; typed and checked when its class is given."""
        return Ref(self._endpoint, self._joined(path), actor)

    @overload
    def region(self, name: str) -> Region[Any]: ...
    @overload
    def region(self, name: str, layout: type[L], *, writers: Writers | None = None) -> Region[L]: ...
    def region(self, name: str, layout: type[Any] | None = None, *, writers: Writers | None = None) -> Region[Any]:
        """The shared region of that name, of the whole system; with a layout it is made if there is none.

        Args:
            layout: None: only opened, with the fields it was described by when it was made.
            writers: "one": the first process that writes stays the only one until it ends; None: as it is, "many" when
                it is made now.
        Raises:
            NotFound: there is none, and no layout to make it with.
            LayoutMismatch: it was made with another layout; the text shows the difference.
            RegionError: it was made with other writers.
            OutOfMemory: it is larger than what is left; nothing is made.
        """
        self._refuse_in_loop()
        regions = self._endpoint.regions
        return regions.open(name) if layout is None else regions.make(name, layout, writers)

    def empty(self, shape: int | tuple[int, ...], dtype: Any = "u1") -> Any:
        """An array to fill in place and then to send, without any copy; see `actors.context.Context.empty`."""
        self._refuse_in_loop()
        return self._endpoint.empty(shape, dtype)

    def memory(self) -> MemoryStatus:
        """The shared memory of the whole system: its limit, what is in use, and by what."""
        value, _ = self._request(control.Memory())
        return msgspec.convert(value, MemoryStatus)

    def __getitem__(self, path: str) -> Any:
        """An untyped reference to the actor at path."""
        return self.ref(path)

    def __contains__(self, path: object) -> bool:
        """Whether something at that path below this supervisor is specified, running or not."""
        above, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
        try:
            return bool(name) and name in list(self.at(above))
        except (NotFound, NotRunning):
            return False

    def __iter__(self) -> Iterator[str]:
        """Names of its children, in start order."""
        return iter([_name_of(child) for child in self.children()])

    @property
    def supervisors(self) -> "Supervisors":
        """Handles of nested supervisors by path: `supervisors["payments"]`."""
        return Supervisors(self)

    def __repr__(self) -> str:
        return f"<supervisor {self._path!r} in {self._endpoint.system!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as system and path: an actor may be given a supervisor to start children under."""
        return (rebuild, (self._endpoint.system, self._path))

    def at(self, path: str) -> "Handle":
        """The handle of the supervisor at path below this one."""
        return Handle(self._endpoint, self._joined(path), self._starting)

    def _status(self, path: str, *, deep: bool) -> list[ChildStatus]:
        value, _ = self._request(control.Status(path=self._joined(path), deep=deep))
        return msgspec.convert(value, list[ChildStatus])

    def _make_regions(self, spec: Tree) -> None:
        """Make those that are not there."""
        if not isinstance(spec, Tree):
            raise BadSpec(self._path or self._endpoint.system, "missing_start", f"expected tree(…), got {spec!r}")
        if self._path and spec.regions:
            raise BadSpec(self._path, "invalid_regions", "expected regions at the root supervisor only")
        for name, region in spec.regions.items():
            self.region(name, region.layout, writers=region.writers).close()

    def _refuse_in_loop(self) -> None:
        if current_loop() is not None:
            raise BlockingCall("this call would block the running event loop; use `async with` and await it")

    def _request(self, message: Any, fds: list[int] | None = None) -> tuple[Any, list[int]]:
        self._refuse_in_loop()
        try:
            control.decode_request(encode(message))
        except (msgspec.ValidationError, OverflowError, UnicodeError) as exc:  # sent, it would cost us the line (DE-2)
            raise TypeError(f"{type(message).__name__}: {exc}") from exc
        return self._endpoint.lines.request(message, fds)

    def _joined(self, path: str) -> str:
        return f"{self._path}.{path}" if self._path and path else self._path or path


def rebuild(system: str, path: str) -> Handle:
    """The handle that arrived in a message or as a constructor argument, bound to the current machine."""
    machine = machine_for(system)
    endpoint = getattr(machine, "endpoint", machine)
    if not isinstance(endpoint, Endpoint):
        raise ActorError(f"supervisor {path!r}: expected a process of system {system!r}, got {machine!r}")
    return Handle(endpoint, path)


class Supervisors:
    """Nested supervisors by path."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __getitem__(self, path: str) -> Handle:
        return self._handle.at(path)

    def __contains__(self, path: object) -> bool:
        """Whether there is a supervisor at that path."""
        above, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
        try:
            return bool(name) and name in list(self._handle.at(above).supervisors)
        except (NotFound, NotRunning):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """Names of those directly below, in start order."""
        return [_name_of(child) for child in self._handle.children() if child.kind == "supervisor"]


def _name_of(child: ChildStatus) -> str:
    return child.path.rpartition(".")[2]
