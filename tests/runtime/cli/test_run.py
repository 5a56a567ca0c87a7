"""`run`: what it starts and prints, how it is stopped, and the code it exits with."""

import json
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from actors.child import Tree
from actors.errors import (
    ActorError,
    AlreadyRunning,
    StartFailed,
    SystemGone,
)
from runtime.wire.answer import Ending
from tests.runtime.cli.fake import CERTIFICATE, FakeMachine


def test_run_starts_what_the_file_says_and_prints_it(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("run", str(file)) == 0

    assert understudy.made == [("shop", Tree(), (str(file.parent.resolve()),))]
    assert understudy.new.calls == [("open",), ("close",)]
    started, ended = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert started["event"] == "started"
    assert [row["path"] for row in started["children"]] == ["inventory", "payments", "payments.gateway"]
    assert (ended["event"], ended["gave_up"], ended["reason"]) == ("ended", False, "shutdown")


def test_run_logs_json_to_stderr_where_that_is_no_terminal(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    understudy("run", str(file))

    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(entry["event"], entry["level"]) for entry in events] == [("started", "info"), ("ended", "info")]


def test_run_shows_the_tree_and_logs_for_eyes_on_a_terminal(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    assert understudy("run", str(file)) == 0

    out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())
    assert [line.split()[:2] for line in out.splitlines()][:2] == [["shop"], ["├──", "inventory"]]
    assert "[info     ] started" in err


def test_run_of_a_broken_file_exits_2_before_anything_starts(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("children = 3\n")

    assert understudy("run", str(file)) == 2

    assert understudy.made == []
    assert capsys.readouterr().err == f"{file}:1: children: expected a table, got 3\n"


def test_a_tree_that_gives_up_exits_1_with_the_certificate_printed(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    understudy.new.on_wait = lambda: Ending("too many restarts", gave_up=True, certificate=CERTIFICATE)

    assert understudy("run", str(file)) == 1

    out, err = capsys.readouterr()
    assert f"error: system 'shop' gave up: too many restarts\n{CERTIFICATE.report()}\n" in err
    assert json.loads(out.splitlines()[-1])["certificate"]["signal"] == "SIGKILL"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StartFailed("inventory", "failed", CERTIFICATE), f"error: {CERTIFICATE.report()}\n"),
        (AlreadyRunning("shop", 3), "error: system 'shop' is already running (pid 3)\n"),
    ],
)
def test_a_system_that_cannot_start_exits_1_and_says_why(
    understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str], error: ActorError, text: str
) -> None:
    def refuse() -> None:
        raise error

    understudy.new.on_open = refuse

    assert understudy("run", str(file)) == 1

    assert capsys.readouterr().err == text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_stops_in_order_and_is_in_the_exit_code(
    understudy: FakeMachine, file: Path, number: signal.Signals, code: int
) -> None:
    stopped = threading.Event()

    def wait() -> Ending:
        os.kill(os.getpid(), number)
        assert stopped.wait(10)
        return Ending("stopped")

    understudy.new.on_wait = wait
    understudy.new.on_stop = stopped.set

    assert understudy("run", str(file)) == code

    assert understudy.new.calls == [("open",), ("stop", ""), ("close",)]


def test_the_second_signal_ends_everything_at_once(
    understudy: FakeMachine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = threading.Event()

    def wait() -> Ending:
        os.kill(os.getpid(), signal.SIGINT)
        assert killed.wait(10)
        return Ending("killed")

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert killed.wait(10)

    understudy.new.on_wait = wait
    understudy.new.on_stop = stop
    understudy.new.on_kill = killed.set
    monkeypatch.setattr(sys.modules["runtime.cli.run"], "ECHO_SECONDS", 0.0)

    assert understudy("run", str(file)) == 143

    assert understudy.new.calls == [("open",), ("stop", ""), ("kill",), ("close",)]


def test_a_signal_that_comes_twice_within_a_moment_is_one_request(understudy: FakeMachine, file: Path) -> None:
    stopped = threading.Event()

    def wait() -> Ending:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stopped.wait(10)
        return Ending("stopped")

    understudy.new.on_wait = wait
    understudy.new.on_stop = stopped.set

    assert understudy("run", str(file)) in (130, 143)  # whose handler runs first

    assert understudy.new.calls == [("open",), ("stop", ""), ("close",)]


def test_echoes_of_a_signal_do_not_put_off_the_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["runtime.cli.run"]
    times = iter([0.0, 0.2, 0.24, 0.26, 0.3, 0.6])
    monkeypatch.setattr(module, "monotonic", lambda: next(times))
    echoes = module._Echoes()

    assert [echoes.is_one(signal.SIGINT) for _ in range(6)] == [False, True, True, False, True, False]
    assert not echoes.is_one(signal.SIGHUP)


def test_a_signal_while_the_system_starts_closes_it(understudy: FakeMachine, file: Path) -> None:
    understudy.new.on_open = lambda: signal.raise_signal(signal.SIGTERM)

    assert understudy("run", str(file)) == 143

    assert understudy.new.calls == [("open",), ("close",)]


def test_run_leaves_the_signal_handlers_as_they_were(understudy: FakeMachine, file: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    understudy("run", str(file))

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_system_that_is_lost_exits_3(understudy: FakeMachine, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def wait() -> Ending:
        raise SystemGone("shop", "unknown", "its supervisor is gone")

    understudy.new.on_wait = wait

    assert understudy("run", str(file)) == 3

    assert "error: shop: its supervisor is gone" in capsys.readouterr().err
