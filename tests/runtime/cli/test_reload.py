"""`reload`, `restart --code`, and SIGHUP to `run`: what is asked of the system, what is printed, the exit codes."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from actors.child import Tree
from actors.errors import BadSpec, NoSuchSystem
from runtime.cli.system import Reloaded
from runtime.wire.answer import Change, Ending
from tests.runtime.cli.fake import FakeMachine, FakeSystem

ADDED = Change("payments.gateway", "added")
FLAGS = Change("", "flags", "max_restarts: 3 → 5")
FAILED = Change("kettle", "added", error="kettle#1 failed to start\nRuntimeError: no water")


def test_reload_gives_the_file_to_the_system_it_names_and_says_what_was_done(
    understudy: FakeMachine, shop: FakeSystem, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.changes = [FLAGS, ADDED]

    assert understudy("reload", str(file)) == 0

    assert shop.calls == [("open",), ("reload", Tree(), (str(file.parent.resolve()),)), ("close",)]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["flags", "(root)", "max_restarts:", "3", "→", "5"], ["added", "payments.gateway"]]


def test_reload_as_json_is_one_object(
    understudy: FakeMachine, shop: FakeSystem, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.changes = [ADDED]

    understudy("reload", "--json", str(file))

    change = {"path": "payments.gateway", "kind": "added", "detail": "", "error": ""}
    assert json.loads(capsys.readouterr().out) == {"system": "shop", "changes": [change]}


def test_reload_of_an_unchanged_file_says_so(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("reload", str(file)) == 0

    assert capsys.readouterr().out == "shop: nothing has changed\n"


def test_reload_of_a_faulty_file_exits_2_and_asks_nothing_of_the_system(
    understudy: FakeMachine, shop: FakeSystem, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("children = 3\n")

    assert understudy("reload", str(file)) == 2

    assert shop.calls == []
    assert capsys.readouterr().err == f"{file}:1: children: expected a table, got 3\n"


def test_what_could_not_be_started_is_an_error_and_code_1(
    understudy: FakeMachine, shop: FakeSystem, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.changes = [FAILED, ADDED]

    assert understudy("reload", str(file)) == 1

    out, err = capsys.readouterr()
    assert "added  kettle            failed: kettle#1 failed to start" in " ".join(out.splitlines())
    assert err == f"error: kettle: {FAILED.error}\n"


@pytest.mark.parametrize(("error", "code"), [(NoSuchSystem("shop"), 3), (BadSpec("shop", "invalid_strategy"), 1)])
def test_reload_that_is_refused_has_its_own_code(
    understudy: FakeMachine, shop: FakeSystem, file: Path, error: NoSuchSystem | BadSpec, code: int
) -> None:
    shop.refuses = error

    assert understudy("reload", str(file)) == code


def test_reload_may_name_the_system(understudy: FakeMachine, shop: FakeSystem, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[children]\n")

    assert understudy("reload", str(other)) == 3
    assert understudy("reload", "--system", "shop", str(other)) == 0


def test_restart_with_code_asks_for_fresh_code(understudy: FakeMachine, shop: FakeSystem) -> None:
    understudy("restart", "inventory")
    understudy("restart", "--code", "inventory")

    assert [call for call in shop.calls if call[0] == "restart"] == [
        ("restart", "inventory"),
        ("restart", "inventory", "code"),
    ]


def test_sighup_reloads_the_file_and_the_system_runs_on(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reloaded = threading.Event()

    def wait() -> Ending:
        os.kill(os.getpid(), signal.SIGHUP)
        assert reloaded.wait(10)
        return Ending("shutdown")

    def reload() -> Reloaded:
        reloaded.set()
        return Reloaded(0, (ADDED,))

    understudy.new.on_wait = wait
    understudy.on_reload = reload

    assert understudy("run", str(file)) == 0

    assert understudy.reloads == [(file, "shop")]
    assert understudy.new.calls == [("open",), ("close",)]
    capsys.readouterr()


def test_sighup_while_the_system_starts_waits_for_it(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reloaded = threading.Event()

    def reload() -> Reloaded:
        reloaded.set()
        return Reloaded(2)

    def wait() -> Ending:
        assert reloaded.wait(10)
        return Ending("shutdown")

    understudy.new.on_open = lambda: signal.raise_signal(signal.SIGHUP)
    understudy.new.on_wait = wait
    understudy.on_reload = reload

    assert understudy("run", str(file)) == 0

    assert understudy.reloads == [(file, "shop")]
    capsys.readouterr()
