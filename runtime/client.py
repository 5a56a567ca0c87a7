"""Clients: how a program starts a system of its own, or attaches to one that runs.

`Supervisor()` starts warden, supervisor and zygote, and ends them when it is closed; `connect(name)` only attaches.
Both are context managers, and have `open()` and `close()` for notebooks, where a `with` cannot span cells. In an
event loop: `async with Supervisor() as supervisor`, a face of awaits over the same client.
"""

import asyncio
import contextlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec

from actors import errors
from actors.child import MOST_COUNT, AutoShutdown, Backoff, Child, Strategy, Tree
from actors.errors import ActorError, BootFailed, NoSuchSystem, NotRunning, SystemGone
from actors.interfaces import attach, detach
from actors.region import RegionSpec
from runtime import directory
from runtime.endpoint import LOOP_FIFO_BYTES, Endpoint
from runtime.facade import AsyncSupervisor
from runtime.handle import Handle
from runtime.mailbox.patience import Board, pollers
from runtime.owned import OwnedWarden
from runtime.plan import Packer
from runtime.process import streams
from runtime.process.boot import Boot
from runtime.process.heap import WIDEN
from runtime.wire import control
from runtime.wire.answer import Ending
from runtime.wire.line import Lines
from runtime.workdir import absolute, encoded

_unnamed = itertools.count(1)
_ROOT = Path(__file__).resolve().parent.parent
_WARDEN = f"{WIDEN}\nimport sys; sys.path.insert(0, sys.argv.pop(1)); from runtime.warden import main; main()"


class Client(Handle):
    """A process's attachment to a running system; a handle of its root supervisor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._opened = False
        self._attached: Endpoint | None = None
        self._path = self._starting = ""

    def open(self) -> Self:
        """Attach; `close()` detaches.

        Raises:
            NoSuchSystem: none of that name runs.
            UnsafeDirectory: its directory may be open to others.
            BlockingCall: in a running event loop.
        """
        self._refuse_in_loop()
        streams.fill()
        root = directory.root_of(self.name)
        try:
            directory.check(root)
        except FileNotFoundError as exc:
            raise NoSuchSystem(self.name) from exc
        lines = Lines(str(root), self.name)
        welcome, board_fd = lines.open()
        board = Board(board_fd, welcome.seat, pollers())
        os.close(board_fd)
        super().__init__(Endpoint(str(root), self.name, lines, board, fifo_bytes=LOOP_FIFO_BYTES))
        self._opened = True
        attach(self._endpoint)
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{'' if self._opened else ', closed'}>"

    def close(self) -> None:
        """Detach; the system runs on. Asks under way end with `SystemGone`."""
        if self._opened:
            self._opened = False
            detach(self._endpoint)
            self._endpoint.close()

    def wait(self, timeout: float | None = None) -> Ending | None:
        """Block until the system ends; how it ended, or None at the timeout (seconds)."""
        try:
            value, _ = self._endpoint.lines.request(control.Wait(), timeout=timeout)
        except TimeoutError:
            return None
        except SystemGone:
            return Ending("killed", gave_up=True)
        return msgspec.convert(value, Ending)

    def kill(self) -> None:
        """End the whole system at once, by SIGKILL."""
        with contextlib.suppress(SystemGone, NoSuchSystem):
            self._request(control.KillAll())

    @property
    def _endpoint(self) -> Endpoint:
        if self._attached is None:
            raise NoSuchSystem(self.name, f"this {type(self).__name__} is not open: `with` opens it, and `open()`")
        return self._attached

    @_endpoint.setter
    def _endpoint(self, endpoint: Endpoint) -> None:
        self._attached = endpoint

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    async def __aenter__(self) -> AsyncSupervisor:
        await asyncio.to_thread(self.open)
        return AsyncSupervisor(self)

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.to_thread(self.close)


class Supervisor(Client):
    """A system of this program's own: a supervisor and the actors under it, ended when this is closed.

    with Supervisor() as supervisor:
        counter = supervisor.start(child(Counter), name="counter")
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        children: Mapping[str, Child[Any] | Tree] | None = None,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        backoff: Backoff | None = Backoff(),  # noqa: B008  # frozen
        auto_shutdown: AutoShutdown = "never",
        tree: Tree | None = None,
        path: Sequence[str] | None = None,
        regions: Mapping[str, RegionSpec] | None = None,
        memory: int | None = None,
    ) -> None:
        """Describe the system; `open()` or `with` starts it.

        Args:
            name: of the system; None: made of the program's name and pid.
            children: started in this order, before `open()` returns.
            strategy, max_restarts, max_seconds, backoff, auto_shutdown: as of `tree(…)`.
            tree: the root supervisor as a whole, instead of the arguments above.
            path: sys.path of the actors; None: this program's.
            regions: made before the first child is started.
            memory: bytes of shared memory that the whole system may have: large payloads, regions, snapshots. None:
                half of the machine's, or of what the cgroup allows where that is less.
        Raises:
            ValueError: a memory that is no whole number from 0 to 2**63 - 1.
        """
        if memory is not None and not (isinstance(memory, int) and 0 <= memory <= MOST_COUNT):
            raise ValueError(f"Supervisor(memory=…): expected bytes, 0 to 2**63 - 1, got {memory!r}")
        super().__init__(name or _default_name())
        self._tree = tree or Tree(
            children=dict(children or {}),
            strategy=strategy,
            max_restarts=max_restarts,
            max_seconds=max_seconds,
            backoff=backoff,
            auto_shutdown=auto_shutdown,
        )
        if regions:
            self._tree = replace(self._tree, regions={**self._tree.regions, **regions})
        if memory is not None:
            self._tree = replace(self._tree, memory=memory)
        self._sys_path = list(path) if path is not None else None
        self._warden = OwnedWarden()
        self._owner = 0
        self.pid = 0

    def open(self) -> Self:
        """Start the system and its children; blocks until all are ready.

        Raises:
            AlreadyRunning: a system of this name runs; with its pid.
            StartFailed: a child could not be started; nothing is left running.
            OutOfMemory: a region could not be made; nothing is left running.
            BootFailed: the supervisor's processes could not be started.
            BlockingCall: in a running event loop; nothing was started.
        """
        self._refuse_in_loop()
        path = self._sys_path if self._sys_path is not None else sys.path
        front = absolute(path)
        _refuse_clash(front)
        _refuse_frozen()
        self._owner = os.getpid()
        try:
            self._start_warden()
            super().open()
            self._make_regions(self._tree)
            packer = Packer(path, self.name)
            try:
                plan = packer.pack_tree(self.name, self._tree)
                self._request(control.Boot(tree=plan, path=encoded(front), argv=encoded(sys.argv)), packer.fds)
            finally:
                packer.close()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop all actors in reverse order, then the supervisor; returns when nothing is left.

        In a fork of the program that opened it: detach only, the system is the parent's.
        """
        if self._owner != os.getpid():
            super().close()
            return
        try:
            if not self._opened:
                self._warden.let_go()  # nobody is attached who could ask
            else:
                self._stop_all()
            super().close()
            self._warden.wait()
        except BaseException:  # interrupted: the system ends all the same
            self._warden.let_go()
            super().close()
            raise

    def _stop_all(self) -> None:
        with contextlib.suppress(SystemGone, NoSuchSystem):  # it ended by itself
            try:
                self._request(control.Stop(path=""))
            except NotRunning:  # there is no tree: its start did not come so far
                self.kill()

    async def __aenter__(self) -> AsyncSupervisor:
        opening = asyncio.ensure_future(asyncio.to_thread(self.open))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._abandon()
            await asyncio.wait([opening])  # no longer than it takes to end
            if opening.cancelled() or opening.exception() is None:
                await asyncio.to_thread(self.close)
            raise
        return AsyncSupervisor(self)

    def _start_warden(self) -> None:
        arguments = [] if self._tree.memory is None else ["--memory", str(self._tree.memory)]
        boot = self._warden.start(_warden_command(self.name), arguments)
        if not boot.pid:
            raise _boot_error(boot)
        self.pid = boot.pid

    def _abandon(self) -> None:
        """End the system without waiting, wherever its start has got to: that fails then."""
        self._warden.let_go()


def connect(name: str) -> Client:
    """Attach to a running system: `with connect("shop") as system`, or `.open()` and `.close()`.

    Raises:
        NoSuchSystem: none of that name runs (when opened).
    """
    return Client(name)


def _warden_command(system: str) -> list[str]:
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001  # as multiprocessing does
    return [sys.executable, *flags, "-P", "-c", _WARDEN, str(_ROOT), system]


def systems() -> list[str]:
    """Names of the running systems of this user."""
    return directory.systems()


def _boot_error(boot: Boot) -> ActorError:
    kind = getattr(errors, boot.error, None)
    if isinstance(kind, type) and issubclass(kind, ActorError):
        return kind(*boot.args)
    return BootFailed(*boot.args)


def _default_name() -> str:
    """Of the program and its pid; of a program's further systems a number too."""
    stem = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] else ""
    base = re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:40].lstrip("-0123456789") or "python"
    number = next(_unnamed)
    return f"{base}-{os.getpid()}" + (f"-{number}" if number > 1 else "")


def _refuse_frozen() -> None:
    """The interpreter of a frozen program is the program: it would start itself, again and again."""
    if getattr(sys, "frozen", False):
        raise BootFailed(
            f"{sys.executable}: expected a Python interpreter, got a frozen program, which cannot start one"
        )


def _refuse_clash(path: Sequence[str]) -> None:
    """A user's own `actors` or `runtime` cannot be imported beside ours; say so instead of breaking it silently."""
    for entry in path:
        if Path(entry).resolve() == _ROOT:
            continue
        for name in ("actors", "runtime"):
            for candidate in (Path(entry) / f"{name}.py", Path(entry) / name / "__init__.py"):
                # os.path.exists: one that we may not see is none
                if os.path.exists(candidate) and candidate.resolve().parent.parent != _ROOT:
                    raise BootFailed(f"{candidate}: rename it: Understudy's own package is called {name}")
