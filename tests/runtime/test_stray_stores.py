"""Native code with a stray pointer: whatever an actor writes into its own page, the damage is its own.

The page is shared with the supervisor and with every sender (runtime.mailbox.page).
"""

import contextlib
import mmap
import os
import signal
from collections.abc import Iterator

import pytest

from actors import Actor, ActorError, child, deadline, message
from runtime import Supervisor
from runtime.mailbox import page
from runtime.memory import snapshots
from runtime.testing import wait_until
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process

MOST = (1 << 64) - 1
WORDS = sorted(
    {
        value
        for name, value in vars(page).items()
        if name.isupper() and isinstance(value, int) and 0 <= value < 64 and name not in ("STARTING", "READY", "RUN")
    }
)


def _mapped(what: str) -> Iterator[mmap.mmap]:
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError, ValueError):
            if what in os.readlink(f"/proc/self/fd/{fd}"):
                yield mmap.mmap(fd, 0)


class Wild(Actor):
    """Writes where it should not, and dies of it or lives on."""

    def __init__(self) -> None:
        self.count = 0

    def snapshot(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state

    @message
    def add(self) -> int:
        self.count += 1
        return self.count

    @message(snapshot=False)
    def write(self, memory: str, at: int, raw: bytes, dies: bool) -> None:
        for mapped in _mapped(memory):
            mapped[at : at + len(raw)] = raw
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    @message(snapshot=False)
    def pid(self) -> int:
        return os.getpid()


PAGES = [
    *[pytest.param(8 * word, MOST.to_bytes(8, "little"), id=f"word {word}") for word in WORDS],
    pytest.param(0, b"\xff" * 512, id="all words"),
    pytest.param(page.TABLE_AT, b"\xc1" * 64, id="the table, no msgpack"),
    pytest.param(page.TABLE_AT, b"\x93\x01\x02\x03", id="the table, other msgpack"),
    pytest.param(page.LOG_RING_AT, os.urandom(page.LOG_RING_SIZE), id="the log"),
    pytest.param(page.URGENT_JOURNAL_AT, os.urandom(page.URGENT_JOURNAL_SIZE), id="the urgent journal"),
    pytest.param(page.JOURNAL_AT, os.urandom(16384), id="the journal"),
    pytest.param(page.JOURNAL_AT, b"\xff" * 16384, id="the journal, all ones"),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERSTUDY_DIR", str(tmp_path_factory.mktemp("stray") / "run"))
        with Supervisor("stray", max_restarts=1_000_000, backoff=None) as supervisor:
            supervisor.start(child(Counter), name="neighbour")
            yield supervisor


@pytest.fixture
def wild(stage: Supervisor) -> Iterator[Wild]:
    started = stage.start(child(Wild), name="wild", shutdown=1.0)
    yield started
    stage.stop("wild")
    stage.delete("wild")


def _damage(stage: Supervisor, wild: Wild, memory: str, at: int, raw: bytes, *, dies: bool) -> None:
    """Have it write, be asked for everything the supervisor tells of it, and come back from a kill."""
    neighbour = stage.ref("neighbour", Counter)
    pid, theirs = wild.pid(), neighbour.pid()
    with contextlib.suppress(ActorError), deadline(0.2):
        wild.write(memory, at, raw, dies)
    assert stage.children()
    stage.letters()
    stage.memory()
    stage.why("wild")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    assert neighbour.pid() == theirs
    assert stage.children()


@pytest.mark.parametrize("dies", [True, False], ids=["dies", "lives"])
@pytest.mark.parametrize(("at", "raw"), PAGES)
def test_a_stray_store_into_the_page_harms_nobody_else_and_ends_with_the_incarnation(
    stage: Supervisor, wild: Wild, at: int, raw: bytes, dies: bool
) -> None:
    pid = wild.pid()

    _damage(stage, wild, "understudy-page", at, raw, dies=dies)

    def is_back() -> bool:
        with contextlib.suppress(ActorError), deadline(1):
            return wild.pid() != pid
        return False

    assert wait_until(is_back, 10)
    with deadline(10):
        successor = wild.pid()
        counts = [wild.add() for _ in range(5)]
        assert counts == list(range(counts[0], counts[0] + 5))
        assert wild.pid() == successor


@pytest.mark.parametrize("word", [0, 4096 + 24, 4096 + 32, 4096 + 40], ids=["number", "answer", "state", "others"])
def test_a_stray_store_into_the_committed_state_is_a_failed_start_and_harms_nobody_else(
    stage: Supervisor, wild: Wild, word: int
) -> None:
    half = (snapshots.nbytes_of(snapshots.FIRST_BYTES) - 4096) // 2
    neighbour = stage.ref("neighbour", Counter)
    assert wild.add() == 1
    pid, theirs = wild.pid(), neighbour.pid()
    before = stage.why("wild")

    for slot in (0, half) if word else (0,):
        wild.write("understudy-snapshots", word + slot, MOST.to_bytes(8, "little"), False)
    os.kill(pid, signal.SIGKILL)

    def is_refused() -> bool:
        why = stage.why("wild")
        return (
            why is not None
            and why != before
            and "the committed state in shared memory is damaged" in (why.traceback or "")
        )

    assert wait_until(is_refused, 10)
    assert neighbour.pid() == theirs
    assert stage.children()
