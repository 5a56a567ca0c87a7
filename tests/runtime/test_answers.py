"""Answers whose unpickling goes wrong in any way: it is the affair of the ask they answer, and of no other."""

import asyncio
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest

from actors import Actor, Undecodable, child, deadline, message
from runtime import Supervisor
from tests.runtime.cast import Echo, Start

pytestmark = pytest.mark.process


class Odd(BaseException):
    """No Exception."""


def odd() -> None:
    raise Odd("so")


def interrupt_main_thread() -> str:
    """What Ctrl-C does, at a bad moment."""
    if threading.current_thread() is threading.main_thread() and os.environ.get("ODD_MAIN") == str(os.getpid()):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
    return "rebuilt"


class Rebuilt:
    """Is rebuilt by a call."""

    def __init__(self, what: Any, *args: Any) -> None:
        self.call = what, args

    def __reduce__(self) -> Any:
        return self.call


class Nasty(Actor):
    """Answers what cannot be rebuilt."""

    @message
    def leave(self) -> Any:
        return Rebuilt(sys.exit, 3)

    @message
    def be_odd(self) -> Any:
        return Rebuilt(odd)

    @message
    def interrupt(self) -> Any:
        return Rebuilt(interrupt_main_thread)

    @message
    def fine(self, n: int) -> int:
        return n


@pytest.mark.parametrize("name", ["leave", "be_odd"])
def test_an_answer_that_raises_no_exception_fails_its_ask_and_leaves_the_others_theirs(start: Start, name: str) -> None:
    nasty = start(child(Nasty))
    with pytest.raises(Undecodable):
        getattr(nasty, name)()

    asks = [nasty.fine.ask(1), getattr(nasty, name).ask(), nasty.fine.ask(2), getattr(nasty, name).ask()]
    asks.append(nasty.fine.ask(3))

    assert asks[4].result() == 3  # all came before it
    assert [asks[0].result(), asks[2].result()] == [1, 2]
    for reply in (asks[1], asks[3], asks[1]):
        with pytest.raises(Undecodable):
            reply.result()


@pytest.mark.parametrize("name", ["leave", "be_odd"])
def test_in_a_loop_it_ends_neither_the_loop_nor_another_ask(start: Start, name: str) -> None:
    nasty = start(child(Nasty))

    async def main() -> list[Any]:
        asks = [nasty.fine.ask(1), getattr(nasty, name).ask(), nasty.fine.ask(2)]
        return list(await asyncio.gather(*asks, return_exceptions=True))

    one, error, two = asyncio.run(main())

    assert (one, two) == (1, 2)
    assert isinstance(error, Undecodable)


def test_a_message_whose_unpickling_ends_the_program_fails_and_its_actor_lives(start: Start) -> None:
    echo = start(child(Echo))
    pid = echo.pid()

    for what in (Rebuilt(sys.exit, 3), Rebuilt(odd)):
        with pytest.raises(Undecodable):
            echo.echo(what)

    assert echo.pid() == pid


def test_an_interrupt_while_answers_are_read_loses_none_of_them(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    nasty = start(child(Nasty))
    monkeypatch.setenv("ODD_MAIN", str(os.getpid()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with deadline(10):
            asks = [nasty.fine.ask(1), nasty.interrupt.ask(), nasty.fine.ask(2)]
        with pytest.raises(KeyboardInterrupt):
            asks[1].result()
    finally:
        signal.signal(signal.SIGINT, before)

    assert asks[2].result() == 2
    assert asks[0].result() == 1


def test_an_interrupt_in_the_midst_of_what_was_read_leaves_the_rest_to_be_read_on(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty = supervisor.start(child(Nasty), name="nasty")
    with deadline(10):
        asks = [nasty.fine.ask(n) for n in range(5)]
    channel = asks[0]._channel  # type: ignore[attr-defined]
    taken, count = channel.taken, 0

    def interrupted(*args: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return taken(*args)

    monkeypatch.setattr(channel, "taken", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asks[4].result()

    assert [reply.result() for reply in asks] == list(range(5))
    assert count == 6
