"""The window, escalation and backoff (cases 33 to 38)."""

import pytest

from actors.child import Backoff
from runtime.supervision.event import Reason
from runtime.supervision.tree import find
from tests.runtime.supervision.rig import Rig, supervisor, worker

ABDE = (worker("a"), worker("b"), worker("d"), worker("e"))


def test_the_second_crash_is_one_too_many_with_one_in_five_seconds():
    """Case 33."""
    rig = Rig.up(supervisor("root", *ABDE, max_restarts=1))
    rig.die("b")
    rig.take()

    rig.die("d", certificate="the last straw")

    assert rig.take() == ["stop e", "stop b", "stop a"]
    assert rig.halt is not None
    assert (rig.halt.reason.kind, rig.halt.gave_up) == ("shutdown", True)
    assert rig.halt.cause == Reason("crash", "the last straw")
    assert rig.tree.phase == "down"


def test_no_restart_is_allowed_with_an_intensity_of_zero():
    """Case 33."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=0))

    rig.die("a")

    assert rig.take() == []
    assert rig.halt is not None


def test_crashes_below_the_limit_are_survived_for_ever():
    """Case 34."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=1, max_seconds=1.0))

    for _ in range(20):
        rig.die("a")
        rig.advance(2.1)

    assert rig.halt is None


@pytest.mark.parametrize(("gap", "is_over"), [(1.0, True), (1.001, False)])
def test_the_window_includes_its_boundary(gap, is_over):
    """Case 34."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=1, max_seconds=1.0))

    rig.die("a")
    rig.now += gap
    rig.die("a")

    assert (rig.halt is not None) == is_over


def test_every_failed_attempt_costs_one():
    """Case 35."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=5))
    rig.starts["a"] = "fail"

    rig.die("a")

    assert rig.take() == ["fail a"] * 5
    assert rig.halt is not None
    assert rig.halt.gave_up


def test_three_crashes_at_once_are_more_than_two():
    """Case 36."""
    rig = Rig.up(supervisor("root", *ABDE, max_restarts=2))

    rig.die("a", "b", "d")

    assert rig.halt is not None


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_restart_costs_one_whatever_its_size(strategy):
    """Case 36."""
    rig = Rig.up(supervisor("root", *ABDE, strategy=strategy, max_restarts=1))

    rig.die("a", "b", "d")

    assert rig.halt is None
    assert set(rig.states().values()) == {"running"}


def test_a_supervisor_that_gives_up_is_restarted_by_its_own_with_fresh_children():
    """Case 37."""
    inner = supervisor("p", worker("x"), worker("y"), max_restarts=0)
    rig = Rig.up(supervisor("root", worker("a"), inner))
    rig.start("p", worker("z"))
    rig.terminate("p.y")
    rig.take()

    rig.die("p.x")

    assert rig.trace == ["stop p.z", "start p.x", "start p.y"]
    assert rig.states("p") == {"x": "running", "y": "running"}
    assert rig.forgotten() == ["p.z"]
    assert rig.incarnation("p") == 2
    assert rig.incarnation("p.x") == 2


def test_dynamic_children_are_lost_with_their_supervisor():
    """Case 37."""
    rig = Rig.up(supervisor("root", supervisor("d", strategy="dynamic", template=worker("t"), max_restarts=0)))
    rig.start("d", worker("x"))
    rig.start("d", worker("y"))

    rig.die("d.x")

    assert rig.states("d") == {}
    assert sorted(rig.forgotten()) == ["d.x", "d.y"]


def test_the_window_of_a_restarted_supervisor_is_empty():
    """Case 37."""
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), max_restarts=1), max_restarts=5))

    for _ in range(5):
        rig.die("p.x")

    assert rig.halt is None
    assert rig.incarnation("p") == 3


def test_escalation_reaches_the_root_with_the_death_behind_it():
    """Case 37."""
    innermost = supervisor("q", worker("x"), max_restarts=0)
    rig = Rig.up(supervisor("root", supervisor("p", innermost, max_restarts=0), max_restarts=0))

    rig.die("p.q.x", certificate="x's")

    assert rig.halt is not None
    assert rig.halt.gave_up
    assert rig.halt.cause == Reason("shutdown", "x's")
    assert rig.closed() == ["p.q.x"]


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_a_supervisor_that_gives_up_has_ended_cleanly_for_its_own(restart):
    """Case 37: it exits with shutdown, so only a permanent one is restarted."""
    rig = Rig.up(supervisor("root", worker("a"), supervisor("p", worker("x"), max_restarts=0, restart=restart)))

    rig.die("p.x")

    assert rig.states() == ({"a": "running", "p": "stopped"} if restart == "transient" else {"a": "running"})
    assert rig.closed() == ["p.x"]
    assert rig.forgotten() == ([] if restart == "transient" else ["p.x"])


def test_a_crash_below_is_nothing_to_the_supervisor_above():
    """Case 38."""
    rig = Rig.up(supervisor("root", worker("a"), supervisor("p", worker("x"), worker("y")), strategy="one_for_all"))

    rig.die("p.x")

    assert rig.take() == ["start p.x"]
    assert rig.incarnation("p") == 1


def test_a_group_restart_restarts_nested_supervisors_with_it():
    """Cases 26 and 37."""
    inner = supervisor("p", worker("x"), worker("y"))
    rig = Rig.up(supervisor("root", inner, worker("a"), strategy="one_for_all"))

    rig.die("a")

    assert rig.trace == ["stop p.y", "stop p.x", "start p.x", "start p.y", "start a"]
    assert rig.closed() == []


def test_restarts_are_counted_per_child():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy="one_for_all"))

    rig.die("a")

    assert [(found.restarts, found.incarnation) for name in "ab" if (found := find(rig.tree, name))] == [(1, 2), (1, 2)]


BACKOFF = Backoff(first=1.0, most=3.0, jitter=0.0)


def test_backoff_spares_the_first_restart_then_doubles_up_to_the_most():
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=9, max_seconds=99.0, backoff=BACKOFF))
    delays = []

    for _ in range(5):
        rig.die("a")
        delays.append(rig.due_in())
        rig.advance(3.0)

    assert delays == [[], [1.0], [2.0], [3.0], [3.0]]


def test_backoff_costs_no_more_than_the_restarts_themselves():
    """Case 35, with delays."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=5, max_seconds=99.0, backoff=BACKOFF))
    rig.starts["a"] = "fail"

    rig.die("a")
    rig.advance(30.0)

    assert rig.take() == ["fail a"] * 5
    assert rig.halt is not None


def test_backoff_of_a_group_lies_between_its_stop_and_its_start():
    rig = Rig.up(supervisor("root", *ABDE, strategy="rest_for_one", max_restarts=9, backoff=BACKOFF))
    rig.die("b")
    rig.take()

    rig.die("b")
    assert rig.take() == ["stop e", "stop d"]
    assert rig.states() == {"a": "running", "b": "restarting", "d": "stopped", "e": "stopped"}
    rig.advance(1.0)
    assert rig.take() == ["start b", "start d", "start e"]


def test_jitter_is_the_same_for_the_same_seed_and_stays_in_its_bounds():
    def delays(seed):
        backoff = Backoff(first=1.0, most=1.0, jitter=0.2)
        rig = Rig.up(supervisor("root", worker("a"), max_restarts=99, max_seconds=99.0, backoff=backoff), seed)
        found = []
        for _ in range(20):
            rig.die("a")
            found += rig.due_in()
            rig.advance(1.2)
        return found

    assert delays(1) == delays(1)
    assert delays(1) != delays(2)
    assert len(set(delays(1))) > 10
    assert all(0.8 <= seconds <= 1.2 for seconds in delays(1))


def test_backoff_is_interrupted_at_once_by_a_stop():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), max_restarts=9, backoff=BACKOFF))
    rig.die("a")
    rig.die("a")
    rig.take()

    rig.stop()

    assert rig.take() == ["stop b"]
    assert rig.halt is not None
    assert rig.due_in() == []


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_backoff_is_interrupted_at_once_by_a_terminate(strategy):
    spec = supervisor("root", worker("a"), worker("b"), strategy=strategy, max_restarts=9, backoff=BACKOFF)
    rig = Rig.up(spec)
    rig.die("a")
    rig.die("a")
    rig.take()

    rig.terminate("a")
    rig.advance(10.0)

    assert rig.take() == ([] if strategy == "one_for_one" else ["start b"])
    assert rig.states() == {"a": "stopped", "b": "running"}
