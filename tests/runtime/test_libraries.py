"""Objects of other libraries as arguments, as answers, and in a state that outlives a death."""

import os
import signal
from typing import Any

import pytest

from actors import child
from tests.runtime.cast import Keeper, Start
from tests.runtime.wire.library_objects import MAKERS, form_of

pytestmark = pytest.mark.process


@pytest.mark.parametrize("library", MAKERS)
def test_objects_arrive_come_back_and_outlive_their_actor(start: Start, library: str) -> None:
    keeper = start(child(Keeper))
    values = MAKERS[library]()

    assert [type(keeper.keep(value)) for value in values] == [type(value) for value in values]
    kept: Any = keeper.keep(values)
    os.kill(keeper.pid(), signal.SIGKILL)

    assert form_of(keeper.give()) == form_of(kept)
