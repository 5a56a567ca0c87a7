"""A program whose working directory was deleted under it, as a deployment does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

_ACTORS = """
from actors import Actor, message

class Counter(Actor):
    def __init__(self): self.total = 0
    def snapshot(self): return self.total
    def restore(self, state): self.total = state
    @message
    def add(self, n: int) -> int:
        self.total += n
        return self.total
"""

_PROGRAM = """
import os, sys
os.rmdir(os.getcwd())
sys.path.insert(0, "")  # as `python -c`, `-m` and a prompt have it
from actors import BadSpec, child, tree
from actors.errors import UnsafeDirectory
from runtime import Supervisor
from counters import Counter

with Supervisor("here") as supervisor:
    print(supervisor.start(child(Counter), name="counter").add(1))
    print([change.error for change in supervisor.reload(tree(children={"other": child(Counter)}), path=["", "lib"])])
    print(supervisor["other"].add(2))
    for option in ("state.db", "lib/state.db"):
        try:
            supervisor.start(child(Counter), name="kept", durable=option)
        except BadSpec as exc:
            print(exc)
os.environ["UNDERSTUDY_DIR"] = "run"
try:
    Supervisor("there").open()
except UnsafeDirectory as exc:
    print(exc)
"""


def test_it_can_start_a_system_and_what_is_relative_says_so(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/counters.py").write_text(_ACTORS)
    (tmp_path / "gone").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "lib")}
    command = [sys.executable, "-c", _PROGRAM]
    ended = subprocess.run(
        command, cwd=tmp_path / "gone", env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert ended.returncode == 0, ended.stderr
    expected = "expected an absolute path, got"
    assert ended.stdout.splitlines() == [
        "1",
        "['']",
        "2",
        f"kept: {expected} 'state.db': the working directory does not exist",
        f"kept: {expected} 'lib/state.db': the working directory does not exist",
        f"UNDERSTUDY_DIR: {expected} 'run': the working directory does not exist",
    ]
