"""THE loop, LO-1 to LO-4, over an inbox that is a list; both drivers."""

import asyncio
import contextvars
from concurrent.futures import CancelledError
from typing import Any

import pytest

from actors import Actor, NoSuchMessage, message
from actors.context import Context
from actors.deadline import NOTHING, ambient
from actors.loop import NotYet, Part, part_of, run
from tests.actors.fake import FakeInbox, FakeMachine, drive

_USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


class Player(Actor):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_error(self, failure: Exception) -> None:
        self.seen.append(f"on_error {failure}")

    @message
    def add(self, n: int) -> int:
        self.seen.append(n)
        return n + 1

    @message
    def boom(self, what: str = "boom") -> None:
        self.seen.append(what)
        raise ValueError(what)

    @message
    def lookup(self) -> None:
        raise KeyError("lookup")

    @message
    def leave(self) -> str:
        self.context.stop("done")
        return "bye"

    @message
    def inherit(self) -> None:
        self.seen.append(ambient.get())

    @message
    def exit(self) -> None:
        raise SystemExit(3)

    @message
    def log_in(self, user: str) -> None:
        self.seen.append((_USER.get(), user))
        _USER.set(user)

    @message
    def runs_a_loop_of_its_own(self) -> None:
        asyncio.run(cancelled_inside())


async def cancelled_inside() -> None:
    """Waits for something that was cancelled, and lets that through."""
    waited = asyncio.ensure_future(asyncio.sleep(1000))
    waited.cancel()
    await waited


class AsyncPlayer(Player):
    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def on_error(self, failure: Exception) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.seen.append(f"on_error {failure}")

    @message
    async def slow(self, n: int) -> int:
        self.seen.append(f"in {n}")
        await asyncio.sleep(0)
        self.seen.append(f"out {n}")
        return n

    @message
    async def log_in_slowly(self, user: str) -> None:
        self.log_in(user)
        await asyncio.sleep(0)
        self.seen.append(_USER.get())

    @message
    async def cancelled(self) -> None:
        await cancelled_inside()

    @message(concurrent=True)
    async def wait(self, n: int) -> int:
        self.seen.append(f"in {n}")
        await self.gate.wait()
        self.seen.append(f"out {n}")
        return n

    @message(concurrent=True)
    async def fail(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    @message
    def open(self) -> None:
        self.gate.set()


def part(kind: type[Player] = Player, *, crash: bool = False) -> Part:
    machine = FakeMachine(now=0)
    actor = kind.__new__(kind)
    context = Context(machine, kind, "player", 1)
    actor.__dict__["_understudy_context"] = context
    actor.__init__()
    return part_of(actor, context, crash_on_raise=crash, notices={})


def play(*messages: Any, crash: bool = False, asked: bool = True) -> tuple[list[Any], dict[int, Any], str]:
    """Play messages with the blocking driver; what was seen, the answers, the reason of the end."""
    one, inbox = part(crash=crash), FakeInbox(*messages, asked=asked)
    reason = drive(run(one, inbox))
    return one.actor.seen, inbox.answers, reason


def test_messages_are_handled_in_order_and_answered():
    seen, answers, reason = play(("add", (1,)), ("add", (2,)))

    assert (seen, answers, reason) == ([1, 2], {0: 2, 1: 3}, "shutdown")


def test_a_handler_that_raises_answers_its_asker_and_the_loop_goes_on():
    seen, answers, _ = play(("boom", ()), ("add", (1,)))

    assert seen == ["boom", 1]
    assert isinstance(answers[0], ValueError)
    assert answers[1] == 2


def test_the_failure_of_a_tell_is_logged_and_given_to_on_error():
    one, inbox = part(), FakeInbox(("boom", ()), asked=False)
    drive(run(one, inbox))

    assert one.actor.seen == ["boom", "on_error boom"]
    (call,) = one.context.log.calls
    assert (call.method_name, call.args, call.kwargs["message"]) == ("error", ("message failed",), "boom")


def test_with_crash_on_raise_the_asker_is_answered_before_the_crash():
    one, inbox = part(crash=True), FakeInbox(("boom", ()), ("add", (1,)))

    with pytest.raises(ValueError, match="boom"):
        drive(run(one, inbox))
    assert isinstance(inbox.answers[0], ValueError)
    assert one.actor.seen == ["boom"]


def test_an_unknown_message_is_no_such_message_for_its_asker():
    _, answers, _ = play(("missing", ()))

    assert isinstance(answers[0], NoSuchMessage)
    assert "missing" in str(answers[0])


def test_a_key_error_of_a_handler_stays_a_key_error():
    _, answers, _ = play(("lookup", ()))

    assert type(answers[0]) is KeyError


def test_arguments_that_do_not_fit_are_the_askers_type_error():
    _, answers, _ = play(("add", (1, 2)))

    assert isinstance(answers[0], TypeError)


def test_what_is_no_exception_is_never_caught():
    one, inbox = part(), FakeInbox(("exit", ()), ("add", (1,)))

    with pytest.raises(SystemExit):
        drive(run(one, inbox))
    assert inbox.answers == {}
    assert one.actor.seen == []


def test_an_actor_that_stops_itself_ends_after_the_message_in_hand():
    seen, answers, reason = play(("leave", ()), ("add", (1,)))

    assert (seen, answers, reason) == ([], {0: "bye"}, "done")


def test_timers_run_between_messages_and_wake_the_loop_at_their_time():
    one, inbox = part(), FakeInbox(("add", (1,)), ("add", (2,)))
    one.context.after(0.0, one.actor.add, 10)
    one.context.after(5.0, one.actor.add, 20)
    drive(run(one, inbox))

    assert one.actor.seen == [1, 10, 2, 20]
    assert inbox.waits == [5_000_000_000, None]


def test_a_timer_that_comes_again_is_set_from_its_delivery():
    one, inbox = part(), FakeInbox()
    inbox.most_waits = 3
    one.context.every(2.0, one.actor.add, 0)
    drive(run(one, inbox))

    assert inbox.waits == [2_000_000_000, 4_000_000_000, 6_000_000_000]
    assert one.actor.seen == [0, 0]


def test_a_timer_that_stops_the_actor_is_the_last_thing_that_runs():
    one, inbox = part(), FakeInbox()
    one.context.after(1.0, one.actor.leave)
    one.context.after(1.0, one.actor.add, 1)

    assert drive(run(one, inbox)) == "done"
    assert one.actor.seen == []


def test_the_failure_of_a_timer_is_logged_and_given_to_on_error():
    one, inbox = part(), FakeInbox()
    one.context.after(1.0, one.actor.boom, "tick")
    drive(run(one, inbox))

    assert one.actor.seen == ["tick", "on_error tick"]
    assert one.context.log.calls[0].method_name == "error"
    assert inbox.timers == [True]


def test_with_crash_on_raise_a_timer_that_fails_is_a_crash():
    one = part(crash=True)
    one.context.after(1.0, one.actor.boom, "tick")

    with pytest.raises(ValueError, match="tick"):
        drive(run(one, FakeInbox()))


def test_raising_in_on_error_is_a_crash():
    one = part()
    one.actor.on_error = one.actor.boom  # type: ignore[method-assign]

    with pytest.raises(ValueError, match="boom"):
        drive(run(one, FakeInbox(("boom", ()), asked=False)))


def test_async_messages_are_handled_one_at_a_time():
    async def main() -> tuple[list[Any], dict[int, Any]]:
        one, inbox = part(AsyncPlayer), FakeInbox(("slow", (1,)), ("slow", (2,)))
        await run(one, inbox)
        return one.actor.seen, inbox.answers

    assert asyncio.run(main()) == (["in 1", "out 1", "in 2", "out 2"], {0: 1, 1: 2})


def test_concurrent_messages_run_side_by_side_and_the_loop_waits_for_them_before_it_ends():
    async def main() -> tuple[list[Any], dict[int, Any]]:
        one, inbox = part(AsyncPlayer), FakeInbox(("wait", (1,)), ("wait", (2,)), ("slow", (3,)), ("open", ()))
        await run(one, inbox)
        assert not one.tasks
        return one.actor.seen, inbox.answers

    seen, answers = asyncio.run(main())
    assert max(seen.index("in 1"), seen.index("in 2")) < min(seen.index("out 1"), seen.index("out 2"))
    assert answers == {0: 1, 1: 2, 2: 3, 3: None}


def test_concurrent_messages_begin_in_their_turn():
    async def main() -> list[Any]:
        one, inbox = part(AsyncPlayer), FakeInbox(("wait", (1,)), ("wait", (2,)), ("add", (3,)), ("open", ()))
        await run(one, inbox)
        return one.actor.seen

    assert asyncio.run(main())[:3] == ["in 1", "in 2", 3]


def test_a_timer_inherits_nothing_from_the_message_before_it():
    one, inbox = part(), FakeInbox()
    one.context.after(1.0, one.actor.inherit)

    def play_in_the_shadow_of_an_ask() -> None:
        ambient.set((5, ("front",)))
        drive(run(one, inbox))

    contextvars.copy_context().run(play_in_the_shadow_of_an_ask)
    assert one.actor.seen == [NOTHING]


def test_the_failure_of_a_concurrent_message_is_its_askers_or_on_errors():
    async def main(asked: bool) -> tuple[list[Any], Any]:
        one, inbox = part(AsyncPlayer), FakeInbox(("fail", ()), ("slow", (1,)), asked=asked)
        await run(one, inbox)
        return one.actor.seen, inbox.answers[0]

    assert isinstance(asyncio.run(main(asked=True))[1], ValueError)
    assert "on_error later" in asyncio.run(main(asked=False))[0]


@pytest.mark.parametrize("name", ["log_in", "log_in_slowly"])
def test_what_a_message_sets_in_a_context_variable_no_other_sees(name: str):
    one, inbox = part(AsyncPlayer), FakeInbox((name, ("ada",)), (name, ("bob",)))

    async def main() -> None:
        _USER.set("the actor")
        await run(one, inbox)

    asyncio.run(main())

    assert [seen for seen in one.actor.seen if isinstance(seen, tuple)] == [("the actor", "ada"), ("the actor", "bob")]
    assert [seen for seen in one.actor.seen if isinstance(seen, str)] == ["ada", "bob"] * (name == "log_in_slowly")


def test_what_a_timer_sets_in_a_context_variable_no_other_sees():
    one, inbox = part(), FakeInbox()
    one.context.after(1.0, one.actor.log_in, "ada")
    one.context.after(2.0, one.actor.log_in, "bob")
    contextvars.Context().run(drive, run(one, inbox))

    assert one.actor.seen == [("nobody", "ada"), ("nobody", "bob")]
    assert inbox.timers == [False, False]


def test_what_is_cancelled_inside_a_message_is_its_failure():
    one, inbox = part(AsyncPlayer), FakeInbox(("cancelled", ()), ("add", (1,)))
    asyncio.run(run(one, inbox))

    assert isinstance(inbox.answers[0], CancelledError)
    assert str(inbox.answers[0]) == "cancelled was cancelled in its actor"
    assert inbox.answers[1] == 2


def test_so_it_is_where_no_event_loop_runs():
    _, answers, _ = play(("runs_a_loop_of_its_own", ()), ("add", (1,)))

    assert isinstance(answers[0], CancelledError)
    assert answers[1] == 2


def test_what_is_cancelled_inside_a_timer_is_its_failure():
    one, inbox = part(AsyncPlayer), FakeInbox()
    one.context.after(1.0, one.actor.cancelled)
    asyncio.run(run(one, inbox))

    assert one.actor.seen == ["on_error cancelled was cancelled in its actor"]
    assert inbox.timers == [True]


def test_a_loop_that_is_cancelled_while_a_message_waits_ends():
    one, inbox = part(AsyncPlayer), FakeInbox(("slow", (1,)))

    async def main() -> None:
        task = asyncio.create_task(run(one, inbox))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert inbox.answers == {}


def test_an_actor_that_stops_itself_first_finishes_what_its_inbox_lets_it():
    one, inbox = part(), FakeInbox(("leave", ()), ("add", (1,)), ("add", (2,)))
    inbox.drains = True

    assert drive(run(one, inbox)) == "done"
    assert one.actor.seen == [1, 2]


class LateInbox(FakeInbox):
    """Has what an answer needs after so many waits; `has_it` False: never."""

    def __init__(self, *messages: tuple[str, Any], waits: int, has_it: bool = True) -> None:
        super().__init__(*messages)
        self.left = waits
        self.has_it = has_it
        self.error = TimeoutError("late")

    async def wait_for_it(self) -> bool:
        self.left -= 1
        return self.has_it

    def done(self, token: int, name: str, value: object) -> None:
        if self.left and name != "leave":
            raise NotYet(self.wait_for_it, self.error)
        super().done(token, name, value)

    def fail(self, token: int, error: Exception) -> bool:
        if self.left and error is not self.error:
            raise NotYet(self.wait_for_it, self.error)
        return super().fail(token, error)


@pytest.mark.parametrize("waits", [1, 3])
def test_an_answer_that_cannot_be_made_yet_is_made_when_it_can_and_the_message_is_not_run_again(waits: int) -> None:
    inbox = LateInbox(("add", [1]), ("add", [2]), waits=waits)
    player = part()

    drive(run(player, inbox))

    assert inbox.answers == {0: 2, 1: 3}
    assert player.actor.seen == [1, 2]


def test_an_error_that_cannot_be_answered_yet_is_answered_when_it_can() -> None:
    inbox = LateInbox(("boom", []), ("add", [2]), waits=2)
    player = part()

    drive(run(player, inbox))

    assert str(inbox.answers[0]) == "boom"
    assert inbox.answers[1] == 3
    assert player.actor.seen == ["boom", 2]


def test_an_answer_that_cannot_be_made_in_time_fails_its_message_and_the_next_is_handled() -> None:
    inbox = LateInbox(("add", [1]), waits=1, has_it=False)

    drive(run(part(), inbox))

    assert inbox.answers == {0: inbox.error}
