"""Actors for tests, and one running system that the tests of a module share."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, Child, message, name_of
from runtime import Supervisor
from runtime.memory import slab

Start = Callable[..., Any]


@contextmanager
def running_system(directory: Path) -> Iterator[Supervisor]:
    """A system for a whole module: restarts are not limited, and come without a delay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERSTUDY_DIR", str(directory / "run"))
        supervisor = Supervisor("shared", max_restarts=100_000, max_seconds=1.0, backoff=None).open()
    try:
        yield supervisor
    finally:
        supervisor.close()


@contextmanager
def starting(supervisor: Supervisor) -> Iterator[Start]:
    """A `start` that makes up names, and stops in the end what it started."""
    started: list[str] = []
    numbers = itertools.count(1)

    def start(spec: Child[Any], name: str = "", **options: Any) -> Any:
        ref = supervisor.start(spec, name=name or f"a{next(numbers)}", **options)
        started.append(name_of(ref))
        return ref

    try:
        yield start
    finally:
        for path in reversed(started):
            if any(status.path == path for status in supervisor.children()):
                supervisor.stop(path)
                supervisor.delete(path)


def descriptors_of(pid: int) -> list[str]:
    """What the descriptors of a process point to."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:  # closed meanwhile
            continue
    return found


def bodies_of(supervisor: Supervisor) -> int:
    """How many large payloads the supervisor holds for messages that have not ended: slabs that are not free."""
    count = 0
    for entry in Path(f"/proc/{supervisor.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "understudy-slab" in os.readlink(entry):
                fd = os.open(entry, os.O_RDONLY)
                count += slab.look_at(fd).state != slab.FREE
                os.close(fd)
    return count


class Stopped:
    """A process that is stopped (SIGSTOP) inside the `with`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __enter__(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            os.sched_yield()

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
            os.kill(self.pid, signal.SIGCONT)


class Counter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @message
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @message
    def pid(self) -> int:
        return os.getpid()


class AsyncCounter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @message
    async def add(self, n: int = 1) -> int:
        await asyncio.sleep(0)
        self.value += n
        return self.value

    @message
    async def pid(self) -> int:
        return os.getpid()


class Echo(Actor):
    @message
    def echo(self, value: Any) -> Any:
        return value

    @message
    def pid(self) -> int:
        return os.getpid()


class Keeper(Actor):
    """Keeps what it was given last, through its death too."""

    def __init__(self) -> None:
        self.value: object = None

    def snapshot(self) -> object:
        return self.value

    def restore(self, state: object) -> None:
        self.value = state

    @message
    def keep(self, value: object) -> object:
        self.value = value
        return self.value

    @message
    def give(self) -> object:
        return self.value

    @message
    def pid(self) -> int:
        return os.getpid()


class Gate(Actor):
    """Holds a message until a file appears, so that a test says when a handler ends."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @message
    def hold(self, entered: str, until: str) -> str:
        Path(entered).touch()
        while not Path(until).exists():
            os.sched_yield()
        return "held"

    @message
    def note(self, value: Any) -> int:
        self.seen.append(value)
        return len(self.seen)

    @message
    def notes(self) -> list[Any]:
        return self.seen

    @message
    def pid(self) -> int:
        return os.getpid()
