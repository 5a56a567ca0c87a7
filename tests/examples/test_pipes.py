"""Threads that talk over pipes: the words are all there, and Ctrl-C ends every thread."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from runtime.testing import processes_of, wait_until

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
PIPES = ROOT / "examples" / "pipes" / "pipes.py"


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


def test_ctrl_c_ends_every_thread(nothing_left: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless")  # the reader waits for it as long as nobody writes
    running = subprocess.Popen(
        command(tmp_path / "endless"), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert wait_until(lambda: any(_is_named(pid, "counts") for pid in processes_of(nothing_left)), 20)
    writer = os.open(tmp_path / "endless", os.O_WRONLY)

    running.send_signal(signal.SIGINT)
    os.close(writer)
    _, said = running.communicate(timeout=20)

    assert running.returncode == 130
    assert "Traceback" not in said


def _is_named(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    except OSError:  # it has ended
        return False
