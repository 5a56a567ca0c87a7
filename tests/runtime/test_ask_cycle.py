"""What waits in a circle is told so; what is only kept, or handled beside others, is answered."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, AskCycle, child, deadline, message
from runtime.pending import Pending
from runtime.testing import wait_until
from tests.runtime.cast import Start

pytestmark = pytest.mark.process


class Keeper(Actor):
    """Makes asks, and waits for them when it is told to."""

    def __init__(self) -> None:
        self.kept: Any = None

    @message
    def double(self, n: int) -> int:
        return 2 * n

    @message
    def keep_own(self) -> str:
        self.kept = self.context.ref.double.ask(21)
        return "kept"

    @message
    def wait_for_own(self) -> int:
        return self.context.ref.double.ask(21).result()

    @message
    def keep(self, other: Any, entered: str, first: Any = None) -> None:
        """Has the other one call back, and does not wait for that."""
        self.kept = other.call_back.ask(first or self.context.ref, entered)

    @message
    def result(self) -> Any:
        return self.kept.result()

    @message
    def keep_and_wait(self, other: Any, entered: str, first: Any = None) -> Any:
        """Begins to wait when the other one waits already."""
        self.keep(other, entered, first)
        assert wait_until(Path(entered).exists)
        return self.kept.result()

    @message
    def call_back(self, first: Any, entered: str) -> int:
        answer = first.double.ask(4)
        Path(entered).touch()
        return answer.result()


class Side(Actor):
    """Handles messages side by side, and one alone."""

    @message(concurrent=True)
    async def outer(self, other: Any) -> str:
        return await other.back(self.context.ref)

    @message(concurrent=True)
    async def back(self, first: Any) -> str:
        return await first.inner.ask()

    @message
    async def inner(self) -> str:
        return "inner"

    @message
    async def alone(self, other: Any, n: int) -> Any:
        answers = await asyncio.gather(*(other.back.ask(self.context.ref) for _ in range(n)))
        return answers[0]


class Restless(Side):
    """Asks in a task of its own, which `on_start` has left behind."""

    def __init__(self, other: Any) -> None:
        self.other = other
        self.heard = ""

    async def on_start(self) -> None:
        self.task = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        self.heard = await self.other.back(self.context.ref)

    @message
    async def what(self) -> str:
        return self.heard


@pytest.mark.parametrize("host", ["process", "thread"])
def test_an_ask_of_oneself_that_is_kept_is_answered_and_one_that_is_waited_for_is_a_cycle(
    start: Start, host: str
) -> None:
    keeper = start(child(Keeper), "own", host=host)

    assert keeper.keep_own() == "kept"
    assert keeper.result() == 42
    with pytest.raises(AskCycle, match="own → own"):
        keeper.wait_for_own()
    assert keeper.double(1) == 2


@pytest.mark.parametrize("host", ["process", "thread"])
def test_an_ask_that_is_kept_may_come_back(start: Start, tmp_path: Path, host: str) -> None:
    one, two = start(child(Keeper), "one", host=host), start(child(Keeper), "two", host=host)

    one.keep(two, str(tmp_path / "entered"))

    assert wait_until((tmp_path / "entered").exists)
    assert one.result() == 8


def test_whoever_begins_to_wait_last_or_first_a_circle_is_found(start: Start, tmp_path: Path) -> None:
    one, two = start(child(Keeper), "first"), start(child(Keeper), "second")

    with deadline(None), pytest.raises(AskCycle, match="first → second → first"):
        one.keep_and_wait(two, str(tmp_path / "entered"))
    assert (one.double(1), two.double(1)) == (2, 2)


def test_concurrent_messages_that_come_back_to_their_actor_are_answered(start: Start) -> None:
    one, two = start(child(Side), "left"), start(child(Side), "right")

    assert one.outer.ask(two).result() == "inner"
    assert one.outer.ask(one).result() == "inner"


@pytest.mark.parametrize("asks", [1, 3])
def test_a_message_that_is_handled_alone_and_comes_back_is_a_cycle(start: Start, asks: int) -> None:
    one, two = start(child(Side), "alone"), start(child(Side), "beside")

    with deadline(None), pytest.raises(AskCycle, match="alone → beside → alone"):
        one.alone.ask(two, asks).result()


def test_a_task_that_a_hook_has_left_behind_holds_up_nobody(start: Start) -> None:
    other = start(child(Side))
    restless = start(child(Restless, other))

    assert wait_until(lambda: restless.what.ask().result() == "inner")


def test_a_member_of_a_pool_that_waits_for_itself_is_found_and_another_member_answers(
    start: Start, tmp_path: Path
) -> None:
    pool, other = start(child(Keeper), "pool", replicas=2), start(child(Keeper), "single")

    with deadline(None), pytest.raises(AskCycle, match=r"pool\.(r\d) → single → pool\.\1"):
        pool.keep_and_wait(other, str(tmp_path / "entered"))
    assert pool.keep_and_wait(other, str(tmp_path / "again"), pool) == 8


class Race:
    """A channel and a wait: the circle is seen just before the answer that has come is read."""

    loop = None

    def __init__(self) -> None:
        self.pending: Pending | None = None
        self.has_come = False

    def forget(self, _ask_id: int) -> None: ...

    def wait(self, _pending: Pending, _timeout_ns: int | None) -> None:
        raise TimeoutError

    def collect(self) -> None:
        if self.has_come and self.pending is not None:
            self.pending.settle((True, "answer"))

    def is_doubtful(self) -> bool:
        return True

    @contextlib.contextmanager
    def begun(self) -> Iterator[Callable[[], None]]:
        yield self.look

    def look(self) -> None:
        self.has_come = True
        raise AskCycle(("a", "b", "a"))


def test_an_answer_that_had_come_when_a_circle_was_seen_is_the_answer() -> None:
    race = Race()
    race.pending = Pending(race, 1, "b", 0, race)

    assert race.pending.result() == "answer"
