"""Commands on configuration files, and `version`."""

import json
from pathlib import Path

import pytest

from runtime.cli import main


def test_check_exits_0_for_a_valid_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0

    assert capsys.readouterr().out == f"{file}: ok: system shop, 0 actor(s)\n"


def test_check_exits_2_with_the_problem_lines_on_stderr(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("children = 3\nstrateg = 1\n")

    assert main(["check", str(file)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first == f"{file}:1: children: expected a table, got 3"
    assert second.startswith(f"{file}:2: strateg: expected a key of the file (did you mean strategy?)")


def test_check_gives_the_problems_as_json_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("children = 3\n")

    assert main(["check", "--json", str(file)]) == 2

    problem = f"{file}:1: children: expected a table, got 3"
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "problems": [problem]}


def test_schema_prints_the_schema_of_configuration_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0

    assert "children" in json.loads(capsys.readouterr().out)["properties"]


def test_version_names_understudy_and_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("understudy ")

    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"understudy", "python", "system"}
