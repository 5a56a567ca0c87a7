"""Threads that are actors and talk over pipes: the words are all there, in one process, and it ends whatever happens."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.testing import processes_of, wait_until

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
PIPES = ROOT / "examples" / "pipes" / "pipes.py"
HOST = "understudy-thr"


def command(*files: Path) -> list[str]:
    return [sys.executable, str(PIPES), *map(str, files)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_every_word_is_counted_once(nothing_left: Path, tmp_path: Path) -> None:
    text = "".join(f"tea {n} coffee tea\n" for n in range(2000))
    (tmp_path / "words.txt").write_text(text)

    ended = subprocess.run(
        command(tmp_path / "words.txt"), env=environment(), capture_output=True, text=True, timeout=60, check=True
    )

    lines = ended.stdout.splitlines()
    assert lines[-1].split() == ["8000", "words", "in", "all"]
    assert [tuple(line.split()) for line in lines[:2]] == [
        (str(times), word) for word, times in Counter(text.split()).most_common(2)
    ]
    assert ended.stderr == ""


def test_without_files_it_counts_its_own_words(nothing_left: Path) -> None:
    ended = subprocess.run(command(), env=environment(), capture_output=True, text=True, timeout=60, check=True)

    words = sum(len(file.read_text().split()) for file in (PIPES, PIPES.with_name("README.md")))
    assert ended.stdout.splitlines()[-1] == f"{words:6}  words in all"


def test_the_same_program_runs_with_a_process_for_each(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("tea coffee tea\n" * 500)

    ended = subprocess.run(
        [*command(tmp_path / "words.txt"), "--host", "process"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["1000", "tea"],
        ["500", "coffee"],
        ["1500", "words", "in", "all"],
    ]


def test_all_actors_are_threads_of_one_process(reading: "Reading") -> None:
    (host,) = {pid for pid in processes_of(reading.directory) if _name_of(pid) == HOST}
    threads = {_name_of(int(task)) for task in os.listdir(f"/proc/{host}/task")}

    assert threads >= {"tally", "r1", "r2", "r3", "reader"}


def test_ctrl_c_ends_every_thread(reading: "Reading") -> None:
    reading.program.send_signal(signal.SIGINT)
    os.close(reading.writer)
    _, said = reading.program.communicate(timeout=20)

    assert reading.program.returncode == 130
    assert "Traceback" not in said


def test_the_program_is_told_when_the_process_of_its_threads_is_killed(reading: "Reading") -> None:
    (host,) = {pid for pid in processes_of(reading.directory) if _name_of(pid) == HOST}

    os.kill(host, signal.SIGKILL)

    _, said = reading.program.communicate(timeout=20)
    assert reading.program.returncode == 1
    assert "reader #1" in said
    assert "SIGKILL while handling read" in said


@dataclass(frozen=True)
class Reading:
    """The program, while its reader reads from a pipe that `writer` holds open."""

    program: "subprocess.Popen[str]"
    directory: Path
    writer: int


@pytest.fixture
def reading(nothing_left: Path, tmp_path: Path) -> Iterator[Reading]:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    program = subprocess.Popen(
        ["env", "--default-signal=INT", *command(endless)],  # whoever runs the tests may ignore it
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program, contextlib.ExitStack() as ending:
        ending.callback(program.kill)
        writers: list[int] = []
        assert wait_until(lambda: _open_if_read(endless, writers), 20)
        ending.callback(_close, writers[0])
        yield Reading(program, nothing_left, writers[0])


def _open_if_read(fifo: Path, writers: list[int]) -> bool:
    """Open it for writing; not while nobody reads it."""
    with contextlib.suppress(OSError):
        writers.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    return bool(writers)


def _close(fd: int) -> None:
    with contextlib.suppress(OSError):  # the test has closed it
        os.close(fd)


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it has ended
        return ""
