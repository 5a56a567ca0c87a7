"""The file manager: edited by several, killed in between, saved and listed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.testing import wait_until

pytestmark = pytest.mark.process

FILES = Path(__file__).parents[2] / "examples" / "files"
RUN = [sys.executable, "-m", "runtime.cli", "run", str(FILES / "files.toml")]


@pytest.fixture
def notes(nothing_left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes.txt"))
    return tmp_path / "notes.txt"


def test_it_ends_by_itself_with_every_page_whole(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDS", "45")

    ended = subprocess.run(RUN, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert f"135 edits, 1 editors killed in the middle of one, every page whole: {notes}" in ended.stderr
    lines = notes.read_text().splitlines()
    assert len(lines) == 8 * 16
    assert {line.split(",")[0] for line in lines} == {f"round {n}" for n in range(40, 46)}


def test_the_index_is_listed_while_it_runs_and_ctrl_c_ends_it(notes: Path) -> None:
    listing = [sys.executable, str(FILES / "listing.py")]
    environment = {**os.environ, "PYTHONPATH": str(FILES.parents[1])}
    running = subprocess.Popen(RUN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(notes.exists, 20)
        listed = subprocess.run(
            listing, env=environment, capture_output=True, text=True, timeout=20, check=False
        ).stdout.splitlines()
    finally:
        running.send_signal(signal.SIGINT)
        code = running.wait(20)

    assert code == 128 + signal.SIGINT
    assert listed[0].split()[:3] == ["PAGE", "BYTES", "EDITS"]
    assert [line.split()[0] for line in listed[1:]] == [str(page) for page in range(8)]
    assert not notes.with_name("notes.txt.new").exists()


def test_what_was_saved_is_loaded_again(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDS", "1")
    notes.write_text("".join(f"line {n}\n" for n in range(8 * 16)))

    subprocess.run(RUN, capture_output=True, timeout=60, check=True)

    lines = notes.read_text().splitlines()
    assert lines[:16] == [f"line {n}" for n in range(16)]
    assert lines[16] == "round 1, editor 0, line 0"
    assert lines[64:] == [f"line {n}" for n in range(64, 128)]


def test_a_listing_of_a_system_that_does_not_run_is_one_line(nothing_left: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(FILES.parents[1])}
    listing = [sys.executable, str(FILES / "listing.py"), "nobody"]

    ended = subprocess.run(listing, env=environment, capture_output=True, text=True, timeout=20, check=False)

    assert (ended.returncode, ended.stderr) == (1, "no running system 'nobody'\n")
