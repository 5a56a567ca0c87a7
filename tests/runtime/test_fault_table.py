"""The table of faults in the reference is complete, what it names is there, and what it lacks can only become less."""

import ast
import re
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
_TEXT = (_TESTS.parent / "docs/reference/faults.md").read_text()
_SECURITY = (_TESTS.parent / "docs/reference/security.md").read_text()
_ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in _TEXT.splitlines()
    if re.match(r"\| \d", line)
]

# Rows of which a part is not built, or not so. Take a number out with what was missing; none may be added.
NOT_YET: set[int] = set()


def _functions() -> set[str]:
    return {
        node.name
        for path in _TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_fault_has_its_row_with_a_promise() -> None:
    assert len(_ROWS) >= 64
    assert sorted(int(row[0]) for row in _ROWS) == list(range(1, len(_ROWS) + 1))
    assert all(len(row) == 5 and row[1] and row[2] for row in _ROWS)


def test_no_fault_has_two_rows() -> None:
    assert sorted(row[1] for row in _ROWS) == sorted({row[1] for row in _ROWS})


def test_no_row_is_without_a_test() -> None:
    assert not [row[0] for row in _ROWS if not re.search(r"`test_\w+`", row[3])]


@pytest.mark.parametrize("text", [_TEXT, _SECURITY], ids=["faults", "security"])
def test_every_test_that_is_named_exists(text: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", text))

    assert named
    assert not named - _functions()


def test_what_is_not_built_yet_is_said_and_becomes_less() -> None:
    assert {int(row[0]) for row in _ROWS if row[4]} == NOT_YET


def test_no_test_of_the_table_is_always_skipped() -> None:
    named = set(re.findall(r"`(test_\w+)`", _TEXT))
    skipped = {
        node.name
        for path in _TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any(
            ast.unparse(mark).startswith(("pytest.mark.skip(", "pytest.mark.xfail")) for mark in node.decorator_list
        )
    }

    assert not named & skipped
