"""Regions of a system over real processes: made, opened, handed over, written by many, by writers that are killed."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from actors import (
    Actor,
    ActorDied,
    BadSpec,
    BlockingCall,
    DeathCertificate,
    Layout,
    LayoutMismatch,
    NotFound,
    OutOfMemory,
    Region,
    RegionBusy,
    RegionError,
    RegionSpec,
    StartFailed,
    Tree,
    array,
    child,
    committed_at_of,
    deadline,
    field,
    generation_of,
    message,
)
from runtime import Supervisor, connect
from runtime.config import load
from runtime.memory.region import Region as MappedRegion
from runtime.testing import wait_until
from tests.runtime.cast import running_system

pytestmark = pytest.mark.process


class Point(Layout):
    x = field("f8")
    y = field("f8")


class Prices(Layout):
    gbp = array("f8", 100)
    updated = field("u8")
    at = array(Point, 3)


class Renamed(Layout):
    gbp = array("f8", 100)
    updated = field("u8")
    at = array(Point, 3)


class Other(Layout):
    gbp = array("f4", 100)
    updated = field("u8")


class Giant(Layout):
    content = array("u1", 1 << 50)


class Clerk(Actor):
    """Writes prices; its region comes with the constructor, by its name, or inside a message."""

    def __init__(self, prices: Region[Prices] | None = None) -> None:
        self.prices = prices or self.context.region("prices", Prices)

    @message
    def set(self, index: int, price: float) -> int:
        with self.prices.write() as view:
            view.gbp[index] = price
            view.updated += 1
            return view.updated

    @message
    def add(self, times: int) -> int:
        for _ in range(times):
            with self.prices.write() as view:
                view.updated += 1
        return times

    @message
    def hold(self, entered: str) -> None:
        with self.prices.write() as view:
            view.gbp[0] = -1.0
            view.updated = 999
            Path(entered).touch()
            signal.pause()

    @message
    def write_within(self, seconds: float | None) -> None:
        with self.prices.write(seconds):
            pass

    @message
    def updated_of(self, prices: Region[Prices]) -> tuple[int, str]:
        return prices.read().updated, prices.name

    @message
    def mine(self) -> Region[Prices]:
        return self.prices

    @message
    def make(self, name: str) -> str:
        return str(self.context.supervisor.region(name, Point).name)

    @message
    def fields_of(self, name: str) -> list[str]:
        return [member.name for member in self.context.region(name).layout.__shape__.members]

    @message
    def pid(self) -> int:
        return os.getpid()


class AsyncClerk(Actor):
    @message
    async def wait(self, generation: int) -> int:
        prices = self.context.region("prices", Prices)
        await prices.newer(generation, 5.0)
        return prices.generation


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    directory = tmp_path_factory.mktemp("regions")
    with running_system(directory) as supervisor, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERSTUDY_DIR", str(directory / "run"))  # for `connect`
        supervisor.region("prices", Prices)
        yield supervisor


@pytest.fixture(scope="module")
def clerk(system: Supervisor) -> Clerk:
    return system.start(child(Clerk), name="clerk")


def test_a_commit_of_an_actor_is_read_by_the_program(system: Supervisor, clerk: Clerk) -> None:
    prices = system.region("prices", Prices)
    before = prices.read()

    updated = clerk.set(3, 9.25)

    after = prices.read()
    assert (after.gbp[3], after.updated) == (9.25, updated)
    assert generation_of(after) == generation_of(before) + 1
    assert committed_at_of(after) > committed_at_of(before)


def test_a_region_that_is_there_is_opened_and_not_made_anew(system: Supervisor, clerk: Clerk) -> None:
    updated = clerk.set(1, 1.0)

    assert system.region("prices", Renamed).read().updated == updated


def test_another_layout_is_refused_with_what_differs(system: Supervisor) -> None:
    with pytest.raises(LayoutMismatch, match=r"(?s)- +0  gbp  f8\[100\].*\+ +0  gbp  f4\[100\]"):
        system.region("prices", Other)


def test_other_writers_are_refused_and_none_given_are_those_it_has(system: Supervisor) -> None:
    assert system.region("lone", Point, writers="one").writers == "one"

    assert system.region("lone", Point).writers == "one"
    with pytest.raises(RegionError, match='made with writers="one", opened with writers="many"'):
        system.region("lone", Point, writers="many")


def test_without_a_layout_a_region_has_the_fields_it_was_made_with(system: Supervisor, clerk: Clerk) -> None:
    with connect("shared") as shop:
        prices = shop.region("prices")
        with prices.write() as view:
            view.at[2].y = 0.5

        assert prices.read().at[2].y == 0.5
        assert shop.region("prices", Prices).read().at[2].y == 0.5
    assert clerk.fields_of("prices") == ["gbp", "updated", "at"]


def test_a_region_that_is_not_there_is_not_found(system: Supervisor, clerk: Clerk) -> None:
    for ask in (lambda: system.region("none"), lambda: clerk.fields_of("none")):
        with pytest.raises(NotFound, match="none: there is no such region"):
            ask()


def test_a_name_that_cannot_be_is_refused(system: Supervisor) -> None:
    with pytest.raises(BadSpec):
        system.region("9 lives", Point)


def test_a_region_that_is_too_large_says_what_was_asked_and_what_is_left(system: Supervisor) -> None:
    with pytest.raises(OutOfMemory) as caught:
        system.region("giant", Giant)

    assert caught.value.wanted > 1 << 51 > caught.value.left > 0
    with pytest.raises(NotFound):
        system.region("giant")
    assert system.region("small", Point).read().x == 0.0


def test_an_actor_makes_a_region_for_others(system: Supervisor, clerk: Clerk) -> None:
    assert clerk.make("made") == "made"

    assert system.region("made", Point).generation == 0


def test_a_region_is_a_constructor_argument(system: Supervisor, clerk: Clerk) -> None:
    system.region("second", Prices)

    second = system.start(child(Clerk, system.region("second", Prices)), name="second")

    assert second.set(0, 2.5) == 1
    assert system.region("second", Prices).read().gbp[0] == 2.5


def test_a_region_travels_in_a_message_and_in_an_answer(system: Supervisor, clerk: Clerk) -> None:
    updated = clerk.set(0, 1.5)

    assert clerk.updated_of(system.region("prices", Prices)) == (updated, "prices")
    assert clerk.mine().read().updated == updated
    assert isinstance(clerk.mine(), MappedRegion)


def test_a_layout_of_a_dtype_travels_too(system: Supervisor, clerk: Clerk) -> None:
    dtype = numpy.dtype([("gbp", "f8", (100,)), ("updated", "u8"), ("at", [("x", "f8"), ("y", "f8")], (3,))])
    updated = clerk.set(0, 1.5)

    assert clerk.updated_of(system.region("prices", Layout.of(dtype))) == (updated, "prices")


def test_a_region_of_another_system_is_refused_where_it_arrives(system: Supervisor) -> None:
    rebuild, (_, name, layout) = system.region("prices", Prices).__reduce__()

    with pytest.raises(RegionError, match="of system 'elsewhere', and this process is attached to 'shared'"):
        rebuild("elsewhere", name, layout)


def test_two_writers_lose_no_commit(system: Supervisor, clerk: Clerk) -> None:
    other = system.start(child(Clerk), name="other")
    prices = system.region("prices", Prices)
    before = prices.read().updated

    replies = [each.add.ask(200) for each in (clerk, other)]

    assert [reply.result(timeout=10) for reply in replies] == [200, 200]
    assert prices.read().updated == before + 400


def test_a_writer_killed_in_a_transaction_leaves_the_last_commit_and_the_next_goes_on(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    prices = supervisor.region("prices", Prices)
    clerk, victim = (supervisor.start(child(Clerk, prices), name=name) for name in ("clerk", "victim"))
    last, pid = clerk.set(0, 4.0), victim.pid()
    killed_while_it_holds(prices, victim, tmp_path / "first")

    assert (prices.read().gbp[0], prices.read().updated) == (4.0, last)
    assert clerk.set(0, 5.0) == last + 1
    assert (prices.read().gbp[0], prices.recoveries) == (5.0, 1)
    assert victim.set(1, 1.0) == last + 2

    certificate = killed_while_it_holds(prices, clerk, tmp_path / "second")
    [line] = [line for line in certificate.log_lines if "a writer died in a transaction" in line]
    assert f"victim (pid {pid})" in line
    prices.close()


def killed_while_it_holds(prices: Region[Prices], clerk: Clerk, entered: Path) -> DeathCertificate:
    pid, reply = clerk.pid(), clerk.hold.ask(str(entered))
    assert wait_until(entered.exists)
    with pytest.raises(RegionBusy, match=rf"\(pid {pid}\)"):
        prices.update(lambda view: view.updated, 0.01)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ActorDied) as died:
        reply.result(timeout=5)
    return died.value.certificate


def test_the_ambient_deadline_bounds_the_wait_for_the_lock(system: Supervisor, clerk: Clerk, tmp_path: Path) -> None:
    holder = system.start(child(Clerk), name="holder")
    pid = holder.pid()
    holder.hold.tell(str(tmp_path / "entered"))
    assert wait_until((tmp_path / "entered").exists)
    prices, start = system.region("prices", Prices), time.monotonic()

    for timeout in (None, 60.0):
        with deadline(0.05), pytest.raises(RegionBusy, match="holder"):
            prices.update(lambda view: view.updated, timeout)

    assert time.monotonic() - start < 5
    os.kill(pid, signal.SIGKILL)  # else it would hold the lock of all other tests


def test_an_async_actor_waits_for_a_commit(system: Supervisor, clerk: Clerk) -> None:
    waiting = system.start(child(AsyncClerk), name="waiting")
    prices = system.region("prices", Prices)

    reply = waiting.wait.ask(prices.generation)
    clerk.set(0, 1.0)

    assert reply.result(timeout=5) == prices.generation


def test_the_async_face_opens_regions_and_the_other_is_refused_in_a_loop(system: Supervisor) -> None:
    async def look() -> int:
        with pytest.raises(BlockingCall):
            system.region("prices", Prices)
        async with connect("shared") as shop:
            prices = await shop.region("prices", Prices)
            return generation_of(prices.read()) - generation_of((await shop.region("prices")).read())

    assert asyncio.run(look()) == 0


def test_a_region_outlives_the_actor_that_made_it_and_ends_with_the_system(nothing_left: Path) -> None:
    with Supervisor("mayfly") as supervisor:
        supervisor.start(child(Clerk, supervisor.region("prices", Prices)), name="clerk")
        supervisor.ref("clerk", Clerk).set(0, 1.0)
        supervisor.stop("clerk")

        assert supervisor.region("prices", Prices).read().updated == 1
    with Supervisor("mayfly") as supervisor, pytest.raises(NotFound):
        supervisor.region("prices")


def test_regions_are_made_before_the_first_child_starts(nothing_left: Path) -> None:
    regions = {"prices": RegionSpec(Prices, "one")}

    with Supervisor("early", regions=regions, children={"clerk": child(Clerk)}) as supervisor:
        assert supervisor.ref("clerk", Clerk).set(0, 1.0) == 1
        assert supervisor.region("prices").writers == "one"


def test_a_reload_makes_the_regions_that_are_new(nothing_left: Path) -> None:
    with Supervisor("young", regions={"prices": RegionSpec(Prices)}) as supervisor:
        supervisor.region("prices", Prices).update(lambda view: setattr(view, "updated", 7))
        regions = {"prices": RegionSpec(Prices), "points": RegionSpec(Point, "one")}

        supervisor.reload(Tree(children={"clerk": child(Clerk)}, regions=regions))

        assert supervisor.ref("clerk", Clerk).set(0, 1.0) == 8
        assert supervisor.region("points").writers == "one"
        with pytest.raises(LayoutMismatch):
            supervisor.reload(Tree(regions={"prices": RegionSpec(Other)}))


def test_nothing_is_started_when_a_region_cannot_be_had(nothing_left: Path) -> None:
    with pytest.raises(OutOfMemory):
        Supervisor("giant", regions={"giant": RegionSpec(Giant)}, children={"clerk": child(Clerk)}).open()


def test_a_child_that_opens_what_is_not_there_fails_to_start(nothing_left: Path) -> None:
    with Supervisor("bare") as supervisor, pytest.raises(StartFailed, match="there is no such region"):
        supervisor.start(child(Clerk), name="clerk")


def test_a_file_makes_regions_and_hands_them_over(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "region_shop.py").write_text(_MODULE)
    (tmp_path / "shop.toml").write_text(_FILE)
    config = load(tmp_path / "shop.toml")

    with Supervisor(config.name, tree=config.tree, path=config.path) as supervisor:
        assert supervisor["clerk"].deal() == [1, "prices", 2, "prices"]
        assert supervisor.region("prices").read().updated == 2
        assert supervisor.region("prices").writers == "one"


_MODULE = """
from actors import Actor, Layout, array, field, message

class Prices(Layout):
    gbp = array("f8", 8)
    updated = field("u8")

class Clerk(Actor):
    def __init__(self, prices, *, more):
        self.regions = [prices, more["nested"][0]]

    @message
    def deal(self):
        found = []
        for region in self.regions:
            with region.write() as view:
                view.updated += 1
                found += [view.updated, region.name]
        return found
"""

_FILE = """
[regions.prices]
layout = "region_shop:Prices"
writers = "one"

[children.clerk]
actor = "region_shop:Clerk"
args = [{ "$region" = "prices" }]
kwargs = { more = { nested = [{ "$region" = "prices" }] } }
"""
