"""Standard streams that are closed, shared or not there; names that are no UTF-8."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors import Actor, child, message
from actors.errors import NoDebugger
from runtime import Supervisor
from runtime.process import streams
from runtime.process.fork import can_fork_sibling

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
sys.path.insert(0, ROOT)
import loud
from actors import child
from runtime import Supervisor

with Supervisor() as supervisor:
    actors = [supervisor.start(child(loud.Loud), name=f"a{n}") for n in range(3)]
    answers = [actor.argv() for actor in actors]
with open("result", "w") as file:
    file.write(ascii(answers[-1]))
"""
LOUD = """
import sys
from actors import Actor, message
print("loading the model")
class Loud(Actor):
    @message
    def argv(self) -> list[str]:
        return sys.argv
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "loud.py").write_text(LOUD)
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace("ROOT", repr(str(ROOT))))
    return path


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.process
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_program_without_standard_streams_starts_its_actors(nothing_left: Path, program: Path, closed: str) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, str(program)]
    ended = subprocess.run(shell, cwd=program.parent, env=environment(), timeout=30)

    assert ended.returncode == 0
    assert (program.parent / "result").read_text() == ascii([str(program)])


@pytest.mark.process
def test_what_a_module_prints_at_import_is_not_printed_again_by_each_actor(nothing_left: Path, program: Path) -> None:
    command = [sys.executable, str(program)]
    ended = subprocess.run(command, cwd=program.parent, env=environment(), stdout=subprocess.PIPE, timeout=30)

    assert ended.stdout.count(b"loading the model") == 2  # by the program, and by the zygote


@pytest.mark.process
def test_names_and_arguments_that_are_no_utf8_reach_the_actors(nothing_left: Path, program: Path) -> None:
    directory = os.fsencode(program.parent) + b"/d\xff"
    os.mkdir(directory)
    for name in ("loud.py", "program.py"):
        os.rename(program.parent / name, directory + b"/" + name.encode())
    command = [os.fsencode(sys.executable), directory + b"/program.py", b"\xfe"]
    ended = subprocess.run(command, cwd=directory, env=environment(), timeout=30)

    assert ended.returncode == 0
    expected = [os.fsdecode(word) for word in command[1:]]
    assert (Path(os.fsdecode(directory)) / "result").read_text() == ascii(expected)


@pytest.mark.process
def test_a_file_in_a_directory_that_is_no_utf8_is_run(nothing_left: Path, tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/d\xff"
    os.mkdir(directory)
    Path(os.fsdecode(directory), "loud.py").write_text(LOUD)
    Path(os.fsdecode(directory), "shop.toml").write_text('[children.a]\nactor = "loud:Loud"\n')
    command = [os.fsencode(sys.executable), b"-m", b"runtime.cli", b"run", directory + b"/shop.toml"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert b'"started"' in running.stdout.readline()
        running.terminate()
        running.communicate(timeout=20)

    assert running.returncode == 143


class Stopping(Actor):
    @message
    def go(self) -> int:
        breakpoint()  # noqa: T100
        return 1


@pytest.mark.process
@pytest.mark.parametrize("host", ["process", "thread"])
def test_a_breakpoint_in_an_actor_says_what_to_do(supervisor: Supervisor, host: str) -> None:
    actor = supervisor.start(child(Stopping).options(host=host), name="a")

    with pytest.raises(NoDebugger, match="PYTHONBREAKPOINT"):
        actor.go()


def test_a_debugger_that_was_chosen_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    streams.refuse_breakpoints()

    breakpoint()  # noqa: T100  # which is none


def test_an_os_fork_that_was_replaced_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: fork())

    assert not can_fork_sibling(set())
