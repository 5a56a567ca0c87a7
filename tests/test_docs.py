"""What the first pages show, run as a newcomer runs it: what a comment says is printed, is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRINTED = re.compile(r"^ *print\(.*\)  # ([^:;\n]+)", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_code_of_a_page_runs_and_prints_what_it_says(page: str, nothing_left: Path, tmp_path: Path) -> None:
    code = "\n".join(_BLOCK.findall((ROOT / page).read_text()))
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
