"""`restart` and `stop`."""

import pytest

from actors.errors import (
    NotFound,
)
from tests.runtime.cli.fake import FakeMachine, FakeSystem


def test_stop_with_a_name_stops_that_child_and_without_one_the_system(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understudy("stop", "inventory") == 0
    assert understudy("stop") == 0

    assert [call for call in shop.calls if call[0] == "stop"] == [("stop", "inventory"), ("stop", "")]
    assert capsys.readouterr().out == "stopped inventory\nstopped shop\n"


def test_stop_with_the_name_of_the_system_says_how_that_is_done(
    understudy: FakeMachine, shop: FakeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.refuses = NotFound("shop")

    assert understudy("stop", "shop") == 3

    assert capsys.readouterr().err == "error: shop: no such child; the system itself is stopped without a NAME\n"


def test_a_child_that_is_not_there_is_code_3(understudy: FakeMachine, shop: FakeSystem) -> None:
    shop.refuses = NotFound("inventroy")

    assert understudy("restart", "inventroy") == 3
    assert understudy("stop", "inventroy") == 3
