"""Callers in several threads: each waits for its own answers, none disturbs another."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, child, deadline, message
from actors.errors import DeadlineExceeded, SystemGone
from runtime import Supervisor, connect
from runtime.testing import wait_until
from tests.runtime.cast import AsyncCounter, Counter, Echo, Gate, Start, descriptors_of

pytestmark = pytest.mark.process


class Threaded(Actor):
    """Asks others from threads of its own."""

    def __init__(self, other: Any) -> None:
        self.other = other

    @message
    def ask_from_threads(self, count: int) -> int:
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(self.other.echo, range(count)))


def test_threads_ask_side_by_side_and_get_their_own_answers(start: Start) -> None:
    echo = start(child(Echo))

    def ask(n: int) -> list[int]:
        return [echo.echo((n, k))[1] for k in range(200)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert answers == [list(range(200))] * 8


def test_each_threads_messages_are_handled_in_its_order(start: Start) -> None:
    gate = start(child(Gate))

    def tell(sender: int) -> None:
        for n in range(500):
            gate.note.tell((sender, n))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, range(4)))

    notes = gate.notes()
    for sender in range(4):
        assert [n for who, n in notes if who == sender] == list(range(500))


def test_a_reply_may_be_waited_for_in_another_thread(start: Start) -> None:
    counter = start(child(Counter))
    replies = [counter.add.ask(1) for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda reply: reply.result(), replies)) == list(range(1, 101))


def test_several_threads_wait_for_the_same_reply(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    reply = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    barrier = threading.Barrier(5)

    def wait() -> object:
        barrier.wait()
        return reply.result()

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(wait) for _ in range(4)]
        barrier.wait()
        (tmp_path / "go").touch()

        assert [one.result(10) for one in waiting] == ["held"] * 4


def test_a_waiting_thread_times_out_while_another_reads(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    reply = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))

    def wait(timeout: float) -> str:
        try:
            return str(reply.result(timeout))
        except TimeoutError as exc:
            return type(exc).__name__

    with ThreadPoolExecutor(3) as pool:
        short = [pool.submit(wait, 0.03) for _ in range(2)]
        long = pool.submit(wait, 10)
        assert [one.result() for one in short] == ["TimeoutError"] * 2
        (tmp_path / "go").touch()

        assert long.result() == "held"


def test_a_deadline_of_one_thread_is_not_anothers(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    counter = start(child(Counter))
    with deadline(0.02):
        thread = ThreadPoolExecutor(1)
        free = thread.submit(counter.add.ask, 1).result().until_ns
        with pytest.raises(DeadlineExceeded):
            gate.hold(str(tmp_path / "in"), str(tmp_path / "go"))
        bound = counter.add.ask(1).until_ns
    (tmp_path / "go").touch()
    thread.shutdown()

    assert free > bound


def test_threads_that_come_and_go_leave_no_descriptors(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter))
    counter.add(1)

    def ask() -> None:
        counter.add(1)

    for round_ in range(30):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        if round_ == 0:
            ours, theirs = len(os.listdir("/proc/self/fd")), len(descriptors_of(system.pid))

    assert len(os.listdir("/proc/self/fd")) <= ours + 1
    assert len(descriptors_of(system.pid)) <= theirs + 1
    assert counter.add(0) == 31


def test_an_actors_own_threads_may_ask(start: Start) -> None:
    threaded = start(child(Threaded, start(child(Echo))))

    assert threaded.ask_from_threads(100) == sum(range(100))


def test_loops_in_several_threads_ask_side_by_side(start: Start) -> None:
    counter = start(child(AsyncCounter))

    async def main() -> int:
        return len(await asyncio.gather(*[counter.add(1) for _ in range(100)]))

    with ThreadPoolExecutor(4) as pool:
        assert [one.result() for one in [pool.submit(asyncio.run, main()) for _ in range(4)]] == [100] * 4

    assert counter.add.ask(0).result() == 400


def test_a_forked_process_has_an_endpoint_of_its_own(start: Start) -> None:
    echo = start(child(Echo))
    assert echo.echo("before") == "before"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str([echo.echo(n) for n in range(20)]).encode())
        finally:
            os._exit(0)
    os.close(write)
    assert [echo.echo(-n) for n in range(200)] == [-n for n in range(200)]
    with os.fdopen(read) as file:
        assert file.read() == str(list(range(20)))
    assert os.waitpid(pid, 0)[1] == 0


def test_systems_may_be_started_from_any_thread(nothing_left: Path) -> None:
    def main(name: str) -> int:
        with Supervisor(name) as supervisor:
            return int(supervisor.start(child(Counter), name="counter").add(1))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(main, ["one", "two"])) == [1, 1]


def test_a_fork_that_leaves_the_with_block_ends_nothing_of_its_parents(nothing_left: Path) -> None:
    with Supervisor("parents") as supervisor:
        counter = supervisor.start(child(Counter), name="counter")
        pid = os.fork()
        if pid == 0:
            try:
                supervisor.close()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0

        assert counter.add(1) == 1


@pytest.mark.parametrize("is_call", [True, False])
def test_a_client_closed_by_another_thread_ends_the_asks_under_way(
    supervisor: Supervisor, tmp_path: Path, is_call: bool
) -> None:
    supervisor.start(child(Gate), name="gate")
    attached = connect(supervisor.name).open()
    gate = attached.ref("gate", Gate)
    holding = str(tmp_path / "entered"), str(tmp_path / "until")

    def hold() -> str:
        gate.notes()  # from now on the actor keeps this thread's way back open
        return gate.hold(*holding) if is_call else gate.hold.ask(*holding).result()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert wait_until((tmp_path / "entered").exists)
        attached.close()

        with pytest.raises(SystemGone):
            held.result(timeout=3)
    with pytest.raises(SystemGone):
        gate.notes()
    (tmp_path / "until").touch()
