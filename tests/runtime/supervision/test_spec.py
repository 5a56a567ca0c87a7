"""Defaults, and OTP's words for what is wrong, in OTP's order (cases 8 to 13)."""

from dataclasses import replace

import pytest

from actors.errors import BadSpec
from runtime.supervision.spec import SupervisorSpec, WorkerSpec, validate
from tests.runtime.supervision.rig import Rig, supervisor, worker


def wrong(spec):
    with pytest.raises(BadSpec) as caught:
        validate(spec)
    return caught.value


def test_a_worker_is_permanent_and_has_five_seconds_to_stop():
    """Case 8."""
    spec = WorkerSpec("a")

    assert (spec.restart, spec.shutdown, spec.significant) == ("permanent", 5.0, False)


def test_a_supervisor_is_permanent_and_has_for_ever_to_stop():
    """Case 8."""
    spec = SupervisorSpec("p")

    assert (spec.restart, spec.shutdown, spec.significant) == ("permanent", "infinity", False)
    assert (spec.strategy, spec.max_restarts, spec.max_seconds, spec.auto_shutdown) == ("one_for_one", 3, 5.0, "never")


@pytest.mark.parametrize(
    ("child", "what"),
    [
        (worker(""), "missing_id"),
        (worker("a", "always"), "invalid_restart_type"),
        (worker("a", shutdown=-1), "invalid_shutdown"),
        (worker("a", shutdown="soon"), "invalid_shutdown"),
        (worker("a", shutdown=True), "invalid_shutdown"),
        (worker("a", significant="yes"), "invalid_significant"),
        (supervisor("a", restart="always"), "invalid_restart_type"),
        (supervisor("a", shutdown=None), "invalid_shutdown"),
    ],
)
def test_a_bad_child_is_called_what_otp_calls_it(child, what):
    """Case 9."""
    assert wrong(supervisor("root", child)).what == what


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ({"strategy": "all_for_one"}, "invalid_strategy"),
        ({"max_restarts": -1}, "invalid_intensity"),
        ({"max_restarts": 1.5}, "invalid_intensity"),
        ({"max_restarts": True}, "invalid_intensity"),
        ({"max_seconds": 0}, "invalid_period"),
        ({"max_seconds": float("inf")}, "invalid_period"),
        ({"max_seconds": "5"}, "invalid_period"),
        ({"auto_shutdown": "sometimes"}, "invalid_auto_shutdown"),
    ],
)
def test_a_bad_flag_is_called_what_otp_calls_it(flags, what):
    """Case 10."""
    assert wrong(replace(supervisor("root", worker("a", "always")), **flags)).what == what


def test_two_children_of_one_name_are_refused():
    """Case 11."""
    error = wrong(supervisor("root", worker("a"), worker("b"), worker("a")))

    assert (error.what, error.name) == ("duplicate_child_name", "a")


def test_a_child_is_checked_before_the_names_that_come_after_it():
    """Case 11."""
    assert wrong(supervisor("root", worker("a"), worker("a"), worker("b", "always"))).what == "duplicate_child_name"
    assert wrong(supervisor("root", worker("a"), worker("a", "always"))).what == "invalid_restart_type"


@pytest.mark.parametrize(
    ("restart", "auto_shutdown"), [("permanent", "any_significant"), ("transient", "never"), ("permanent", "never")]
)
def test_significant_does_not_go_with_permanent_or_never(restart, auto_shutdown):
    """Case 12."""
    spec = supervisor("root", worker("a", restart, significant=True), auto_shutdown=auto_shutdown)

    assert wrong(spec).what == "bad_combination"


def test_a_bad_combination_is_told_before_a_bad_shutdown_and_after_a_bad_restart_type():
    """Cases 9 and 12: the order of do_check_childspec."""
    both = worker("a", "permanent", significant=True, shutdown=-1)

    assert wrong(supervisor("root", both)).what == "bad_combination"
    assert wrong(supervisor("root", replace(both, restart="always"))).what == "invalid_restart_type"


@pytest.mark.parametrize("children", [(), (worker("a"),)])
def test_a_dynamic_supervisor_needs_a_template(children):
    """Case 13."""
    assert wrong(supervisor("root", *children, strategy="dynamic")).what == "bad_start_spec"


def test_a_template_is_checked_and_needs_no_name():
    """Case 13."""
    validate(supervisor("root", strategy="dynamic", template=worker("")))

    assert wrong(supervisor("root", strategy="dynamic", template=worker("", "always"))).what == "invalid_restart_type"


def test_the_whole_tree_is_validated_with_the_path_of_what_is_wrong():
    error = wrong(supervisor("root", supervisor("p", worker("x", "always"))))

    assert error.name == "p.x"


def test_a_supervisor_at_fault_is_named_by_its_path_and_the_root_by_its_name():
    faulty = {"strategy": "all_for_one"}

    assert wrong(supervisor("root", **faulty)).name == "root"
    assert wrong(supervisor("root", supervisor("p", supervisor("q", **faulty)))).name == "p.q"


def test_a_child_to_be_started_is_checked_before_its_name_is_looked_up():
    """Case 9."""
    rig = Rig.up(supervisor("root", worker("a")))

    error = rig.error(rig.start("", worker("a", "always")))

    assert isinstance(error, BadSpec)
    assert error.what == "invalid_restart_type"
