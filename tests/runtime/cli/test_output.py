"""What commands print: as text, on an output that may be closed, full or shared with others."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.errors import NotFound
from actors.letter import Letter
from runtime.wire.answer import Change
from tests.runtime.cli.fake import FakeMachine, FakeSystem, status

ROOT = Path(__file__).parents[3]
ODD = "\x1b]0;pwned\x07\x1b[2J\x9b8mfine\r"

Odd = Callable[[FakeSystem], None]


def a_value(shop: FakeSystem) -> None:
    shop.answer = lambda *args, **kwargs: ODD


def a_refusal(shop: FakeSystem) -> None:
    shop.refuses = NotFound(ODD)


def what_is_in_hand(shop: FakeSystem) -> None:
    shop.statuses = [status("inventory", in_hand=ODD, in_hand_seconds=1.0, actor=ODD)]


def a_change(shop: FakeSystem) -> None:
    shop.changes = [Change("changed", "inventory", error=ODD), Change("added", "x", detail=ODD)]


def nothing(shop: FakeSystem) -> None:
    return


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (a_value, ["ask", "inventory", "stock"]),
        (a_value, ["ask", "inventory", "stock", "--json"]),
        (a_refusal, ["stop", "inventory"]),
        (a_refusal, ["restart", ODD]),
        (what_is_in_hand, ["ps"]),
        (what_is_in_hand, ["ps", "--json"]),
        (what_is_in_hand, ["tree"]),
        (a_change, ["reload", "FILE"]),
        (a_change, ["reload", "--json", "FILE"]),
        (nothing, ["ps", ODD]),
        (nothing, [ODD]),
        (nothing, ["check", ODD]),
        (nothing, ["ask", ODD, ODD]),
    ],
)
def test_nothing_that_others_say_is_obeyed_by_a_terminal(
    understudy: FakeMachine,
    shop: FakeSystem,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    odd: Odd,
    words: list[str],
) -> None:
    odd(shop)

    understudy(*(str(file) if word == "FILE" else word for word in words))

    out, err = capsys.readouterr()
    assert (out + err).strip()
    assert all(line.isprintable() for line in (out + err).split("\n"))


def test_letters_are_listed_without_what_a_terminal_would_obey(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "letters", lambda path="": [Letter(3, "inventory", 1.7e9, ODD, 1, ODD)])

    assert understudy("letters") == 0

    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def test_commands_write_by_one_module_only() -> None:
    writers = {
        path.name
        for path in (ROOT / "runtime" / "cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "click.echo", "click.secho"})
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout.write", "sys.stderr.write"})
        or (isinstance(node, ast.alias) and node.name == "Console")
    }

    assert writers == {"output.py"}


FILE = '[children.a]\nactor = "loud:A"\n'
LOUD = "from actors import Actor\nprint('imported')\nclass A(Actor):\n    def on_start(self): print('started', flush=True)\n"


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    (tmp_path / "loud.py").write_text(LOUD)
    path = tmp_path / "loud.toml"
    path.write_text(FILE)
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "runtime.cli", *map(str, words)]


def test_a_reader_that_goes_away_ends_a_command_without_a_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command("schema"), cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=30)
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_full_device_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command("schema"), cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=30)

    assert (ended.returncode, ended.stderr) == (1, b"error: stdout: no space left on device\n")


def test_a_closed_stdout_is_no_fault() -> None:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command("version")]
    ended = subprocess.run(shell, cwd=ROOT, stderr=subprocess.PIPE, timeout=30)

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_json_of_a_check_has_stdout_to_itself(loud: Path) -> None:
    ended = subprocess.run(command("check", "--json", loud), cwd=ROOT, capture_output=True, timeout=30)

    assert json.loads(ended.stdout)["name"] == "loud"
    assert ended.stderr == b"imported\n"


@pytest.mark.process
def test_json_of_a_run_has_stdout_to_itself(nothing_left: Path, loud: Path) -> None:
    with subprocess.Popen(
        command("run", "--json", loud), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        running.terminate()
        out, err = running.communicate(timeout=20)

    assert [json.loads(line)["event"] for line in (first + out).splitlines()] == ["started", "ended"]
    assert {b"imported", b"started"} <= set(err.splitlines())


@pytest.mark.process
def test_a_run_whose_output_nobody_reads_goes_on(nothing_left: Path, loud: Path) -> None:
    with subprocess.Popen(command("run", loud), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        asked = subprocess.run(command("ps", "loud", "--json"), cwd=ROOT, capture_output=True, timeout=30)
        running.terminate()

        assert running.wait(timeout=20) == 143
    assert json.loads(asked.stdout)[0]["state"] == "running"


def test_an_ask_for_a_name_of_python_is_no_such_message(
    understudy: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [understudy(verb, "inventory", "__init__") for verb in ("ask", "tell")] == [4, 4]
    assert capsys.readouterr().err == "error: inventory: the actor has no message '__init__'\n" * 2
