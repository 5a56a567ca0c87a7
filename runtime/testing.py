"""Fixtures for tests with real actors: `pytest_plugins = ["runtime.testing"]` in a conftest.

    def test_counter(supervisor):
        counter = supervisor.start(child(Counter), name="counter")
        assert counter.add(1) == 1

`supervisor` is a fresh system in a runtime directory of its own. `nothing_left`, which it uses, fails the test when a
process, a descriptor or a name of the system is left after it.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.client import Supervisor

_SECONDS = 2.0  # a second is the promise; the machine may be busy


def processes_of(directory: Path) -> list[int]:
    """Pids of all processes that were started with this runtime directory in their environment, ourselves excepted."""
    mark = f"UNDERSTUDY_DIR={directory}".encode()
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll a condition that has no event to wait for (another process's death); True once it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@pytest.fixture
def runtime_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of the test's own, in $UNDERSTUDY_DIR."""
    directory = tmp_path_factory.mktemp("understudy", numbered=True) / "run"
    monkeypatch.setenv("UNDERSTUDY_DIR", str(directory))
    return directory


@pytest.fixture
def nothing_left(runtime_directory: Path) -> Iterator[Path]:
    """Fails the test when a process, a descriptor or a name is left after it."""
    before = set(os.listdir("/proc/self/fd"))
    yield runtime_directory
    assert wait_until(lambda: not processes_of(runtime_directory), _SECONDS), (
        f"processes left: {processes_of(runtime_directory)}"
    )
    assert not runtime_directory.exists(), f"names left: {sorted(map(str, runtime_directory.rglob('*')))}"
    left = {fd: _target(fd) for fd in set(os.listdir("/proc/self/fd")) - before}
    left = {fd: target for fd, target in left.items() if target and not target.startswith("/proc/")}
    assert not left, f"descriptors left: {left}"


@pytest.fixture
def supervisor(nothing_left: Path) -> Iterator[Supervisor]:
    """A running system without children."""
    assert nothing_left.parent.exists()
    with Supervisor("test") as running:
        yield running


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # the descriptor the listing was read by
        return ""
