"""Reloads: what lies between two specifications, and how a running supervisor takes a new one."""

from dataclasses import replace

import pytest

from actors.child import Backoff
from actors.errors import BadSpec, NotRunning
from runtime.supervision.action import Done, Launch
from runtime.supervision.event import Amend, StartChild
from runtime.supervision.reload import (
    Added,
    Changed,
    FlagsChanged,
    Removed,
    Replaced,
    amended,
    changes,
    is_same_kind,
    merged,
    reverted,
)
from runtime.supervision.spec import SupervisorSpec
from runtime.supervision.tree import find
from tests.runtime.supervision.rig import Rig, supervisor, worker


def amend(rig: Rig, spec: SupervisorSpec, path: str = ""):
    return rig.ask(Amend(rig.number(), path, spec))


def kinds(*steps) -> list[tuple[str, str]]:
    return [(type(step).__name__, step.path) for step in steps]


# ---- the difference


def test_there_is_nothing_between_equal_specifications():
    def spec():
        return supervisor("root", worker("a", payload="x"), supervisor("p", worker("b"), strategy="rest_for_one"))

    assert changes(spec(), spec()) == ()
    assert list(amended(spec(), spec())) == []


def test_a_child_that_is_new_is_added_where_it_stands():
    new = supervisor("root", worker("a"), worker("n"), worker("b"))

    assert changes(supervisor("root", worker("a"), worker("b")), new) == (Added("n", worker("n"), 1),)


def test_a_child_that_is_gone_is_removed():
    old = supervisor("root", worker("a"), worker("b"))

    assert changes(old, supervisor("root", worker("b"))) == (Removed("a"),)


@pytest.mark.parametrize(
    "options",
    [
        {"payload": "y"},
        {"payload": "x", "shutdown": 1.0},
        {"payload": "x", "ready": 3.0},
        {"payload": "x", "restart": "transient"},
    ],
)
def test_a_worker_that_runs_something_else_or_otherwise_is_changed(options):
    before, after = worker("a", payload="x"), worker("a", **options)

    assert changes(supervisor("root", before), supervisor("root", after)) == (Changed("a", after, 0),)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ({"strategy": "one_for_all"}, "strategy: one_for_one → one_for_all"),
        ({"max_restarts": 7}, "max_restarts: 3 → 7"),
        ({"max_seconds": 9.0}, "max_seconds: 5.0 → 9.0"),
        ({"auto_shutdown": "any_significant"}, "auto_shutdown: never → any_significant"),
        ({"shutdown": "kill"}, "shutdown: infinity → kill"),
        ({"backoff": Backoff(1.0)}, f"backoff: None → {Backoff(1.0)}"),
    ],
)
def test_changed_flags_are_one_change_of_the_supervisor_alone(flag, text):
    old, new = supervisor("p", worker("a")), supervisor("p", worker("a"), **flag)

    assert changes(supervisor("root", old), supervisor("root", new)) == (FlagsChanged("p", (text,)),)


def test_a_changed_template_is_a_flag_of_its_dynamic_supervisor():
    old = supervisor("d", strategy="dynamic", template=worker("t", payload="x"))
    new = replace(old, template=worker("t", payload="y"))

    assert changes(supervisor("root", old), supervisor("root", new)) == (FlagsChanged("d", ("template",)),)


def test_a_difference_deep_down_concerns_the_children_there_only():
    def spec(*deep):
        return supervisor("root", worker("a"), supervisor("p", worker("b"), supervisor("q", worker("c"), *deep)))

    assert changes(spec(), spec(worker("n"))) == (Added("p.q.n", worker("n"), 1),)
    assert [path for path, _ in amended(spec(), spec(worker("n")))] == ["", "p", "p.q"]


def test_removed_children_come_first_in_reverse_and_the_rest_in_start_order():
    old = supervisor(
        "root", worker("x"), worker("c", payload=1), supervisor("p", worker("y"), worker("d", payload=1)), worker("z")
    )
    new = supervisor(
        "root", supervisor("p", worker("d", payload=2), worker("n"), max_restarts=9), worker("c", payload=2)
    )

    assert kinds(*changes(old, new)) == [
        ("Removed", "z"),
        ("Removed", "p.y"),
        ("Removed", "x"),
        ("FlagsChanged", "p"),
        ("Changed", "p.d"),
        ("Added", "p.n"),
        ("Changed", "c"),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (worker("a"), supervisor("a", worker("b"))),
        (supervisor("a", worker("b")), worker("a")),
        (supervisor("a", worker("b")), supervisor("a", strategy="dynamic", template=worker("t"))),
        (worker("a"), supervisor("a", worker("r1"), worker("r2"), pool=True)),
    ],
)
def test_a_child_that_becomes_something_of_another_kind_is_replaced(before, after):
    assert not is_same_kind(before, after)
    assert changes(supervisor("root", before), supervisor("root", after)) == (Replaced("a", after, 0),)


def test_a_pool_that_grows_only_gets_new_members():
    def pool(count):
        members = [worker(f"r{n}") for n in range(1, count + 1)]
        return supervisor("root", supervisor("pool", *members, pool=True))

    assert kinds(*changes(pool(2), pool(3))) == [("Added", "pool.r3")]
    assert kinds(*changes(pool(3), pool(2))) == [("Removed", "pool.r3")]


def test_what_is_equal_is_held_once():
    old = supervisor("root", worker("a", payload="x"), supervisor("p", worker("b")))
    new = supervisor("root", supervisor("p", worker("b"), max_restarts=1), worker("a", payload="x"), worker("n"))

    both = merged(old, new)

    assert both == new
    assert both.children[1] is old.children[0]
    assert both.children[0].children[0] is old.children[1].children[0]


def test_an_equal_template_is_held_once_and_another_one_is_the_new_one():
    old = supervisor("root", strategy="dynamic", template=worker("t", payload=(1,)))
    equal = supervisor("root", strategy="dynamic", template=worker("t", payload=(1,)), max_restarts=1)
    other = supervisor("root", strategy="dynamic", template=worker("t", payload=(2,)))

    assert equal.template is not old.template
    assert merged(old, equal).template is old.template
    assert merged(old, other) == other


def test_what_failed_is_specified_as_it_was_or_not_at_all():
    old = supervisor("root", worker("c", payload=1), supervisor("p", worker("b")))
    new = supervisor(
        "root", worker("c", payload=2), worker("n"), supervisor("p", worker("b"), worker("m"), worker("o"))
    )

    back = reverted(old, new, frozenset({"c", "n", "p.m"}))

    assert back == supervisor("root", worker("c", payload=1), supervisor("p", worker("b"), worker("o")))


# ---- a running supervisor takes a new specification


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_a_new_specification_touches_no_process(strategy):
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy=strategy))

    assert amend(rig, supervisor("root", worker("n"), worker("b", payload="y"), max_restarts=9)) == Done()

    assert rig.take() == []
    assert rig.states() == {"b": "running", "a": "running"}


def test_a_new_strategy_applies_to_the_next_death():
    rig = Rig.up(supervisor("root", worker("a"), worker("b")))

    amend(rig, supervisor("root", worker("a"), worker("b"), strategy="one_for_all"))
    rig.die("a")

    assert rig.take() == ["stop b", "start a", "start b"]


def test_a_new_window_applies_to_the_next_death():
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=1))
    rig.die("a")

    amend(rig, supervisor("root", worker("a"), max_restarts=2))
    rig.die("a")
    assert rig.halt is None
    rig.die("a")

    assert rig.halt is not None


def test_a_new_backoff_applies_to_the_next_restart():
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=9))

    amend(rig, supervisor("root", worker("a"), max_restarts=9, backoff=Backoff(0.5, 1.0, 0.0)))
    rig.die("a")
    rig.die("a")

    assert rig.due_in() == [0.5]


def test_a_new_auto_shutdown_applies_to_the_next_end():
    significant = worker("a", "temporary", significant=True)
    rig = Rig.up(supervisor("root", significant, worker("b"), auto_shutdown="all_significant"))
    rig.start("", worker("c", "temporary", significant=True))

    amend(rig, supervisor("root", significant, worker("b"), auto_shutdown="any_significant"))
    rig.die("a", kind="normal")

    assert rig.halt is not None


def test_a_child_is_made_of_its_new_specification_when_it_starts_next():
    rig = Rig.up(supervisor("root", worker("a", payload="old")))

    amend(rig, supervisor("root", worker("a", payload="new")))
    rig.die("a")

    assert [action.spec.payload for action in rig.actions if isinstance(action, Launch)] == ["new"]


def test_future_instances_of_a_dynamic_supervisor_are_made_of_its_new_template():
    def spec(payload):
        return supervisor("root", strategy="dynamic", template=worker("t", "transient", payload=payload))

    rig = Rig.up(spec("old"))
    rig.start("", worker("i1", payload=None))

    assert amend(rig, spec("new")) == Done()
    rig.start("", worker("i2", payload=None))
    rig.die("i1")

    specs = [find(rig.tree, name).spec for name in ("i1", "i2")]
    assert [spec.payload for spec in specs] == ["old", "new"]


def test_a_faulty_specification_is_refused_and_the_old_one_stays():
    """Hot code change."""
    rig = Rig.up(supervisor("root", worker("a"), max_restarts=1))

    error = rig.error(amend(rig, supervisor("root", worker("n"), worker("n"), strategy="one_for_all")))

    assert isinstance(error, BadSpec)
    assert error.what == "duplicate_child_name"
    rig.die("a")
    assert rig.take() == ["start a"]


def test_a_running_supervisor_cannot_become_dynamic():
    rig = Rig.up(supervisor("root", worker("a")))

    error = rig.error(amend(rig, supervisor("root", strategy="dynamic", template=worker("t"))))

    assert isinstance(error, BadSpec)
    assert error.what == "invalid_strategy"


def test_a_removed_child_runs_on_until_its_supervisor_starts_anew():
    """Hot code change: removed specs do not stop running children."""
    spec = supervisor("root", supervisor("p", worker("a"), worker("b"), max_restarts=0))
    rig = Rig.up(spec)

    amend(rig, supervisor("root", supervisor("p", worker("b"), max_restarts=0)))
    amend(rig, supervisor("p", worker("b"), max_restarts=0), "p")
    assert rig.states("p") == {"b": "running", "a": "running"}
    rig.take()
    rig.die("p.b")

    assert rig.take() == ["stop p.a", "start p.b"]


def test_a_supervisor_that_starts_anew_does_so_by_its_new_specification():
    rig = Rig.up(supervisor("root", supervisor("p", worker("a"), max_restarts=0)))

    amend(rig, supervisor("p", worker("n"), worker("a"), max_restarts=0), "p")
    rig.die("p.a")

    assert rig.take() == ["start p.n", "start p.a"]


def test_the_specifications_above_agree_with_an_amended_one():
    rig = Rig.up(supervisor("root", supervisor("p", supervisor("q", worker("a")), max_restarts=0, shutdown="kill")))
    new = supervisor("q", worker("a"), worker("n"))

    amend(rig, new, "p.q")

    p = supervisor("p", new, max_restarts=0, shutdown="kill")
    assert rig.tree.nodes.get("").spec == supervisor("root", p)
    assert find(rig.tree, "p").spec == p


def test_an_added_child_takes_its_place_in_the_order():
    new = supervisor("root", worker("n"), worker("a"), worker("m"), worker("b"), strategy="rest_for_one")
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy="rest_for_one"))

    amend(rig, new)
    rig.ask(StartChild(rig.number(), "", new.children[2], 2))
    rig.ask(StartChild(rig.number(), "", new.children[0], 0))
    assert list(rig.states()) == ["n", "a", "m", "b"]
    rig.take()
    rig.die("m")

    assert rig.take() == ["stop b", "start m", "start b"]


def test_a_child_started_on_request_is_not_taken_for_a_specified_one():
    rig = Rig.up(supervisor("root", supervisor("p", worker("a"), max_restarts=0)))
    rig.start("p", worker("n", payload="mine"))

    amend(rig, supervisor("p", worker("n", payload="theirs"), worker("a"), max_restarts=0), "p")

    assert find(rig.tree, "p.n").spec.payload == "mine"


def test_a_new_specification_waits_while_a_group_is_being_restarted():
    rig = Rig.up(supervisor("root", worker("a"), worker("b"), strategy="one_for_all"))
    rig.starts["a"] = "hang"
    rig.die("b")

    assert amend(rig, supervisor("root", worker("a"), worker("b"))) is None
    rig.started("a")

    assert rig.results[max(rig.results)] == Done()
    assert rig.take() == ["stop a", "begin a", "start b"]


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_a_group_that_waits_for_its_restart_is_restarted_under_a_new_strategy_too(strategy):
    spec = supervisor(
        "root",
        worker("a"),
        worker("b"),
        worker("c"),
        strategy="one_for_all",
        max_restarts=9,
        backoff=Backoff(1.0, 1.0, 0.0),
    )
    rig = Rig.up(spec)
    rig.die("b")
    rig.die("b")
    assert rig.states() == {"a": "stopped", "b": "restarting", "c": "stopped"}

    amend(rig, replace(spec, strategy=strategy))
    rig.advance(1.0)

    assert rig.states() == {"a": "running", "b": "running", "c": "running"}
    assert len(rig.tree.nodes.get("").window) == 2


def test_the_new_specification_of_a_supervisor_that_ends_is_refused():
    rig = Rig.up(supervisor("root", worker("a")))
    rig.stops["a"] = "hang"
    rig.stop()

    assert isinstance(rig.error(amend(rig, supervisor("root"))), NotRunning)


def test_a_tree_that_was_handed_out_is_not_changed_by_an_amendment():
    rig = Rig.up(supervisor("root", supervisor("p", worker("a"))))
    before = rig.tree

    amend(rig, supervisor("root", supervisor("p", worker("n"))))
    amend(rig, supervisor("p", worker("n")), "p")

    assert before.nodes.get("p").spec == supervisor("p", worker("a"))
    assert find(before, "p.a").is_static
