"""Administration: start, terminate, restart, delete (cases 14 to 20)."""

import pytest

from actors.child import Backoff
from actors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    DynamicSupervisor,
    NotFound,
    NotRunning,
    Restarting,
    StartFailed,
    StillRunning,
)
from runtime.supervision.action import Done
from runtime.supervision.tree import Counts, count_children, find, which_children
from tests.runtime.supervision.rig import Rig, supervisor, worker


@pytest.fixture(params=["one_for_one", "one_for_all", "rest_for_one"])
def rig(request):
    return Rig.up(supervisor("root", worker("a"), worker("b"), strategy=request.param))


def test_a_started_child_is_the_last_in_order(rig):
    """Case 14."""
    assert rig.start("", worker("c")) == Done(1)
    assert list(rig.states()) == ["a", "b", "c"]


def test_a_child_that_runs_cannot_be_started_again(rig):
    """Case 14."""
    assert isinstance(rig.error(rig.start("", worker("a"))), AlreadyStarted)


def test_a_child_that_is_specified_and_stopped_is_present(rig):
    """Case 14."""
    rig.terminate("a")

    assert isinstance(rig.error(rig.start("", worker("a"))), AlreadyPresent)


def test_a_child_whose_first_start_fails_is_not_kept(rig):
    """Case 14."""
    rig.starts["c"] = ["fail"]

    error = rig.error(rig.start("", worker("c")))

    assert isinstance(error, StartFailed)
    assert error.name == "c"
    assert list(rig.states()) == ["a", "b"]
    assert (rig.closed(), rig.forgotten()) == (["c"], ["c"])
    assert rig.start("", worker("c")) == Done(1)


def test_a_supervisor_can_be_added_with_its_children(rig):
    """Case 14."""
    assert rig.start("", supervisor("p", worker("x"), worker("y"))) == Done(1)
    assert rig.take() == ["start p.x", "start p.y"]
    assert count_children(rig.tree, "") == Counts(3, 3, 1, 2)


def test_an_added_supervisor_whose_child_fails_is_not_kept(rig):
    """Case 14."""
    rig.starts["p.y"] = "fail"

    error = rig.error(rig.start("", supervisor("p", worker("x"), worker("y"))))

    assert isinstance(error, StartFailed)
    assert error.name == "p"
    assert rig.take() == ["start p.x", "fail p.y", "stop p.x"]
    assert list(rig.states()) == ["a", "b"]


def test_a_terminated_child_stays_specified_and_is_not_restarted(rig):
    """Case 15."""
    assert rig.terminate("a") == Done()
    assert rig.take() == ["stop a"]
    assert rig.states() == {"a": "stopped", "b": "running"}


def test_terminating_is_idempotent(rig):
    """Case 15."""
    rig.terminate("a")

    assert rig.terminate("a") == Done()


def test_terminating_costs_no_restart():
    """Case 15."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=0))

    for _ in range(5):
        rig.terminate("a")
        rig.restart("a")

    assert rig.states() == {"a": "running"}


def test_a_terminated_temporary_child_is_forgotten(rig):
    """Case 15."""
    rig.start("", worker("t", "temporary"))

    assert rig.terminate("t") == Done()
    assert "t" not in rig.states()
    assert rig.forgotten() == ["t"]


def test_terminating_a_supervisor_stops_all_below_in_reverse():
    """Case 15."""
    rig = Rig.up(supervisor("root", worker("a"), supervisor("p", worker("x"), supervisor("q", worker("y")))))

    assert rig.terminate("p") == Done()
    assert rig.trace == ["stop p.q.y", "stop p.x"]
    assert sorted(rig.closed()) == ["p.q.y", "p.x"]
    with pytest.raises(NotRunning):
        which_children(rig.tree, "p")


def test_a_terminated_supervisor_starts_afresh():
    """Cases 15 and 37."""
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"))))
    rig.start("p", worker("y"))
    rig.terminate("p")

    assert rig.restart("p") == Done(2)
    assert rig.states("p") == {"x": "running"}
    assert rig.incarnation("p.x") == 2


def test_a_running_child_is_not_deleted(rig):
    """Case 16."""
    assert isinstance(rig.error(rig.delete("a")), StillRunning)


def test_a_stopped_child_is_deleted(rig):
    """Case 16."""
    rig.terminate("a")

    assert rig.delete("a") == Done()
    assert rig.states() == {"b": "running"}
    assert (rig.closed(), rig.forgotten()) == (["a"], ["a"])


def test_deleting_a_supervisor_forgets_all_below():
    """Case 16."""
    rig = Rig.up(supervisor("root", supervisor("p", worker("x"), supervisor("q", worker("y")))))
    rig.terminate("p")

    assert rig.delete("p") == Done()
    assert sorted(rig.forgotten()) == ["p.q.y", "p.x"]
    assert find(rig.tree, "p.q.y") is None


def test_an_unknown_child_is_not_found(rig):
    """Cases 16 and 17."""
    for ask in (rig.delete, rig.restart, rig.terminate):
        assert isinstance(rig.error(ask("zzz")), NotFound)


def test_a_child_that_is_being_restarted_counts_but_not_as_active_and_is_let_be():
    """Cases 16 and 20."""
    spec = supervisor("root", worker("a"), backoff=Backoff(first=1.0, jitter=0.0), max_restarts=5)
    rig = Rig.up(spec)
    rig.starts["a"] = ["fail"]
    rig.die("a")

    assert rig.states() == {"a": "restarting"}
    assert count_children(rig.tree, "") == Counts(1, 0, 0, 1)
    assert isinstance(rig.error(rig.delete("a")), Restarting)
    assert isinstance(rig.error(rig.restart("a")), Restarting)
    assert isinstance(rig.error(rig.start("", worker("a"))), AlreadyPresent)


def test_a_running_child_is_not_restarted(rig):
    """Case 17."""
    assert isinstance(rig.error(rig.restart("a")), StillRunning)


def test_a_restart_on_request_that_fails_keeps_the_specification(rig):
    """Case 17."""
    rig.terminate("a")
    rig.starts["a"] = ["fail"]

    assert isinstance(rig.error(rig.restart("a")), StartFailed)
    assert rig.states()["a"] == "stopped"
    assert rig.restart("a") == Done(3)


def test_every_call_to_an_unknown_supervisor_is_refused(rig):
    """Case 18."""
    for result in (rig.start("p", worker("x")), rig.terminate("p.x"), rig.restart("p.x"), rig.delete("p.x")):
        assert isinstance(rig.error(result), NotRunning)
    with pytest.raises(NotRunning):
        count_children(rig.tree, "p")


def test_a_worker_is_no_supervisor(rig):
    """Case 18."""
    assert isinstance(rig.error(rig.start("a", worker("x"))), NotRunning)


def test_static_children_are_not_known_by_incarnation(rig):
    """Case 18."""
    assert isinstance(rig.error(rig.terminate("a", 1)), NotFound)


def dynamic_rig(**options):
    rig = Rig.up(supervisor("root", strategy="dynamic", template=worker("t"), **options))
    rig.start("", worker("x"))
    rig.start("", worker("y"))
    return rig


def test_a_dynamic_supervisor_refuses_operations_by_name():
    """Case 19."""
    rig = dynamic_rig()

    for ask in (rig.terminate, rig.restart, rig.delete):
        assert isinstance(rig.error(ask("x")), DynamicSupervisor)
        assert isinstance(rig.error(ask("zzz")), DynamicSupervisor)


def test_a_dynamic_child_is_terminated_by_incarnation():
    """Case 19."""
    rig = dynamic_rig()

    assert rig.terminate("x", 1) == Done()
    assert rig.states() == {"y": "running"}
    assert rig.forgotten() == ["x"]


def test_a_dynamic_child_that_is_gone_is_terminated_already_and_a_foreign_one_not_found():
    """Case 19."""
    rig = dynamic_rig()
    rig.die("x")

    assert rig.terminate("x", 1) == Done()
    assert rig.states()["x"] == "running"
    assert isinstance(rig.error(rig.terminate("x", 9)), NotFound)


def test_a_dynamic_supervisor_counts_one_specification():
    """Case 19."""
    assert count_children(dynamic_rig().tree, "") == Counts(1, 2, 0, 2)


def test_a_dynamic_supervisor_holds_no_more_than_max_children():
    rig = dynamic_rig(max_children=2)

    assert isinstance(rig.error(rig.start("", worker("z"))), StartFailed)
    rig.terminate("x", 1)
    assert rig.start("", worker("z")) == Done(1)


@pytest.mark.parametrize("size", [1000, 2000])
def test_counts_are_right_with_many_children_of_both_kinds(size):
    """Case 20."""
    children = (supervisor(f"c{i}") if i % 4 == 0 else worker(f"c{i}") for i in range(size))
    rig = Rig.up(supervisor("root", *children))
    rig.terminate("c1")

    assert count_children(rig.tree, "") == Counts(size, size - 1, size // 4, size - size // 4)
