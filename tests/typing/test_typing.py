"""The typing contract, held by mypy --strict and by pyright, neither with a plugin.

`pass_*.py` must be clean. In `fail_*.py` a line that ends in `# E: mypy[…] pyright[…]` must be an error of exactly
those kinds in that checker, and no other line may be one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(path for path in HERE.glob("*.py") if path.name.startswith(("pass_", "fail_")))
MARK = re.compile(r"# E:.*?\b(mypy|pyright)\[([\w,-]+)\](?:.*?\b(mypy|pyright)\[([\w,-]+)\])?")

Errors = dict[tuple[str, int], set[str]]
"""(file, line) → kinds."""


def expected(checker: str) -> Errors:
    found: Errors = {}
    for path in FILES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (match := MARK.search(line)) is not None:
                kinds = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True))
                found[path.name, number] = set((kinds.get(checker) or "").split(","))
    return found


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", *arguments, *map(str, FILES)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def mypy_errors() -> Errors:
    found: Errors = {}
    for line in run("mypy", "--strict", "--output", "json", "--follow-imports", "silent").splitlines():
        entry = json.loads(line)
        if entry["severity"] == "error":
            found.setdefault((Path(entry["file"]).name, entry["line"]), set()).add(entry["code"])
    return found


@pytest.fixture(scope="module")
def pyright_errors() -> Errors:
    found: Errors = {}
    for entry in json.loads(run("pyright", "--outputjson"))["generalDiagnostics"]:
        if entry["severity"] == "error":
            place = (Path(entry["file"]).name, entry["range"]["start"]["line"] + 1)
            found.setdefault(place, set()).add(entry.get("rule", ""))
    return found


def test_mypy_finds_exactly_the_marked_errors(mypy_errors: Errors) -> None:
    assert not difference(expected("mypy"), mypy_errors)


def test_pyright_finds_exactly_the_marked_errors(pyright_errors: Errors) -> None:
    assert not difference(expected("pyright"), pyright_errors)


def test_there_is_something_to_find() -> None:
    assert len(expected("mypy")) == len(expected("pyright")) > 20


def difference(wanted: Errors, found: Errors) -> list[str]:
    """What differs, a line each: missing errors, unexpected ones, and those of another kind."""
    lines = [f"{place}: expected {kinds}, got none" for place, kinds in wanted.items() if place not in found]
    lines += [f"{place}: expected none, got {kinds}" for place, kinds in found.items() if place not in wanted]
    both = wanted.keys() & found.keys()
    lines += [f"{p}: expected {wanted[p]}, got {found[p]}" for p in both if found[p] != wanted[p]]
    return sorted(lines)
