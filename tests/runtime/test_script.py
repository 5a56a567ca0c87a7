"""Actors of a script: plain pickle finds what the script defines, and tracebacks name its file."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SCRIPT = """
import functools, json, multiprocessing, os, pickle, shelve, signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from actors import Actor, child, message
from runtime import Supervisor

FORK = multiprocessing.get_context("fork")

@dataclass(slots=True)
class Sum:
    total: int

def square(n):
    return Sum(n * n)

@functools.lru_cache
def cube(n):
    return n * square(n).total

class Pool(Actor):
    def __init__(self): self.sum = Sum(0)
    def snapshot(self): return self.sum
    def restore(self, state): self.sum = state
    @message
    def squares(self, ns):
        with ProcessPoolExecutor(1, FORK) as pool:
            self.sum = Sum(sum(each.total for each in pool.map(square, ns)))
        return self.sum
    @message
    def applied(self, function, ns):
        with ProcessPoolExecutor(1, FORK) as pool:
            return list(pool.map(function, ns))
    @message
    def cubes(self, ns):
        with ProcessPoolExecutor(1, FORK) as pool:
            return list(pool.map(cube, ns))
    @message
    def write(self, path):
        with shelve.open(path) as shelf:
            shelf["sum"], shelf["square"] = self.sum, square
    @message
    def kept(self):
        return self.sum

class Other(Pool):
    pass

def check(supervisor, **options):
    pool = supervisor.start(child(Pool), name="pool", **options)
    other = supervisor.start(child(Other), name="other", **options)
    for each in (pool, other):
        assert each.squares([1, 2]) == Sum(5)
        assert each.cubes([1, 2]) == [1, 8]
        for _ in range(3):
            assert each.applied(square, [3]) == [Sum(9)]
        assert each.squares([1, 3]) == Sum(10)
    return pool, other
"""


def run(tmp_path: Path, script: str, *arguments: str) -> str:
    (tmp_path / "script.py").write_text(SCRIPT + textwrap.dedent(script))
    command = [sys.executable, *(arguments or [str(tmp_path / "script.py")])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("host", ["process", "thread"])
def test_actors_of_a_script_use_pools_of_processes_for_its_functions(
    nothing_left: Path, tmp_path: Path, host: str
) -> None:
    """Two classes that share a function, and the same function as an argument, again and again."""
    run(tmp_path, f'with Supervisor() as supervisor:\n    check(supervisor, host="{host}")\n')


def test_what_an_actor_of_a_script_pickles_the_script_reads(nothing_left: Path, tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        with Supervisor() as supervisor:
            pool, _ = check(supervisor)
            pool.write("shelf")
        with shelve.open("shelf") as shelf:
            assert shelf["sum"] == Sum(10)
            assert shelf["square"] is square
        """,
    )


def test_an_actor_that_is_restarted_finds_the_functions_of_its_own_class(nothing_left: Path, tmp_path: Path) -> None:
    """What the classes of other actors brought along came later to the zygote that it is forked from."""
    run(
        tmp_path,
        """
        with Supervisor() as supervisor:
            for each, name in zip(check(supervisor), ("pool", "other"), strict=True):
                os.kill(next(s.pid for s in supervisor.children() if s.path == name), signal.SIGKILL)
                assert each.kept() == Sum(10)
                assert each.squares([4]) == Sum(16)
        """,
    )


FAILING = """
class Failing(Actor, on_raise="crash"):
    @message
    def fail(self):
        return json.loads("tea")  # this line
    @message
    def lives(self):
        return True

with Supervisor() as supervisor:
    failing = supervisor.start(child(Failing), name="failing")
    try:
        failing.fail()
    except ValueError:
        assert failing.lives()  # it was restarted, so its death is told
        print(supervisor.why("failing").traceback)
"""


def test_a_death_in_the_code_of_a_script_names_file_and_line(nothing_left: Path, tmp_path: Path) -> None:
    printed = run(tmp_path, FAILING)

    assert f'File "{tmp_path}/script.py", line' in printed
    assert 'in fail\n    return json.loads("tea")  # this line\n' in printed


def test_a_death_in_code_given_on_the_command_line_is_told_with_its_line(nothing_left: Path, tmp_path: Path) -> None:
    printed = run(tmp_path, "", "-c", SCRIPT + FAILING)
    line = (SCRIPT + FAILING).splitlines().index('        return json.loads("tea")  # this line') + 1

    assert f'File "<string>", line {line}, in fail\n' in printed
