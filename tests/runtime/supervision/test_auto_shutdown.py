"""Significant children and auto_shutdown (cases 45 to 49)."""

import pytest

from tests.runtime.supervision.rig import Rig, supervisor, worker


def rig_of(auto_shutdown, *children, **options):
    return Rig.up(supervisor("root", *children, auto_shutdown=auto_shutdown, **options))


SIGNIFICANT = {"significant": True}


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
def test_children_that_are_not_significant_never_trigger(auto_shutdown):
    """Case 45."""
    rig = rig_of(auto_shutdown, worker("a", "transient"), worker("t", "temporary"))

    rig.die("a", kind="normal")
    rig.die("t")

    assert rig.halt is None


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
def test_terminating_a_significant_child_never_triggers(auto_shutdown):
    """Case 45."""
    rig = rig_of(auto_shutdown, worker("a", "transient", **SIGNIFICANT))

    rig.terminate("a")

    assert rig.halt is None


@pytest.mark.parametrize("kind", ["normal", "shutdown", "crash"])
def test_any_end_of_a_temporary_significant_child_triggers(kind):
    """Case 46."""
    rig = rig_of("any_significant", worker("a"), worker("t", "temporary", **SIGNIFICANT), worker("b"))

    rig.die("t", kind=kind)

    assert rig.trace == ["stop b", "stop a"]
    assert rig.halt is not None
    assert (rig.halt.reason.kind, rig.halt.gave_up) == ("shutdown", False)
    assert len(rig.reports("auto_shutdown")) == 1


@pytest.mark.parametrize(("kind", "triggers"), [("normal", True), ("shutdown", True), ("crash", False)])
def test_a_transient_significant_child_triggers_on_a_clean_end_only(kind, triggers):
    """Case 46."""
    rig = rig_of("any_significant", worker("a", "transient", **SIGNIFICANT))

    rig.die("a", kind=kind)

    assert (rig.halt is not None) == triggers


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
def test_dynamic_children_trigger_as_well(auto_shutdown):
    """Cases 46 and 47."""
    template = worker("t", "temporary", **SIGNIFICANT)
    rig = rig_of(auto_shutdown, strategy="dynamic", template=template)
    rig.start("", worker("x"))
    rig.start("", worker("y"))

    rig.die("x")
    assert (rig.halt is not None) == (auto_shutdown == "any_significant")
    if rig.halt is None:
        rig.die("y")
    assert rig.halt is not None


def test_all_significant_waits_for_the_last():
    """Case 47."""
    children = (worker("a", "transient", **SIGNIFICANT), worker("b"), worker("c", "temporary", **SIGNIFICANT))
    rig = rig_of("all_significant", *children)

    rig.die("c")
    assert rig.halt is None
    rig.die("a", kind="normal")
    assert rig.halt is not None


def test_a_significant_child_stopped_with_its_group_does_not_trigger():
    """Case 48."""
    rig = rig_of("any_significant", worker("a"), worker("t", "temporary", **SIGNIFICANT), strategy="one_for_all")

    rig.die("a")

    assert rig.halt is None
    assert rig.states() == {"a": "running"}


def inner(**options):
    worker_spec = worker("x", "transient", **SIGNIFICANT)
    return supervisor("p", worker_spec, auto_shutdown="any_significant", **options)


def test_an_auto_shutdown_of_a_significant_supervisor_goes_on_above():
    """Case 49."""
    rig = rig_of("any_significant", worker("a"), inner(restart="transient", **SIGNIFICANT))

    rig.die("p.x", kind="normal")

    assert rig.take() == ["stop a"]
    assert rig.halt is not None


def test_an_auto_shutdown_of_a_transient_supervisor_leaves_it_down():
    """Case 49."""
    rig = rig_of("any_significant", worker("a"), inner(restart="transient"))

    rig.die("p.x", kind="normal")

    assert rig.states() == {"a": "running", "p": "stopped"}


def test_an_auto_shutdown_of_a_permanent_supervisor_restarts_it():
    """Case 49."""
    rig = rig_of("never", worker("a"), inner())

    rig.die("p.x", kind="normal")

    assert rig.states() == {"a": "running", "p": "running"}
    assert rig.states("p") == {"x": "running"}


def test_a_significant_child_whose_start_is_only_asked_for_does_not_hold_up_the_end():
    rig = rig_of("all_significant", worker("a", "transient", **SIGNIFICANT))
    rig.starts["b"] = "hang"
    rig.start("", worker("b", "transient", **SIGNIFICANT))

    rig.die("a", kind="normal")

    assert rig.halt is not None
    assert rig.alive == {}
