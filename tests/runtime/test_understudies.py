"""Understudies: the supervisor's book of them with socket pairs for processes; and real ones, whose actors die."""

import itertools
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, child, message
from actors.child import Mailbox
from runtime import Supervisor
from runtime.mailbox.box import directory_of
from runtime.memory.seal import sealed
from runtime.orders import Orders
from runtime.plan import Program
from runtime.process.order import Launch
from runtime.process.zygote import ENTER, IS_WARM, received
from runtime.testing import wait_until
from runtime.understudies import Understudies
from runtime.worker import Worker
from tests.runtime.test_stock import spares_of

NEXT = Launch(99, "a", "a", 2, "test", "/nowhere", directory_of("a"), None, True, 0, 0, 0)
SEAT = 5


class Zygote:
    """Takes the orders for understudies, and gives out seats."""

    def __init__(self) -> None:
        self.studied: list[tuple[Launch, list[int], int]] = []
        self.left: list[int] = []

    def study(self, launch: Launch, fds: list[int], like: int) -> None:
        self.studied.append((launch, fds, like))

    def take(self) -> int:
        return SEAT

    def leave(self, seat: int) -> None:
        self.left.append(seat)


class Process:
    """The far end of an understudy."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.fds = [ours.detach()]

    def hears(self) -> tuple[bytes, int]:
        """What it is told, and how many descriptors with it; nothing: it is dismissed."""
        self.sock.settimeout(5)
        try:
            raw, fds = received(self.sock)
        except ConnectionResetError:  # with what it had said unread
            return b"", 0
        for fd in fds:
            os.close(fd)
        return raw, len(fds)


def a_book(zygote: Any) -> Understudies:
    """Of understudies whose first launch has the token 7."""
    return Understudies(zygote, zygote, Orders("/nowhere", "test", 0, 0), itertools.count(7), lambda *_: None)


def a_program() -> Program:
    return Program("a", sealed(b""), Mailbox(), None, "finish", 1)


@pytest.fixture
def zygote() -> Zygote:
    return Zygote()


@pytest.fixture
def worker() -> Worker:
    return Worker("a", a_program(), pid=4711, incarnation=1)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.sock.close()


@pytest.fixture
def understudies(zygote: Any, worker: Worker, process: Process) -> Iterator[Understudies]:
    book = a_book(zygote)
    book.study(worker, [1, 2, 3])
    book.arrived(7, 12, process.fds)
    yield book
    book.clear()


def test_it_studies_the_next_launch_by_the_one_that_plays_now(understudies: Understudies, zygote: Zygote) -> None:
    [(launch, fds, like)] = zygote.studied
    assert (launch.incarnation, launch.seat, fds, like) == (2, SEAT, [1, 2, 3], 4711)


def test_it_enters_for_the_launch_it_has_studied(
    understudies: Understudies, worker: Worker, process: Process, zygote: Zygote
) -> None:
    process.sock.send(IS_WARM)

    assert understudies.enter(worker, NEXT, [0]) == 12

    assert process.hears() == (ENTER, 1)
    assert worker.seat == SEAT
    assert not zygote.left
    assert understudies.enter(worker, NEXT, []) == 0  # there was one


@pytest.mark.parametrize("field", ["incarnation", "notice_key", "heartbeat", "snapshot_every"])
def test_for_another_launch_it_is_dismissed(
    understudies: Understudies, worker: Worker, process: Process, zygote: Zygote, field: str
) -> None:
    process.sock.send(IS_WARM)
    other = Launch(**{**{name: getattr(NEXT, name) for name in NEXT.__struct_fields__}, field: 9})

    assert understudies.enter(worker, other, []) == 0

    assert process.hears() == (b"", 0)
    assert zygote.left == [SEAT]


def test_for_another_program_it_is_dismissed(understudies: Understudies, worker: Worker, process: Process) -> None:
    process.sock.send(IS_WARM)
    worker.program = a_program()

    assert understudies.enter(worker, NEXT, []) == 0
    assert process.hears() == (b"", 0)


def test_one_that_is_not_warm_is_not_waited_for(understudies: Understudies, worker: Worker, process: Process) -> None:
    assert understudies.enter(worker, NEXT, []) == 0
    assert process.hears() == (b"", 0)


def test_one_that_was_killed_is_passed_over(
    understudies: Understudies, worker: Worker, process: Process, zygote: Zygote
) -> None:
    process.sock.send(IS_WARM)
    process.sock.close()

    assert understudies.enter(worker, NEXT, []) == 0
    assert zygote.left == [SEAT]


def test_another_study_dismisses_the_one_before(understudies: Understudies, worker: Worker, process: Process) -> None:
    understudies.study(worker, [])
    assert process.hears() == (b"", 0)


def test_one_that_arrives_when_it_is_not_wanted_any_more_is_dismissed(understudies: Understudies) -> None:
    late = Process()
    understudies.dismiss("a")
    understudies.arrived(7, 13, late.fds)
    assert late.hears() == (b"", 0)
    late.sock.close()


def test_one_that_could_not_be_forked_is_none(zygote: Any, worker: Worker, process: Process) -> None:
    book = a_book(zygote)
    book.study(worker, [])
    book.arrived(7, 0, process.fds)
    assert book.enter(worker, NEXT, []) == 0
    assert process.hears() == (b"", 0)


class Counter(Actor):
    """Counts, and keeps the count."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    @message
    def add(self) -> int:
        """One more."""
        self.count += 1
        return self.count

    @message
    def pid(self) -> int:
        """Of its process."""
        return os.getpid()


class Kept(Counter):
    """Keeps its count when it is killed."""

    def snapshot(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state


def who_knows_a_part(system: Supervisor) -> set[int]:
    """Pids of those in the zygote's group that have a page mapped."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
            maps = (entry / "maps").read_text() if name == "understudy-zyg" else ""
        except OSError:  # it has ended meanwhile
            continue
        if "understudy-page" in maps and int(rest.split()[1]) == system.pid:
            found.add(int(entry.name))
    return found


def one_that_knows(system: Supervisor) -> int:
    """Its pid, once it is there."""
    found: list[set[int]] = []
    assert wait_until(lambda: found.append(who_knows_a_part(system)) or len(found[-1]) == 1)
    return min(found[-1])


@pytest.mark.process
def test_the_understudy_of_a_killed_actor_takes_its_place(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter, 10), name="counter", understudies=1)
    entered = 0
    for _ in range(3):
        assert counter.add() == 11
        waiting = one_that_knows(supervisor)
        os.kill(counter.pid(), signal.SIGKILL)
        entered += counter.pid() == waiting  # one that is still warming up does not
    assert entered


@pytest.mark.process
def test_an_understudy_has_the_state_that_was_committed_last(supervisor: Supervisor) -> None:
    kept = supervisor.start(child(Kept), name="kept", understudies=1)
    for count in range(1, 4):
        assert kept.add() == count
        one_that_knows(supervisor)
        os.kill(kept.pid(), signal.SIGKILL)
    assert kept.add() == 4


@pytest.mark.process
def test_what_was_queued_when_an_actor_died_its_understudy_handles(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter", understudies=1)
    one_that_knows(supervisor)
    pid = counter.pid()
    os.kill(pid, signal.SIGSTOP)
    for _ in range(50):
        counter.add.tell()
    os.kill(pid, signal.SIGKILL)
    assert counter.add() == 51


@pytest.mark.process
def test_nobody_knows_the_part_of_an_actor_that_is_stopped_for_good(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="counter", understudies=1)
    one_that_knows(supervisor)
    supervisor.stop("counter")
    assert wait_until(lambda: not who_knows_a_part(supervisor))


@pytest.mark.process
def test_after_the_zygotes_death_there_is_another_understudy(supervisor: Supervisor) -> None:
    counter = supervisor.start(child(Counter), name="counter", understudies=1)
    before = one_that_knows(supervisor)
    zygotes = [int(pid) for pid in _children(supervisor.pid) if os.getpgid(int(pid)) == int(pid) and _is_zygote(pid)]
    os.kill(zygotes[0], signal.SIGKILL)
    assert wait_until(lambda: who_knows_a_part(supervisor) not in (set(), {before}))
    waiting = one_that_knows(supervisor)
    os.kill(counter.pid(), signal.SIGKILL)
    assert counter.add() == 1
    assert waiting not in who_knows_a_part(supervisor)


@pytest.mark.process
def test_an_actor_without_one_has_none(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="plain")
    supervisor.start(child(Counter), name="counter", understudies=1)
    one_that_knows(supervisor)


@pytest.mark.process
def test_no_spare_outlives_the_actor_that_it_was_kept_for(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="plain")
    assert wait_until(lambda: len(spares_of(supervisor)) == 1)
    supervisor.start(child(Counter), name="counter", understudies=3)
    assert wait_until(lambda: len(spares_of(supervisor)) == 4)  # two of three like any other, beside the usual one
    supervisor.stop("counter")
    assert wait_until(lambda: len(spares_of(supervisor)) == 1)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _is_zygote(pid: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == "understudy-zyg"
