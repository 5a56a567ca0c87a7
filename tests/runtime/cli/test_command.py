"""The root of the command line: errors are one line, with an exit code that is documented."""

from pathlib import Path

import pytest

from actors.errors import (
    ActorError,
    AlreadyRunning,
    MailboxFull,
    NoSuchSystem,
    NotFound,
    StartFailed,
    SystemGone,
    UnsafeDirectory,
)
from runtime.cli import main
from runtime.cli.outcome import code_of


def test_an_unknown_command_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strat"]) == 2

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: No such command 'strat'")


def test_a_missing_argument_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2

    assert capsys.readouterr().err == "error: Missing argument 'FILE'.\n"


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    out = capsys.readouterr().out
    for command in ("run", "check", "schema", "ps", "tree", "ask", "tell", "restart", "stop", "version"):
        assert f"\n  {command} " in out
    assert "Exit codes:" in out


@pytest.mark.parametrize("command", ["ask", "tell", "ps"])
def test_both_words_for_help_help_with_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    outs = []
    for word in ("-h", "--help"):
        assert main([command, word]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]
    assert outs[0].startswith("Usage:")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AlreadyRunning("shop", 3), 1),
        (UnsafeDirectory("/dev/shm/understudy-0"), 1),
        (StartFailed("inventory"), 1),
        (NoSuchSystem("shop"), 3),
        (NotFound("inventory"), 3),
        (SystemGone("shop", "unknown"), 3),
        (MailboxFull("inventory", "no"), 4),
    ],
)
def test_every_error_has_an_exit_code(error: ActorError, code: int) -> None:
    assert code_of(error) == code


PAGE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"


def test_the_reference_page_has_every_command_and_every_exit_code() -> None:
    text = PAGE.read_text(encoding="utf-8")

    for command in ("run", "check", "schema", "ps", "tree", "ask", "tell", "restart", "stop", "version"):
        assert f"## understudy {command}" in text
    for code in (0, 1, 2, 3, 4, 130, 143):
        assert f"| {code} |" in text
