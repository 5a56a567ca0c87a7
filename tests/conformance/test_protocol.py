"""Scripts whose answers follow from the cases."""

import json
import subprocess
import sys

import pytest

from tests.conformance.protocol import Protocol
from tests.conformance.virtual import NeverEnds, VirtualDriver


@pytest.fixture
def say():
    """Say an operation; what is answered, as (result, trace)."""
    protocol = Protocol(VirtualDriver())

    def answer(op, **operands):
        told = json.loads(protocol.answer(json.dumps({"op": op, **operands})))
        assert list(told) == ["result", "trace"]
        return told["result"], [" ".join(record) for record in told["trace"]]

    return answer


def tree(*children, **flags):
    return {"children": [child if isinstance(child, dict) else {"id": child} for child in children], **flags}


def test_before_a_tree_has_started_there_is_no_process(say):
    assert say("status") == ({"error": "noproc"}, [])
    assert say("stop")[0] == {"error": "noproc"}
    for op in ("which_children", "count_children"):
        assert say(op, sup="root")[0] == {"error": "noproc"}
    for op in ("terminate_child", "restart_child", "delete_child"):
        assert say(op, sup="root", id="a")[0] == {"error": "noproc"}
    assert say("start_child", sup="root", child={"id": "a"})[0] == {"error": "noproc"}
    assert say("die", id="a", reason="crash")[0] == {"error": "not_running"}
    assert say("behave", id="a", start="ok")[0] == "ok"
    assert say("advance", seconds=1.5)[0] == "ok"


def test_a_tree_starts_is_asked_and_stops(say):
    """Cases 1 and 4."""
    assert say("start_tree", tree=tree("a", "b")) == ("ok", ["start a", "start b"])
    assert say("status") == ("running", [])
    assert say("which_children", sup="root")[0] == [["a", "running"], ["b", "running"]]
    assert say("count_children", sup="root")[0] == {"specs": 2, "active": 2, "supervisors": 0, "workers": 2}
    assert say("start_tree", tree=tree("a"))[0] == {"error": "already_started"}
    assert say("stop") == ({"exited": "shutdown"}, ["stop b", "stop a"])
    assert say("status")[0] == {"exited": "shutdown"}
    assert say("start_tree", tree=tree("c")) == ("ok", ["start c"])


def test_missing_keys_take_otps_defaults(say):
    """Cases 8 and 33: one in five seconds."""
    say("start_tree", tree=tree("a"))

    assert say("die", id="a", reason="crash") == ("ok", ["start a"])
    assert say("die", id="a", reason="crash") == ("ok", [])
    assert say("status")[0] == {"exited": "shutdown"}


def test_the_window_slides_with_the_time_that_passes(say):
    """Case 34."""
    say("start_tree", tree=tree("a", max_seconds=1))
    say("die", id="a", reason="crash")
    say("advance", seconds=2.1)

    assert say("die", id="a", reason="crash") == ("ok", ["start a"])


def test_a_failed_start_names_the_direct_child(say):
    """Case 5."""
    inner = {"id": "p", "tree": tree("x")}
    say("behave", id="x", start="fail")

    assert say("start_tree", tree=tree("a", inner, "b")) == (
        {"error": "start_failed", "child": "p"},
        ["start a", "startfail x", "stop a"],
    )
    assert say("status")[0] == {"error": "noproc"}
    say("start_tree", tree=tree("a"))
    assert say("start_child", sup="root", child=inner)[0] == {"error": "start_failed", "child": "p"}


def test_starts_behave_as_told_for_as_long_as_told(say):
    """Cases 6 and 35."""
    say("behave", id="a", start="fail 3")

    assert say("start_tree", tree=tree("a"))[0] == {"error": "start_failed", "child": "a"}
    assert say("start_tree", tree=tree("b", max_restarts=5))[0] == "ok"
    assert say("start_child", sup="root", child={"id": "a"}) == (
        {"error": "start_failed", "child": "a"},
        ["startfail a"],
    )
    assert say("start_child", sup="root", child={"id": "a"})[1] == ["startfail a"]
    assert say("start_child", sup="root", child={"id": "a"}) == ("ok", ["start a"])
    say("behave", id="a", start="ignore")
    assert say("die", id="a", reason="crash") == ("ok", ["ignore a"])
    assert say("restart_child", sup="root", id="a") == ("ignored", ["ignore a"])


def test_stops_behave_as_told_and_time_passes_by_itself(say):
    """Cases 39 to 41."""
    children = ({"id": "a", "shutdown": 500}, {"id": "b", "shutdown": "kill"}, {"id": "c", "shutdown": 500})
    say("start_tree", tree=tree(*children, strategy="one_for_all", max_seconds=1, max_restarts=1))
    say("behave", id="a", stop="hang")
    say("behave", id="c", stop="crash")

    assert say("terminate_child", sup="root", id="a") == ("ok", ["hang a"])
    assert say("die", id="b", reason="crash") == ("ok", ["stopcrash c", "start a", "start b", "start c"])
    assert say("stop") == ({"exited": "shutdown"}, ["stopcrash c", "hang a"])


def test_every_refusal_has_its_word(say):
    """Cases 14 to 19."""
    dynamic = {"id": "d", "tree": {"strategy": "dynamic", "template": {}}}
    say("start_tree", tree=tree("a", dynamic))
    say("start_child", sup="d", child={"id": "x1"})

    assert say("start_child", sup="root", child={"id": "a"})[0] == {"error": "already_started"}
    assert say("restart_child", sup="root", id="a")[0] == {"error": "running"}
    assert say("delete_child", sup="root", id="a")[0] == {"error": "running"}
    assert say("terminate_child", sup="root", id="a") == ("ok", ["stop a"])
    assert say("start_child", sup="root", child={"id": "a"})[0] == {"error": "already_present"}
    assert say("terminate_child", sup="root", id="z")[0] == {"error": "not_found"}
    assert say("delete_child", sup="root", id="a")[0] == "ok"
    assert say("delete_child", sup="root", id="a")[0] == {"error": "not_found"}
    for op in ("terminate_child", "restart_child", "delete_child"):
        assert say(op, sup="d", id="x1")[0] == {"error": "dynamic"}
    assert say("die", id="d", reason="crash")[0] == {"error": "not_running"}
    assert say("which_children", sup="x1")[0] == {"error": "noproc"}
    assert say("count_children", sup="d")[0] == {"specs": 1, "active": 1, "supervisors": 0, "workers": 1}


@pytest.mark.parametrize(
    ("flags", "child", "what"),
    [
        ({}, {}, "missing_id"),
        ({}, {"id": "a", "restart": "always"}, "invalid_restart_type"),
        ({}, {"id": "a", "shutdown": -1}, "invalid_shutdown"),
        ({}, {"id": "a", "shutdown": 1.5}, "invalid_shutdown"),
        ({}, {"id": "a", "shutdown": "soon"}, "invalid_shutdown"),
        ({}, {"id": "a", "significant": 1}, "invalid_significant"),
        ({}, {"id": "a", "restart": "transient", "significant": True}, "bad_combination"),
        ({}, {"id": "b"}, "duplicate_child_name"),
        ({"strategy": "all"}, {}, "invalid_strategy"),
        ({"max_restarts": -1}, {}, "invalid_intensity"),
        ({"max_seconds": 0}, {}, "invalid_period"),
        ({"max_seconds": 2.5}, {}, "invalid_period"),
        ({"auto_shutdown": True}, {}, "invalid_auto_shutdown"),
        ({"strategy": "dynamic"}, {}, "bad_start_spec"),
    ],
)
def test_what_is_wrong_with_a_specification_has_otps_word(say, flags, child, what):
    """Cases 9 to 13."""
    assert say("start_tree", tree=tree("b", child, **flags)) == ({"error": "bad_spec", "what": what}, [])


def test_unknown_keys_are_ignored(say):
    """Cases 9 and 10."""
    assert say("start_tree", tree=tree({"id": "a", "colour": "red"}, colour="blue"))[0] == "ok"


def test_children_of_added_supervisors_are_reached_by_their_ids(say):
    say("start_tree", tree=tree("a"))
    say("start_child", sup="root", child={"id": "p", "tree": tree("x", {"id": "q", "tree": tree("y")})})

    assert say("die", id="y", reason="crash") == ("ok", ["start y"])
    assert say("which_children", sup="q")[0] == [["y", "running"]]


def test_an_operation_that_waits_for_ever_is_an_error_of_the_script(say):
    say("start_tree", tree=tree({"id": "a", "shutdown": "infinity"}))
    say("behave", id="a", stop="hang")

    with pytest.raises(NeverEnds):
        say("stop")


def test_the_module_answers_line_by_line():
    script = '{"op": "start_tree", "tree": {"children": [{"id": "a"}]}}\n\n{"op": "stop"}\n'

    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"result": "ok", "trace": [["start", "a"]]},
        {"result": {"exited": "shutdown"}, "trace": [["stop", "a"]]},
    ]
