"""The context: what an actor knows of its surroundings, over a machine that only records."""

import pytest

from actors import Actor, Layout, NotAMessage, is_ref, message, name_of
from actors.context import Context
from tests.actors.fake import FakeMachine

SECOND = 1_000_000_000


class Clock(Actor):
    @message
    def tick(self, n: int = 0) -> int:
        return n

    def plain(self) -> None:
        """No message."""


@pytest.fixture
def machine():
    return FakeMachine(now=10 * SECOND)


@pytest.fixture
def actor(machine):
    actor = Clock.__new__(Clock)
    actor.__dict__["_understudy_context"] = Context(machine, Clock, "shop.clock", 3)
    return actor


def test_the_context_says_who_the_actor_is(actor, machine):
    context = actor.context

    assert (context.name, context.incarnation, context.redelivered) == ("shop.clock", 3, False)
    assert context.log is machine.log
    assert context.supervisor == "the supervisor"


def test_its_own_reference_is_one_of_its_class(actor, machine):
    ref = actor.context.ref
    ref.tick.tell(1)

    assert is_ref(ref)
    assert name_of(ref) == "shop.clock"
    assert machine.sent == [("tell", "shop.clock", "tick", (1,), {})]


def test_ref_to_is_checked_when_the_class_is_given(actor):
    typed, untyped = actor.context.ref_to("a.b", Clock), actor.context.ref_to("a.b")

    assert typed == untyped
    untyped.anything()
    with pytest.raises(NotAMessage):
        typed.anything()


def test_a_region_is_asked_of_the_machine(actor):
    assert actor.context.region("prices") == ("prices", None)
    assert actor.context.region("prices", Layout) == ("prices", Layout)


def test_after_sets_a_timer_from_now(actor):
    timer = actor.context.after(1.5, actor.tick, 7)

    assert actor.context.timers.next_due_ns() == 11.5 * SECOND
    assert (timer.name, timer.args, timer.every_ns) == ("tick", (7,), 0)
    assert actor.context.timers.take(12 * SECOND).handler(*timer.args) == 7


def test_every_sets_one_that_comes_again(actor):
    timer = actor.context.every(2.0, actor.tick)

    assert (timer.due_ns, timer.every_ns) == (12 * SECOND, 2 * SECOND)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_every_needs_seconds_above_0(actor, seconds):
    with pytest.raises(ValueError, match="above 0"):
        actor.context.every(seconds, actor.tick)


def test_a_timer_runs_a_message_only(actor):
    for candidate in (actor.plain, print, lambda: None):
        with pytest.raises(NotAMessage, match=r"shop\.clock"):
            actor.context.after(1.0, candidate)


def test_stop_keeps_its_reason(actor):
    actor.context.stop()
    assert actor.context.stop_reason == "normal"

    actor.context.stop("sold out")
    assert actor.context.stop_reason == "sold out"


def test_watch_and_unwatch_take_references(actor, machine):
    other = actor.context.ref_to("a.b")
    actor.context.watch(other)
    assert machine.watched == ["a.b"]
    actor.context.unwatch(other)
    assert machine.watched == []
    with pytest.raises(TypeError):
        actor.context.watch("a.b")
