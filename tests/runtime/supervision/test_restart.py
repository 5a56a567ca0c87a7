"""Restart types and strategies (cases 22 to 32)."""

import pytest

from runtime.supervision.tree import find
from tests.runtime.supervision.rig import Rig, supervisor, worker

ABDE = (worker("a"), worker("b"), worker("d"), worker("e"))


def window_of(rig):
    node = rig.tree.nodes.get("")
    assert node is not None
    return node.window


@pytest.mark.parametrize("kind", ["normal", "shutdown", "crash", "killed"])
def test_a_permanent_child_is_restarted_whatever_ended_it(kind):
    """Case 22."""
    rig = Rig.up(supervisor("root", worker("a")))

    rig.die("a", kind=kind)

    assert rig.take() == ["start a"]
    assert rig.incarnation("a") == 2


@pytest.mark.parametrize("kind", ["crash", "killed", "timeout"])
def test_a_transient_child_is_restarted_after_an_abnormal_end(kind):
    """Case 23."""
    rig = Rig.up(supervisor("root", worker("a", "transient")))

    rig.die("a", kind=kind)

    assert rig.take() == ["start a"]


@pytest.mark.parametrize("kind", ["normal", "shutdown"])
def test_a_transient_child_is_not_launched_again_after_a_clean_exit(kind):
    """Case 23."""
    rig = Rig.up(supervisor("root", worker("a", "transient")))

    rig.die("a", kind=kind)

    assert rig.states() == {"a": "stopped"}
    assert rig.closed() == ["a"]
    assert rig.forgotten() == []


@pytest.mark.parametrize("kind", ["normal", "shutdown", "crash", "killed"])
def test_a_temporary_child_is_never_restarted_and_costs_nothing(kind):
    """Case 24."""
    rig = Rig.up(supervisor("root", worker("a"), worker("t", "temporary"), max_restarts=0))

    rig.die("t", kind=kind)

    assert rig.states() == {"a": "running"}
    assert (rig.closed(), rig.forgotten()) == (["t"], ["t"])


def test_one_for_one_restarts_only_the_dead():
    """Case 25."""
    rig = Rig.up(supervisor("root", *ABDE))

    rig.die("b")

    assert rig.take() == ["start b"]


def test_one_for_all_stops_in_reverse_and_starts_all_but_the_temporary():
    """Case 26."""
    spec = supervisor("root", *ABDE[:2], worker("t", "temporary"), *ABDE[2:], strategy="one_for_all")
    rig = Rig.up(spec)

    rig.die("e")

    assert rig.trace == ["stop d", "stop t", "stop b", "stop a", "start a", "start b", "start d", "start e"]
    assert rig.forgotten() == ["t"]
    assert rig.closed() == ["t"]


def test_rest_for_one_restarts_the_dead_and_those_after_it():
    """Case 27."""
    rig = Rig.up(supervisor("root", *ABDE, strategy="rest_for_one"))

    rig.die("b")

    assert rig.take() == ["stop e", "stop d", "start b", "start d", "start e"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_an_end_without_restart_triggers_no_group_restart(strategy):
    """Case 28."""
    rig = Rig.up(supervisor("root", worker("t", "temporary"), worker("x", "transient"), *ABDE, strategy=strategy))

    rig.die("t")
    rig.die("x", kind="normal")

    assert rig.take() == []


def test_a_group_restart_revives_what_had_ended_or_been_terminated():
    """Case 29."""
    rig = Rig.up(supervisor("root", worker("x", "transient"), *ABDE, strategy="one_for_all"))
    rig.die("x", kind="normal")
    rig.terminate("b")
    rig.take()

    rig.die("a")

    assert rig.take() == ["stop e", "stop d", "start x", "start a", "start b", "start d", "start e"]


def test_rest_for_one_leaves_earlier_stopped_children_alone():
    """Case 29."""
    rig = Rig.up(supervisor("root", *ABDE, strategy="rest_for_one"))
    rig.terminate("a")
    rig.terminate("e")
    rig.take()

    rig.die("b")

    assert rig.take() == ["stop d", "start b", "start d", "start e"]
    assert rig.states()["a"] == "stopped"


def test_one_for_all_retries_the_whole_group_when_one_start_fails():
    """Case 30."""
    rig = Rig.up(supervisor("root", *ABDE[:2], strategy="one_for_all", max_restarts=3))
    rig.starts["b"] = ["fail", "fail"]

    rig.die("b")

    assert rig.take() == ["stop a", "start a", "fail b", "stop a", "start a", "fail b", "stop a", "start a", "start b"]


def test_rest_for_one_retries_from_the_child_that_failed():
    """Case 31."""
    rig = Rig.up(supervisor("root", *ABDE, strategy="rest_for_one", max_restarts=3))
    rig.starts["d"] = ["fail", "fail"]

    rig.die("b")

    assert rig.take() == ["stop e", "stop d", "start b", "fail d", "fail d", "start d", "start e"]


def test_dynamic_children_restart_each_with_its_own_payload():
    """Case 32."""
    rig = Rig.up(supervisor("root", strategy="dynamic", template=worker("t", "transient", payload="template")))
    rig.start("", worker("x", payload="x"))
    rig.start("", worker("y"))

    rig.die("x")
    rig.die("y", kind="normal")

    found = find(rig.tree, "x")
    assert found is not None
    assert found.spec.payload == "x"
    assert rig.states() == {"x": "running"}


def test_children_that_end_together_cost_the_window_one_together():
    rig = Rig.up(supervisor("root", *ABDE, max_restarts=1, backoff=None))

    rig.die("a", "b", "d", together=7)

    assert rig.take() == ["start a", "start b", "start d"]
    assert len(window_of(rig)) == 1


def test_the_next_accident_costs_another():
    rig = Rig.up(supervisor("root", *ABDE, max_restarts=1, backoff=None))
    rig.die("a", "b", together=7)

    rig.die("d", "e", together=8)

    assert rig.halt is not None
    assert rig.halt.gave_up


def test_of_those_that_end_together_only_a_restart_is_paid_for():
    rig = Rig.up(supervisor("root", worker("t", "temporary"), worker("a"), max_restarts=1, backoff=None))

    rig.die("t", "a", together=7)

    assert len(window_of(rig)) == 1
    assert rig.states() == {"a": "running"}
