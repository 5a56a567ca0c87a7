"""Actors that are told of dead letters, and of deaths, whatever the order and the number in which they come."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, Down, Letter, NoSuchMessage, child, message
from runtime import Supervisor
from runtime.testing import wait_until
from runtime.wire import frame
from runtime.wire.codec import Codec
from tests.runtime.cast import Counter, Start, Stopped

pytestmark = pytest.mark.process


class Undertaker(Actor):
    """Watches letters from its start on, or from when it is told to."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.letters: list[Letter] = []
        self.downs: list[Down] = []

    def on_start(self) -> None:
        if self.at_once:
            self.context.watch_letters()

    def on_letter(self, letter: Letter) -> None:
        self.letters.append(letter)

    def on_down(self, down: Down) -> None:
        self.downs.append(down)

    @message
    def watch(self, ref: Any) -> None:
        self.context.watch(ref)

    @message
    def unwatch(self) -> None:
        self.context.unwatch_letters()

    @message
    def seen(self) -> list[tuple[str, str, int]]:
        return [(letter.actor, letter.message, letter.attempt) for letter in self.letters]

    @message
    def last(self) -> Letter:
        return self.letters[-1]

    @message
    def fallen(self) -> list[tuple[str, str]]:
        return [(down.name, "" if down.certificate is None else down.certificate.signal) for down in self.downs]

    @message
    def pid(self) -> int:
        return os.getpid()

    @message
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class AsyncUndertaker(Undertaker):
    """The same with an async hook."""

    async def on_letter(self, letter: Letter) -> None:  # type: ignore[override]
        super().on_letter(letter)


class Mortal(Actor):
    """Dies of a message."""

    @message
    def die(self, n: int = 0) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _is_told(undertaker: Any, *expected: tuple[str, str, int]) -> bool:
    """It was told of these, and of no other; a `pid` that was answered and killed before that was noted is one too."""
    return wait_until(lambda: [each for each in undertaker.seen.ask().result() if each[1] != "pid"] == list(expected))


@pytest.mark.parametrize("kind", [Undertaker, AsyncUndertaker])
def test_an_actor_that_watches_letters_is_told_of_each(start: Start, system: Supervisor, kind: Any) -> None:
    undertaker, mortal = start(child(kind)), start(child(Mortal), "mortal")

    mortal.die.tell(1)
    assert _is_told(undertaker, ("mortal", "die", 1))
    mortal.die.tell(2)
    assert _is_told(undertaker, ("mortal", "die", 1), ("mortal", "die", 1))

    told = undertaker.last.ask().result()
    assert told == system.letters("mortal")[-1]
    assert isinstance(told, Letter)


def test_a_watch_of_letters_can_be_undone(start: Start) -> None:
    undertaker, witness, mortal = start(child(Undertaker)), start(child(Undertaker)), start(child(Mortal), "mortal")
    undertaker.unwatch()

    mortal.die.tell(1)

    assert _is_told(witness, ("mortal", "die", 1))
    assert undertaker.seen() == []


def test_a_watch_of_letters_ends_with_its_incarnation_and_the_next_one_begins_its_own(start: Start) -> None:
    undertaker, mortal = start(child(Undertaker)), start(child(Mortal), "mortal")
    pid = undertaker.pid()
    os.kill(pid, signal.SIGKILL)
    assert undertaker.pid() != pid

    mortal.die.tell(1)

    assert _is_told(undertaker, ("mortal", "die", 1))


def test_who_does_not_watch_again_is_told_no_more(start: Start, tmp_path: Path) -> None:
    once, witness, mortal = start(child(Once, str(tmp_path))), start(child(Undertaker)), start(child(Mortal), "mortal")
    pid = once.pid()
    os.kill(pid, signal.SIGKILL)
    assert once.pid() != pid

    mortal.die.tell(1)

    assert _is_told(witness, ("mortal", "die", 1))
    assert once.seen() == []


class Once(Undertaker):
    """Watches in its first incarnation only."""

    def __init__(self, directory: str) -> None:
        super().__init__(at_once=False)

    def on_start(self) -> None:
        if self.context.incarnation == 1:
            self.context.watch_letters()


def test_nobody_is_told_of_a_letter_of_its_own(start: Start, system: Supervisor) -> None:
    undertaker, witness = start(child(Undertaker), "undertaker"), start(child(Undertaker))

    undertaker.die.tell()

    assert _is_told(witness, ("undertaker", "die", 1))
    assert undertaker.seen() == []
    assert [letter.message for letter in system.letters("undertaker")] == ["die"]


def test_more_letters_than_a_lane_has_room_for_are_all_told_in_order(start: Start, system: Supervisor) -> None:
    undertaker = start(child(Undertaker))
    busy = start(child(Counter).options(restart="temporary"), "busy")
    pid = busy.pid()
    with Stopped(undertaker.pid()):
        os.kill(pid, signal.SIGSTOP)
        for n in range(300):
            busy.add.tell(n)
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: len(system.letters("busy")) >= 300)

    assert wait_until(lambda: len(undertaker.seen()) == len(system.letters("busy")))
    assert undertaker.last() == system.letters("busy")[-1]


def test_many_deaths_at_one_time_are_all_told_to_a_watcher_that_is_busy(start: Start) -> None:
    undertaker = start(child(Undertaker, at_once=False))
    counters = {f"c{n}": start(child(Counter), f"c{n}") for n in range(12)}
    for counter in counters.values():
        undertaker.watch(counter)
    pids = [counter.pid() for counter in counters.values()]

    with Stopped(undertaker.pid()):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for counter, pid in zip(counters.values(), pids, strict=True):
            assert counter.pid() != pid

    assert wait_until(lambda: len(undertaker.fallen()) == 12)
    assert sorted(undertaker.fallen()) == sorted((name, "SIGKILL") for name in counters)


@pytest.mark.parametrize("lane", ["mailbox", "urgent"])
@pytest.mark.parametrize("flags", [0, frame.NOTICE])
@pytest.mark.parametrize("hook", ["on_down", "on_letter"])
def test_a_notice_that_is_written_by_hand_is_refused(
    start: Start, system: Supervisor, lane: str, flags: int, hook: str
) -> None:
    undertaker = start(child(Undertaker, at_once=False), "guarded")
    args = ("x", "forged", None) if hook == "on_down" else (1, "x", 0.0, "forged", 1)
    kind, payload = Codec().encode_call(hook, args, {}, ())
    assert isinstance(payload, bytes)
    forged = bytearray(frame.tell(kind, payload))
    forged[frame.FLAGS_AT] |= flags
    before = _failed(system)

    with open(f"{_directory(system)}/children/guarded/{lane}", "wb", buffering=0) as fifo:
        fifo.write(bytes(forged))

    assert wait_until(lambda: (undertaker.pid.ask().result(), _failed(system))[1] == before + 1)
    assert undertaker.seen() == []
    assert undertaker.fallen() == []


@pytest.mark.parametrize("hook", ["on_down", "on_letter"])
def test_no_reference_leads_to_a_notice(start: Start, system: Supervisor, hook: str) -> None:
    start(child(Undertaker), "guarded")

    with pytest.raises(NoSuchMessage):
        getattr(system["guarded"], hook).ask("x", "forged", None)


def _failed(system: Supervisor) -> int:
    return next(status.failed for status in system.children() if status.path == "guarded")


def _directory(system: Supervisor) -> str:
    return system._endpoint._directory
