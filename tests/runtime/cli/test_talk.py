"""`ask` and `tell`: what is sent, what is printed, and the verdict of a failure."""

import json

import pytest

from actors.errors import (
    ActorDied,
    DeadlineExceeded,
    MailboxFull,
    NoSuchMessage,
    NotFound,
    RemoteError,
)
from tests.runtime.cli.fake import CERTIFICATE, FakeMachine, FakeSystem, fails_with


def test_ask_sends_the_words_and_prints_the_answer(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("ask", "inventory", "take", "tea", "-3", "gift=true") == 0

    assert shop.calls == [("open",), ("ask", "inventory", "take", ("tea", -3), {"gift": True}), ("close",)]
    assert capsys.readouterr().out == '[["tea", -3], {"gift": true}]\n'


def test_ask_takes_its_options_on_either_side_of_the_message(
    understudy: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("ask", "--system", "shop", "inventory", "take", "1", "--timeout", "3", "--json") == 0

    assert json.loads(capsys.readouterr().out) == {"value": [[1], {}]}


def test_ask_prints_the_repr_of_what_json_cannot_carry(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.answer = lambda: b"tea"

    assert understudy("ask", "inventory", "raw") == 0
    assert understudy("ask", "inventory", "raw", "--json") == 0

    assert capsys.readouterr().out.splitlines() == ["b'tea'", '{"repr": "b\'tea\'"}']


@pytest.mark.parametrize("words", [["--colour"], ["n=1", "n=2"], ["-x"]])
def test_ask_refuses_words_that_cannot_be_meant(understudy: FakeMachine, shop: FakeSystem, words: list[str]) -> None:
    assert understudy("ask", "inventory", "take", *words) == 2

    assert shop.calls == []


def test_ask_refuses_a_timeout_of_nothing(understudy: FakeMachine) -> None:
    assert understudy("ask", "inventory", "take", "--timeout", "0") == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ActorDied(CERTIFICATE, "started"),
            "error: inventory #2 (pid 4711) died: SIGKILL (delivered: started)",
        ),
        (DeadlineExceeded("inventory", "no"), "error: inventory (delivered: no)"),
        (ValueError("no such tea"), "error: inventory.take raised ValueError: no such tea (delivered: done)"),
        (RemoteError("shop.NoTea", "none"), "error: inventory.take raised shop.NoTea: none (delivered: done)"),
    ],
)
def test_an_ask_that_failed_is_one_line_with_the_verdict_and_code_4(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str], error: Exception, line: str
) -> None:
    shop.answer = fails_with(error)

    assert understudy("ask", "inventory", "take") == 4

    assert capsys.readouterr() == ("", f"{line}\n")


def test_an_ask_that_failed_is_json_with_the_verdict_and_the_certificate(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.answer = fails_with(ActorDied(CERTIFICATE, "started"))

    assert understudy("ask", "inventory", "take", "--json") == 4

    failure = json.loads(capsys.readouterr().out)
    assert (failure["error"], failure["delivered"]) == ("ActorDied", "started")
    assert failure["certificate"]["signal"] == "SIGKILL"


def test_an_actor_that_is_not_there_is_code_3(understudy: FakeMachine, shop: FakeSystem) -> None:
    shop.answer = fails_with(NotFound("inventroy"))

    assert understudy("ask", "inventroy", "take") == 3


def test_the_verdict_is_no_only_of_what_was_not_sent(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.answer = fails_with(NotFound("till"))  # what its handler looked for
    assert understudy("ask", "inventory", "take", "--json") == 3
    raised = json.loads(capsys.readouterr().out)
    shop.refuses = NoSuchMessage("inventory: no message toke")

    assert understudy("ask", "inventory", "toke", "--json") == 4

    assert (raised["error"], raised["delivered"]) == ("NotFound", "unknown")
    assert json.loads(capsys.readouterr().out)["delivered"] == "no"


def test_a_message_that_is_not_there_is_code_4(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.refuses = NoSuchMessage("inventory: no message toke")

    assert understudy("ask", "inventory", "toke") == 4
    assert understudy("tell", "inventory", "toke") == 4

    assert capsys.readouterr().err == "error: inventory: no message toke\n" * 2


def test_tell_sends_and_prints_nothing(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("tell", "inventory", "add", "1") == 0

    assert shop.calls == [("open",), ("tell", "inventory", "add", (1,), {}), ("close",)]
    assert capsys.readouterr() == ("", "")


def test_a_tell_without_room_is_code_4(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.refuses = MailboxFull("inventory", "no")

    assert understudy("tell", "inventory", "add", "1") == 4

    assert capsys.readouterr().err == "error: inventory (delivered: no)\n"
