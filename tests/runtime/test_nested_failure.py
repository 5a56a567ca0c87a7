"""An ask that fails inside a handler: the verdict on the inner message never passes for that on the outer one."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    ActorStopped,
    AskFailed,
    DeadlineExceeded,
    HandlerFailed,
    Mailbox,
    MailboxFull,
    child,
    deadline,
    message,
)
from runtime import Supervisor
from runtime.wire.exceptions import RemoteTraceback
from tests.runtime.cast import Gate, Start

pytestmark = pytest.mark.process


class Mailer(Actor):
    """Fails whoever asks it, as told."""

    @message
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def idle(self) -> None: ...


class Shop(Actor):
    """Does something that counts, and then asks another."""

    def __init__(self, mailer: Any) -> None:
        self.mailer = mailer
        self.charged = 0

    @message
    def order(self, name: str, *args: Any, seconds: float = 5.0) -> None:
        self.charged += 1
        with deadline(seconds):
            getattr(self.mailer, name)(*args)

    @message
    def total(self) -> int:
        return self.charged


class AsyncShop(Actor):
    def __init__(self, mailer: Any) -> None:
        self.mailer = mailer
        self.charged = 0

    @message
    async def order(self, name: str, *args: Any, seconds: float = 5.0) -> None:
        self.charged += 1
        with deadline(seconds):
            await getattr(self.mailer, name).ask(*args)

    @message(concurrent=True)
    async def order_beside(self, name: str, *args: Any) -> None:
        self.charged += 1
        await getattr(self.mailer, name).ask(*args)

    @message
    async def total(self) -> int:
        return self.charged


SHOPS = [
    pytest.param(lambda start, mailer: start(child(Shop, mailer)), id="sync"),
    pytest.param(lambda start, mailer: start(child(AsyncShop, mailer)), id="async"),
    pytest.param(lambda start, mailer: start(child(Shop, mailer), host="thread"), id="thread"),
    pytest.param(lambda start, mailer: start(child(Shop, mailer), replicas=2), id="pool"),
]


def failure_of(ask: Callable[[], Any]) -> HandlerFailed:
    with pytest.raises(AskFailed) as caught:
        ask()
    assert isinstance(caught.value, HandlerFailed)
    return caught.value


@pytest.mark.parametrize("shop_of", SHOPS)
def test_an_ask_that_fails_in_a_handler_is_that_handlers_failure(
    shop_of: Callable[[Start, Any], Any], start: Start, system: Supervisor
) -> None:
    mailer = start(child(Mailer), "mailer")
    shop = shop_of(start, mailer)
    died = failure_of(shop.order.ask("die").result)
    system.stop("mailer")

    stopped = failure_of(shop.order.ask("idle").result)

    assert (died.delivered, stopped.delivered) == ("started", "started")
    assert "mailer" not in (died.actor, stopped.actor)
    assert died.actor == stopped.actor
    assert isinstance(died.__cause__, ActorDied)
    assert died.__cause__.certificate.signal == "SIGKILL"
    assert isinstance(stopped.__cause__, ActorStopped)
    assert (stopped.__cause__.actor, stopped.__cause__.delivered) == ("mailer", "no")
    assert isinstance(stopped.__cause__.__cause__, RemoteTraceback)
    assert "in order" in stopped.__cause__.__cause__.text


def test_a_concurrent_message_and_the_event_loop_of_a_client_hear_the_same(start: Start, system: Supervisor) -> None:
    mailer = start(child(Mailer), "gone")
    shop = start(child(AsyncShop, mailer))
    system.stop("gone")

    async def in_a_loop() -> None:
        await shop.order_beside("idle")

    failed = failure_of(lambda: asyncio.run(in_a_loop()))

    assert failed.delivered == "started"
    assert isinstance(failed.__cause__, ActorStopped)
    assert shop.total.ask().result() == 1


def test_an_inner_deadline_and_a_full_inner_mailbox_are_the_handlers_failures(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate), mailbox=Mailbox(4096, "refuse"))
    shop = start(child(Shop, gate))
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))

    late = failure_of(lambda: shop.order("note", 1, seconds=0.05))
    with pytest.raises(MailboxFull):
        while True:
            gate.note.tell("x" * 1000)
    full = failure_of(lambda: shop.order("note", "x" * 2000))
    (tmp_path / "go").touch()

    assert isinstance(late.__cause__, DeadlineExceeded)
    assert isinstance(full.__cause__, MailboxFull)
    assert (late.delivered, full.delivered, full.__cause__.delivered) == ("started", "started", "no")
    assert shop.total() == 2
    assert held.result() == "held"


def test_through_two_handlers_each_has_its_own_failure_and_the_cause_is_there(start: Start, system: Supervisor) -> None:
    mailer = start(child(Mailer), "last")
    middle = start(child(Shop, mailer), "middle")
    first = start(child(Shop, middle), "first")
    system.stop("last")

    outer = failure_of(lambda: first.order("order", "idle"))

    assert isinstance(outer.__cause__, HandlerFailed)
    assert isinstance(outer.__cause__.__cause__, ActorStopped)
    assert [outer.actor, outer.__cause__.actor, outer.__cause__.__cause__.actor] == ["first", "middle", "last"]
    assert [outer.delivered, outer.__cause__.delivered] == ["started", "started"]
    assert (first.total(), middle.total()) == (1, 1)
