"""Paths that are relative to a working directory, there or gone."""

import os
from pathlib import Path

import pytest

from runtime.workdir import absolute


def test_what_is_relative_is_so_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert absolute(["", "a", Path("b/../c"), "/d"]) == [str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/c", "/d"]


def test_without_a_working_directory_what_is_relative_is_left_out(tmp_path: Path) -> None:
    before = os.getcwd()
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    try:
        gone.rmdir()
        assert absolute(["", "a", "/d/../e"]) == ["/e"]
    finally:
        os.chdir(before)
