"""Pools: a message goes to whichever member has nothing to do, and to no other before."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, ActorStopped, NotFound, child, deadline, message
from actors.child import Drain, Host
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Stopped

pytestmark = pytest.mark.process


class Member(Actor):
    """Writes down what it does, in files."""

    @message
    def hold(self, entered: str, until: str) -> str:
        Path(entered).touch()
        while not Path(until).exists():
            os.sched_yield()
        return self.context.name

    @message
    def name(self, ballast: bytes = b"") -> str:
        assert ballast == b"x" * len(ballast)
        return self.context.name

    @message
    def note(self, trace: str, n: int) -> None:
        with open(trace, "a") as file:
            file.write(f"{n}\n")

    @message
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @message(urgent=True)
    def at_once(self) -> str:
        return self.context.name


class AsyncMember(Member):
    @message
    async def name(self, ballast: bytes = b"") -> str:  # type: ignore[override]
        return self.context.name


class ConcurrentMember(Member):
    @message(concurrent=True)
    async def name(self, ballast: bytes = b"") -> str:  # type: ignore[override]
        await asyncio.sleep(0)
        return self.context.name


def held(pool: Any, directory: Path, tag: str = "") -> tuple[Any, Callable[[], None]]:
    """Have one member hold a message: its reply, and what lets it go."""
    entered, until = directory / f"entered{tag}", directory / f"until{tag}"
    reply = pool.hold.ask(str(entered), str(until))
    assert wait_until(entered.exists)
    return reply, until.touch


@pytest.mark.parametrize("actor", [Member, AsyncMember, ConcurrentMember])
@pytest.mark.parametrize("host", ["process", "thread"])
def test_nothing_waits_behind_a_long_message_while_another_member_is_idle(
    supervisor: Supervisor, tmp_path: Path, actor: type[Member], host: Host
) -> None:
    pool = supervisor.start(child(actor), name="pool", replicas=2, host=host)
    with deadline(60):
        long, let_go = held(pool, tmp_path)
        asked = [pool.name.ask(b"x" * (n * 37 % 2000)) for n in range(100)]
        busy = {"pool.r1", "pool.r2"} - {reply.result() for reply in asked}
        let_go()

        assert busy == {long.result()}


def test_what_a_burst_left_behind_is_taken_by_whoever_is_free(supervisor: Supervisor, tmp_path: Path) -> None:
    """Sent before either member could begin: none of it is bound to one of them."""
    pool = supervisor.start(child(Member), name="pool", replicas=2)
    with deadline(60):
        first, let_first_go = held(pool, tmp_path, "1")
        second, let_second_go = held(pool, tmp_path, "2")
        asked = [pool.name.ask() for _ in range(50)]
        let_first_go()

        assert {reply.result() for reply in asked} == {first.result()}
        let_second_go()
        second.result()


def test_a_killed_member_ends_what_it_had_begun_and_nothing_else(supervisor: Supervisor, tmp_path: Path) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2, restart="permanent")
    with deadline(60):
        _, let_go = held(pool, tmp_path)
        dying = pool.die.ask()
        asked = [pool.name.ask() for _ in range(50)]

        with pytest.raises(ActorDied) as caught:
            dying.result()
        assert caught.value.delivered == "started"
        assert all(reply.result() for reply in asked)
        let_go()


def test_every_message_to_a_pool_whose_members_are_killed_is_handled_or_was_in_hand(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    pool = supervisor.start(child(Member), name="pool", replicas=3)
    with deadline(60):
        for n in range(600):
            pool.note.tell(str(trace), n)
            if n % 150 == 149:
                alive = [status.pid for status in supervisor.children("pool") if status.pid]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(alive[0], signal.SIGKILL)
        assert wait_until(lambda: sum(s.queued_bytes for s in supervisor.status()) == 0 and bool(pool.name()))
    assert wait_until(lambda: len(trace.read_text().split()) + len(supervisor.letters()) >= 600)
    seen = Counter(map(int, trace.read_text().split()))
    lost = 600 - len(seen)

    assert max(seen.values()) == 1
    assert lost <= len(supervisor.letters()) <= 4


def test_a_stopped_member_holds_up_nobody(supervisor: Supervisor, tmp_path: Path) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2)
    pid = next(status.pid for status in supervisor.children("pool"))

    with Stopped(pid), deadline(60):
        assert {pool.name() for _ in range(50)} == {"pool.r2"}
    assert tmp_path.exists()


def test_an_urgent_message_goes_to_a_member_that_is_idle(supervisor: Supervisor, tmp_path: Path) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2)
    long, let_go = held(pool, tmp_path)

    assert len({pool.at_once() for _ in range(5)}) == 1
    busy = ({"pool.r1", "pool.r2"} - {pool.at_once()}).pop()
    let_go()
    assert long.result() == busy


def test_a_member_is_still_reached_by_its_own_name(supervisor: Supervisor) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2)
    for _ in range(20):
        pool.name()

    for name in ("pool.r1", "pool.r2"):
        assert supervisor.ref(name, Member).name() == name


@pytest.mark.parametrize("drain", ["finish", "discard"])
def test_a_pool_that_stops_handles_what_is_queued_or_leaves_it_as_drain_says(
    supervisor: Supervisor, tmp_path: Path, drain: Drain
) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2, drain=drain, restart="temporary")
    trace = tmp_path / "trace"
    trace.touch()
    (_, first_go), (_, second_go) = held(pool, tmp_path, "1"), held(pool, tmp_path, "2")
    for n in range(50):
        pool.note.tell(str(trace), n)
    waiting = pool.name.ask()
    status = supervisor.status()[0]
    assert status.queued_bytes > 0

    first_go()
    second_go()
    if drain == "discard":  # both have begun none of it, perhaps
        supervisor.stop("pool")
        assert wait_until(lambda: len(trace.read_text().split()) + len(supervisor.letters()) >= 50)
    else:
        supervisor.stop("pool")
        assert sorted(map(int, trace.read_text().split())) == list(range(50))
        assert supervisor.letters() == []
    with contextlib.suppress(ActorStopped):
        waiting.result()
    with pytest.raises((ActorStopped, NotFound)):
        pool.name()


def test_what_is_queued_for_a_pool_stays_when_one_of_it_is_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2)
    with deadline(60):
        _, first_go = held(pool, tmp_path, "1")
        second, second_go = held(pool, tmp_path, "2")
        asked = [pool.name.ask() for _ in range(20)]
        second_go()
        supervisor.stop(second.result())

        first_go()
        assert all(reply.result() for reply in asked)
        assert len({pool.name() for _ in range(10)}) == 1


def test_a_full_queue_makes_a_loop_wait_and_loses_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    pool = supervisor.start(child(Member), name="pool", replicas=2)
    trace = tmp_path / "trace"
    (_, first_go), (_, second_go) = held(pool, tmp_path, "1"), held(pool, tmp_path, "2")

    async def flood() -> None:
        sending = [asyncio.ensure_future(pool.note.send(str(trace), n)) for n in range(3000)]
        await asyncio.sleep(0)
        assert not all(task.done() for task in sending)
        first_go()
        second_go()
        await asyncio.gather(*sending)

    with deadline(60):
        asyncio.run(flood())
    assert wait_until(lambda: len(trace.read_text().split()) == 3000)
    assert sorted(map(int, trace.read_text().split())) == list(range(3000))
