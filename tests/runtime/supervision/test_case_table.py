"""The table of cases in the reference is complete, and what it names is there."""

import ast
import re
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[2]
_TEXT = (_TESTS.parent / "docs/reference/supervision.md").read_text()
_LINES = [line for line in _TEXT.splitlines() if re.match(r"\| \d", line)]
_ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in _LINES]
_REAL = ("tests/runtime/test_supervision.py", "tests/runtime/test_nothing_left.py")


def names_in(path: Path) -> set[str]:
    """The test functions of a file."""
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_case_has_its_row():
    assert [row[0] for row in _ROWS] == [str(number) for number in range(1, 53)]


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row[0])
def test_every_test_that_a_case_names_exists(row):
    real = set().union(*(names_in(_TESTS.parent / path) for path in _REAL))
    files = [*Path(__file__).parent.glob("test_*.py"), *(_TESTS / "conformance").glob("test_*.py")]
    pure = set().union(*map(names_in, files))

    decisions, processes = (set(re.findall(r"`(test_\w+)`", cell)) for cell in row[2:4])

    assert decisions
    assert decisions <= pure
    assert processes <= real


def test_every_test_that_the_text_names_exists():
    there = set().union(*map(names_in, _TESTS.rglob("test_*.py")))

    assert set(re.findall(r"`(test_\w+)`", _TEXT)) <= there
