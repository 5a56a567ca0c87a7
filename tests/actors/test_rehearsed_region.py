"""Regions on a Stage: the contract of shared memory, played in one thread and under virtual time."""

from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    Layout,
    LayoutMismatch,
    NotFound,
    Region,
    array,
    child,
    field,
    generation_of,
    message,
)
from actors.errors import RegionBusy
from actors.testing import Stage


class Prices(Layout):
    gbp = array("f8", 4)
    updated = field("u8")


class Other(Layout):
    updated = field("u4")


class Clerk(Actor):
    def __init__(self, prices: Region[Prices] | None = None) -> None:
        self.prices = prices or self.context.region("prices", Prices)

    @message
    def set(self, index: int, price: float) -> int:
        with self.prices.write() as view:
            view.gbp[index] = price
            view.updated += 1
            return view.updated

    @message
    def fail(self) -> None:
        with self.prices.write() as view:
            view.updated = 99
            raise ValueError("no such tea")

    @message
    def nest(self) -> None:
        with self.prices.write():
            self.prices.update(lambda view: view.updated)


class Waiter(Actor):
    @message
    async def wait(self, generation: int, seconds: float) -> bool:
        return await self.context.region("prices", Prices).newer(generation, seconds)


def test_a_commit_is_seen_by_whoever_reads_afterwards() -> None:
    with Stage() as stage:
        clerk = stage.start(child(Clerk), name="clerk")
        before = stage.region("prices").read()

        assert clerk.set(1, 2.5) == 1
        after: Any = stage.region("prices", Prices).read()
        assert (before.updated, after.updated, after.gbp[1], generation_of(after)) == (0, 1, 2.5, 1)


def test_an_exception_discards() -> None:
    with Stage() as stage:
        clerk = stage.start(child(Clerk, stage.region("prices", Prices)), name="clerk")

        with pytest.raises(ValueError, match="no such tea"):
            clerk.fail()
        assert clerk.set(0, 1.0) == 1


def test_a_transaction_in_another_one_is_refused_at_once() -> None:
    with Stage() as stage, pytest.raises(RegionBusy):
        stage.start(child(Clerk), name="clerk").nest()


def test_a_killed_actor_leaves_the_last_commit() -> None:
    with Stage() as stage:
        clerk = stage.start(child(Clerk), name="clerk")
        clerk.set(0, 1.0)
        stage.crash("clerk", after="set")

        with pytest.raises(ActorDied):
            clerk.set(0, 2.0)
        assert clerk.set(0, 3.0) == 3


def test_waiting_for_a_commit_takes_virtual_time() -> None:
    with Stage() as stage:
        clerk, waiter = stage.start(child(Clerk), name="clerk"), stage.start(child(Waiter), name="waiter")

        assert waiter.wait.ask(0, 3.0).result() is False
        assert stage.now == 3.0
        reply = waiter.wait.ask(0, 3.0)
        stage.run()
        clerk.set(0, 1.0)
        assert reply.result() is True
        assert stage.region("prices").wait_newer(1, 2.0) is False
        assert stage.now == 5.0


def test_what_is_not_there_and_another_layout_are_refused() -> None:
    with Stage() as stage:
        with pytest.raises(NotFound):
            stage.region("prices")
        stage.region("prices", Prices)
        with pytest.raises(LayoutMismatch):
            stage.region("prices", Other)
