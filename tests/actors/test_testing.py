"""The Stage plays the contract of a running system, in one thread and under virtual time."""

import asyncio
import copy
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    ActorError,
    ActorStopped,
    AlreadyPresent,
    AlreadyStarted,
    AskCycle,
    BadSpec,
    BlockingCall,
    DeadlineExceeded,
    Down,
    HandlerFailed,
    Letter,
    Mailbox,
    MailboxFull,
    NoSuchMessage,
    NotAMessage,
    NotFound,
    StartCycle,
    StartFailed,
    Unencodable,
    child,
    deadline,
    dynamic,
    message,
    tree,
)
from actors.testing import Stage


class Counter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @message
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @message
    def fail(self) -> None:
        raise ValueError("no such tea")


class Journal(Actor):
    """Remembers what happened to others, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @message
    def note(self, line: str) -> None:
        self.lines.append(line)

    @message
    def read(self) -> list[str]:
        return self.lines


class Hooked(Actor):
    def __init__(self, journal: Journal, fails: str = "") -> None:
        self.journal = journal
        self.fails = fails
        self.note("init")

    def note(self, line: str) -> None:
        self.journal.note.tell(f"{line} #{self.context.incarnation}")
        if self.fails and line.startswith(self.fails):
            raise RuntimeError(line)

    def on_start(self) -> None:
        self.note("start")

    def on_stop(self, reason: str) -> None:
        self.note(f"stop {reason}")

    def on_error(self, failure: Exception) -> None:
        self.note(f"error {failure}")

    def on_down(self, down: Down) -> None:
        self.note(f"down {down.name} {down.reason} {down.certificate is not None}")

    @message
    def hello(self) -> str:
        return "hello"

    @message
    def boom(self) -> None:
        raise ValueError("boom")

    @message
    def watch(self, other: object) -> None:
        self.context.watch(other)

    @message
    def unwatch(self, other: object) -> None:
        self.context.unwatch(other)

    @message
    def leave(self) -> None:
        self.context.stop("done")

    @message
    def exit(self, code: int) -> None:
        raise SystemExit(code)


class Clock(Actor):
    def __init__(self) -> None:
        self.ticks = 0

    def on_start(self) -> None:
        self.timer = self.context.every(1.0, self.tick)

    @message
    def tick(self) -> None:
        self.ticks += 1

    @message
    def count(self) -> int:
        return self.ticks

    @message
    def halt(self) -> bool:
        return self.timer.cancel()

    @message
    def later(self, seconds: float) -> None:
        self.context.after(seconds, self.tick)


class Sleeper(Actor):
    def __init__(self) -> None:
        self.trace: list[str] = []

    @message
    async def sleep(self, seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        finally:
            self.trace.append("woke")
        return "slept"

    @message(concurrent=True)
    async def nap(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @message
    async def both(self, other: "Sleeper") -> list[str]:
        return await asyncio.gather(other.sleep(1.0), other.sleep(1.0))

    @message
    async def bound(self, other: "Sleeper", seconds: float) -> str:
        with deadline(seconds):
            return await other.sleep(10.0)

    @message
    async def in_thread(self) -> tuple[int, bool]:
        return await asyncio.to_thread(lambda: (threading.get_ident(), asyncio._get_running_loop() is None))

    @message
    async def block(self, counter: Counter) -> int:
        return counter.add(1)

    @message
    def plain(self) -> list[str]:
        return self.trace


class Front(Actor):
    """Asks whoever stands behind it."""

    @message
    def via(self, path: str, n: int) -> int:
        return self.context.ref_to(path, Counter).add(n)

    @message
    def own(self) -> int:
        return self.context.ref.own()

    @message
    def round(self, path: str) -> int:
        return self.context.ref_to(path, Front).via_me(self.context.name)

    @message
    def via_me(self, path: str) -> int:
        return self.context.ref_to(path, Front).round(self.context.name)

    @message
    def left(self) -> str:
        return self.context.ref_to("sleeper", Sleeper).sleep.ask(10.0).result()

    @message
    def hire(self, name: str) -> int:
        hired = self.context.supervisor.start(child(Counter, 5), name=name)
        return hired.add(0)


class Fragile(Actor):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @message(retry=1)
    def charge(self, n: int) -> str:
        self.journal.note.tell(f"charge {n} {self.context.redelivered}")
        return f"charged {n}"

    @message
    def plain(self) -> bool:
        return self.context.redelivered


@pytest.fixture
def stage():
    with Stage() as stage:
        yield stage


# ---- messages


def test_a_reference_is_called_like_the_actor_it_points_to(stage):
    counter = stage.start(child(Counter, 10), name="counter")

    counter.add.tell(1)

    assert counter.add(1) == 12
    assert counter.add.ask(n=1).result(timeout=1) == 13


def test_where_an_actor_runs_is_nothing_to_a_stage(stage):
    counter = stage.start(child(Counter, 10), name="counter", host="thread")

    assert counter.add(1) == 11


def test_a_tell_is_handled_at_the_next_run(stage):
    counter = stage.start(child(Counter), name="counter")
    counter.add.tell(1)

    assert stage.status(counter).queued == 1
    stage.run()
    assert stage.status(counter).handled == 1


def test_messages_of_one_sender_are_handled_in_their_order(stage):
    journal = stage.start(child(Journal), name="journal")
    for n in range(5):
        journal.note.tell(str(n))

    assert journal.read() == ["0", "1", "2", "3", "4"]


def test_an_ask_ends_before_the_messages_behind_it_are_handled(stage):
    counter = stage.start(child(Counter), name="counter")
    first, second = counter.add.ask(1), counter.add.ask(1)

    assert first.result() == 1
    assert not second.done()
    assert second.result() == 2


def test_arguments_and_answers_are_copied(stage):
    journal = stage.start(child(Journal), name="journal")
    journal.note("a")

    journal.read().append("b")

    assert journal.read() == ["a"]


def test_constructor_arguments_are_copied_for_every_incarnation(stage):
    class Bag(Actor):
        def __init__(self, items: list[int]) -> None:
            self.items = items

        @message
        def put(self, n: int) -> list[int]:
            self.items.append(n)
            return self.items

    items: list[int] = []
    bag = stage.start(child(Bag, items), name="bag")

    assert bag.put(1) == [1]
    stage.crash(bag)
    assert bag.put(2) == [2]
    assert items == []


def test_an_argument_that_cannot_be_sent_fails_in_the_caller(stage):
    counter = stage.start(child(Counter), name="counter")

    with pytest.raises(Unencodable, match=r"add\(\) argument 1"):
        counter.add(threading.Lock())


def test_an_answer_that_cannot_be_sent_fails_the_ask_and_the_actor_lives(stage):
    class Bad(Actor):
        @message
        def lock(self) -> Any:
            return threading.Lock()

        @message
        def fine(self) -> int:
            return 1

    bad = stage.start(child(Bad), name="bad")

    with pytest.raises(Unencodable, match=r"reply of lock\(\)"):
        bad.lock()
    assert bad.fine() == 1


def test_a_reference_has_the_messages_of_its_class_only(stage):
    counter = stage.start(child(Counter), name="counter")

    with pytest.raises(NotAMessage):
        counter.value  # noqa: B018
    with pytest.raises(NoSuchMessage):
        stage["counter"].subtract  # noqa: B018
    with pytest.raises(NoSuchMessage):
        stage.ref("counter", Clock).tick()


def test_references_of_one_name_are_equal_and_travel_in_messages(stage):
    counter = stage.start(child(Counter), name="counter")
    hooked = stage.start(child(Hooked, stage.start(child(Journal), name="journal")), name="hooked")
    hooked.watch(counter)

    assert counter == stage["counter"] == copy.deepcopy(counter)


def test_an_unknown_name_is_not_found_and_a_stopped_one_is_stopped(stage):
    counter = stage.start(child(Counter), name="counter")
    stage.stop(counter)

    with pytest.raises(NotFound):
        stage.ref("nobody", Counter).add(1)
    with pytest.raises(ActorStopped):
        counter.add.tell(1)


def test_a_cancelled_reply_is_not_waited_for_and_its_message_may_still_run(stage):
    counter = stage.start(child(Counter), name="counter")
    reply = counter.add.ask(1)

    assert reply.cancel()
    assert not reply.cancel()
    assert counter.add(0) == 1


# ---- failures


def test_a_handler_that_raises_answers_its_asker_and_the_actor_lives_on(stage):
    counter = stage.start(child(Counter, 1), name="counter")
    counter.add(1)

    with pytest.raises(ValueError, match="no such tea"):
        counter.fail()
    assert counter.add(1) == 3


def test_a_failed_tell_is_logged_and_given_to_on_error(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked")

    hooked.boom.tell()
    stage.run()

    assert "error boom #1" in journal.read()
    assert "message failed" in stage.log_lines(hooked)[0]
    assert stage.status(hooked).failed == 1


def test_with_on_raise_crash_the_asker_gets_the_exception_and_the_actor_restarts(stage):
    counter = stage.start(child(Counter, 1), name="counter", on_raise="crash")
    counter.add(1)

    with pytest.raises(ValueError, match="no such tea"):
        counter.fail()
    assert counter.add(1) == 2
    assert stage.deaths[0].cause == "exception"
    assert "no such tea" in stage.deaths[0].reason


def test_raising_in_on_error_is_a_crash(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal, "error"), name="hooked")

    hooked.boom.tell()

    assert hooked.hello() == "hello"
    assert stage.status(hooked).incarnation == 2


@pytest.mark.parametrize("code", [0, 3])
def test_system_exit_is_a_death_with_its_code(stage, code):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked")

    with pytest.raises(ActorDied) as info:
        hooked.exit(code)

    assert info.value.certificate.exit_code == code
    assert info.value.delivered == "started"
    assert len(stage.deaths) == (1 if code else 0)


# ---- hooks, starts, stops


def test_hooks_are_called_in_their_order_and_on_stop_with_the_reason(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked", restart="temporary")
    hooked.leave()
    stage.run()

    assert journal.read() == ["init #1", "start #1", "stop done #1"]
    assert stage.status(hooked).state == "stopped"


def test_an_ordered_stop_handles_what_is_queued(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked")
    reply = hooked.hello.ask()

    stage.stop(hooked)

    assert reply.result() == "hello"
    assert journal.read()[-1] == "stop shutdown #1"


def test_a_stop_that_discards_answers_what_was_queued_and_keeps_the_tells_as_dead_letters(stage):
    counter = stage.start(child(Counter), name="counter", drain="discard")
    reply = counter.add.ask(1)
    counter.add.tell(2)

    stage.stop("counter")

    with pytest.raises(ActorStopped):
        reply.result()
    assert [(letter.message, letter.args) for letter in stage.dead_letters] == [("add", (2,))]


def test_a_stop_that_takes_too_long_is_a_kill(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper", shutdown=2.0)
    reply = sleeper.sleep.ask(4.0)
    stage.run()

    stage.stop(sleeper)

    with pytest.raises(ActorDied):
        reply.result()
    assert stage.now == 2.0
    assert stage.deaths[0].phase == "stop"


def test_raising_in_on_stop_is_logged_and_the_stop_goes_on(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal, "stop"), name="hooked")

    stage.stop(hooked)

    assert "on_stop failed" in stage.log_lines(hooked)[0]
    assert not stage.deaths


@pytest.mark.parametrize("where", ["init", "start"])
def test_raising_in_init_or_on_start_is_a_failed_start(stage, where):
    journal = stage.start(child(Journal), name="journal")

    with pytest.raises(StartFailed, match=where) as info:
        stage.start(child(Hooked, journal, where), name="hooked")

    assert info.value.certificate.phase == "start"
    with pytest.raises(NotFound):
        stage.status("hooked")


def test_a_start_that_is_not_ready_in_time_fails(stage):
    class Slow(Actor):
        async def on_start(self) -> None:
            await asyncio.sleep(60)

    with pytest.raises(StartFailed):
        stage.start(child(Slow), name="slow", ready=10.0)
    assert stage.now == 10.0


def test_a_name_is_taken_until_the_stage_closes(stage):
    counter = stage.start(child(Counter), name="counter")

    with pytest.raises(AlreadyStarted):
        stage.start(child(Counter), name="counter")
    stage.stop(counter)
    with pytest.raises(AlreadyPresent):
        stage.start(child(Counter), name="counter")


def test_a_name_that_cannot_be_is_refused(stage):
    with pytest.raises(BadSpec):
        stage.start(child(Counter), name="not a name")


def test_a_restart_keeps_the_queue_and_not_the_state(stage):
    counter = stage.start(child(Counter, 10), name="counter")
    counter.add(1)
    reply = counter.add.ask(1)

    stage.restart(counter)

    assert reply.result() == 11
    assert stage.status(counter).incarnation == 2


def test_a_stopped_actor_can_be_restarted(stage):
    counter = stage.start(child(Counter, 10), name="counter")
    stage.stop(counter)
    stage.restart(counter)

    assert counter.add(1) == 11


def test_leaving_the_stage_stops_all_in_reverse_order():
    with Stage() as stage:
        journal = stage.start(child(Journal), name="journal")
        for name in ("a", "b"):
            stage.start(child(Hooked, journal), name=name)
        lines = journal.read
        seen = lines()
    assert seen[-1] == "start #1"
    assert [status.state for status in stage.children()] == ["stopped"] * 3


def test_a_tree_is_started_in_order_below_its_name(stage):
    branch = stage.start(tree(children={"a": child(Counter, 1), "b": child(Counter, 2)}), name="pair")
    pool = stage.start(dynamic(child(Counter)), name="pool")

    assert [status.path for status in branch.children()] == ["pair.a", "pair.b"]
    assert branch.ref("b", Counter).add(0) == stage["pair.b"].add(0) == 2
    assert pool.children() == []


def test_an_actor_starts_others_under_its_own_supervisor(stage):
    front = stage.start(child(Front), name="desk.front")

    assert front.hire("helper") == 5
    assert stage.at("desk").ref("helper", Counter).add(1) == 6


def test_an_actor_that_is_starting_may_not_ask_its_own_supervisor(stage):
    class Eager(Actor):
        def on_start(self) -> None:
            self.context.supervisor.start(child(Counter), name="other")

    with pytest.raises(StartFailed, match="being started by the supervisor") as info:
        stage.start(child(Eager), name="eager")
    assert StartCycle.__name__ in info.value.certificate.traceback


# ---- crashes


def test_the_next_incarnation_has_the_constructor_arguments_and_the_queue(stage):
    counter = stage.start(child(Counter, 10), name="counter")
    counter.add(5)
    stage.crash("counter")

    counter.add.tell(1)

    assert counter.add(1) == 12
    assert stage.status(counter).incarnation == 2


def test_the_asker_of_the_message_in_hand_is_told_that_it_was_started(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")
    in_hand, queued = sleeper.sleep.ask(1.0), sleeper.plain.ask()
    stage.run()

    stage.crash(sleeper)

    with pytest.raises(ActorDied) as info:
        in_hand.result()
    assert info.value.delivered == "started"
    assert info.value.certificate.signal == "SIGKILL"
    assert info.value.certificate.in_hand.name == "sleep"
    assert queued.result() == []


def test_no_finally_block_of_a_killed_actor_does_anything():
    class Tidy(Actor):
        def __init__(self, journal: Journal) -> None:
            self.journal = journal

        @message
        async def work(self) -> None:
            try:
                await asyncio.sleep(10)
            finally:
                self.journal.note.tell("tidied")

    with Stage() as stage:
        journal = stage.start(child(Journal), name="journal")
        tidy = stage.start(child(Tidy, journal), name="tidy")
        tidy.work.tell()
        stage.run()
        stage.crash(tidy)
        stage.advance(20)

        assert journal.read() == []


def test_a_crash_before_a_message_leaves_it_unhandled(stage):
    counter = stage.start(child(Counter), name="counter")
    stage.crash(counter, before="add")

    with pytest.raises(ActorDied) as info:
        counter.add(1)

    assert info.value.delivered == "started"
    assert counter.add(1) == 1


def test_a_crash_after_a_message_loses_its_answer(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Fragile, journal), name="fragile")
    stage.crash(hooked, after="charge")

    assert hooked.charge(1) == "charged 1"
    assert journal.read() == ["charge 1 False", "charge 1 True"]
    assert hooked.plain() is False


def test_a_message_is_run_again_as_often_as_its_retry_says_then_it_is_given_up(stage):
    class Mine(Actor):
        @message(retry=1)
        def step(self) -> None:
            raise SystemExit(1)

        @message
        def ok(self) -> bool:
            return True

    mine = stage.start(child(Mine), name="mine")
    mine.step.tell()

    assert mine.ok()
    assert stage.status(mine).incarnation == 3
    assert [letter.message for letter in stage.dead_letters] == ["step"]
    stage.advance(60.0)
    with pytest.raises(ActorDied) as info:
        mine.step()
    assert info.value.certificate.in_hand.attempt == 2


def test_an_actor_may_kill_the_one_that_waits_for_it(stage):
    class Assassin(Actor):
        @message
        def kill(self, victim: str) -> str:
            stage.crash(victim)
            return "done"

    class Victim(Actor):
        @message
        def ask(self, assassin: Assassin) -> str:
            return assassin.kill(self.context.name)

    assassin = stage.start(child(Assassin), name="assassin")
    victim = stage.start(child(Victim), name="victim")

    with pytest.raises(ActorDied):
        victim.ask(assassin)
    stage.run()
    assert stage.status(victim).incarnation == 2
    assert stage.status(assassin).handled == 1


@pytest.mark.parametrize(
    ("restart", "is_clean", "state"),
    [
        ("permanent", True, "running"),
        ("permanent", False, "running"),
        ("transient", True, "stopped"),
        ("transient", False, "running"),
        ("temporary", True, "stopped"),
        ("temporary", False, "stopped"),
    ],
)
def test_the_restart_type_decides_what_an_end_means(stage, restart, is_clean, state):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked", restart=restart)

    if is_clean:
        hooked.leave()
    else:
        stage.crash(hooked)
    stage.run()

    assert stage.status(hooked).state == state


def test_an_actor_that_dies_too_often_stops_for_good():
    with Stage(max_restarts=1, max_seconds=5.0) as stage:
        counter = stage.start(child(Counter), name="counter")
        for _ in range(2):
            stage.crash(counter)
            stage.run()
            stage.advance(6.0)
        assert counter.add(1) == 1
        for _ in range(2):
            stage.crash(counter)
            stage.run()

        with pytest.raises(ActorStopped):
            counter.add(1)


def test_a_failed_restart_counts_as_a_death(stage):
    class Once(Actor):
        def on_start(self) -> None:
            if self.context.incarnation > 1:
                raise RuntimeError("no second time")

        @message
        def hello(self) -> str:
            return "hello"

    once = stage.start(child(Once), name="once")
    stage.crash(once)

    with pytest.raises(ActorStopped):
        once.hello()
    assert len(stage.deaths) == 4


def test_a_certificate_holds_the_last_lines_of_the_log(stage):
    class Chatty(Actor):
        @message
        def say(self, line: str) -> None:
            self.context.log.info(line, loud=True)

    chatty = stage.start(child(Chatty), name="chatty")
    chatty.say("good evening")
    stage.crash(chatty)

    (line,) = stage.deaths[0].log_lines
    assert "good evening" in line
    assert "loud=True" in line
    assert stage.deaths[0].actor == "chatty"


# ---- watching


def test_a_watcher_is_told_of_every_death_and_of_the_stop(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked")
    counter = stage.start(child(Counter), name="counter")
    hooked.watch(counter)

    stage.crash(counter)
    stage.run()
    stage.stop(counter)
    stage.run()

    assert journal.read()[2:] == ["down counter SIGKILL True #1", "down counter stopped False #1"]


class Undertaker(Actor):
    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def on_start(self) -> None:
        self.context.watch_letters()

    def on_letter(self, letter: Letter) -> None:
        self.letters.append(letter)

    @message
    def seen(self) -> list[Letter]:
        return self.letters

    @message
    def unwatch(self) -> None:
        self.context.unwatch_letters()

    @message
    def dig(self) -> None:
        """Nothing."""


def test_who_watches_letters_is_told_of_each_but_its_own(stage):
    undertaker = stage.start(child(Undertaker), name="undertaker")
    witness = stage.start(child(Undertaker), name="witness")
    counter = stage.start(child(Counter), name="counter")
    stage.crash(counter, before="add")
    stage.crash(undertaker, before="dig")

    counter.add.tell(1)
    stage.run()
    assert [letter.actor for letter in undertaker.seen()] == ["counter"]
    undertaker.dig.tell()
    stage.run()

    assert [(letter.actor, letter.message, letter.attempt) for letter in witness.seen()] == [
        ("counter", "add", 1),
        ("undertaker", "dig", 1),
    ]
    assert undertaker.seen() == []
    assert witness.seen()[0].why == "its actor died of it (attempt 1): SIGKILL"
    assert [letter.message for letter in stage.dead_letters] == ["add", "dig"]


def test_a_watch_of_letters_ends_when_it_is_undone_or_its_incarnation_ends(stage):
    undertaker = stage.start(child(Undertaker), name="undertaker")
    counter = stage.start(child(Counter), name="counter")
    stage.crash(undertaker)  # the next one watches anew
    stage.crash(counter, before="add")
    counter.add.tell(1)
    stage.run()

    assert len(undertaker.seen()) == 1
    undertaker.unwatch()
    stage.crash(counter, before="add")
    counter.add.tell(1)
    stage.run()
    assert len(undertaker.seen()) == 1


def test_watching_who_is_not_there_tells_at_once(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked")

    hooked.watch(stage["nobody"])
    stage.run()

    assert journal.read()[-1] == "down nobody not there False #1"


def test_a_watch_ends_with_unwatch_and_with_the_watchers_incarnation(stage):
    journal = stage.start(child(Journal), name="journal")
    hooked = stage.start(child(Hooked, journal), name="hooked")
    counter = stage.start(child(Counter), name="counter")

    hooked.watch(counter)
    hooked.unwatch(counter)
    stage.crash(counter)
    hooked.watch(counter)
    stage.crash(hooked)
    stage.run()
    stage.crash(counter)
    stage.run()

    assert not any(line.startswith("down") for line in journal.read())


# ---- time


def test_timers_fire_as_virtual_time_passes(stage):
    clock = stage.start(child(Clock), name="clock")

    stage.advance(3.5)

    assert clock.count() == 3
    assert stage.now == 3.5


def test_a_cancelled_timer_fires_no_more_and_after_fires_once(stage):
    clock = stage.start(child(Clock), name="clock")
    clock.halt()
    clock.later(2.0)

    stage.advance(10.0)

    assert clock.count() == 1


def test_timers_die_with_their_incarnation(stage):
    clock = stage.start(child(Clock), name="clock")
    clock.later(5.0)
    stage.crash(clock)
    stage.run()
    clock.halt()

    stage.advance(10.0)

    assert clock.count() == 0


def test_an_ask_lets_time_pass_only_as_far_as_its_answer_needs(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")
    clock = stage.start(child(Clock), name="clock")

    assert sleeper.sleep.ask(2.5).result() == "slept"
    assert stage.now == 2.5
    assert clock.count() == 2


def test_an_ask_ends_at_its_deadline_which_is_five_seconds_by_default(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")

    with pytest.raises(DeadlineExceeded) as info:
        sleeper.sleep.ask(60.0).result()

    assert info.value.delivered == "started"
    assert stage.now == 5.0


def test_a_message_whose_deadline_has_passed_is_dropped_unexecuted_and_counted(stage):
    counter = stage.start(child(Counter), name="counter")
    stage.suspend(counter)

    with deadline(0.5), pytest.raises(DeadlineExceeded) as info:
        counter.add(1)
    stage.resume(counter)

    assert info.value.delivered == "no"
    assert stage.now == 0.5
    assert counter.add(0) == 0
    assert stage.status(counter).expired == 1


def test_a_deadline_travels_with_the_ask(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")
    front = stage.start(child(Front), name="front")

    with deadline(1.5), pytest.raises(DeadlineExceeded):
        front.left()
    assert stage.now == 1.5
    with deadline(None):
        assert sleeper.sleep.ask(60.0).result() == "slept"


def test_a_timeout_of_result_leaves_the_ask_alive(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")
    reply = sleeper.sleep.ask(3.0)

    with pytest.raises(TimeoutError):
        reply.result(timeout=1.0)
    assert reply.result() == "slept"


def test_a_wait_that_nothing_can_end_is_an_error(stage):
    counter = stage.start(child(Counter), name="counter")
    stage.suspend(counter)

    with deadline(None), pytest.raises(ActorError, match="would never end"):
        counter.add(1)


def test_time_does_not_go_back(stage):
    with pytest.raises(ValueError, match="from 0 on"):
        stage.advance(-1)


def test_actors_that_never_come_to_rest_are_found_out(stage):
    class Restless(Actor):
        @message
        def go(self) -> None:
            self.context.ref.go.tell()

    stage.start(child(Restless), name="restless").go.tell()

    with pytest.raises(ActorError, match="still busy"):
        stage.run()


# ---- room


def test_a_full_mailbox_is_waited_for_or_refused():
    with Stage(room=1) as stage:
        waiting = stage.start(child(Counter), name="waiting")
        refusing = stage.start(child(Counter), name="refusing", mailbox=Mailbox(when_full="refuse"))
        for counter in (waiting, refusing):
            counter.add.tell(1)

        waiting.add.tell(1)
        with pytest.raises(MailboxFull) as info:
            refusing.add.tell(1)

        assert info.value.delivered == "no"
        assert waiting.add(0) == 2


def test_a_tell_waits_for_room_until_its_deadline():
    with Stage(room=1) as stage:
        counter = stage.start(child(Counter), name="counter")
        counter.add.tell(1)
        stage.suspend(counter)

        with deadline(2.0), pytest.raises(MailboxFull):
            counter.add.tell(1)
        assert stage.now == 2.0


def test_in_an_event_loop_a_tell_raises_at_once_and_send_waits():
    class Sender(Actor):
        @message
        async def flood(self, counter: Counter) -> str:
            await counter.add.send(1)
            await counter.add.send(1)
            try:
                counter.add.tell(1)
            except MailboxFull as full:
                return str(full)
            return "no"

    with Stage(room=1) as stage:
        counter = stage.start(child(Counter), name="counter")
        sender = stage.start(child(Sender), name="sender")

        assert "send(…)" in sender.flood.ask(counter).result()
        assert counter.add(0) == 2


# ---- nesting


def test_a_handler_that_asks_runs_the_other_actors_loop(stage):
    front = stage.start(child(Front), name="front")
    stage.start(child(Counter, 10), name="counter")

    assert front.via("counter", 1) == 11


def test_an_ask_that_fails_in_a_handler_is_that_handlers_failure(stage):
    front = stage.start(child(Front), name="front")
    stage.start(child(Counter), name="counter")
    stage.stop("counter")

    with pytest.raises(HandlerFailed) as caught:
        front.via("counter", 1)

    assert (caught.value.actor, caught.value.delivered) == ("front", "started")
    assert isinstance(caught.value.__cause__, ActorStopped)
    assert (caught.value.__cause__.actor, caught.value.__cause__.delivered) == ("counter", "no")


def test_asking_oneself_and_asking_in_a_circle_are_refused_at_once(stage):
    front = stage.start(child(Front), name="front")
    stage.start(child(Front), name="back")

    with pytest.raises(AskCycle, match="front → front"):
        front.own()
    with pytest.raises(AskCycle, match="front → back → front"):
        front.round("back")
    assert stage.now == 0


def test_an_ask_of_an_actor_to_itself_that_is_kept_is_no_cycle_until_it_is_waited_for(stage):
    class Later(Actor):
        @message
        def keep(self) -> str:
            self.kept = self.context.ref.double.ask(2)
            return "kept"

        @message
        def double(self, n: int) -> int:
            return 2 * n

        @message
        def wait(self) -> int:
            return self.context.ref.double.ask(2).result()

        @message
        def result(self) -> int:
            return self.kept.result()

    later = stage.start(child(Later), name="later")

    assert later.keep() == "kept"
    assert later.result() == 4
    with pytest.raises(AskCycle, match="later → later"):
        later.wait()


def test_concurrent_messages_that_come_back_to_their_actor_are_no_cycle(stage):
    class Round(Actor):
        @message(concurrent=True)
        async def outer(self, other: str) -> str:
            return await self.context.ref_to(other, Round).back(self.context.name)

        @message(concurrent=True)
        async def back(self, first: str) -> str:
            return await self.context.ref_to(first, Round).inner()

        @message
        async def inner(self) -> str:
            return "inner"

        @message
        async def serial(self, other: str) -> str:
            return await self.context.ref_to(other, Round).back.ask(self.context.name)

    one, _ = stage.start(child(Round), name="one"), stage.start(child(Round), name="two")

    assert one.outer.ask("two").result() == "inner"
    assert one.outer.ask("one").result() == "inner"
    with pytest.raises(AskCycle, match="one → two → one"):
        one.serial.ask("two").result()


def test_a_knot_that_only_one_thread_has_is_an_error_and_not_a_deadline(stage):
    class Knot(Actor):
        @message
        def first(self) -> int:
            self.context.ref_to("third", Knot).second.tell()
            return self.context.ref_to("sleeper", Sleeper).sleep.ask(1.0).result()

        @message
        def second(self) -> int:
            return self.context.ref_to("front", Knot).last()

        @message
        def last(self) -> int:
            return 1

    stage.start(child(Sleeper), name="sleeper")
    front = stage.start(child(Knot), name="front")
    stage.start(child(Knot), name="third")

    assert front.first() == "slept"
    stage.run()
    assert any("further down the stack" in line for line in stage.log_lines("third"))


# ---- async actors


def test_async_messages_are_awaited_by_async_actors(stage):
    one, two = stage.start(child(Sleeper), name="one"), stage.start(child(Sleeper), name="two")

    assert one.both.ask(two).result() == ["slept", "slept"]
    assert stage.now == 2.0


def test_concurrent_messages_run_side_by_side(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")
    replies = [sleeper.nap.ask(2.0) for _ in range(3)]

    assert [reply.result() for reply in replies] == [2.0, 2.0, 2.0]
    assert stage.now == 2.0


def test_a_deadline_of_an_async_actor_bounds_its_awaits(stage):
    one, two = stage.start(child(Sleeper), name="one"), stage.start(child(Sleeper), name="two")

    with pytest.raises(HandlerFailed) as caught:
        one.bound.ask(two, 1.0).result()
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    assert stage.now == 1.0


def test_what_would_run_in_a_thread_runs_in_place(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")

    assert sleeper.in_thread.ask().result() == (threading.get_ident(), True)


def test_a_blocking_call_in_an_async_actor_is_refused(stage):
    sleeper = stage.start(child(Sleeper), name="sleeper")
    counter = stage.start(child(Counter), name="counter")

    with pytest.raises(BlockingCall):
        sleeper.block.ask(counter).result()


def test_an_event_loop_of_the_test_may_await_the_stage():
    async def play() -> list[Any]:
        with Stage() as stage:
            sleeper = stage.start(child(Sleeper), name="sleeper")
            counter = stage.start(child(Counter), name="counter")
            with pytest.raises(BlockingCall):
                counter.add(1)
            await counter.add.send(1)
            return [await sleeper.sleep(2.0), await counter.add.ask(1), stage.now]

    assert asyncio.run(play()) == ["slept", 2, 2.0]


def test_async_hooks_are_awaited(stage):
    class Polite(Actor):
        def __init__(self, journal: Journal) -> None:
            self.journal = journal

        async def on_start(self) -> None:
            await asyncio.sleep(1)
            self.journal.note.tell("started")

        async def on_stop(self, reason: str) -> None:
            await asyncio.sleep(1)
            self.journal.note.tell(reason)

        async def on_down(self, down: Down) -> None:
            await asyncio.sleep(1)
            self.journal.note.tell(down.reason)

        @message
        def watch(self, other: object) -> None:
            self.context.watch(other)

    journal = stage.start(child(Journal), name="journal")
    polite = stage.start(child(Polite, journal), name="polite")
    polite.watch.tell(stage["nobody"])
    stage.run()
    stage.advance(1)
    stage.stop(polite)

    assert journal.read() == ["started", "not there", "shutdown"]


def test_tasks_an_actor_leaves_behind_are_cancelled_when_it_ends(stage):
    class Leaver(Actor):
        def __init__(self, journal: Journal) -> None:
            self.journal = journal

        async def on_start(self) -> None:
            self.task = asyncio.create_task(self.work())

        async def work(self) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                self.journal.note.tell("cancelled")

    journal = stage.start(child(Journal), name="journal")
    stage.start(child(Leaver, journal), name="leaver")
    stage.stop("leaver")

    assert journal.read() == ["cancelled"]


def test_urgent_messages_go_ahead_of_ordinary_ones(stage):
    class Line(Actor):
        def __init__(self) -> None:
            self.seen: list[str] = []

        @message
        def one(self) -> None:
            self.seen.append("one")

        @message(urgent=True)
        def first(self) -> list[str]:
            self.seen.append("first")
            return self.seen

    line = stage.start(child(Line), name="line")
    line.one.tell()

    assert line.first() == ["first"]


def test_the_examples_of_the_guide_are_true():
    page = Path(__file__).parents[2] / "docs" / "how-to" / "test-actors.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(code, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]

    assert len(tests) == 2
    for test in tests:
        test()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_a_message_that_there_is_not_is_refused_and_not_waited_for(stage, moment):
    counter = stage.start(child(Counter), name="counter")

    with pytest.raises(NoSuchMessage, match="counter: the actor has no message 'ad'"):
        stage.crash(counter, **{moment: "ad"})


def test_the_class_itself_cannot_be_started(stage):
    with pytest.raises(BadSpec, match=r"counter: expected child\(…\).*, as in child\(Counter\)"):
        stage.start(Counter, name="counter")


def test_what_is_below_a_supervisor_can_be_asked_for_by_in_and_for() -> None:
    with Stage() as stage:
        stage.start(child(Counter), name="a")
        stage.start(child(Counter), name="t.x")

        assert list(stage) == ["a", "t"]
        assert list(stage.at("t")) == ["x"]
        assert "a" in stage
        assert "t" in stage
        assert "t.x" in stage
        assert "x" in stage.at("t")
        assert "" not in stage
        assert "b" not in stage
        assert 5 not in stage


class Kept(Actor):
    """Its state is committed."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def snapshot(self) -> list[int]:
        return self.values

    async def restore(self, state: list[int]) -> None:
        self.values = state

    @message(retry=5)
    def add(self, n: int) -> list[int]:
        self.values.append(n)
        return self.values

    @message
    def add_and_raise(self, n: int) -> None:
        self.values.append(n)
        raise ValueError("added all the same")

    @message
    def add_later(self, n: int) -> None:
        self.context.after(1.0, self.add, n)

    @message(snapshot=False)
    def scribble(self, n: int) -> list[int]:
        self.values.append(n)
        return self.values


def test_the_next_incarnation_goes_on_from_the_last_commit() -> None:
    with Stage() as stage:
        kept = stage.start(child(Kept), name="kept")
        kept.add(1)
        with pytest.raises(ValueError, match="all the same"):
            kept.add_and_raise(2)
        kept.add_later(3)
        stage.advance(1.0)
        assert kept.scribble(99) == [1, 2, 3, 99]

        stage.crash(kept)
        assert kept.scribble(99) == [1, 2, 3, 99]
        stage.restart(kept)
        assert kept.add(4) == [1, 2, 3, 4]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_message_that_was_not_committed_is_run_again_on_the_state_before_it(when: str) -> None:
    with Stage() as stage:
        kept = stage.start(child(Kept), name="kept")
        kept.add(1)
        stage.crash(kept, **{when: "add"})

        assert kept.add(2) == [1, 2]


def test_a_stop_for_good_ends_a_committed_state() -> None:
    with Stage() as stage:
        kept = stage.start(child(Kept), name="kept")
        kept.add(1)
        stage.stop(kept)
        stage.restart(kept)

        assert kept.add(2) == [2]
