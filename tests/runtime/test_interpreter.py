"""A process that is forked begins and ends as one that Python started: threads, executors, exit functions, randomness."""

import importlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors import Actor, ActorDied, child, message, name_of
from runtime import Supervisor, client
from runtime.testing import wait_until
from tests.runtime.cast import Start

pytestmark = pytest.mark.process

MODULE = """
import atexit, os, random, tempfile, weakref
from pathlib import Path
from actors import Actor, message

DIRECTORY = tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=f"of-{os.getpid()}-")
Path(DIRECTORY.name, "kept").touch()
if Path("/proc/self/comm").read_text().startswith("understudy-zyg"):  # this test's own process runs it, too
    atexit.register(lambda: (Path(__file__).parent / f"exit-function-ran-{os.getpid()}").touch())

def note(path):
    Path(path).touch()

class Owner:
    pass

class Using(Actor):
    def __init__(self, own: str, finalized: str) -> None:
        atexit.register(lambda: Path(own).touch())
        self.owner = Owner()
        weakref.finalize(self.owner, note, finalized)

    @message
    def directory(self) -> str:
        return DIRECTORY.name

    @message
    def sees(self) -> bool:
        return Path(DIRECTORY.name, "kept").exists()
"""

HOSTED = """
from actors import Actor, child, message
from runtime import Supervisor

class Hosted(Actor):
    @message
    def hello(self):
        return "hello"

with Supervisor("development") as supervisor:
    print(supervisor.start(child(Hosted).options(host="thread"), name="hosted").hello())
"""


def square(x: int) -> int:
    return x * x


class Working(Actor):
    """Has threads and executors."""

    def __init__(self) -> None:
        self._pool: Executor | None = None

    @message
    def write_later(self, path: str, seconds: float) -> None:
        def write() -> None:
            time.sleep(seconds)
            Path(path).touch()

        threading.Thread(target=write).start()

    @message
    def keep(self, kind: str) -> list[int]:
        self._pool = ProcessPoolExecutor(2) if kind == "processes" else ThreadPoolExecutor(2)
        return list(self._pool.map(square, range(4)))

    @message
    def never_end(self) -> None:
        threading.Thread(target=threading.Event().wait).start()

    @message
    def stop(self) -> None:
        self.context.stop()

    @message
    def crash(self) -> None:
        sys.exit(7)

    @message
    def pid(self) -> int:
        return os.getpid()


class WorkingAsync(Working):
    """The same in an event loop."""

    @message
    async def hello(self) -> str:
        return "hello"


class Drawing(Actor):
    """Draws random numbers from generators that every module shares."""

    @message
    def draw(self) -> tuple[int, int]:
        return random.getrandbits(60), int(np.random.randint(1 << 60))  # noqa: NPY002  # that one is meant


@pytest.fixture
def impatient(nothing_left: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A system whose actors have 0.3 s for their end where nobody asked for that."""
    limited = "from runtime import host; host.ALONE_SECONDS = host.CRASH_SECONDS = 0.3; main()"
    monkeypatch.setattr(client, "_WARDEN", client._WARDEN.replace("main()", limited))
    with Supervisor("impatient", max_restarts=100) as supervisor:
        yield supervisor


@pytest.fixture
def using(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Any]]:
    """The actor class of a module that has a temporary directory and an exit function of its own."""
    (tmp_path / "using_directory.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("using_directory")
    yield module.Using
    module.DIRECTORY.cleanup()
    del sys.modules["using_directory"]


@pytest.mark.parametrize("host", ["process", "thread"])
def test_at_an_ordered_end_threads_that_are_no_daemons_finish_their_work(
    nothing_left: Path, tmp_path: Path, host: str
) -> None:
    written = tmp_path / "written"
    with Supervisor("ending") as supervisor:
        supervisor.start(child(Working).options(host=host), name="working").write_later(str(written), 0.5)
        assert not written.exists()

    assert written.exists()


@pytest.mark.parametrize("kind", ["processes", "threads"])
@pytest.mark.parametrize("actor", [Working, WorkingAsync])
@pytest.mark.parametrize("host", ["process", "thread"])
def test_executors_hold_up_no_ordered_stop(
    system: Supervisor, start: Start, kind: str, actor: type[Working], host: str
) -> None:
    working = start(child(actor).options(host=host, shutdown=20.0), name="pooled")
    assert working.keep(kind) == [0, 1, 4, 9]

    system.stop("pooled")

    assert system.why("pooled") is None


def test_a_thread_that_does_not_end_is_ended_with_the_process_at_shutdown_and_on_stop_is_not_blamed(
    system: Supervisor, start: Start
) -> None:
    start(child(Working).options(shutdown=0.3), name="endless").never_end()

    system.stop("endless")

    certificate = system.why("endless")
    assert certificate is not None
    assert (certificate.phase, certificate.in_hand) == ("stop", None)


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_an_actor_that_ends_by_itself_waits_for_its_threads_only_so_long(impatient: Supervisor, end: str) -> None:
    working = impatient.start(child(Working), name="working", restart="permanent")
    before = working.pid()
    working.never_end()

    if end == "crash":
        with pytest.raises(ActorDied) as caught:
            working.crash()
        assert caught.value.certificate is not None
        assert caught.value.certificate.exit_code == 7
    else:
        working.stop.tell()

    assert wait_until(lambda: working.pid() != before)


def test_an_exit_function_of_an_import_does_not_run_at_an_actors_end_and_its_own_does(
    nothing_left: Path, tmp_path: Path, using: type[Any]
) -> None:
    paths = [str(tmp_path / name) for name in ("own", "finalized")]
    with Supervisor("using") as supervisor:
        first, second = (supervisor.start(child(using, *paths), name=name) for name in ("first", "second"))
        assert first.directory() == second.directory()  # it was imported once

        supervisor.stop("first")

        assert second.sees()
    assert all(Path(path).exists() for path in paths)
    assert not list(tmp_path.glob("exit-function-ran-*"))


def test_in_development_mode_a_thread_host_warns_of_nothing_that_was_not_closed(nothing_left: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", HOSTED], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "hello\n", done.stderr
    assert "ResourceWarning" not in done.stderr


def test_every_process_draws_random_numbers_of_its_own(system: Supervisor, start: Start) -> None:
    drawing = [start(child(Drawing).options(understudies=understudies)) for understudies in (0, 0, 0, 1)]
    drawn: list[tuple[int, int]] = [each.draw() for each in drawing]
    for each in drawing:
        system.restart(name_of(each))
        drawn.append(each.draw())

    assert [len(set(numbers)) for numbers in zip(*drawn, strict=True)] == [8, 8]
