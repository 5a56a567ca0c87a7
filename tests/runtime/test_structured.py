"""Log lines: whole, once, and counted when they cannot be written."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from runtime.stderr import KeptStderr
from runtime.structured import line_logger


@contextlib.contextmanager
def full_disk() -> Iterator[TextIO]:
    """A stderr of the process's own that nothing can be written to; not a fixture: pytest sets its own before a test."""
    with pytest.MonkeyPatch.context() as patch, open("/dev/full", "w") as stream:
        for name in ("stderr", "__stderr__"):
            patch.setattr(sys, name, stream)
        yield stream


def test_lines_that_cannot_be_written_are_counted_and_told_of_by_the_next_that_can(tmp_path: Path) -> None:
    lost: list[None] = []
    with full_disk() as stderr, (tmp_path / "log").open("w") as file:
        log = line_logger(0, lost=lambda: lost.append(None), bound={"actor": "a"})

        log.info("one")
        log.info("two")
        os.dup2(file.fileno(), stderr.fileno())
        log.info("three")
        log.info("four")

    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lost) == 2
    assert [line["event"] for line in lines] == ["three", "log lines could not be written", "four"]
    assert (lines[1]["count"], lines[1]["actor"]) == (2, "a")


def test_a_line_that_is_cut_by_a_full_disk_does_not_run_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def write(_fd: int, raw: bytes) -> int:
        if len(written) == 1:
            written.append(b"")
            raise OSError(28, "No space left on device")
        part = raw if written else raw[:7]
        written.append(part)
        return len(part)

    with full_disk():
        log = line_logger(0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            log.info("cut")
            log.info("whole")

    first, *rest = b"".join(written).decode().splitlines()
    assert len(first) == 7
    assert [json.loads(line)["event"] for line in rest] == ["whole", "log lines could not be written"]


def test_a_line_is_kept_once_though_stderr_keeps_lines_too() -> None:
    kept: list[str] = []
    with full_disk() as stderr:
        sys.stderr = KeptStderr(stderr, kept.append)  # type: ignore[assignment]  # as in an actor

        line_logger(0, kept.append).info("one")

    assert [json.loads(line)["event"] for line in kept] == ["one"]


def test_a_stream_that_a_program_has_put_in_its_place_gets_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    line_logger(0).info("one")

    assert json.loads(stream.getvalue())["event"] == "one"


def test_on_a_terminal_nothing_that_others_say_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    odd = "\x1b]0;pwned\x07\x1b[8m\x9b2J\r"
    kept: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERSTUDY_LOG", "console")
        log = line_logger(0, kept.append, bound={"actor": odd})
        log.error(odd, text=odd, error=OSError(odd), many=[odd], exc_info=ValueError(odd), **{odd: 1})

    written = capsys.readouterr().err
    assert "\x1b[" in written  # the renderer's colours
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written)
    assert plain.count("pwned") >= 6
    assert all(line.isprintable() for line in plain.split("\n"))
    assert "\x1b[8m" not in written
    assert kept == [plain.rstrip("\n")]
