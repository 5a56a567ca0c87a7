"""A supervisor that is stopped (SIGSTOP, a debugger, a machine that swaps): nobody waits for it past his deadline."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import Actor, child, deadline, message, name_of
from actors.errors import DeadlineExceeded
from runtime import Supervisor, connect
from runtime.memory.slab import rounded
from runtime.testing import wait_until
from tests.runtime.cast import bodies_of

pytestmark = pytest.mark.process


class Echo(Actor):
    """Says it again."""

    @message
    def say(self, what: object) -> object:
        return what

    @message
    def make(self, nbytes: int) -> bytes:
        return bytes(nbytes)

    @message
    def hold(self, until: str) -> None:
        while not Path(until).exists():
            os.sched_yield()

    @message
    def pid(self) -> int:
        return os.getpid()


class AsyncEcho(Actor):
    """The same on asyncio."""

    @message
    async def say(self, what: object) -> object:
        return what

    @message
    async def make(self, nbytes: int) -> bytes:
        return bytes(nbytes)

    @message(concurrent=True)
    async def make_beside(self, nbytes: int) -> bytes:
        return bytes(nbytes)

    @message
    async def fail(self, nbytes: int) -> None:
        raise ValueError("x" * nbytes)

    @message
    def make_plainly(self, nbytes: int) -> bytes:
        return bytes(nbytes)

    @message(concurrent=True)
    async def wait(self, seconds: float) -> float:
        """How much later than that it came back."""
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time() - begun - seconds


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """While the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_first_ask_ends_at_its_deadline_and_later_ones_work(supervisor: Supervisor) -> None:
    supervisor.start(child(Echo), name="echo")
    with connect(supervisor.name) as client:
        echo = client.ref("echo", Echo)
        with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded) as told:
            echo.say(1)
        assert told.value.delivered == "no"
        assert echo.say(2) == 2


def test_an_ask_from_a_thread_that_never_asked_ends_at_its_deadline(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    told: list[str] = []

    def ask() -> None:
        with deadline(0.2):
            try:
                echo.say(1)
            except DeadlineExceeded as exc:
                told.append(exc.delivered)

    asking = threading.Thread(target=ask)
    with stopped(supervisor.pid):
        asking.start()
        asking.join(20)
    assert told == ["no"]
    assert echo.say(2) == 2


def test_a_payload_that_needs_new_memory_ends_at_its_deadline(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    large = bytes(300_000)
    with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded) as told:
        echo.say(large)
    assert told.value.delivered == "no"
    for _ in range(3):
        assert echo.say(large) == large


def test_those_who_wait_behind_each_other_all_end_at_their_deadlines(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    told: list[str] = []

    def ask(seconds: float) -> None:
        with deadline(seconds):
            try:
                echo.say(1)
            except DeadlineExceeded as exc:
                told.append(exc.delivered)

    threads = [threading.Thread(target=ask, args=(seconds,)) for seconds in (1.0, 0.2, 0.2, 0.2)]
    with stopped(supervisor.pid):
        for each in threads:
            each.start()
        assert wait_until(lambda: len(told) == 4)
    for each in threads:
        each.join(20)
    assert told == ["no"] * 4
    assert echo.say(2) == 2


def test_who_attaches_is_told_after_the_deadline(supervisor: Supervisor) -> None:
    with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded, match="did not answer in time"):
        connect(supervisor.name).open()
    with connect(supervisor.name) as client:
        assert client.count()["specs"] == 0


def test_a_client_can_be_closed_while_a_thread_of_it_waits(supervisor: Supervisor) -> None:
    supervisor.start(child(Echo), name="echo")
    client = connect(supervisor.name).open()
    echo = client.ref("echo", Echo)
    assert echo.say(0) == 0
    ended = threading.Event()

    def ask() -> None:
        with contextlib.suppress(Exception), deadline(60):
            echo.say(1)
        ended.set()

    with stopped(supervisor.pid):
        threading.Thread(target=ask, daemon=True).start()
        assert not ended.wait(0.1)
        client.close()
        assert ended.wait(20)


def test_a_supervisor_that_takes_no_connections_holds_up_nobody(
    supervisor: Supervisor, runtime_directory: Path
) -> None:
    supervisor.start(child(Echo), name="echo")
    waiting: list[socket.socket] = []
    with connect(supervisor.name) as client, stopped(supervisor.pid):
        with contextlib.suppress(BlockingIOError):  # the queue is full
            while True:
                waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(runtime_directory / supervisor.name / "control"))
        with deadline(0.2), pytest.raises(DeadlineExceeded):
            client.ref("echo", Echo).say(1)
    for each in waiting:
        each.close()
    assert supervisor.ref("echo", Echo).say(2) == 2


def test_memory_that_came_too_late_is_given_back(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    with stopped(supervisor.pid), deadline(0.2), pytest.raises(DeadlineExceeded):
        echo.say(bytes(20 << 20))
    assert len(echo.say(bytes(1 << 20))) == 1 << 20  # type: ignore[arg-type]
    assert supervisor.memory().large < 20 << 20


def test_an_interrupted_request_leaves_the_next_ones_their_own_answers(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with stopped(supervisor.pid):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt), deadline(20):
                echo.say(bytes(300_000))
    finally:
        signal.signal(signal.SIGALRM, before)
    for size in (300_000, 600_000, 1_200_000):
        assert echo.say(bytes(size)) == bytes(size)


LARGE = 300_000


def large_for_another(supervisor: Supervisor, echo: Echo) -> None:
    """The actor has memory for two such answers, which another client had: it is not mapped here."""
    with connect(supervisor.name) as other:
        asks = [other.ref(name_of(echo), Echo).make.ask(LARGE) for _ in range(2)]
        assert wait_until(lambda: bodies_of(supervisor) == 2)  # at one time: nobody has read the first
        assert [len(reply.result()) for reply in asks] == [LARGE, LARGE]
        del asks
    assert wait_until(lambda: bodies_of(supervisor) == 0)


def test_an_answer_in_memory_that_is_not_mapped_yet_ends_at_the_asks_deadline(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    assert echo.say(0) == 0
    large_for_another(supervisor, echo)
    with stopped(supervisor.pid), deadline(0.3):
        with pytest.raises(DeadlineExceeded) as told:
            echo.make(LARGE)
        assert told.value.delivered == "done"
    assert len(echo.make(LARGE)) == LARGE
    assert wait_until(lambda: bodies_of(supervisor) == 0)  # that one has been given back too


def test_who_reads_anothers_large_answer_is_not_held_up_by_it(supervisor: Supervisor, tmp_path: Path) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    other = supervisor.start(child(Echo), name="other")
    assert other.say(0) == echo.say(0) == 0
    large_for_another(supervisor, echo)
    with stopped(supervisor.pid):
        with deadline(60):
            large = echo.make.ask(LARGE)
        assert echo.say(1) == 1  # its answer comes behind the other
        with deadline(0.3), pytest.raises(DeadlineExceeded) as told:
            other.hold(str(tmp_path / "until"))
        assert told.value.delivered == "started"
        (tmp_path / "until").touch()
        with pytest.raises(TimeoutError, match="the ask lives on"):
            large.result(timeout=0.1)
    assert len(large.result()) == LARGE


def test_in_a_loop_a_large_answer_holds_up_no_other_ask(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    large_for_another(supervisor, echo)

    async def main() -> None:
        assert await echo.say.ask(0) == 0
        with stopped(supervisor.pid):
            with deadline(0.4):
                short = echo.make.ask(LARGE)
            with deadline(60):
                long = echo.make.ask(LARGE)
            waiting = asyncio.gather(short, long, return_exceptions=True)
            assert [await echo.say.ask(n) for n in range(20)] == list(range(20))
            with pytest.raises(DeadlineExceeded) as told:
                await short
            assert told.value.delivered == "done"
            assert await echo.say.ask(1) == 1
        _, answered = await waiting
        assert isinstance(answered, bytes)
        assert len(answered) == LARGE

    asyncio.run(main())
    assert wait_until(lambda: bodies_of(supervisor) == 0)


def test_an_actor_on_asyncio_goes_on_while_a_message_waits_for_its_memory(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(AsyncEcho), name="echo")
    assert echo.say.ask(0).result() == 0
    supervisor._endpoint.arena._own._stock_up(rounded(LARGE))  # memory that the actor has not mapped
    with stopped(supervisor.pid), deadline(60):
        beside = [echo.wait.ask(0.05) for _ in range(3)]
        large = echo.say.ask(bytes(LARGE))
        late = [reply.result() for reply in beside]
        assert not large.done()
    assert large.result() == bytes(LARGE)
    assert len(late) == 3


def test_a_message_whose_memory_is_not_to_be_had_yet_is_handled_when_it_is(supervisor: Supervisor) -> None:
    supervisor.start(child(AsyncEcho), name="async")
    supervisor.start(child(Echo), name="plain")
    with connect(supervisor.name) as client:
        for ref in (client.ref("async", AsyncEcho), client.ref("plain", Echo)):
            assert ref.say.ask(bytes(LARGE)).result() == bytes(
                LARGE
            )  # the sender's memory, and the actor's for the answer
    with connect(supervisor.name) as client:
        for ref in (client.ref("async", AsyncEcho), client.ref("plain", Echo)):
            assert ref.say.ask(0).result() == 0
            client._endpoint.arena._own._stock_up(rounded(LARGE))  # which the actor has not mapped
            with stopped(supervisor.pid):
                with deadline(60):
                    large = ref.say.ask(bytes(LARGE))
                with deadline(0.2):
                    small = ref.say.ask(1)
                with contextlib.suppress(DeadlineExceeded):
                    assert small.result() == 1
                assert not large.done()
            assert large.result() == bytes(LARGE)


@pytest.mark.parametrize("name", ["make", "make_beside", "make_plainly"])
def test_an_actor_on_asyncio_goes_on_while_its_answer_waits_for_memory(supervisor: Supervisor, name: str) -> None:
    echo = supervisor.start(child(AsyncEcho), name="echo")
    assert echo.say.ask(0).result() == 0
    with stopped(supervisor.pid), deadline(60):
        beside = [echo.wait.ask(0.05) for _ in range(3)]
        large = getattr(echo, name).ask(LARGE)
        assert len([reply.result() for reply in beside]) == 3
        assert not large.done()
    assert large.result() == bytes(LARGE)
    assert echo.say.ask(1).result() == 1
    del large
    assert wait_until(lambda: bodies_of(supervisor) == 0)


def test_a_large_error_waits_for_memory_as_an_answer_does(supervisor: Supervisor) -> None:
    echo = supervisor.start(child(AsyncEcho), name="echo")
    assert echo.say.ask(0).result() == 0
    with stopped(supervisor.pid), deadline(60):
        beside = echo.wait.ask(0.05)
        failed = echo.fail.ask(LARGE)
        beside.result()
        assert not failed.done()
    with pytest.raises(ValueError, match="xxx"):
        failed.result()


@pytest.mark.parametrize("name", ["make", "make_beside", "fail"])
def test_an_answer_that_gets_no_memory_until_its_deadline_holds_up_nothing_behind_it(
    supervisor: Supervisor, name: str
) -> None:
    echo = supervisor.start(child(AsyncEcho), name="echo")
    assert echo.say.ask(0).result() == 0
    with stopped(supervisor.pid):
        with deadline(0.4), pytest.raises(DeadlineExceeded) as told:
            getattr(echo, name).ask(LARGE).result()
        assert told.value.delivered != "no"
        with deadline(60):
            assert echo.say.ask(1).result() == 1
    assert len(echo.make.ask(LARGE).result()) == LARGE
    assert wait_until(lambda: bodies_of(supervisor) == 0)


def test_a_payload_dropped_while_the_supervisor_is_late_is_free_though_its_actor_is_killed(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    echo = supervisor.start(child(Echo), name="echo")
    pid = echo.pid()
    supervisor._endpoint.arena._own._stock_up(rounded(LARGE))  # memory that the actor has not mapped
    with deadline(60):
        holding = echo.hold.ask(str(tmp_path / "until"))
    with stopped(supervisor.pid):
        with deadline(0.2), pytest.raises(DeadlineExceeded):
            echo.say.ask(bytes(LARGE)).result()
        (tmp_path / "until").touch()
        assert holding.result() is None
        with deadline(60):
            assert echo.say(1) == 1  # it has come by the one that had expired
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: bodies_of(supervisor) == 0)
