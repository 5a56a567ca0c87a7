"""What the first pages show, run as a newcomer runs it: what a comment says is printed, is printed."""

import dataclasses
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from actors import ChildOptions, RegionSpec, dynamic, tree
from actors.message import MessageOptions
from runtime import Supervisor

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^ *```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_PRINTED = re.compile(r"^ *print\(.*\)  # ([^:;\n]+)", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_code_of_a_page_runs_and_prints_what_it_says(page: str, nothing_left: Path, tmp_path: Path) -> None:
    code = "\n".join(_blocks(ROOT / page))
    program = tmp_path / "program.py"
    program.write_text(code)

    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    printed = iter(done.stdout.splitlines())
    for said in _PRINTED.findall(code):
        if not said.startswith(("who, why", "how far")):
            assert any(said in line for line in printed), f"{said!r} is not in what follows in {done.stdout!r}"


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("tests/**/*.md"),
    ]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]

    assert len(links) > 20
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


_SHOP = """
from actors import Actor, Letter, RegionSpec, child, dynamic, message, tree
from runtime import Supervisor


class Inventory(Actor):
    def __init__(self, stock: dict[str, int] | None = None) -> None:
        self.stock = stock

    @message
    def look(self) -> dict[str, int] | None:
        return self.stock


supervisor = Supervisor("shop", children={"payments": tree(), "inventory": child(Inventory)}).open()
"""
_OPEN_AGAIN = """
supervisor.open()
prices = supervisor.region("prices", Prices)
"""
_UNDERTAKER = 'supervisor.start(child(Undertaker), name="undertaker")\nsupervisor.close()\n'
_KEPT = 'with Supervisor("bank") as s:\n    a = s.start(child(Account), name="account", durable="state.db")\n    assert a.deposit(2) == 2\n'
_KEPT += _KEPT.replace("== 2", "== 4")
_PLAYED = "test_counter()\ntest_counter_starts_again_after_a_crash()\n"
_HOW_TO: list[
    tuple[str, dict[int, str], str]
] = [  # page; block → what has to stand before it; what shows that it works
    ("test-actors", {0: ""}, _PLAYED),
    ("keep-state", {0: "", 1: ""}, _KEPT),
    ("dead-letters", {0: _SHOP, 1: ""}, _UNDERTAKER),
    (
        "find-out-why",
        {0: _SHOP + 'supervisor.stop("inventory")\nsupervisor.delete("inventory")\n'},
        "supervisor.close()\n",
    ),
    ("reload", {0: _SHOP}, "supervisor.close()\n"),
    ("share-state", {0: "", 1: "", 2: _OPEN_AGAIN, 3: "", 5: "", 7: ""}, "supervisor.close()\n"),
]


@pytest.mark.parametrize(("page", "blocks", "after"), _HOW_TO, ids=[page for page, _, _ in _HOW_TO])
def test_the_code_of_a_how_to_page_runs(
    page: str, blocks: dict[int, str], after: str, nothing_left: Path, tmp_path: Path
) -> None:
    written = _blocks(ROOT / "docs" / "how-to" / f"{page}.md")
    program = tmp_path / "program.py"
    program.write_text("\n".join(before + written[number] for number, before in blocks.items()) + after)

    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


def test_the_table_of_options_has_a_row_for_each() -> None:
    table = (ROOT / "docs" / "reference" / "options.md").read_text()
    taken = {name for maker in (tree, dynamic, Supervisor.__init__) for name in inspect.signature(maker).parameters}
    fields = {field.name for data in (ChildOptions, MessageOptions, RegionSpec) for field in dataclasses.fields(data)}

    missing = (
        (taken | fields)
        - {"self", "children", "template", "tree"}
        - set(re.findall(r"^\| (\w+) \|", table, re.MULTILINE))
    )

    assert not missing


def test_every_block_of_every_page_is_python() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    for page in pages:
        for block in _blocks(page):
            compile(block, page, "exec")


def _blocks(page: Path) -> list[str]:
    """The blocks of Python, those within a list too."""
    return [textwrap.dedent(block) for block in _BLOCK.findall(page.read_text())]
