"""What a supervisor does while something hangs, fails for ever, or dies in numbers (cases 50 to 52)."""

import time

import pytest

from actors.child import Backoff
from actors.errors import AlreadyPresent, NotRunning, Restarting, StartFailed
from runtime.supervision.action import Done, Launch, SetTimer
from runtime.supervision.decide import decide
from runtime.supervision.event import Boot, DeleteChild, Due, Exited, Reason, StartChild, Started, TerminateChild
from runtime.supervision.tree import new_tree, which_children
from tests.runtime.supervision.rig import Rig, supervisor, worker


@pytest.fixture(params=["one_for_one", "one_for_all", "rest_for_one"])
def looping(request):
    """A tree whose child a fails its restart, between two of endless attempts."""
    backoff = Backoff(first=0.001, most=0.001, jitter=0.0)
    spec = supervisor("root", worker("a"), worker("b"), strategy=request.param, max_restarts=10**6, backoff=backoff)
    rig = Rig.up(spec)
    rig.starts["a"] = "fail"
    rig.die("a")
    rig.advance(0.1)
    return rig


def test_a_failed_restart_is_tried_again_only_after_control_was_given_back():
    """Case 50: a timer that is due at once stands for OTP's message to itself."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=99))
    rig.starts["a"] = ["fail"]

    rig.step(Exited("a", rig.alive.pop("a"), Reason("crash")))
    actions = rig.step(rig._events.popleft())

    assert [action for action in actions if isinstance(action, Launch)] == []
    assert [action.at for action in actions if isinstance(action, SetTimer)] == [rig.now]
    assert rig.states() == {"a": "restarting"}


def test_during_an_endless_restart_loop_everything_is_answered(looping):
    """Case 50."""
    assert looping.states()["a"] == "restarting"
    assert isinstance(looping.error(looping.start("", worker("a"))), AlreadyPresent)
    assert isinstance(looping.error(looping.restart("a")), Restarting)
    assert isinstance(looping.error(looping.delete("a")), Restarting)
    assert looping.terminate("a") == Done()
    assert looping.states()["a"] == "stopped"


def test_an_endless_restart_loop_ends_with_the_tree(looping):
    """Case 50."""
    assert looping.stop() == Done()
    assert looping.alive == {}
    assert looping.due_in() == []


def test_a_start_that_hangs_holds_up_no_other_child():
    rig = Rig.up(supervisor("root", worker("a"), worker("b")))
    rig.starts["a"] = rig.starts["c"] = "hang"
    rig.die("a")
    assert rig.start("", worker("c")) is None

    assert rig.start("", worker("d")) == Done(1)
    rig.die("b")
    assert rig.states() == {"a": "starting", "b": "running", "c": "starting", "d": "running"}


def test_dynamic_children_start_side_by_side():
    rig = Rig.up(supervisor("root", strategy="dynamic", template=worker("t")))
    rig.starts["x"] = "hang"

    assert rig.start("", worker("x")) is None
    assert rig.start("", worker("y")) == Done(1)


def test_what_concerns_a_starting_child_waits_for_it():
    rig = Rig.up(supervisor("root", worker("a")))
    rig.starts["c"] = "hang"
    first = rig.start("", worker("c"))
    second = rig.start("", worker("c"))
    third = rig.delete("c")

    assert (first, second, third) == (None, None, None)
    rig.started("c")
    assert rig.results[2] == Done(1)
    assert "AlreadyStarted" in repr(rig.results[3])
    assert "StillRunning" in repr(rig.results[4])


def test_terminating_a_child_that_hangs_in_its_start_stops_it():
    rig = Rig.up(supervisor("root", worker("a")))
    rig.starts["a"] = "hang"
    rig.die("a")
    rig.take()

    assert rig.terminate("a") == Done()
    assert rig.take() == ["stop a"]
    assert rig.states() == {"a": "stopped"}


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_terminating_a_child_that_hangs_in_its_first_start_fails_that_start(strategy):
    rig = Rig.up(supervisor("root", worker("a"), strategy=strategy))
    rig.starts["c"] = "hang"
    rig.start("", worker("c"))

    assert rig.terminate("c") == Done()
    assert isinstance(rig.error(rig.results[2]), StartFailed)
    assert rig.states() == {"a": "running"}


def test_a_group_at_work_answers_requests_afterwards_in_order():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy="one_for_all"))
    rig.starts["b"] = "hang"
    rig.die("a")
    rig.take()

    assert rig.start("", worker("c")) is None
    assert rig.terminate("c") is None
    rig.started("b")

    assert rig.results == {1: Done(), 2: Done(1), 3: Done()}
    assert rig.take() == ["start c", "stop c"]


def test_a_death_during_a_groups_restart_is_handled_after_it():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy="one_for_all"))
    rig.starts["b"] = "hang"
    rig.die("b")
    rig.take()

    rig.die("a")
    assert rig.take() == []
    assert rig.states() == {"a": "restarting", "b": "starting"}
    rig.starts["b"] = "ok"
    rig.started("b")
    assert rig.take() == ["stop b", "start a", "start b"]


def test_requests_that_wait_are_told_when_their_supervisor_ends():
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), worker("y"), strategy="one_for_all")))
    rig.starts["p.y"] = "hang"
    rig.die("p.x")
    assert rig.start("p", worker("z")) is None

    assert rig.terminate("p") == Done()

    assert isinstance(rig.error(rig.results[2]), NotRunning)
    assert rig.alive == {}


def test_what_waits_for_a_restart_that_fails_at_the_end_of_its_supervisor_is_told():
    rig = Rig.up(supervisor("root", worker("a"), worker("b", shutdown="infinity")))
    rig.starts["a"] = rig.stops["b"] = "hang"
    rig.die("a")
    assert rig.delete("a") is None

    assert rig.stop() is None
    rig.die("a")  # in its start, before its turn to stop comes
    rig.die("b", kind="shutdown")

    assert isinstance(rig.error(rig.results[2]), NotRunning)
    assert rig.results[3] == Done()


def test_nothing_is_started_by_an_answer_to_a_supervisor_that_ends():
    rig = Rig.up(supervisor("root", worker("a", shutdown=5.0)))
    rig.stops["a"] = "hang"
    rig.stop()

    assert isinstance(rig.error(rig.start("", worker("b"))), NotRunning)
    assert rig.take() == ["stop a"]


def test_a_late_readiness_of_a_killed_start_is_ignored():
    rig = Rig.up(supervisor("root", worker("a", ready=1.0), max_restarts=9))
    rig.starts["a"] = "hang"
    rig.die("a")
    incarnation = rig.alive["a"]
    rig.advance(0.9)
    rig.starts["a"] = "ok"

    rig.advance(0.2)
    rig.send(Started("a", incarnation))

    assert rig.incarnation("a") == incarnation + 1
    assert rig.states() == {"a": "running"}


def seconds_per_event(size):
    children = tuple(worker(f"w{i}", ready=10.0) for i in range(size))
    tree = new_tree(supervisor("root", *children))
    events, count, begin = [Boot(1)], 0, time.perf_counter()
    while events:
        tree, actions = decide(tree, events.pop(), 0.0)
        events += [Started(a.path, a.incarnation) for a in actions if isinstance(a, Launch)]
        count += 1
    for i in range(size):
        tree, _ = decide(tree, TerminateChild(i, f"w{i}"), 0.0)
        tree, _ = decide(tree, Exited(f"w{i}", 1, Reason("shutdown")), 0.0)
        tree, _ = decide(tree, DeleteChild(i, f"w{i}"), 0.0)
        tree, _ = decide(tree, StartChild(i, "", worker("new")), 0.0)
        count += 4
    assert which_children(tree, "") == (("new", "starting"),)
    return (time.perf_counter() - begin) / count


def test_cost_stays_near_linear():
    """Case 51: ten times the children, at most fifty times the cost; per event that is five times."""
    small = min(seconds_per_event(100) for _ in range(3))

    assert min(seconds_per_event(1000) for _ in range(2)) < 5 * small


def test_every_report_comes_once_with_who_what_and_why():
    """Case 52."""
    rig = Rig(supervisor("root", supervisor("p", worker("a"), worker("b", "transient"), max_restarts=2)))
    rig.boot()
    rig.starts["p.a"] = ["fail"]
    rig.stops["p.b"] = "crash"
    rig.die("p.a", kind="killed")
    rig.terminate("p.b")
    rig.stop()

    told = [(report.kind, report.supervisor, report.child, report.incarnation) for report in rig.reports(*KINDS)]

    assert told == [
        ("child_started", "p", "a", 1),
        ("child_started", "p", "b", 1),
        ("supervisor_started", "p", "", 0),
        ("supervisor_started", "", "", 0),
        ("child_terminated", "p", "a", 1),
        ("restart", "p", "a", 1),
        ("start_error", "p", "a", 2),
        ("restart", "p", "a", 2),
        ("child_started", "p", "a", 3),
        ("shutdown_error", "p", "b", 1),
        ("supervisor_terminated", "p", "", 0),
        ("supervisor_terminated", "", "", 0),
    ]
    assert [report.restart_type for report in rig.reports("shutdown_error")] == ["transient"]
    assert [report.reason for report in rig.reports("child_terminated")] == [Reason("killed")]


KINDS = (
    "child_started",
    "child_terminated",
    "start_error",
    "restart",
    "shutdown_error",
    "max_restarts",
    "supervisor_started",
    "supervisor_terminated",
    "auto_shutdown",
)


def test_reaching_the_limit_is_reported_once():
    """Case 52."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=0))

    rig.die("a")

    assert [(report.child, report.reason) for report in rig.reports("max_restarts")] == [("a", Reason("crash"))]


def test_a_timer_that_was_cancelled_does_no_harm():
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=9, backoff=Backoff(first=1.0, jitter=0.0)))
    rig.die("a")
    rig.die("a")
    timer = rig._timers[0][2]
    rig.terminate("a")
    rig.take()

    rig.send(Due(timer))

    assert rig.take() == []
    assert rig.states() == {"a": "stopped"}
