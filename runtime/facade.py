"""The async face: the same client, awaited. Every call runs in a thread: no event loop waits for the supervisor."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

from actors.certificate import DeathCertificate
from actors.child import Child, Options, Tree
from actors.layout import Layout
from actors.letter import Letter
from actors.region import Writers
from runtime.handle import Handle
from runtime.memory.region import Region
from runtime.wire.answer import Change, ChildStatus, MemoryStatus

A = TypeVar("A")
L = TypeVar("L", bound=Layout)


class AsyncHandle:
    """One supervisor of a system, for code that runs in an event loop. See `Handle` for what each call does."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @overload
    async def start(self, spec: Child[A], *, name: str, **options: Unpack[Options]) -> A: ...
    @overload
    async def start(self, spec: Tree, *, name: str) -> "AsyncHandle": ...
    async def start(self, spec: Any, *, name: str, **options: Unpack[Options]) -> Any:
        """Start a child, and return when it is ready."""
        started = await asyncio.to_thread(lambda: self._handle.start(spec, name=name, **options))
        return AsyncHandle(started) if isinstance(started, Handle) else started

    async def start_instance(self, name: str) -> Any:
        """Start an instance of a dynamic supervisor's template."""
        return await asyncio.to_thread(self._handle.start_instance, name)

    async def stop(self, path: str = "") -> None:
        """Stop a child, or the whole supervisor."""
        await asyncio.to_thread(self._handle.stop, path)

    async def restart(self, path: str, *, code: bool = False) -> None:
        """Stop a child and start it again; its queue is kept; with `code`, on freshly imported code."""
        await asyncio.to_thread(self._handle.restart, path, code=code)

    async def reload(self, spec: Tree, *, path: Sequence[str] = ()) -> list[Change]:
        """Turn the supervisor into what spec says; see `Handle.reload`."""
        return await asyncio.to_thread(self._handle.reload, spec, path=path)

    async def delete(self, path: str) -> None:
        """Forget the specification of a stopped child."""
        await asyncio.to_thread(self._handle.delete, path)

    async def children(self, path: str = "") -> list[ChildStatus]:
        """The children, in start order."""
        return await asyncio.to_thread(self._handle.children, path)

    async def status(self) -> list[ChildStatus]:
        """Everything below, depth first."""
        return await asyncio.to_thread(self._handle.status)

    async def count(self) -> Mapping[str, int]:
        """How many children: specs, active, supervisors, workers."""
        return await asyncio.to_thread(self._handle.count)

    async def why(self, path: str) -> DeathCertificate | None:
        """The certificate of the last death there."""
        return await asyncio.to_thread(self._handle.why, path)

    async def letters(self, path: str = "") -> list[Letter]:
        """The dead letters, oldest first."""
        return await asyncio.to_thread(self._handle.letters, path)

    async def resend(self, letter: int) -> None:
        """Send a dead letter to its actor again."""
        await asyncio.to_thread(self._handle.resend, letter)

    async def drop(self, letter: int) -> None:
        """Forget a dead letter."""
        await asyncio.to_thread(self._handle.drop, letter)

    @overload
    def ref(self, path: str) -> Any: ...
    @overload
    def ref(self, path: str, actor: type[A]) -> A: ...
    def ref(self, path: str, actor: type[Any] | None = None) -> Any:
        """A reference to the actor at path; typed and checked when its class is given."""
        return self._handle.ref(path) if actor is None else self._handle.ref(path, actor)

    @overload
    async def region(self, name: str) -> Region[Any]: ...
    @overload
    async def region(self, name: str, layout: type[L], *, writers: Writers | None = None) -> Region[L]: ...
    async def region(
        self, name: str, layout: type[Any] | None = None, *, writers: Writers | None = None
    ) -> Region[Any]:
        """The shared region of that name; with a layout it is made if there is none. See `Handle.region`."""
        if layout is None:
            return await asyncio.to_thread(self._handle.region, name)
        return await asyncio.to_thread(self._handle.region, name, layout, writers=writers)

    async def empty(self, shape: int | tuple[int, ...], dtype: Any = "u1") -> Any:
        """An array to fill in place and then to send, without any copy; see `actors.context.Context.empty`."""
        return await asyncio.to_thread(self._handle.empty, shape, dtype)

    async def memory(self) -> MemoryStatus:
        """The shared memory of the whole system."""
        return await asyncio.to_thread(self._handle.memory)

    def __getitem__(self, path: str) -> Any:
        """An untyped reference to the actor at path."""
        return self._handle[path]

    __contains__ = __iter__ = None  # they would have to wait for the supervisor: `await children()`

    def at(self, path: str) -> "AsyncHandle":
        """The async handle of the supervisor at path."""
        return AsyncHandle(self._handle.at(path))


class OwnSupervisor(Handle):
    """What `context.supervisor` is: the supervisor an actor lives under."""

    @property
    def aio(self) -> AsyncHandle:
        """The same supervisor, awaited: for `async def` handlers."""
        return AsyncHandle(self)


class AsyncSupervisor(AsyncHandle):
    """What `async with Supervisor() as supervisor` gives."""
