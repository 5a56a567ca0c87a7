"""`letters` and `ps --why`: what nobody handled, and why somebody died."""

import json

import pytest

from actors.errors import MailboxFull, NotFound
from tests.runtime.cli.fake import CERTIFICATE, FakeMachine


def test_letters_is_a_row_for_each_dead_letter(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("letters") == 0

    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "BYTES", "WHEN", "ACTOR", "MESSAGE", "WHY"]
    assert first.split()[:2] == ["3", "120"]
    assert first.split()[4:6] == ["inventory", "take"]
    assert first.endswith("its actor died of it (attempt 4): SIGKILL")
    assert second.split()[5:7] == ["?", "its"]


def test_letters_of_one_actor_as_json(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("letters", "--json", "payments") == 0

    [letter] = json.loads(capsys.readouterr().out)
    assert letter == {
        "id": 4,
        "actor": "payments.gateway",
        "when": 1_700_000_001.5,
        "why": "its actor stopped for good",
        "nbytes": 60,
        "message": "",
        "asked": False,
        "attempt": 0,
    }


def test_letters_are_resent_and_dropped_by_id(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("letters", "--resend", "3", "--resend", "4", "--drop", "5") == 0

    assert capsys.readouterr().out == "resent 3\nresent 4\ndropped 5\n"
    assert understudy.running["shop"].calls[1:-1] == [("resend", 3), ("resend", 4), ("drop", 5)]


def test_a_letter_that_cannot_be_resent_is_one_line(
    understudy: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    understudy.running["shop"].refuses = MailboxFull("inventory", "no", "no room in its mailbox")

    assert understudy("letters", "--resend", "3") == 4

    assert capsys.readouterr().err == "error: inventory: no room in its mailbox (delivered: no)\n"


def test_ps_why_prints_the_last_certificate(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("ps", "--why", "inventory") == 0
    assert capsys.readouterr().out == CERTIFICATE.report() + "\n"

    assert understudy("ps", "--why", "inventory", "--json", "shop") == 0
    assert json.loads(capsys.readouterr().out)["signal"] == "SIGKILL"


def test_ps_why_of_who_has_not_died_says_so(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    assert understudy("ps", "--why", "payments") == 0
    assert capsys.readouterr().out == "payments has not died\n"

    assert understudy("ps", "--why", "payments", "--json") == 0
    assert capsys.readouterr().out == "null\n"


def test_ps_why_of_a_stranger_is_code_3(understudy: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    understudy.running["shop"].refuses = NotFound("stranger", "there is no such actor")

    assert understudy("ps", "--why", "stranger") == 3
    assert capsys.readouterr().err == "error: stranger: there is no such actor\n"
