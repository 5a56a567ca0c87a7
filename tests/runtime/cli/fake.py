"""Systems that are not there, for the tests of the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from actors.certificate import DeathCertificate
from actors.child import Tree
from actors.errors import (
    ActorError,
    NoSuchMessage,
    NoSuchSystem,
)
from actors.letter import Letter
from actors.message import BoundMessage, MessageEntry
from actors.ref import Ref
from runtime.cli import main
from runtime.cli.system import Doors, Reloaded
from runtime.wire.answer import Change, ChildStatus, Ending, MemoryStatus

CERTIFICATE = DeathCertificate("inventory", 2, 4711, "run", "signal", signal="SIGKILL", restarts=3)
LETTERS = [
    Letter(3, "inventory", 1_700_000_000.0, "its actor died of it (attempt 4): SIGKILL", 120, "take"),
    Letter(4, "payments.gateway", 1_700_000_001.5, "its actor stopped for good", 60),
]


def status(path: str, **changed: Any) -> ChildStatus:
    row = ChildStatus(
        path,
        "worker",
        "running",
        pid=4711,
        restarts=1,
        actor="shop:Inventory",
        handled=12,
        failed=3,
        queued_bytes=100,
        mailbox_bytes=32768,
    )
    return msgspec.structs.replace(row, **changed)


class FakeReply:
    """An answer that is there already."""

    def __init__(self, value: object) -> None:
        self.value = value

    def result(self, timeout: float | None = None) -> object:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class FakeSystem:
    """A system that answers as it is told to, and remembers what it was asked."""

    def __init__(self, name: str = "shop") -> None:
        self.name = name
        self.system = name
        self.calls: list[tuple[Any, ...]] = []
        self.answer: Callable[..., object] = lambda *args, **kwargs: [list(args), kwargs]
        self.refuses: ActorError | None = None
        self.changes: list[Change] = []
        self.statuses: list[ChildStatus] = [
            status("inventory"),
            status("payments", kind="supervisor", strategy="rest_for_one", pid=0),
            status("payments.gateway", state="restarting", in_hand="charge", in_hand_seconds=1.5),
        ]
        self.on_open: Callable[[], None] = lambda: None
        self.on_wait: Callable[[], Ending | None] = lambda: Ending("shutdown")
        self.on_stop: Callable[[], None] = lambda: None
        self.on_kill: Callable[[], None] = lambda: None

    def open(self) -> "FakeSystem":
        self.calls.append(("open",))
        if isinstance(self.refuses, NoSuchSystem):
            raise self.refuses
        self.on_open()
        return self

    def close(self) -> None:
        self.calls.append(("close",))

    def stop(self, path: str = "") -> None:
        self.calls.append(("stop", path))
        if self.refuses is not None:
            raise self.refuses
        self.on_stop()

    def restart(self, path: str, *, code: bool = False) -> None:
        self.calls.append(("restart", path, *(["code"] if code else [])))
        if self.refuses is not None:
            raise self.refuses

    def reload(self, spec: Tree, *, path: Sequence[str] = ()) -> Sequence[Change]:
        self.calls.append(("reload", spec, tuple(path)))
        if self.refuses is not None:
            raise self.refuses
        return self.changes

    def memory(self) -> MemoryStatus:
        return MemoryStatus(limit=2 << 30, used=3 << 20, large=1 << 20, snapshots=0, regions={"prices": 2 << 20})

    def status(self) -> Sequence[ChildStatus]:
        return self.statuses

    def why(self, path: str) -> DeathCertificate | None:
        if self.refuses is not None:
            raise self.refuses
        return CERTIFICATE if path == "inventory" else None

    def letters(self, path: str = "") -> Sequence[Letter]:
        return [letter for letter in LETTERS if letter.actor.startswith(path)]

    def resend(self, letter: int) -> None:
        self.calls.append(("resend", letter))
        if self.refuses is not None:
            raise self.refuses

    def drop(self, letter: int) -> None:
        self.calls.append(("drop", letter))

    def wait(self, timeout: float | None = None) -> Ending | None:
        return self.on_wait()

    def kill(self) -> None:
        self.calls.append(("kill",))
        self.on_kill()

    def __getitem__(self, path: str) -> Any:
        return Ref(self, path)

    def now_ns(self) -> int:
        return 0

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        def ask(*args: object, **kwargs: object) -> FakeReply:
            self.calls.append(("ask", path, name, args, kwargs))
            return FakeReply(self.answer(*args, **kwargs))

        def tell(*args: object, **kwargs: object) -> None:
            self.calls.append(("tell", path, name, args, kwargs))
            if self.refuses is not None:
                raise self.refuses

        if isinstance(self.refuses, NoSuchMessage):
            raise self.refuses
        return BoundMessage(name, ask, ask, tell, ask)  # type: ignore[arg-type]  # send is not used here


@dataclass
class FakeMachine:
    """The systems of a machine that is not there."""

    running: dict[str, FakeSystem] = field(default_factory=dict)
    made: list[tuple[str, Tree, tuple[str, ...]]] = field(default_factory=list)
    new: FakeSystem = field(default_factory=FakeSystem)
    reloads: list[tuple[Path, str]] = field(default_factory=list)
    on_reload: Callable[[], Reloaded] = lambda: Reloaded(0)

    def supervisor(self, name: str, tree: Tree, path: Sequence[str]) -> FakeSystem:
        self.made.append((name, tree, tuple(path)))
        return self.new

    def connect(self, name: str) -> FakeSystem:
        system = self.running.get(name)
        if system is None:
            system = FakeSystem(name)
            system.refuses = NoSuchSystem(name)
        return system

    def doors(self) -> Doors:
        return Doors(self.supervisor, self.connect, lambda: sorted(self.running), self.reload)

    def reload(self, file: Path, system: str) -> Reloaded:
        self.reloads.append((file, system))
        return self.on_reload()

    def __call__(self, *args: str) -> int:
        return main(args, doors=self.doors())


def fails_with(error: Exception) -> Callable[..., object]:
    return lambda *args, **kwargs: error
