"""Shutdown (cases 39 to 44)."""

import pytest

from runtime.supervision.action import AskToStop, Done, Kill, SetTimer
from runtime.supervision.stop import ORPHAN_SECONDS
from tests.runtime.supervision.rig import Rig, supervisor, worker


def test_a_child_that_does_not_stop_in_time_is_killed():
    """Case 39."""
    rig = Rig.up(supervisor("root", worker("a", shutdown=0.2)))
    rig.stops["a"] = "hang"

    assert rig.stop() is None
    rig.advance(0.19)
    assert rig.take() == ["stop a"]
    rig.advance(0.02)
    assert rig.take() == ["kill a"]
    assert rig.results[2] == Done()
    assert rig.halt is not None
    assert rig.halt.reason.kind == "shutdown"


def test_a_child_that_stops_in_time_is_not_killed():
    """Case 39."""
    rig = Rig.up(supervisor("root", worker("a", shutdown=0.2)))

    rig.stop()
    rig.advance(1.0)

    assert rig.take() == ["stop a"]


def test_a_brutal_kill_asks_nobody():
    """Case 40."""
    rig = Rig.up(supervisor("root", worker("a", shutdown="kill")))

    rig.stop()

    assert rig.trace == ["kill a"]
    assert rig.reports("shutdown_error") == []


def test_infinity_waits():
    """Case 40."""
    rig = Rig.up(supervisor("root", worker("a", shutdown="infinity")))
    rig.stops["a"] = "hang"

    rig.stop()
    rig.advance(1e9)
    assert rig.take() == ["stop a"]
    rig.die("a")
    assert rig.halt is not None


def test_a_start_that_hangs_ends_at_its_ready_limit_even_if_its_stop_may_take_for_ever():
    """Case 40."""
    rig = Rig.up(supervisor("root", worker("a")))
    rig.starts["b"] = "hang"
    rig.stops["b"] = "hang"
    rig.start("", worker("b", shutdown="infinity", ready=10.0))

    rig.stop()
    rig.advance(10.0)

    assert rig.take() == ["begin b", "stop b", "kill b", "stop a"]


@pytest.mark.parametrize("kind", ["normal", "crash", "killed"])
def test_children_that_end_by_themselves_during_a_shutdown_do_not_hold_it_up(kind):
    """Case 41."""
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), worker("c")))
    rig.stops["c"] = "hang"
    rig.stop()
    rig.take()

    rig.die("a", kind=kind)
    rig.die("c", kind=kind)

    assert rig.trace == ["stop b"]
    assert rig.halt is not None
    assert [(report.child, report.reason.kind) for report in rig.reports("shutdown_error") if report.reason] == [
        ("c", kind),
        ("a", kind),
    ]


def test_static_children_stop_one_after_another():
    """Case 43."""
    rig = Rig.up(supervisor("root", *(worker(name, shutdown=0.3) for name in "abc")))
    rig.stops = dict.fromkeys("abc", "hang")

    rig.stop()
    rig.advance(0.61)
    assert rig.halt is None
    rig.advance(0.3)

    assert rig.take() == ["stop c", "kill c", "stop b", "kill b", "stop a", "kill a"]
    assert rig.halt is not None


def dynamic(*names, **options):
    rig = Rig.up(supervisor("root", strategy="dynamic", template=worker("t", **options)))
    for name in names:
        rig.start("", worker(name))
    rig.take()
    return rig


def test_dynamic_children_stop_side_by_side_under_one_deadline():
    """Case 43."""
    rig = dynamic("x", "y", "z", shutdown=0.3)
    rig.stops = {"x": "hang", "z": "hang"}

    rig.stop()
    assert rig.take() == ["stop x", "stop y", "stop z"]
    assert rig.due_in() == [pytest.approx(0.3)]
    rig.advance(0.31)

    assert rig.take() == ["kill x", "kill z"]
    assert rig.halt is not None


def test_dynamic_children_are_killed_at_once_where_the_template_says_so():
    """Case 43."""
    rig = dynamic("x", "y", shutdown="kill")

    rig.stop()

    assert rig.take() == ["kill x", "kill y"]


def test_unexpected_ends_of_dynamic_children_are_reported_once_per_reason():
    """Case 43."""
    rig = dynamic("v", "w", "x", "y", "z")
    rig.stops = {"v": "crash", "w": "crash", "x": "oops", "y": "ok"}

    rig.stop()

    assert [report.reason.kind for report in rig.reports("shutdown_error") if report.reason] == ["crash", "oops"]


def test_a_stop_of_the_tree_closes_everything_and_answers_everybody():
    """Case 44."""
    rig = Rig.up(supervisor("root", worker("a"), supervisor("p", worker("x"))))
    rig.stops["a"] = "hang"

    assert rig.stop() is None
    assert rig.stop() is None
    rig.die("a")

    assert rig.results[2] == rig.results[3] == Done()
    assert sorted(rig.closed()) == ["a", "p.x"]
    assert rig.alive == {}


def test_a_supervisor_that_does_not_stop_in_time_is_killed_with_all_below():
    """Case 39."""
    inner = supervisor("p", worker("x"), supervisor("q", worker("y"), worker("z")), shutdown=0.5)
    rig = Rig.up(supervisor("root", worker("a"), inner))
    rig.stops["p.q.y"] = "hang"

    assert rig.terminate("p") is None
    rig.advance(0.6)

    assert rig.trace == ["stop p.q.z", "stop p.q.y", "kill p.q.y", "kill p.x"]
    assert rig.results[2] == Done()
    assert [report.child for report in rig.reports("shutdown_error")] == ["y", "p"]
    assert rig.states() == {"a": "running", "p": "stopped"}


def test_a_supervisor_to_be_killed_takes_all_below_with_it_at_once():
    """Case 40."""
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), worker("y"), shutdown="kill")))

    rig.stop()

    assert sorted(rig.trace) == ["kill p.x", "kill p.y"]
    assert rig.reports("shutdown_error") == []


def test_supervisors_below_one_that_is_killed_stop_in_order_by_themselves():
    """Case 40: recorded on Erlang 25; they get their parent's exit, and terminate as on any other."""
    below = supervisor("q", worker("y"), supervisor("r", worker("v")), worker("z", shutdown=0.3))
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), below, shutdown="kill")))
    rig.stops["p.q.z"] = "hang"

    assert rig.terminate("p") is None
    assert rig.take() == ["stop p.q.z", "kill p.x"]
    rig.advance(0.3)

    assert rig.take() == ["kill p.q.z", "stop p.q.r.v", "stop p.q.y"]
    assert rig.results[2] == Done()


def test_a_supervisor_whose_deadline_has_passed_leaves_no_more_time_to_who_was_asked():
    """Case 39: the others below it are still asked, each with its own deadline."""
    below = supervisor("q", worker("y"), worker("z", shutdown="infinity"))
    rig = Rig.up(supervisor("root", supervisor("p", below, shutdown=0.5)))
    rig.stops["p.q.z"] = "hang"

    rig.stop()
    rig.advance(0.5)

    assert rig.trace == ["stop p.q.z", "kill p.q.z", "stop p.q.y"]
    assert rig.halt is not None


@pytest.mark.parametrize("nested", ["static", "dynamic"])
def test_nobody_below_a_killed_supervisor_can_take_for_ever(nested):
    """Where OTP leaves an orphan behind, we wait, but not for ever."""
    endless = worker("y", shutdown="infinity")
    below = supervisor("q", endless)
    if nested == "dynamic":
        below = supervisor("q", strategy="dynamic", template=endless)
    rig = Rig.up(supervisor("root", supervisor("p", below, shutdown="kill")))
    if nested == "dynamic":
        rig.start("p.q", worker("y"))
    rig.stops["p.q.y"] = "hang"

    rig.stop()
    rig.advance(ORPHAN_SECONDS)

    assert rig.trace[-2:] == ["stop p.q.y", "kill p.q.y"]
    assert rig.halt is not None
    assert rig.due_in() == []


def test_everybody_is_asked_with_the_reason_shutdown():
    """Case 4."""
    rig = Rig.up(supervisor("root", worker("a")))

    rig.stop()

    assert [action.reason for action in rig.actions if isinstance(action, AskToStop)] == ["shutdown"]


def test_a_group_restart_closes_no_mailbox_but_the_temporary_ones():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), worker("t", "temporary"), strategy="one_for_all"))

    rig.die("a")

    assert rig.closed() == ["t"]


def test_a_stop_of_the_child_whose_group_waits_for_its_restart_keeps_only_that_child_down():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), worker("c"), strategy="one_for_all", max_restarts=99))
    rig.starts["b"] = "hang"
    rig.die("a")
    rig.take()

    assert rig.terminate("b") is None  # it waits for the group's start
    rig.die("b")

    assert rig.states() == {"a": "running", "b": "stopped", "c": "running"}
    assert rig.closed() == ["b"]


def test_a_kill_overtakes_a_stop_that_is_under_way():
    rig = Rig.up(supervisor("root", supervisor("p", supervisor("q", worker("x", shutdown=9.0)), shutdown=1.0)))
    rig.stops["p.q.x"] = "hang"

    rig.stop()
    rig.advance(1.0)

    assert rig.take() == ["stop p.q.x", "kill p.q.x"]
    assert rig.halt is not None
    assert rig.due_in() == []


def test_a_restart_that_fails_while_its_supervisor_stops_is_not_tried_again():
    """Case 41."""
    rig = Rig.up(supervisor("root", worker("a"), worker("b")))
    rig.starts["a"] = rig.stops["b"] = "hang"
    rig.die("a")
    rig.stop()
    rig.die("a")

    rig.die("b")

    assert rig.take() == ["begin a", "stop b"]
    assert rig.halt is not None


def test_terminating_a_child_that_has_died_meanwhile_finds_it_stopped():
    """Cases 15 and 41."""
    rig = Rig(supervisor("root", worker("a"), worker("b")))
    rig.starts["b"] = "hang"
    rig.boot()
    assert rig.terminate("a") is None
    rig.die("a")

    rig.started("b")

    assert rig.results[2] == Done()
    assert rig.trace == ["start a", "begin b"]
    assert rig.states() == {"a": "stopped", "b": "running"}
    assert [report.child for report in rig.reports("shutdown_error")] == ["a"]


def test_what_is_below_a_supervisor_that_is_terminated_is_closed_as_soon_as_it_has_ended():
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), worker("y"))))
    rig.stops["p.x"] = "hang"

    assert rig.terminate("p") is None
    assert rig.closed() == ["p.y"]
    rig.die("p.x")

    assert rig.closed() == ["p.y", "p.x"]


def test_a_worker_that_is_killed_at_once_has_no_deadline_even_below_a_killed_supervisor():
    below = supervisor("q", worker("y", shutdown="kill"))
    rig = Rig.up(supervisor("root", supervisor("p", below, shutdown="kill")))

    rig.stop()

    assert [action for action in rig.actions if isinstance(action, SetTimer)] == []


def test_a_worker_that_is_killed_before_its_deadline_is_not_killed_again_at_it():
    below = supervisor("q", worker("x", shutdown=9.0))
    rig = Rig.up(supervisor("root", supervisor("p", below, shutdown=1.0)))
    rig.stops["p.q.x"] = "hang"
    rig.stop()

    incarnation = rig.alive.pop("p.q.x")  # it takes its time to die, as one in a system call does
    rig.advance(20.0)

    assert [action for action in rig.actions if isinstance(action, Kill)] == [Kill("p.q.x", incarnation)]
    assert rig.due_in() == []
