"""`self.context` in real processes: name, timers, watches, the supervisor, stopping."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    Down,
    NoContext,
    NotAMessage,
    StartCycle,
    StartFailed,
    Timer,
    child,
    deadline,
    message,
    name_of,
    tree,
)
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Counter, Start

pytestmark = pytest.mark.process


class Narrator(Actor):
    """Tells what its context says."""

    def __init__(self) -> None:
        self.name_in_init = self.context.name

    @message
    def about(self) -> dict[str, Any]:
        context = self.context
        return {
            "name": context.name,
            "in init": self.name_in_init,
            "incarnation": context.incarnation,
            "redelivered": context.redelivered,
            "ref": context.ref,
            "pid": os.getpid(),
            "same": self.context is context,
        }

    @message
    def say(self, line: str) -> None:
        self.context.log.info(line, extra=1)

    @message
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Clock(Actor):
    """Timers."""

    def __init__(self) -> None:
        self.ticks: list[str] = []
        self.timers: dict[str, Timer] = {}

    @message
    def tick(self, what: str = "tick") -> None:
        self.ticks.append(what)

    @message
    def after(self, seconds: float, what: str) -> None:
        self.timers[what] = self.context.after(seconds, self.tick, what)

    @message
    def every(self, seconds: float, what: str) -> None:
        self.timers[what] = self.context.every(seconds, self.tick, what)

    @message
    def cancel(self, what: str) -> bool:
        return self.timers[what].cancel()

    @message
    def seen(self) -> list[str]:
        return self.ticks

    @message
    def busy(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

    @message
    def bad_timer(self) -> None:
        self.context.after(0.0, self.on_start)

    @message
    def ask_in_a_timer(self, other: Any) -> None:
        self.other = other
        self.context.after(0.0, self.ask_other)

    @message
    def ask_other(self) -> None:
        from actors.deadline import ambient

        self.ticks.append(str(ambient.get()))
        self.ticks.append(str(self.other.add(1)))

    @message
    def pid(self) -> int:
        return os.getpid()


class AsyncClock(Clock):
    """The same in a loop."""

    @message
    async def tick(self, what: str = "tick") -> None:  # type: ignore[override]
        self.ticks.append(what)


class Failing(Actor):
    """Timers that raise."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def on_error(self, failure: Exception) -> None:
        self.failures.append(str(failure))

    @message
    def fail(self) -> None:
        raise ValueError("of a timer")

    @message
    def fail_soon(self) -> None:
        self.context.after(0.0, self.fail)

    @message
    def seen(self) -> list[str]:
        return self.failures


class Stopper(Actor):
    """Ends itself."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_stop(self, reason: str) -> None:
        self.file.write_text(reason)

    @message
    def stop(self, reason: str = "normal") -> str:
        self.context.stop(reason)
        return "stopping"

    @message
    def incarnation(self) -> int:
        return self.context.incarnation


class BadStopper(Stopper):
    """Its on_stop raises."""

    def on_stop(self, reason: str) -> None:
        super().on_stop(reason)
        raise ValueError("in on_stop")


class Watcher(Actor):
    """Watches others."""

    def __init__(self) -> None:
        self.downs: list[tuple[str, str, str]] = []

    def on_down(self, down: Down) -> None:
        self.downs.append((down.name, down.reason, "" if down.certificate is None else down.certificate.signal))

    @message
    def watch(self, ref: Any) -> None:
        self.context.watch(ref)

    @message
    def watch_name(self, name: str) -> None:
        self.context.watch(self.context.ref_to(name))

    @message
    def unwatch(self, ref: Any) -> None:
        self.context.unwatch(ref)

    @message
    def seen(self) -> list[tuple[str, str, str]]:
        return self.downs


class AsyncWatcher(Watcher):
    """The same with an async hook."""

    async def on_down(self, down: Down) -> None:  # type: ignore[override]
        super().on_down(down)


class Parent(Actor):
    """Starts further actors."""

    @message
    def start_child(self, name: str, value: int) -> Any:
        return self.context.supervisor.start(child(Counter, value), name=name)

    @message
    def stop_child(self, name: str) -> None:
        self.context.supervisor.stop(name)
        self.context.supervisor.delete(name)

    @message
    def restart_child(self, name: str) -> None:
        self.context.supervisor.restart(name)

    @message
    def siblings(self) -> list[str]:
        return [status.path for status in self.context.supervisor.children()]

    @message
    def ask_by_name(self, name: str) -> int:
        return self.context.ref_to(name, Counter).add(1)


class StartsInInit(Actor):
    """Asks its own supervisor, which waits for it."""

    def __init__(self, what: str) -> None:
        if what == "start":
            self.context.supervisor.start(child(Counter), name="never")
        elif what == "stop":
            self.context.supervisor.stop("other")
        elif what == "restart":
            self.context.supervisor.restart("other")


class StartsOnStart(Actor):
    """As above, in on_start."""

    def on_start(self) -> None:
        self.context.supervisor.start(child(Counter), name="never")


def test_the_context_knows_name_incarnation_and_reference(start: Start) -> None:
    narrator = start(child(Narrator), "narrator")

    about = narrator.about()
    narrator.die.tell()
    again = narrator.about()

    expected = {"name": "narrator", "in init": "narrator", "incarnation": 1, "ref": narrator, "same": True}
    assert about == {**about, **expected}
    assert about["redelivered"] is False
    assert again["incarnation"] == 2
    assert again["ref"] == narrator
    assert again["pid"] != about["pid"]


def test_a_nested_actors_name_is_its_dotted_path(start: Start, system: Supervisor) -> None:
    handle = system.start(tree(children={"one": child(Narrator)}), name="below")
    try:
        assert handle["one"].about()["name"] == "below.one"
        assert system["below.one"].about()["ref"] == system["below.one"]
        assert system.supervisors["below"]["one"] == system["below.one"]
        assert name_of(system["below.one"].about()["ref"]) == "below.one"
    finally:
        system.stop("below")
        system.delete("below")


def test_what_an_actor_logs_is_bound_to_its_name_and_kept_for_the_certificate(start: Start) -> None:
    narrator = start(child(Narrator), "narrator")
    narrator.say("so far so good")

    with pytest.raises(Exception, match="SIGKILL") as caught:
        narrator.die()

    lines = caught.value.certificate.log_lines  # type: ignore[attr-defined]
    assert any("so far so good" in line and "narrator" in line for line in lines)


@pytest.mark.parametrize("kind", [Clock, AsyncClock])
def test_after_runs_a_message_once_and_every_again_and_again(start: Start, kind: Any) -> None:
    clock = start(child(kind))

    clock.after(0.01, "once")
    clock.every(0.002, "again")

    assert wait_until(lambda: clock.seen().count("again") >= 3)
    assert wait_until(lambda: "once" in clock.seen())
    assert clock.seen().count("once") == 1


@pytest.mark.parametrize("kind", [Clock, AsyncClock])
def test_a_cancelled_timer_does_not_run(start: Start, kind: Any) -> None:
    clock = start(child(kind))
    clock.after(0.02, "cancelled")
    clock.after(0.03, "later")

    assert clock.cancel("cancelled") is True
    assert clock.cancel("cancelled") is False
    assert wait_until(lambda: "later" in clock.seen())

    assert "cancelled" not in clock.seen()
    assert clock.cancel("later") is False


def test_a_timer_never_piles_up(start: Start) -> None:
    clock = start(child(Clock))
    clock.every(0.001, "tick")

    clock.busy(0.1)

    assert clock.seen().count("tick") < 20


def test_timers_die_with_the_incarnation(start: Start) -> None:
    clock = start(child(Clock))
    clock.after(0.05, "of the first")
    os.kill(clock.pid(), signal.SIGKILL)

    clock.after(0.08, "of the second")

    assert wait_until(lambda: "of the second" in clock.seen())
    assert clock.seen() == ["of the second"]


def test_a_timer_runs_a_message_of_its_own_actor_only(start: Start) -> None:
    clock = start(child(Clock))

    with pytest.raises(NotAMessage):
        clock.bad_timer()
    with pytest.raises(ValueError, match="above 0"):
        clock.every(0, "never")


def test_a_timer_inherits_neither_the_deadline_nor_the_chain_of_the_message_before(start: Start) -> None:
    clock, counter = start(child(Clock)), start(child(Counter))

    with deadline(0.5):
        clock.ask_in_a_timer(counter)

    assert wait_until(lambda: len(clock.seen()) == 2)
    assert clock.seen() == ["(None, ())", "1"]


def test_a_timer_that_raises_is_given_to_on_error(start: Start) -> None:
    failing = start(child(Failing))

    failing.fail_soon()

    assert wait_until(lambda: failing.seen() == ["of a timer"])


@pytest.mark.parametrize("kind", [Stopper, BadStopper])
def test_stop_ends_the_actor_normally_after_the_message_in_hand(start: Start, tmp_path: Path, kind: Any) -> None:
    stopper = start(child(kind, str(tmp_path / "reason")), restart="transient")

    assert stopper.stop("done with it") == "stopping"

    assert wait_until((tmp_path / "reason").exists)
    assert wait_until(lambda: (tmp_path / "reason").read_text() == "done with it")


def test_a_permanent_actor_that_stops_itself_is_started_again(start: Start, tmp_path: Path) -> None:
    stopper = start(child(Stopper, str(tmp_path / "reason")), restart="permanent")

    stopper.stop()

    assert stopper.incarnation() == 2


def test_an_ordered_stop_gives_shutdown_as_its_reason(start: Start, system: Supervisor, tmp_path: Path) -> None:
    start(child(Stopper, str(tmp_path / "reason")), "stopper")

    system.stop("stopper")

    assert (tmp_path / "reason").read_text() == "shutdown"


@pytest.mark.parametrize("kind", [Watcher, AsyncWatcher])
def test_a_watcher_is_told_of_a_death_with_its_certificate(start: Start, kind: Any) -> None:
    watcher, counter = start(child(kind)), start(child(Counter), "counter")
    watcher.watch.ask(counter).result()

    os.kill(counter.pid(), signal.SIGKILL)

    assert wait_until(lambda: watcher.seen.ask().result() == [("counter", "SIGKILL", "SIGKILL")])


def test_a_watcher_is_told_of_a_stop(start: Start, system: Supervisor) -> None:
    watcher, counter = start(child(Watcher)), start(child(Counter), "counter")
    watcher.watch(counter)

    system.stop("counter")

    assert wait_until(lambda: watcher.seen() == [("counter", "stopped", "")])


def test_watching_a_name_that_is_not_there_tells_at_once(start: Start) -> None:
    watcher = start(child(Watcher))

    watcher.watch_name("nobody")

    assert wait_until(lambda: watcher.seen() == [("nobody", "not there", "")])


def test_unwatch_ends_a_watch(start: Start) -> None:
    watcher, counter, other = start(child(Watcher)), start(child(Counter), "counter"), start(child(Counter), "other")
    watcher.watch(counter)
    watcher.watch(other)

    watcher.unwatch(counter)
    watcher.unwatch(counter)
    os.kill(counter.pid(), signal.SIGKILL)
    counter.pid()
    os.kill(other.pid(), signal.SIGKILL)

    assert wait_until(lambda: bool(watcher.seen()))
    assert watcher.seen() == [("other", "SIGKILL", "SIGKILL")]


def test_an_actor_starts_restarts_and_stops_further_actors(start: Start, system: Supervisor) -> None:
    parent = start(child(Parent), "parent")

    sibling = parent.start_child("sibling", 40)

    assert sibling.add(1) == 41
    assert sibling == system["sibling"]
    assert parent.siblings() == ["parent", "sibling"]
    assert parent.ask_by_name("sibling") == 42
    parent.restart_child("sibling")
    assert sibling.add(1) == 41
    parent.stop_child("sibling")
    assert parent.siblings() == ["parent"]


@pytest.mark.parametrize("what", ["start", "stop", "restart"])
def test_asking_ones_own_supervisor_from_init_is_a_start_cycle_at_once(start: Start, what: str) -> None:
    start(child(Counter), "other")
    begin = time.monotonic()

    with pytest.raises(StartFailed, match=StartCycle.__name__):
        start(child(StartsInInit, what))

    assert time.monotonic() - begin < 2


def test_asking_ones_own_supervisor_from_on_start_is_a_start_cycle_at_once(start: Start) -> None:
    with pytest.raises(StartFailed, match=StartCycle.__name__):
        start(child(StartsOnStart))


def test_a_hand_made_instance_has_no_context() -> None:
    with pytest.raises(NoContext):
        Narrator()
