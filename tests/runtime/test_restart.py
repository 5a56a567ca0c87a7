"""Restarts on request: what is queued and what is committed stay, whatever becomes of the restart."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorStopped, Backoff, Child, Down, StartFailed, child, deadline, message, tree
from actors.child import Strategy
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process


class Account(Actor):
    """Has a state that is committed; its later starts wait at a gate, or fail at a wall, that the test puts up."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.balance = 0

    def snapshot(self) -> int:
        return self.balance

    def restore(self, balance: int) -> None:
        self.balance = balance
        if (self.directory / "wall").exists():
            raise RuntimeError("no way in")
        if (self.directory / "gate").exists():
            (self.directory / "waits").touch()
            while (self.directory / "gate").exists():
                os.sched_yield()

    @message
    def add(self) -> int:
        self.balance += 1
        return self.balance

    @message
    def end(self) -> None:
        self.context.stop()


def states(supervisor: Supervisor) -> dict[str, str]:
    return {status.path: status.state for status in supervisor.status()}


def pid_of(supervisor: Supervisor, path: str) -> int:
    return {status.path: status.pid for status in supervisor.status()}[path]


def all_run(supervisor: Supervisor) -> bool:
    return set(states(supervisor).values()) == {"running"}


@pytest.mark.parametrize("host", ["process", "thread"])
def test_a_kill_in_a_requested_restart_costs_neither_what_is_queued_nor_what_is_committed(
    supervisor: Supervisor, tmp_path: Path, host: Any
) -> None:
    account = supervisor.start(child(Account, str(tmp_path)), name="a", host=host)
    assert [account.add() for _ in range(5)] == [1, 2, 3, 4, 5]
    (tmp_path / "gate").touch()
    with ThreadPoolExecutor() as pool:
        restart = pool.submit(supervisor.restart, "a")
        assert wait_until((tmp_path / "waits").exists)
        account.add.tell()
        os.kill(pid_of(supervisor, "a"), signal.SIGKILL)
        with pytest.raises(StartFailed) as caught:
            restart.result(timeout=10)
    (tmp_path / "gate").unlink()

    assert caught.value.certificate is not None
    assert caught.value.certificate.signal == "SIGKILL"
    assert states(supervisor) == {"a": "stopped"}
    supervisor.restart("a")
    assert account.add() == 7
    assert supervisor.letters() == []


@pytest.mark.parametrize("path", ["nest.a", "nest"])
def test_a_restart_that_fails_leaves_the_queue_to_the_next_one(
    supervisor: Supervisor, tmp_path: Path, path: str
) -> None:
    supervisor.start(tree(children={"a": child(Account, str(tmp_path)), "b": child(Counter)}), name="nest")
    account = supervisor.ref("nest.a", Account)
    assert account.add() == 1
    (tmp_path / "wall").touch()

    with pytest.raises(StartFailed):
        supervisor.restart(path)
    account.add.tell()
    waiting = account.add.ask()
    (tmp_path / "wall").unlink()
    supervisor.restart(path)

    assert waiting.result(timeout=5) == 3
    assert all_run(supervisor)


def test_what_failed_to_start_ends_with_a_stop_for_good(supervisor: Supervisor, tmp_path: Path) -> None:
    account = supervisor.start(child(Account, str(tmp_path)), name="a")
    account.add()
    (tmp_path / "wall").touch()
    with pytest.raises(StartFailed):
        supervisor.restart("a")
    waiting = account.add.ask()
    account.add.tell()

    supervisor.stop("a")

    with pytest.raises(ActorStopped):
        waiting.result(timeout=5)
    assert [letter.why for letter in supervisor.letters()] == ["its actor stopped for good"] * 2
    (tmp_path / "wall").unlink()
    supervisor.restart("a")
    assert account.add() == 1


@pytest.mark.parametrize("host", ["process", "thread"])
def test_restarts_at_one_time_come_one_after_another_and_cost_nothing(
    supervisor: Supervisor, tmp_path: Path, host: Any
) -> None:
    account = supervisor.start(child(Account, str(tmp_path)), name="a", host=host)
    at_once = threading.Barrier(3)

    def restart() -> None:
        at_once.wait(10)
        supervisor.restart("a")

    with ThreadPoolExecutor() as pool:
        for n in range(10):
            assert account.add() == n + 1
            restarts = [pool.submit(restart) for _ in range(3)]
            for each in restarts:
                each.result(timeout=20)

    assert supervisor.children()[0].incarnation == 31


def test_a_stop_that_comes_during_a_restart_is_what_stays(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(child(Account, str(tmp_path)), name="a").add()
    (tmp_path / "gate").touch()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(supervisor.restart, "a")
        assert wait_until((tmp_path / "waits").exists)
        supervisor.stop("a")
        with pytest.raises(StartFailed, match="stopped"):
            first.result(timeout=10)

    assert states(supervisor) == {"a": "stopped"}


def test_a_temporary_actor_is_restarted_on_request_as_any_other(supervisor: Supervisor, tmp_path: Path) -> None:
    account = supervisor.start(child(Account, str(tmp_path)), name="a", restart="temporary")
    account.add()

    supervisor.restart("a")

    assert account.add() == 2


def test_whoever_watches_goes_on_watching_through_a_restart_on_request(supervisor: Supervisor) -> None:
    watched = supervisor.start(child(Counter), name="a")
    watcher = supervisor.start(child(Watcher, watched), name="watcher")

    supervisor.restart("a")
    supervisor.stop("a")

    assert wait_until(lambda: watcher.heard() == ["stopped"])


class Watcher(Actor):
    """Watches another one."""

    def __init__(self, watched: Any) -> None:
        self.watched = watched
        self.downs: list[str] = []

    def on_start(self) -> None:
        self.context.watch(self.watched)

    def on_down(self, down: Down) -> None:
        self.downs.append(down.reason)

    @message
    def heard(self) -> list[str]:
        return self.downs


# ---- a group that waits for its restart


def group(directory: Path, strategy: Strategy, **children: Child[Any]) -> Any:
    parts = {"a": child(Counter), "b": child(Account, str(directory)), "c": child(Counter)}
    patience = Backoff(60.0, 60.0, 0.0)
    return tree(children={**parts, **children}, strategy=strategy, max_restarts=100, max_seconds=600, backoff=patience)


@pytest.fixture(params=["rest_for_one", "one_for_all"])
def waiting(request: pytest.FixtureRequest, supervisor: Supervisor, tmp_path: Path) -> Strategy:
    """Of a group whose first has died twice, so that all of it is down for a minute; a message waits for its second."""
    strategy: Strategy = request.param
    supervisor.start(group(tmp_path, strategy), name="group")
    assert supervisor.ref("group.b", Account).add() == 1
    for incarnation in (1, 2):
        assert wait_until(lambda n=incarnation: {s.path: s.incarnation for s in supervisor.status()}["group.a"] == n)
        assert wait_until(lambda: all_run(supervisor))
        os.kill(pid_of(supervisor, "group.a"), signal.SIGKILL)
    assert wait_until(lambda: states(supervisor)["group.a"] == "restarting" and pid_of(supervisor, "group.c") == 0)
    supervisor.ref("group.b", Account).add.tell()
    return strategy


@pytest.mark.parametrize("path", ["group.a", "group.b", "group.c"])
def test_a_restart_of_one_of_a_group_that_waits_starts_all_of_it_now(
    supervisor: Supervisor, waiting: Strategy, path: str
) -> None:
    supervisor.restart(path)

    assert wait_until(lambda: all_run(supervisor))
    assert supervisor.ref("group.b", Account).add() == 3
    assert [letter.actor for letter in supervisor.letters()] == []


def test_a_reload_of_one_of_a_group_that_waits_starts_all_of_it_now(
    supervisor: Supervisor, waiting: Strategy, tmp_path: Path
) -> None:
    changes = supervisor.at("group").reload(group(tmp_path, waiting, a=child(Counter, 10)))

    assert [(change.kind, change.path, change.error) for change in changes] == [("changed", "group.a", "")]
    assert wait_until(lambda: all_run(supervisor))
    assert supervisor.ref("group.a", Counter).add(1) == 11
    assert supervisor.ref("group.b", Account).add() == 3


def test_a_stop_of_the_one_whose_group_waits_keeps_only_that_one_down(
    supervisor: Supervisor, waiting: Strategy
) -> None:
    supervisor.stop("group.a")

    others = {"group": "running", "group.b": "running", "group.c": "running"}
    assert wait_until(lambda: states(supervisor) == {"group.a": "stopped", **others})
    assert supervisor.ref("group.b", Account).add() == 3


# ---- a reload that failed


def test_what_a_failed_reload_left_down_is_started_by_the_one_that_takes_it_back(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    good = tree(children={"a": child(Account, str(tmp_path)), "b": child(Counter)})
    supervisor.reload(good)
    account = supervisor.ref("a", Account)
    assert account.add() == 1
    bad = tree(children={"a": child(Account, str(tmp_path)).options(shutdown=1.0), "b": child(Counter)})
    (tmp_path / "wall").touch()

    (failed,) = supervisor.reload(bad)
    (again,) = supervisor.reload(good)
    account.add.tell()
    (tmp_path / "wall").unlink()
    (back,) = supervisor.reload(good)

    assert ["no way in" in one.error for one in (failed, again, back)] == [True, True, False]
    assert (back.path, back.kind, back.detail) == ("a", "changed", "its last start had failed")
    assert account.add() == 3
    assert supervisor.reload(good) == []


def test_a_reload_starts_nothing_that_was_stopped_on_request_or_has_ended(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    spec = tree(children={"a": child(Account, str(tmp_path)).options(restart="transient"), "b": child(Counter)})
    supervisor.reload(spec)
    with deadline(5):
        supervisor.ref("a", Account).end()
    assert wait_until(lambda: states(supervisor)["a"] == "stopped")
    supervisor.stop("b")

    assert supervisor.reload(spec) == []
    assert states(supervisor) == {"a": "stopped", "b": "stopped"}
