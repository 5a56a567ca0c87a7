"""The Python API in event loops: callers, handlers and hooks that are `async def`, and what may not block there."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    AskCycle,
    BlockingCall,
    DeadlineExceeded,
    MailboxFull,
    NotFound,
    StartCycle,
    child,
    deadline,
    message,
    name_of,
)
from actors.child import Mailbox
from runtime import AsyncHandle, AsyncSupervisor, Supervisor, connect
from runtime.testing import wait_until
from tests.runtime.cast import AsyncCounter, Counter, Gate, Start, Stopped, descriptors_of

pytestmark = pytest.mark.process


class AsyncAsker(Actor):
    """Asks others from `async def` handlers."""

    def __init__(self, other: Any = None) -> None:
        self.other = other
        self.hooks: list[str] = []

    async def on_start(self) -> None:
        await asyncio.sleep(0)
        self.hooks.append("on_start")

    async def on_error(self, failure: Exception) -> None:
        await asyncio.sleep(0)
        self.hooks.append(f"on_error {failure}")

    @message
    async def seen(self) -> list[str]:
        return self.hooks

    @message
    async def ask_add(self, n: int) -> int:
        return int(await self.other.add.ask(n))

    @message
    async def ask_many(self, count: int) -> list[int]:
        return list(await asyncio.gather(*[self.other.add.ask(1) for _ in range(count)]))

    @message
    async def block(self, n: int) -> int:
        return int(self.other.add(n))

    @message
    async def fail(self, what: str) -> None:
        raise ValueError(what)

    @message
    async def ask_itself(self) -> int:
        return int(await self.context.ref.seen())

    @message
    async def nested_deadline(self, entered: str, until: str) -> str:
        try:
            return str(await self.other.hold.ask(entered, until))
        except DeadlineExceeded:
            return "nested ask ended"

    @message
    async def start_another(self, name: str) -> str:
        ref = await self.context.supervisor.aio.start(child(AsyncCounter, 5), name=name, restart="temporary")
        return f"{name_of(ref)} {await ref.add(1)}"

    @message
    def start_blocking(self, name: str) -> str:
        return name_of(self.context.supervisor.start(child(AsyncCounter, 5), name=name))


class AsyncStarter(Actor):
    """Asks its own supervisor while it starts."""

    async def on_start(self) -> None:
        await self.context.supervisor.aio.start(child(AsyncCounter), name="never")


class Concurrent(Actor):
    """Messages that run side by side."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.go = asyncio.Event()

    @message(concurrent=True)
    async def wait(self) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return self.most

    @message
    async def release(self) -> int:
        self.go.set()
        return self.running

    @message
    async def pid(self) -> int:
        return os.getpid()


def test_async_callers_await_def_and_async_messages(start: Start) -> None:
    counter, async_counter = start(child(Counter, 10)), start(child(AsyncCounter, 20))

    async def main() -> None:
        assert await counter.add.ask(1) == 11
        assert await async_counter.add(1) == 21
        assert await async_counter.add.ask(1) == 22
        await counter.add.send(1)
        counter.add.tell(1)
        assert await counter.add.ask(0) == 13

    asyncio.run(main())


def test_async_handlers_ask_def_and_async_actors(start: Start) -> None:
    for kind in (Counter, AsyncCounter):
        asker = start(child(AsyncAsker, start(child(kind, 10))))

        assert asker.ask_add.ask(1).result() == 11
        assert asker.ask_many.ask(50).result() == list(range(12, 62))


def test_a_blocking_call_in_a_loop_is_refused_with_the_form_to_use(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter))
    asker = start(child(AsyncAsker, counter))

    async def main() -> None:
        with pytest.raises(BlockingCall, match=r"await ref\.message\.ask"):
            counter.add(1)
        with pytest.raises(BlockingCall, match="await"):
            counter.add.ask(1).result()
        with pytest.raises(BlockingCall, match="await"):
            system.start(child(Counter), name="blocked")
        with pytest.raises(BlockingCall, match="await"):
            system.stop("blocked")

    asyncio.run(main())
    with pytest.raises(BlockingCall, match=r"await ref\.message\.ask"):
        asker.block.ask(1).result()


def test_result_in_a_loop_returns_what_is_there_already(start: Start) -> None:
    counter = start(child(Counter))

    async def main() -> None:
        reply = counter.add.ask(1)
        await reply
        assert reply.result() == 1
        assert await reply == 1

    asyncio.run(main())


def test_asks_in_a_loop_are_answered_in_order(start: Start) -> None:
    counter = start(child(Counter))

    async def main() -> None:
        replies = [counter.add.ask(1) for _ in range(2000)]
        assert [await reply for reply in replies] == list(range(1, 2001))

    asyncio.run(main())


def test_cancelling_an_await_drops_the_answer_and_disturbs_nobody(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))

    async def main() -> None:
        reply = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reply, 0.02)
        assert reply.done()
        (tmp_path / "go").touch()
        assert [await gate.note.ask(n) for n in range(3)] == [1, 2, 3]

    asyncio.run(main())


def test_a_deadline_ends_an_awaited_ask(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))

    async def main() -> None:
        with deadline(0.03), pytest.raises(DeadlineExceeded):
            await gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
        (tmp_path / "go").touch()
        assert await gate.note.ask(1) == 1

    asyncio.run(main())


def test_a_nested_ask_of_an_async_handler_inherits_the_deadline(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    asker = start(child(AsyncAsker, gate))
    begin = time.monotonic()

    with deadline(0.1), contextlib.suppress(DeadlineExceeded):  # both end at the same moment
        assert asker.nested_deadline.ask(str(tmp_path / "in"), str(tmp_path / "go")).result() == "nested ask ended"

    (tmp_path / "go").touch()
    assert asker.seen.ask().result() == ["on_start"]
    assert time.monotonic() - begin < 2


def test_an_async_actor_that_asks_itself_is_an_ask_cycle(start: Start) -> None:
    asker = start(child(AsyncAsker), "asker")

    with pytest.raises(AskCycle) as caught:
        asker.ask_itself.ask().result()

    assert caught.value.path == ("asker", "asker")


def test_hooks_may_be_async(start: Start) -> None:
    asker = start(child(AsyncAsker))

    asker.fail.tell("of a tell")

    assert asker.seen.ask().result() == ["on_start", "on_error of a tell"]
    with pytest.raises(ValueError, match="of an ask"):
        asker.fail.ask("of an ask").result()


def test_concurrent_messages_run_side_by_side(start: Start) -> None:
    concurrent = start(child(Concurrent))

    with Stopped(concurrent.pid.ask().result()):
        waiting = [concurrent.wait.ask() for _ in range(10)]
        release = concurrent.release.ask()

    assert release.result() == 10
    assert [reply.result() for reply in waiting] == [10] * 10


def test_an_async_actor_starts_further_actors(start: Start, system: Supervisor) -> None:
    asker = start(child(AsyncAsker))

    assert asker.start_another.ask("started").result() == "started 6"
    system.stop("started")
    with pytest.raises(BlockingCall):
        asker.start_blocking.ask("refused").result()


def test_asking_ones_own_supervisor_in_an_async_on_start_is_a_start_cycle(start: Start) -> None:
    with pytest.raises(Exception, match="StartCycle") as caught:
        start(child(AsyncStarter))

    assert StartCycle.__name__ in str(caught.value)


def test_async_with_gives_a_supervisor_whose_calls_are_awaited(nothing_left: Path) -> None:
    async def main() -> None:
        async with Supervisor("awaited") as supervisor:
            assert isinstance(supervisor, AsyncSupervisor)
            counter = await supervisor.start(child(AsyncCounter, 10), name="counter")
            assert await counter.add(1) == 11
            assert await supervisor.ref("counter", AsyncCounter).add(1) == 12
            assert await supervisor["counter"].add(1) == 13
            assert [status.path for status in await supervisor.children()] == ["counter"]
            assert [status.path for status in await supervisor.status()] == ["counter"]
            assert (await supervisor.count())["active"] == 1
            await supervisor.restart("counter")
            assert await counter.add(1) == 11
            async with connect("awaited") as attached:
                assert await attached["counter"].add(1) == 12
            await supervisor.stop("counter")
            await supervisor.delete("counter")
            assert await supervisor.children() == []
            with pytest.raises(NotFound):
                await supervisor["nobody"].add(1)

    asyncio.run(main())


def test_starting_a_tree_in_a_loop_gives_its_async_handle(nothing_left: Path) -> None:
    from actors import tree

    async def main() -> None:
        async with Supervisor("trees") as supervisor:
            handle = await supervisor.start(tree(children={"one": child(Counter, 1)}), name="below")
            assert isinstance(handle, AsyncHandle)
            assert await handle["one"].add.ask(1) == 2
            assert await supervisor["below.one"].add.ask(1) == 3
            assert [status.path for status in await supervisor.at("below").children()] == ["below.one"]

    asyncio.run(main())


def test_the_loop_runs_on_while_answers_are_waited_for(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))

    async def main() -> None:
        reply = asyncio.ensure_future(gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go")))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not reply.done()
        (tmp_path / "go").touch()
        assert await reply == "held"

    asyncio.run(main())


def test_an_actor_that_dies_ends_the_awaits_of_what_it_had_begun(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    pid = gate.pid()

    async def main() -> None:
        begun = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
        queued = [gate.note.ask(n) for n in range(5)]
        await asyncio.to_thread(wait_until, (tmp_path / "in").exists)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ActorDied) as caught:
            await begun
        assert caught.value.delivered == "started"
        assert await asyncio.gather(*queued) == [1, 2, 3, 4, 5]

    asyncio.run(main())


def test_in_a_loop_a_tell_to_a_full_mailbox_is_refused_and_a_send_waits(start: Start) -> None:
    counter = start(child(AsyncCounter).options(mailbox=Mailbox(size=4096)))
    pid = counter.pid.ask().result()

    async def main() -> int:
        sent = 0
        with Stopped(pid):
            with pytest.raises(MailboxFull) as caught:
                for _ in range(10_000):
                    counter.add.tell(1)
                    sent += 1
            assert caught.value.delivered == "no"
            waiting = asyncio.create_task(counter.add.send(1))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not waiting.done()
        await waiting
        assert await counter.add.ask(0) == sent + 1
        return sent

    assert asyncio.run(main()) > 10


def test_in_a_loop_asks_queue_in_order_behind_a_full_mailbox(start: Start) -> None:
    counter = start(child(AsyncCounter).options(mailbox=Mailbox(size=4096)))
    pid = counter.pid.ask().result()

    async def main() -> None:
        with Stopped(pid):
            replies = [counter.add.ask(1) for _ in range(1000)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*replies) == list(range(1, 1001))

    asyncio.run(main())


def test_in_a_loop_nothing_overtakes_what_is_queued(start: Start) -> None:
    gate = start(child(Gate).options(mailbox=Mailbox(size=4096)))
    pid = gate.pid()

    async def main() -> None:
        with Stopped(pid):
            replies = [gate.note.ask(n) for n in range(200)]
            letterbox = replies[0].box
        assert letterbox is not None
        assert wait_until(lambda: letterbox.load() < 200)  # there is room again, and the loop has not turned since
        with pytest.raises(MailboxFull):
            gate.note.tell("overtakes")
        sending = asyncio.create_task(gate.note.send("in turn"))
        await asyncio.gather(*replies, sending)
        assert await gate.notes.ask() == [*range(200), "in turn"]

    asyncio.run(main())


def test_an_ask_that_expires_in_the_queue_was_not_delivered(start: Start) -> None:
    gate = start(child(Gate).options(mailbox=Mailbox(size=4096)))
    pid = gate.pid()

    async def main() -> None:
        with Stopped(pid):
            with deadline(0.05):
                replies = [gate.note.ask(n) for n in range(300)]
            for reply in replies:
                with pytest.raises(DeadlineExceeded) as caught:
                    await reply
            assert caught.value.delivered == "no"
        assert await gate.notes.ask() == []

    asyncio.run(main())


def test_many_loops_one_after_the_other_leave_no_descriptors(start: Start, system: Supervisor) -> None:
    counter = start(child(AsyncCounter))

    async def main() -> int:
        return int(await counter.add(1))

    asyncio.run(main())
    ours, theirs = len(os.listdir("/proc/self/fd")), len(descriptors_of(system.pid))
    for n in range(20):
        assert asyncio.run(main()) == n + 2

    assert len(os.listdir("/proc/self/fd")) <= ours + 1
    assert len(descriptors_of(system.pid)) <= theirs + 1


def test_a_reply_that_its_loop_left_behind_ends_at_its_deadline(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))

    async def main() -> Any:
        with deadline(0.1):
            return gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))

    reply = asyncio.run(main())

    with pytest.raises(DeadlineExceeded):
        reply.result()
    (tmp_path / "go").touch()


def test_a_reply_of_a_thread_may_be_awaited_in_a_loop(start: Start) -> None:
    counter = start(child(Counter))
    reply = counter.add.ask(1)

    async def main() -> int:
        return int(await reply)

    assert asyncio.run(main()) == 1
