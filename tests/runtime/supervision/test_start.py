"""Starting a tree, and what a start can come to (cases 1 to 7)."""

import pytest

from actors.errors import AlreadyStarted, BadSpec, NotRunning, StartFailed
from runtime.supervision.action import Done, IgnoredStart, Launch
from runtime.supervision.event import Begun, Exited, Queued, Reason, Started
from runtime.supervision.start import QUEUE_SECONDS
from runtime.supervision.tree import Counts, count_children, find, which_children
from tests.runtime.supervision.rig import Rig, supervisor, worker

ABC = (worker("a"), worker("b"), worker("c"))


def test_an_empty_supervisor_starts():
    """Case 1."""
    rig = Rig.up(supervisor("root"))

    assert count_children(rig.tree, "") == Counts(0, 0, 0, 0)


def test_a_supervisor_with_one_child_counts_it():
    """Case 1."""
    rig = Rig.up(supervisor("root", worker("a")))

    assert count_children(rig.tree, "") == Counts(specs=1, active=1, supervisors=0, workers=1)


def test_children_start_in_order_and_stop_in_reverse():
    """Case 4."""
    rig = Rig(supervisor("root", *ABC))

    rig.boot()
    assert rig.take() == ["start a", "start b", "start c"]
    assert list(rig.states()) == ["a", "b", "c"]
    rig.stop()
    assert rig.take() == ["stop c", "stop b", "stop a"]


def test_a_child_is_launched_only_when_the_one_before_has_started():
    """Case 4."""
    rig = Rig(supervisor("root", *ABC))
    rig.starts["a"] = "hang"

    assert rig.boot() is None
    assert rig.take() == ["begin a"]
    rig.started("a")
    assert rig.take() == ["start b", "start c"]
    assert rig.results == {1: Done()}


def test_a_nested_supervisor_has_started_when_its_children_have():
    """Case 4."""
    rig = Rig(supervisor("root", worker("a"), supervisor("p", worker("x"), worker("y")), worker("b")))
    rig.starts["p.y"] = "hang"

    rig.boot()
    assert rig.states() == {"a": "running", "p": "starting", "b": "stopped"}
    rig.started("p.y")
    assert rig.take() == ["start a", "start p.x", "begin p.y", "start b"]


def test_a_first_start_that_fails_stops_what_had_started():
    """Case 5."""
    rig = Rig(supervisor("root", *ABC))
    rig.starts["b"] = "fail"

    error = rig.error(rig.boot())

    assert isinstance(error, StartFailed)
    assert error.name == "b"
    assert rig.take() == ["start a", "fail b", "stop a"]
    assert rig.halt is not None
    assert not rig.halt.gave_up


def test_a_failed_start_below_names_the_direct_child_of_the_root():
    """Case 5."""
    rig = Rig(supervisor("root", worker("a"), supervisor("p", worker("x"), supervisor("q", worker("y")))))
    rig.starts["p.q.y"] = "fail"

    error = rig.error(rig.boot())

    assert isinstance(error, StartFailed)
    assert error.name == "p"
    assert rig.take() == ["start a", "start p.x", "fail p.q.y", "stop p.x", "stop a"]


def test_a_process_that_dies_before_it_is_ready_is_a_failed_start():
    """Case 5."""
    rig = Rig(supervisor("root", worker("a")))
    rig.starts["a"] = "hang"
    rig.boot()

    rig.die("a")

    assert isinstance(rig.error(rig.results[1]), StartFailed)


def test_a_start_that_takes_too_long_is_killed_and_has_failed():
    rig = Rig(supervisor("root", worker("a", ready=2.0)))
    rig.starts["a"] = "hang"
    rig.boot()

    rig.advance(1.9)
    assert rig.results == {}
    rig.advance(0.2)
    assert rig.take() == ["begin a", "kill a"]
    assert "timeout" in str(rig.error(rig.results[1]))


def test_the_time_a_launch_waits_for_its_turn_is_not_counted_as_its_start():
    rig = Rig(supervisor("root", worker("a", ready=2.0)))
    rig.starts["a"] = "hang"
    rig.boot()

    rig.send(Queued("a", 1))
    rig.advance(QUEUE_SECONDS - 1)
    rig.send(Begun("a", 1))  # it is imported
    rig.advance(1.9)
    rig.send(Begun("a", 1))  # it has a process
    rig.advance(1.9)
    assert rig.take() == ["begin a"]
    rig.advance(0.2)
    assert rig.take() == ["kill a"]


def test_a_launch_that_waits_too_long_for_its_turn_has_failed_whatever_its_own_limit():
    for ready in (2.0, 1000.0, None):
        rig = Rig(supervisor("root", worker("a", ready=ready)))
        rig.starts["a"] = "hang"
        rig.boot()

        rig.send(Queued("a", 1))
        rig.advance(QUEUE_SECONDS - 0.1)
        assert rig.take() == ["begin a"]
        rig.advance(0.2)
        assert rig.take() == ["kill a"]
        assert "timeout" in str(rig.error(rig.results[1]))


def test_news_of_another_launch_than_the_current_one_moves_no_limit():
    rig = Rig(supervisor("root", worker("a", ready=2.0)))
    rig.starts["a"] = "hang"
    rig.boot()

    rig.send(Queued("a", 2), Begun("a", 0), Queued("b", 1))
    rig.advance(2.1)

    assert rig.take() == ["begin a", "kill a"]


def test_a_launch_that_is_to_stop_before_its_turn_has_its_own_limit_from_then_on():
    rig = Rig.up(supervisor("root", worker("a")))
    rig.starts["b"] = rig.stops["b"] = "hang"
    rig.start("", worker("b", shutdown="infinity", ready=2.0))
    rig.send(Queued("b", 1))
    rig.stop()

    rig.advance(3.0)
    assert rig.take() == ["begin b", "stop b"]
    rig.send(Begun("b", 1))
    rig.advance(2.1)

    assert rig.take() == ["kill b", "stop a"]


def test_a_tree_that_could_not_start_can_be_started_again():
    rig = Rig(supervisor("root", *ABC))
    rig.starts["b"] = ["fail"]
    rig.boot()

    assert rig.boot() == Done()
    assert rig.incarnation("a") == 2


def test_a_tree_that_runs_is_not_started_again():
    rig = Rig.up(supervisor("root", *ABC))

    assert isinstance(rig.error(rig.boot()), AlreadyStarted)


@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_an_ignored_start_keeps_the_specification_without_a_process(restart):
    """Case 6."""
    rig = Rig(supervisor("root", worker("a", restart), worker("b")))
    rig.starts["a"] = ["ignore"]

    assert rig.boot() == Done()
    assert rig.states() == {"a": "stopped", "b": "running"}
    assert count_children(rig.tree, "") == Counts(2, 1, 0, 2)
    assert rig.closed() == ["a"]
    assert rig.restart("a") == Done(2)


def test_an_ignored_start_of_a_temporary_child_keeps_nothing():
    """Case 6."""
    rig = Rig(supervisor("root", worker("a", "temporary")))
    rig.starts.update({"a": "ignore", "b": "ignore"})

    assert rig.boot() == Done()
    assert rig.states() == {}
    assert rig.forgotten() == ["a"]
    assert rig.start("", worker("b", "temporary")) == IgnoredStart()
    assert rig.states() == {}


def test_an_ignored_start_of_a_dynamic_child_keeps_nothing():
    """Case 6."""
    rig = Rig.up(supervisor("root", strategy="dynamic", template=worker("t")))
    rig.starts["x"] = "ignore"

    assert rig.start("", worker("x")) == IgnoredStart()
    assert count_children(rig.tree, "") == Counts(1, 0, 0, 0)


def test_a_dynamic_child_whose_restart_is_ignored_is_gone():
    """Case 6; OTP 25 goes on counting it, which is its bug."""
    rig = Rig.up(supervisor("root", strategy="dynamic", template=worker("t")))
    rig.start("", worker("x"))
    rig.starts["x"] = "ignore"

    rig.die("x")

    assert rig.states() == {}


def test_the_payload_goes_with_every_launch_unread():
    """Case 7."""
    payload = object()
    rig = Rig(supervisor("root", worker("a", payload=payload)))

    rig.boot()
    rig.die("a")

    assert [launch.spec.payload for launch in rig.actions if isinstance(launch, Launch)] == [payload, payload]


def test_every_launch_has_the_next_incarnation():
    rig = Rig.up(supervisor("root", worker("a")))

    rig.die("a")
    rig.terminate("a")
    rig.restart("a")

    assert rig.incarnation("a") == 3


def test_a_hanging_first_start_gives_way_to_the_stop_of_the_tree():
    rig = Rig(supervisor("root", worker("a"), worker("b"), worker("c")))
    rig.starts["b"] = "hang"
    rig.boot()

    assert rig.stop() == Done()
    assert isinstance(rig.error(rig.results[1]), StartFailed)
    assert rig.take() == ["start a", "begin b", "stop b", "stop a"]


def test_a_nested_supervisor_with_a_bad_specification_is_a_failed_start():
    """Cases 5 and 10: like OTP's, it checks itself when it starts."""
    rig = Rig(supervisor("root", worker("a"), supervisor("p", worker("x"), max_restarts=-1)))

    error = rig.error(rig.boot())

    assert isinstance(error, StartFailed)
    assert error.name == "p"
    assert rig.take() == ["start a", "stop a"]


def test_a_root_with_a_bad_specification_does_not_start():
    """Case 11."""
    rig = Rig(supervisor("root", worker("a"), worker("a")))

    error = rig.error(rig.boot())

    assert isinstance(error, BadSpec)
    assert error.what == "duplicate_child_name"
    assert rig.take() == []
    assert rig.tree.phase == "down"


def test_events_of_unknown_paths_and_old_incarnations_change_nothing():
    """Case 21."""
    rig = Rig.up(supervisor("root", worker("a")))
    rig.die("a")
    rig.take()

    rig.send(Exited("zzz", 1, Reason("crash")), Exited("a", 1, Reason("crash")), Started("a", 7), Started("p.q", 1))
    rig.send(Exited("", 1, Reason("crash")))

    assert rig.take() == []
    assert rig.states() == {"a": "running"}


def test_what_is_asked_of_a_tree_that_does_not_run_is_refused():
    """Case 18."""
    rig = Rig(supervisor("root", worker("a")))

    assert isinstance(rig.error(rig.start("", worker("b"))), NotRunning)
    assert isinstance(rig.error(rig.stop()), NotRunning)
    with pytest.raises(NotRunning):
        which_children(rig.tree, "")


def test_a_thousand_nested_empty_supervisors_start_and_stop():
    """Case 51: nothing recurses over siblings."""
    rig = Rig(supervisor("root", *(supervisor(f"p{i}") for i in range(1000))))

    assert rig.boot() == Done()
    assert rig.stop() == Done()


def test_deeply_nested_supervisors_start_and_stop():
    spec = supervisor("p39", worker("x"))
    for depth in reversed(range(39)):
        spec = supervisor(f"p{depth}", spec)
    rig = Rig(supervisor("root", spec))

    assert rig.boot() == Done()
    assert find(rig.tree, ".".join(f"p{i}" for i in range(40))) is not None
    rig.die(".".join(f"p{i}" for i in range(40)) + ".x")
    assert rig.stop() == Done()


def test_a_start_that_failed_has_no_limit_left_to_wait_for():
    """Case 5."""
    rig = Rig.up(supervisor("root", worker("a")))
    rig.starts["b"] = "fail"

    assert isinstance(rig.error(rig.start("", worker("b", ready=9.0))), StartFailed)

    assert rig.due_in() == []


def test_a_supervisor_that_does_not_run_is_named_by_its_path_and_the_root_by_its_name():
    rig = Rig(supervisor("root", supervisor("p")))

    for path, name in (("", "root"), ("p", "p")):
        for asked in (which_children, count_children):
            with pytest.raises(NotRunning) as raised:
                asked(rig.tree, path)
            assert raised.value.name == name
