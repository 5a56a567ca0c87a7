"""Understudies: the supervisor's book of them with socket pairs for processes; and real ones, whose actors die."""

import contextlib
import functools
import importlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
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
from runtime.process.exit import children_of
from runtime.process.order import Launch
from runtime.process.zygote import ENTER, IS_WARM, received
from runtime.testing import wait_until
from runtime.understudies import Understudies
from runtime.worker import Worker
from tests.runtime.cast import descriptors_of
from tests.runtime.test_stock import spares_of

NEXT = Launch(99, "a", "a", 2, "test", "/nowhere", directory_of("a"), None, True, 0, 0, 0)
SEAT = 5
ONCE = """
import os
from actors import Actor, message
if os.path.exists({flag!r}):
    os._exit(3)
class Once(Actor):
    @message
    def say(self) -> int:
        return 1
"""


class Zygote:
    """Takes the orders for understudies, and gives out seats."""

    def __init__(self) -> None:
        self.studied: list[tuple[Launch, list[int], int]] = []
        self.left: list[int] = []
        self.is_busy = False
        self.knows_it = True

    def study(self, launch: Launch, fds: list[int], like: int) -> bool:
        if self.is_busy:
            raise BlockingIOError
        self.studied.append((launch, fds, like))
        return self.knows_it

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


class Loop:
    """What is read and what is due, by hand."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], None]] = {}
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.died = 0

    def add_reader(self, fd: int, callback: Callable[..., None], *args: Any) -> None:
        self.readers[fd] = functools.partial(callback, *args)

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        self.later.append((seconds, functools.partial(callback, *args)))

    def reap(self) -> None:
        self.died += 1


def a_book(zygote: Any, loop: Any) -> Understudies:
    """Of understudies whose first launch has the token 7."""
    orders = Orders("/nowhere", "test", 0, 0)
    return Understudies(zygote, zygote, orders, itertools.count(7), lambda *_: None, loop.reap, lambda: loop)


def a_program() -> Program:
    return Program("a", sealed(b""), Mailbox(), None, "finish", 1)


@pytest.fixture
def zygote() -> Zygote:
    return Zygote()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def worker() -> Worker:
    return Worker("a", a_program(), pid=4711, incarnation=1)


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.sock.close()


@pytest.fixture
def understudies(zygote: Any, loop: Any, worker: Worker, process: Process) -> Iterator[Understudies]:
    book = a_book(zygote, loop)
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


def test_one_that_could_not_be_forked_is_none(zygote: Any, loop: Any, worker: Worker, process: Process) -> None:
    book = a_book(zygote, loop)
    book.study(worker, [])
    book.arrived(7, 0, process.fds)
    assert book.enter(worker, NEXT, []) == 0
    assert process.hears() == (b"", 0)
    assert zygote.left == [SEAT]


def test_one_whose_socket_could_not_be_received_leaves_its_seat(zygote: Any, loop: Any, worker: Worker) -> None:
    book = a_book(zygote, loop)
    book.study(worker, [])
    book.arrived(7, 12, [])
    assert zygote.left == [SEAT]
    book.soon(worker)  # and may be studied anew
    assert len(loop.later) == 1


def test_one_that_dies_while_it_waits_is_reaped_and_replaced_in_a_while(
    understudies: Understudies, worker: Worker, process: Process, zygote: Zygote, loop: Loop
) -> None:
    [hear] = loop.readers.values()
    process.sock.send(IS_WARM)
    hear()
    assert (loop.died, loop.later) == (0, [])

    process.sock.close()
    hear()

    assert (loop.died, loop.readers, zygote.left) == (1, {}, [SEAT])
    assert [seconds for seconds, _ in loop.later] == [1.0]
    assert understudies.enter(worker, NEXT, []) == 0


def test_what_no_launch_has_imported_is_not_studied(zygote: Any, loop: Any, worker: Worker) -> None:
    zygote.knows_it = False
    a_book(zygote, loop).study(worker, [])
    assert (zygote.left, loop.later) == ([SEAT], [])


def test_a_zygote_that_is_busy_is_asked_again(zygote: Any, loop: Any, worker: Worker) -> None:
    zygote.is_busy = True
    a_book(zygote, loop).study(worker, [])
    assert zygote.left == [SEAT]
    assert len(loop.later) == 1


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
    """Pids of those that wait with a mailbox open."""
    found = set()
    for pid in spares_of(system):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.update([pid] if any(name.endswith("/mailbox") for name in descriptors_of(pid)) else [])
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
def test_an_understudy_that_was_killed_is_reaped_and_replaced(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="counter", understudies=1)
    killed = one_that_knows(supervisor)
    os.kill(killed, signal.SIGKILL)
    assert wait_until(lambda: not Path(f"/proc/{killed}").exists())
    assert one_that_knows(supervisor) != killed


@pytest.mark.process
def test_after_the_zygotes_death_understudies_come_back_with_the_next_launch(supervisor: Supervisor) -> None:
    counters = [supervisor.start(child(Counter), name=f"counter{n}", understudies=1) for n in range(3)]
    assert wait_until(lambda: len(who_knows_a_part(supervisor)) == 3)
    kill_the_zygote(supervisor)
    assert wait_until(lambda: not who_knows_a_part(supervisor))
    os.kill(counters[0].pid(), signal.SIGKILL)
    assert counters[0].add() == 1
    assert wait_until(lambda: len(who_knows_a_part(supervisor)) == 3)


@pytest.mark.process
def test_a_module_that_cannot_be_imported_any_more_costs_one_zygote_and_nobody_else(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "once.py").write_text(ONCE.format(flag=str(tmp_path / "flag")))
    monkeypatch.syspath_prepend(tmp_path)
    once = importlib.import_module("once")
    with Supervisor("once", path=[str(tmp_path), *sys.path]) as system:
        bad = system.start(child(once.Once), name="bad", understudies=1)
        assert bad.say() == 1
        (tmp_path / "flag").touch()
        kill_the_zygote(system)
        first = zygotes_of(system)
        assert system.start(child(Counter), name="good", understudies=1).add() == 1
        one_that_knows(system)
        assert zygotes_of(system) == first
        assert bad.say() == 1


@pytest.mark.process
def test_no_actor_holds_pages_that_others_are_still_to_study(nothing_left: Path) -> None:
    with Supervisor("many", max_restarts=100, backoff=None) as system:
        counters = [system.start(child(Counter), name=f"counter{n}", understudies=1) for n in range(12)]
        kill_the_zygote(system)
        for each in counters:
            os.kill(each.pid(), signal.SIGKILL)
        pids = [each.pid() for each in counters]
        pages = [len(pages_of(pid)) for pid in pids]
    assert pages == [1] * 12


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


def pages_of(pid: int) -> set[int]:
    """The pages that a process has open, by their inodes."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.update([entry.stat().st_ino] if "understudy-page" in os.readlink(entry) else [])
    return found


def kill_the_zygote(system: Supervisor) -> None:
    """And wait for the next one."""
    [before] = zygotes_of(system)
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: zygotes_of(system) not in ([], [before]))


def zygotes_of(system: Supervisor) -> list[int]:
    """Pids, once they say that they are zygotes; spares are in the group of theirs."""
    found = []
    for each in children_of(system.pid):
        if each.pid == each.group:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                name = Path(f"/proc/{each.pid}/comm").read_text()
                found.extend([each.pid] if name.startswith("understudy-zyg") else [])
    return found
