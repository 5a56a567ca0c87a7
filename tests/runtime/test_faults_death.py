"""Deaths of whole processes: actors, senders, supervisors, all at once."""

import contextlib
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, child, deadline, message
from runtime import Supervisor
from runtime.process.fork import wait_for_parent
from runtime.testing import processes_of, wait_until
from tests.runtime.cast import Start, Stopped

pytestmark = pytest.mark.process

KILLS = int(os.environ.get("UNDERSTUDY_TEST_KILLS", "40"))
HERD = 12


class Notebook(Actor):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    @message
    def note(self, n: int) -> int:
        self.seen.append(n)
        return n

    @message
    def notes(self) -> list[int]:
        return self.seen

    @message
    def pid(self) -> int:
        return os.getpid()


class Inspector(Actor):
    """Checks that every parcel is whole: its bytes are all the sender's own, as many as it says."""

    def __init__(self) -> None:
        self.parcels: dict[int, list[int]] = {}
        self.torn = 0

    @message
    def take(self, sender: int, n: int, size: int, parcel: bytes) -> None:
        self.parcels.setdefault(sender, []).append(n)
        self.torn += parcel != bytes([sender]) * size

    @message
    def report(self) -> tuple[int, dict[int, list[int]]]:
        return self.torn, self.parcels

    @message
    def pid(self) -> int:
        return os.getpid()


class Watcher(Actor):
    """Hears of the deaths of one actor."""

    def __init__(self, of: Any) -> None:
        self.of = of
        self.heard: list[str] = []

    def on_start(self) -> None:
        self.context.watch(self.of)

    def on_down(self, down: Any) -> None:
        self.heard.append(down.certificate.signal)

    @message
    def deaths(self) -> list[str]:
        return self.heard


@contextlib.contextmanager
def _sender(inspector: Any, number: int, sizes: list[int]) -> Iterator[tuple[int, memoryview]]:
    """A forked process that sends parcels until it is killed; its pid, and a shared word: how many it has sent."""
    shared = mmap.mmap(-1, 4096)
    view = memoryview(shared)
    words = view.cast("Q")
    pid = os.fork()
    if pid == 0:
        try:
            dice = random.Random(number)
            with deadline(None):
                while True:
                    size = dice.choice(sizes)
                    inspector.take.tell(number, words[0], size, bytes([number]) * size)
                    words[0] += 1
        finally:
            os._exit(1)
    try:
        yield pid, words
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        words.release()
        view.release()
        shared.close()


def test_an_idle_actor_that_is_killed_is_restarted_and_loses_no_message(start: Start) -> None:
    notebook = start(child(Notebook))
    watcher = start(child(Watcher, notebook))
    pid = notebook.pid()

    os.kill(pid, signal.SIGKILL)
    replies = [notebook.note.ask(n) for n in range(20)]

    assert [reply.result() for reply in replies] == list(range(20))
    assert notebook.notes() == list(range(20))
    assert notebook.pid() != pid
    assert wait_until(lambda: watcher.deaths() == ["SIGKILL"], 1.0)


def test_what_was_queued_before_and_after_a_kill_is_handled_in_order(start: Start) -> None:
    notebook = start(child(Notebook))
    pid = notebook.pid()
    with Stopped(pid):
        for n in range(10):
            notebook.note.tell(n)
        os.kill(pid, signal.SIGKILL)
        for n in range(10, 20):
            notebook.note.tell(n)

    assert notebook.notes() == list(range(20))


@pytest.mark.parametrize(
    "sizes", [pytest.param([1, 100, 3000], id="frames"), pytest.param([3000, 5000, 100_000], id="frames and slabs")]
)
def test_senders_killed_while_they_send_leave_nothing_torn(start: Start, sizes: list[int]) -> None:
    inspector = start(child(Inspector))
    dice = random.Random(5)
    sent: dict[int, int] = {}
    for number in range(1, 1 + KILLS // 2):
        with _sender(inspector, number, sizes) as (pid, words):
            until = dice.randrange(1, 40)
            assert wait_until(lambda words=words, until=until: words[0] >= until)
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            sent[number] = words[0]
        inspector.take.tell(0, number, 3, b"\0\0\0")  # another sender is not affected

    torn, parcels = inspector.report()
    assert torn == 0
    assert parcels.pop(0) == list(range(1, 1 + KILLS // 2))
    for number, count in sent.items():  # all it has sent, in order, and at most the one it was sending
        assert parcels[number] in (list(range(count)), list(range(count + 1)))


def test_a_sender_killed_while_it_waits_for_room_leaves_nothing_and_holds_up_nobody(
    start: Start, system: Supervisor
) -> None:
    inspector = start(child(Inspector), "inspector")
    pid = inspector.pid()

    def is_full() -> bool:
        (status,) = [status for status in system.children() if status.path == "inspector"]
        return status.queued_bytes > status.mailbox_bytes // 2 and _state_of(sender) == "S"  # it does not run: it waits

    with _sender(inspector, 7, [3000]) as (sender, words):
        with Stopped(pid):
            assert wait_until(is_full)
            sent = words[0]
            os.kill(sender, signal.SIGKILL)
            os.waitid(os.P_PID, sender, os.WEXITED | os.WNOWAIT)

    inspector.take(0, 0, 1, b"\0")
    torn, parcels = inspector.report()
    assert torn == 0
    assert parcels[7] == list(range(sent))


def test_a_supervisor_that_dies_before_its_child_is_tied_to_it_takes_the_child_along() -> None:
    read, write = os.pipe()
    middle_done, proceed = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        ours = os.getpid()
        if os.fork() == 0:  # the actor: waits until its supervisor is dead, then ties itself to it
            os.close(proceed)
            os.read(middle_done, 1)
            wait_for_parent(ours, middle=ours)
            os.write(write, b"lived on")
        os._exit(0)
    os.waitpid(supervisor, 0)
    os.close(write)
    os.close(proceed)
    os.close(middle_done)

    with open(read, "rb") as told:
        assert told.read() == b""


def test_a_thread_that_started_actors_may_end_without_taking_them_along(start: Start) -> None:
    started: list[Any] = []
    thread = threading.Thread(target=lambda: started.append(start(child(Notebook))))
    thread.start()
    thread.join()

    pid = started[0].pid()
    started[0].note(1)

    assert (started[0].notes(), started[0].pid()) == ([1], pid)


def test_the_zygote_forks_with_one_thread_only(start: Start, system: Supervisor) -> None:
    for _ in range(3):
        start(child(Numeric)).total()

    forkers = [pid for pid in _children_of(system.pid) if _name_of(pid) == "understudy-zyg"]  # and its spares

    assert forkers
    assert [len(os.listdir(f"/proc/{pid}/task")) for pid in forkers] == [1] * len(forkers)


class Numeric(Actor):
    """Imports what starts threads by itself."""

    @message
    def total(self) -> int:
        import numpy

        return int(numpy.ones(8).sum())


def test_many_that_are_killed_at_one_time_all_come_back_while_the_supervisor_answers(
    start: Start, system: Supervisor
) -> None:
    herd = [start(child(Notebook)) for _ in range(HERD)]
    pids = [one.pid() for one in herd]

    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    answered = system.count()  # in the midst of it
    back = [one.pid() for one in herd]

    assert answered["specs"] >= HERD
    assert not set(back) & set(pids)
    assert len(set(back)) == HERD


OWNER = """
import sys
from runtime import Supervisor
from actors import child
from tests.runtime.test_faults_death import Notebook

with Supervisor("owned", children={"one": child(Notebook), "two": child(Notebook)}):
    print("up", flush=True)
    sys.stdin.read()
"""


def _owner() -> "subprocess.Popen[str]":
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    return owner


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("understudy", "understudy-sup"), id="warden and supervisor"),
        pytest.param(("understudy-zyg", "understudy-sup"), id="zygote and supervisor"),
        pytest.param(("understudy", "understudy-zyg", "understudy-sup"), id="warden, zygote and supervisor"),
        pytest.param((), id="everything and the owner"),
    ],
)
def test_after_any_massacre_the_next_start_of_that_name_works_the_first_time(
    nothing_left: Path, names: tuple[str, ...]
) -> None:
    owner = _owner()
    doomed = [pid for pid in processes_of(nothing_left) if not names or _name_of(pid) in names]
    for pid in doomed:
        os.kill(pid, signal.SIGSTOP)  # nobody has time for a last word
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: set(processes_of(nothing_left)) <= {owner.pid}, 1.5)
    with Supervisor("owned") as again:
        assert again.start(child(Notebook), name="one").note(1) == 1
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.close()
    owner.wait(10)
    owner.stdout.close()


def test_a_system_that_was_stopped_as_a_whole_goes_on_without_a_restart(
    nothing_left: Path, supervisor: Supervisor
) -> None:
    notebooks = [supervisor.start(child(Notebook), name=f"n{n}", watchdog=0.4, shutdown=0.2) for n in range(3)]
    pids = [one.pid() for one in notebooks]
    ours = processes_of(nothing_left)

    for pid in ours:
        os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(0.5)  # longer than any limit they have
    for pid in reversed(ours):
        os.kill(pid, signal.SIGCONT)

    assert [one.pid() for one in notebooks] == pids
    assert [status.restarts for status in supervisor.children()] == [0, 0, 0]


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found
