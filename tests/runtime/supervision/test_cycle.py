"""Cycles: a child is stopped and started again on request, in one decision; nothing of it is closed meanwhile."""

import pytest

from actors.child import Backoff
from actors.errors import DynamicSupervisor, NotFound, NotRunning, StartFailed, StillRunning
from runtime.supervision.action import AskToStop, Done, IgnoredStart, Kill
from runtime.supervision.event import Exited, Reason
from runtime.supervision.reload import children_down
from runtime.supervision.tree import find
from tests.runtime.supervision.rig import Rig, supervisor, worker

STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
BACKOFF = Backoff(first=1.0, most=9.0, jitter=0.0)


@pytest.fixture(params=STRATEGIES)
def rig(request):
    return Rig.up(supervisor("root", worker("a"), worker("b"), worker("c"), strategy=request.param))


def waiting_group(strategy, restarted="b"):
    """a, b and c, of which b waits for the restart that its second death costs."""
    children = (worker("a"), worker("b"), worker("c"))
    rig = Rig.up(supervisor("root", *children, strategy=strategy, max_restarts=9, backoff=BACKOFF))
    rig.die(restarted)
    rig.die(restarted)
    assert rig.states()[restarted] == "restarting"
    rig.take()
    return rig


def test_a_child_that_runs_is_stopped_and_started_and_nothing_is_closed(rig):
    assert rig.cycle("b") == Done(2)
    assert rig.trace == ["stop b", "start b"]
    assert rig.closed() == []
    assert rig.states() == {"a": "running", "b": "running", "c": "running"}


def test_its_stop_is_not_for_good_and_that_of_a_terminated_one_is(rig):
    rig.cycle("b")
    rig.terminate("c")

    assert [one.is_final for one in rig.actions if isinstance(one, AskToStop)] == [False, True]


def test_a_cycle_costs_no_restart():
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=0))

    for n in range(5):
        assert rig.cycle("a") == Done(2 + n)


def test_a_start_that_fails_leaves_the_mailbox_open_for_the_next(rig):
    rig.starts["b"] = ["fail", "ok"]

    assert isinstance(rig.error(rig.cycle("b")), StartFailed)
    assert rig.states()["b"] == "stopped"
    assert rig.closed() == []
    assert children_down(rig.tree, "") == {"b"}
    assert rig.cycle("b") == Done(3)
    assert children_down(rig.tree, "") == frozenset()
    assert rig.closed() == []


def test_a_process_that_is_killed_in_its_start_leaves_the_mailbox_open_too(rig):
    rig.starts["b"] = ["hang"]
    assert rig.cycle("b") is None

    rig.die("b", kind="killed")

    assert rig.states()["b"] == "stopped"
    assert rig.closed() == []


def test_what_failed_to_start_is_closed_by_a_stop_and_by_a_delete(rig):
    rig.starts["a"], rig.starts["b"] = ["fail"], ["fail"]
    rig.cycle("a")
    rig.cycle("b")

    assert rig.terminate("a") == Done()
    assert rig.closed() == ["a"]
    assert rig.delete("b") == Done()
    assert (rig.closed(), rig.forgotten()) == (["a", "b"], ["b"])


def test_a_temporary_child_is_started_again_too(rig):
    rig.start("", worker("t", "temporary"))

    assert rig.cycle("t") == Done(2)
    assert rig.closed() == []
    rig.starts["t"] = ["fail"]
    assert isinstance(rig.error(rig.cycle("t")), StartFailed)
    assert "t" not in rig.states()
    assert (rig.closed(), rig.forgotten()) == (["t"], ["t"])


def test_a_child_that_is_stopped_is_started(rig):
    rig.terminate("b")

    assert rig.cycle("b") == Done(2)


def test_a_start_that_need_not_be_is_ignored(rig):
    rig.starts["b"] = ["ignore"]

    assert rig.cycle("b") == IgnoredStart()
    assert rig.closed() == ["b"]


def test_two_cycles_of_one_child_come_one_after_the_other(rig):
    rig.stops["b"] = "hang"
    first, second = rig.last + 1, rig.last + 2
    assert rig.cycle("b") is None
    assert rig.cycle("b") is None

    rig.stops["b"] = "ok"
    rig.exits("b")

    assert (rig.results[first], rig.results[second]) == (Done(2), Done(3))
    assert rig.closed() == []


def test_a_cycle_waits_for_a_start_that_was_asked_for(rig):
    rig.starts["n"] = ["hang"]
    rig.start("", worker("n"))
    assert rig.cycle("n") is None

    rig.started("n")

    assert rig.incarnation("n") == 2
    assert rig.states()["n"] == "running"


def test_an_automatic_restart_that_hangs_is_started_again_at_once():
    rig = Rig.up(supervisor("root", worker("a")))
    rig.starts["a"] = ["hang"]
    rig.die("a")
    rig.take()

    assert rig.cycle("a") == Done(3)
    assert rig.trace == ["stop a", "start a"]


def test_a_stop_overtakes_the_cycles_before_it(rig):
    rig.stops["b"] = "hang"
    first, second, third = rig.last + 1, rig.last + 2, rig.last + 3
    rig.cycle("b")
    rig.cycle("b")
    rig.terminate("b")

    rig.exits("b")

    assert [type(rig.error(rig.results[n])) for n in (first, second)] == [StartFailed, StartFailed]
    assert rig.results[third] == Done()
    assert rig.states()["b"] == "stopped"
    assert rig.closed() == ["b"]
    assert [one.is_final for one in rig.actions if isinstance(one, AskToStop)] == [False, True]


def test_a_delete_waits_for_the_cycle_before_it(rig):
    rig.starts["b"] = ["hang"]
    rig.cycle("b")
    deleted = rig.last + 1
    rig.delete("b")

    rig.started("b")

    assert isinstance(rig.error(rig.results[deleted]), StillRunning)


def test_a_child_that_does_not_stop_in_time_is_killed_and_started(rig):
    rig.stops["b"] = "hang"
    rig.cycle("b")

    rig.advance(5.0)

    assert [one.path for one in rig.actions if isinstance(one, Kill)] == ["b"]
    assert rig.states()["b"] == "running"


def test_the_end_of_its_supervisor_refuses_a_cycle():
    rig = Rig.up(supervisor("root", worker("a"), worker("b")))
    rig.stops["a"] = "hang"
    asked = rig.last + 1
    rig.cycle("a")
    rig.cycle("a")
    rig.stop()

    rig.exits("a")

    assert isinstance(rig.error(rig.results[asked]), NotRunning)
    assert isinstance(rig.error(rig.results[asked + 1]), NotRunning)
    assert rig.halt is not None
    assert sorted(rig.closed()) == ["a", "b"]


def test_a_supervisor_is_started_again_with_the_mailboxes_of_its_own_children():
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), supervisor("q", worker("y")))))
    rig.start("p", worker("z"))

    assert rig.cycle("p") == Done(2)
    assert rig.closed() == ["p.z"]  # it is in no specification
    assert rig.states("p") == {"x": "running", "q": "running"}
    assert rig.incarnation("p.q.y") == 2


def test_a_supervisor_that_cannot_be_started_again_keeps_the_mailboxes_below():
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), worker("y"))))
    rig.starts["p.y"] = ["fail"]

    assert isinstance(rig.error(rig.cycle("p")), StartFailed)
    assert rig.closed() == []
    assert children_down(rig.tree, "") == {"p"}
    assert rig.cycle("p") == Done(3)


def test_what_cannot_be_is_refused():
    rig = Rig.up(supervisor("root", supervisor("d", strategy="dynamic", template=worker("t"))))
    rig.start("d", worker("x"))

    assert isinstance(rig.error(rig.cycle("zzz")), NotFound)
    assert isinstance(rig.error(rig.cycle("p.x")), NotRunning)
    assert isinstance(rig.error(rig.cycle("d.x")), DynamicSupervisor)


def test_a_death_that_its_supervisor_has_not_got_round_to_is_none_to_wait_for():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy="rest_for_one", max_restarts=9))
    rig.starts["a"] = ["hang"]
    rig.cycle("a")
    rig.cycle("b")
    rig.send(Exited("b", rig.alive.pop("b"), Reason("crash")))
    rig.take()

    rig.started("a")

    assert rig.states() == {"a": "running", "b": "running"}
    assert rig.take() == ["start b"]


# ---- a restart that waits


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_restart_that_waits_for_its_time_is_due_when_it_is_asked_for(strategy):
    rig = waiting_group(strategy)

    assert rig.cycle("b") == Done(3)
    assert set(rig.states().values()) == {"running"}
    assert rig.due_in() == []
    assert rig.closed() == []


@pytest.mark.parametrize(("strategy", "asked"), [("one_for_all", "a"), ("one_for_all", "c"), ("rest_for_one", "c")])
def test_the_restart_of_a_group_is_due_when_one_of_it_is_asked_for(strategy, asked):
    rig = waiting_group(strategy)

    assert isinstance(rig.cycle(asked), Done)
    group = ["start b", "start c"] if strategy == "rest_for_one" else ["start a", "start b", "start c"]
    assert rig.trace == group
    assert set(rig.states().values()) == {"running"}


def test_a_child_outside_of_the_waiting_range_is_started_again_alone():
    rig = waiting_group("rest_for_one")

    assert rig.cycle("a") == Done(2)
    assert rig.trace == ["stop a", "start a"]
    assert rig.states() == {"a": "running", "b": "restarting", "c": "stopped"}
    rig.advance(1.0)
    assert set(rig.states().values()) == {"running"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_restart_that_was_made_due_and_fails_is_told_and_tried_again(strategy):
    rig = waiting_group(strategy)
    rig.starts["b"] = ["fail"]

    assert isinstance(rig.error(rig.cycle("b")), StartFailed)
    rig.advance(9.0)
    assert set(rig.states().values()) == {"running"}


def test_whoever_stands_behind_the_one_that_fails_is_told_too():
    rig = waiting_group("rest_for_one")
    rig.starts["b"] = ["fail"]

    assert isinstance(rig.error(rig.cycle("c")), StartFailed)
    rig.advance(9.0)
    assert set(rig.states().values()) == {"running"}


def test_a_group_that_waits_is_not_taken_for_one_that_failed():
    assert children_down(waiting_group("rest_for_one").tree, "") == frozenset()


# ---- new code


def test_new_code_is_imported_before_anything_is_stopped(rig):
    assert rig.cycle("b", code=True) == Done(2)
    assert rig.trace == ["import b", "stop b", "start b"]


def test_code_that_cannot_be_imported_stops_nothing(rig):
    rig.imports["b"] = "fail"

    assert isinstance(rig.error(rig.cycle("b", code=True)), StartFailed)
    assert rig.trace == ["import b"]
    assert rig.incarnation("b") == 1
    assert rig.cycle("b") == Done(2)


def test_requests_wait_for_an_import_but_for_a_stop(rig):
    rig.imports["b"] = "hang"
    first, second, third = rig.last + 1, rig.last + 2, rig.last + 3
    rig.cycle("b", code=True)
    rig.cycle("b")
    assert rig.terminate("b") == Done()

    assert [type(rig.error(rig.results[n])) for n in (first, second)] == [StartFailed, StartFailed]
    assert third in rig.results
    assert rig.states()["b"] == "stopped"


def test_a_death_during_an_import_is_followed_by_a_restart_and_then_by_the_cycle():
    rig = Rig.up(supervisor("root", worker("a")))
    rig.imports["a"] = "hang"
    rig.cycle("a", code=True)

    rig.die("a")
    assert rig.incarnation("a") == 2
    rig.imports.clear()
    rig.trace.clear()
    rig.imported("a")

    assert rig.trace == ["stop a", "start a"]
    assert rig.incarnation("a") == 3


def test_an_import_for_a_child_that_is_gone_comes_to_nothing():
    rig = Rig.up(supervisor("root", worker("t", "temporary")))
    rig.imports["t"] = "hang"
    asked = rig.last + 1
    rig.cycle("t", code=True)

    rig.die("t")
    assert isinstance(rig.error(rig.results[asked]), StartFailed)
    rig.imported("t")

    assert find(rig.tree, "t") is None
