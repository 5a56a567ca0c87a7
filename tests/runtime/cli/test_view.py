"""`ps` and `tree`, and which system is meant."""

import json

import pytest

from runtime.cli.output import show
from runtime.cli.show import table_of
from runtime.wire.answer import ChildStatus, MemoryStatus
from tests.runtime.cli.fake import FakeMachine, FakeSystem, status


def test_without_a_name_the_only_running_system_is_meant(
    understudy: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("restart", "inventory") == 0

    assert understudy.running["shop"].calls == [("open",), ("restart", "inventory"), ("close",)]
    assert capsys.readouterr().out == "restarted inventory\n"


def test_without_a_name_several_running_systems_are_listed(
    understudy: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    understudy.running["bakery"] = FakeSystem("bakery")

    assert understudy("ps") == 2

    line = "error: expected the name of one system, got none while several run: bakery, shop\n"
    assert capsys.readouterr().err == line


def test_no_running_system_is_code_3(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    understudy.running.clear()

    assert understudy("ps") == 3
    assert understudy("stop", "--system", "bakery") == 3

    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: no system is running"
    assert second == "error: no running system 'bakery'"


def test_ps_is_a_row_for_each_actor(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("ps", "shop") == 0

    heading, first, second, memory = capsys.readouterr().out.splitlines()
    assert heading.split() == [
        "NAME",
        "STATE",
        "PID",
        "QUEUE",
        "LARGE",
        "HANDLED",
        "FAILED",
        "EXPIRED",
        "RESTARTS",
        "IN",
        "HAND",
    ]
    assert first.split() == ["inventory", "running", "4711", "100/32K", "0/0", "12", "3", "0", "1"]
    assert second.split()[:2] == ["payments.gateway", "restarting"]
    assert second.split()[-3:] == ["charge", "1.500", "s"]
    assert memory == "memory 3M of 2G: large payloads 1M; snapshots 0; regions prices 2M"


def test_ps_tells_the_memory_alone_when_asked_to(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("ps", "--memory", "shop") == 0
    assert capsys.readouterr().out == "memory 3M of 2G: large payloads 1M; snapshots 0; regions prices 2M\n"

    assert understudy("ps", "--memory", "--json", "shop") == 0
    memory = json.loads(capsys.readouterr().out)
    assert memory.keys() == set(MemoryStatus.__struct_fields__)
    assert memory["regions"] == {"prices": 2 << 20}


def test_ps_says_whose_state_cannot_be_written_to_disk(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        status("behind", unsaved=3),
        status("failing", unsaved=3, saves_failed=1),
        status("written", unsaved=0, saves_failed=1),
    ]

    show(table_of(rows))

    shown = capsys.readouterr().out.splitlines()[1:]
    assert ["3 unsaved" in row for row in shown] == [False, True, False]


def test_ps_marks_the_pid_of_a_process_that_is_shared(capsys: pytest.CaptureFixture[str]) -> None:
    show(table_of([status("alone", pid=7), status("one", pid=8, host="thread")]))

    shown = capsys.readouterr().out.splitlines()[1:]
    assert [" 8 thread " in row for row in shown] == [False, True]


@pytest.mark.parametrize("command", ["ps", "tree"])
def test_the_views_are_lists_of_statuses_as_json(
    understudy: FakeMachine, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert understudy(command, "--json") == 0

    rows = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in rows] == ["inventory", "payments", "payments.gateway"]
    assert rows[0].keys() == set(ChildStatus.__struct_fields__)


def test_tree_shows_supervisors_with_their_strategy_and_what_is_below(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.statuses.insert(0, status("", kind="supervisor", strategy="one_for_one"))

    assert understudy("tree") == 0

    assert capsys.readouterr().out.splitlines() == [
        "shop  one_for_one",
        "├── inventory  shop:Inventory  running  pid 4711  permanent",
        "└── payments  rest_for_one",
        "    └── gateway  shop:Inventory  restarting  pid 4711  permanent",
    ]
