"""The Python API, end to end over real processes: references, asks, deadlines, names."""

import contextlib
import os
import signal
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorStopped,
    AskCycle,
    BadActor,
    DeadlineExceeded,
    HandlerFailed,
    NoContext,
    NoSuchMessage,
    NotAMessage,
    NotFound,
    child,
    deadline,
    is_ref,
    message,
    name_of,
)
from runtime import Supervisor, connect
from runtime.testing import wait_until
from tests.runtime.cast import AsyncCounter, Counter, Echo, Gate, Start, Stopped

pytestmark = pytest.mark.process


class Asker(Actor):
    """Asks another actor from inside a handler, and tells how long it may take."""

    def __init__(self, other: Any = None) -> None:
        self.other = other

    @message
    def ask_add(self, n: int) -> int:
        return int(self.other.add(n))

    @message
    def ask_async_add(self, n: int) -> int:
        return int(self.other.add.ask(n).result())

    @message
    def ask_hold(self, entered: str, until: str) -> float:
        """How long the nested ask was waited for."""
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            self.other.hold(entered, until)
        return time.monotonic() - start

    @message
    def ask_hold_without_a_deadline(self, entered: str, until: str) -> str:
        with deadline(None):
            return str(self.other.hold(entered, until))

    @message
    def set_other(self, other: Any) -> None:
        self.other = other

    @message
    def get_other(self) -> Any:
        return self.other

    @message
    def is_other(self, other: Any) -> bool:
        return bool(self.other == other)


class Ring(Actor):
    """Asks the next one, which asks the next one."""

    @message
    async def go_async(self, path: list[str]) -> str:
        if not path:
            return self.context.name
        return str(await self.context.ref_to(path[0], Ring).go_async(path[1:]))


class SyncRing(Actor):
    """As Ring, with `def` handlers only."""

    @message
    def go(self, path: list[str]) -> str:
        if not path:
            return self.context.name
        return str(self.context.ref_to(path[0], SyncRing).go(path[1:]))

    @message
    def itself(self) -> int:
        return int(self.context.ref.plain())

    @message
    def plain(self) -> int:
        return 1

    @message
    def calls_plainly(self) -> int:
        return self.plain()


def test_a_def_message_is_called_and_returns_its_value(start: Start) -> None:
    counter = start(child(Counter, 10))

    assert counter.add(1) == 11
    assert counter.add(n=2) == 13
    assert counter.add() == 14


def test_an_async_message_is_asked_by_a_sync_caller(start: Start) -> None:
    counter = start(child(AsyncCounter, 10))

    assert counter.add.ask(1).result(timeout=5) == 11
    assert counter.add.ask(n=2).result() == 13


def test_calling_an_async_message_gives_a_coroutine(start: Start) -> None:
    counter = start(child(AsyncCounter))
    coroutine = counter.add(1)

    assert hasattr(coroutine, "send")
    coroutine.close()
    assert counter.add.ask(1).result() == 1


@pytest.mark.parametrize("kind", [Counter, AsyncCounter])
def test_a_tell_returns_none_and_is_handled_before_a_later_ask(start: Start, kind: Any) -> None:
    counter = start(child(kind))

    for _ in range(100):
        assert counter.add.tell(1) is None

    assert counter.add.ask(0).result() == 100


def test_asks_under_way_are_answered_in_order(start: Start) -> None:
    counter = start(child(Counter))

    replies = [counter.add.ask(1) for _ in range(500)]

    assert [reply.result() for reply in replies] == list(range(1, 501))
    assert all(reply.done() for reply in replies)


def test_result_raises_timeout_error_and_may_be_called_again(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    reply = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))

    for _ in range(2):
        with pytest.raises(TimeoutError) as caught:
            reply.result(timeout=0.02)
        assert not isinstance(caught.value, DeadlineExceeded)
        assert not reply.done()
    (tmp_path / "go").touch()

    assert reply.result() == "held"
    assert reply.result(timeout=0) == "held"


def test_an_ask_ends_at_its_deadline_with_the_verdict_of_the_journal(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    with deadline(0.3):
        begun = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    assert wait_until((tmp_path / "in").exists)
    with deadline(0.05), pytest.raises(DeadlineExceeded) as queued:
        gate.note(1)
    with pytest.raises(DeadlineExceeded) as started:
        begun.result()
    (tmp_path / "go").touch()

    assert started.value.delivered == "started"
    assert queued.value.delivered in ("no", "unknown")
    assert isinstance(queued.value, TimeoutError)
    assert gate.notes() == []


def test_an_expired_ask_is_dropped_unexecuted_and_counted(start: Start, system: Supervisor, tmp_path: Path) -> None:
    gate = start(child(Gate), "gate")
    gate.hold.tell(str(tmp_path / "in"), str(tmp_path / "go"))
    assert wait_until((tmp_path / "in").exists)
    with deadline(0.02):
        expired = [gate.note.ask(n) for n in range(3)]
    for reply in expired:
        with pytest.raises(DeadlineExceeded):
            reply.result()

    (tmp_path / "go").touch()

    assert gate.notes() == []
    (status,) = [status for status in system.children() if status.path == "gate"]
    assert status.expired == 3


def test_a_tell_never_expires(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    gate.hold.tell(str(tmp_path / "in"), str(tmp_path / "go"))
    with deadline(0.001):
        gate.note.tell("late")
        with pytest.raises(DeadlineExceeded):
            gate.note("never")

    (tmp_path / "go").touch()

    assert gate.notes() == ["late"]


def test_a_nested_ask_inherits_the_deadline(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    asker = start(child(Asker, gate))

    begin = time.monotonic()
    with deadline(0.2), contextlib.suppress(DeadlineExceeded):  # both end at one moment: the answer may still come
        assert asker.ask_hold(str(tmp_path / "in"), str(tmp_path / "go")) < 2

    assert asker.get_other() == gate  # it waits no longer: its own ask ended too, and not after the default 5 s
    assert time.monotonic() - begin < 2
    (tmp_path / "go").touch()


def test_a_nested_deadline_can_only_come_earlier() -> None:
    from actors.deadline import ambient

    with Supervisor("nested"), deadline(1.0):
        outer = ambient.get()[0]
        with deadline(60.0):
            assert ambient.get()[0] == outer
        with deadline(None):
            assert ambient.get()[0] == outer
        with deadline(0.1):
            inner = ambient.get()[0]
            assert inner is not None
            assert outer is not None
            assert inner < outer


def test_deadline_none_lifts_the_default(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from runtime import endpoint

    gate = start(child(Gate))
    monkeypatch.setattr(endpoint, "DEFAULT_NS", 50_000_000)
    with deadline(None):
        unbounded = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    with pytest.raises(DeadlineExceeded):
        gate.note(1)
    (tmp_path / "go").touch()

    assert unbounded.result() == "held"


def test_deadline_none_does_not_lift_an_inherited_deadline(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    asker = start(child(Asker, gate))

    with deadline(0.1), pytest.raises((DeadlineExceeded, HandlerFailed)):  # both asks end at one moment
        asker.ask_hold_without_a_deadline(str(tmp_path / "in"), str(tmp_path / "go"))
    with deadline(0.05), pytest.raises(DeadlineExceeded):  # the gate is still busy
        gate.note(0)
    assert asker.get_other() == gate

    (tmp_path / "go").touch()


def test_cancel_stops_waiting_and_the_answer_is_dropped(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    reply = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))

    assert reply.cancel() is True
    assert reply.cancel() is False
    with pytest.raises(CancelledError):
        reply.result()
    (tmp_path / "go").touch()

    assert [gate.note(n) for n in range(3)] == [1, 2, 3]  # no late answer gets into a new ask


def test_late_answers_are_dropped(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate))
    for n in range(20):
        go = tmp_path / f"go{n}"
        with deadline(0.002), pytest.raises(DeadlineExceeded):
            gate.hold(str(tmp_path / "in"), str(go))
        go.touch()

        assert gate.note(n) == n + 1


def test_an_actor_asks_another_from_inside_a_handler(start: Start) -> None:
    counter = start(child(Counter, 10))
    asker = start(child(Asker, counter))
    async_counter = start(child(AsyncCounter, 20))
    async_asker = start(child(Asker, async_counter))

    assert asker.ask_add(1) == 11
    assert async_asker.ask_async_add(1) == 21


def test_asking_oneself_is_an_ask_cycle_at_once(start: Start) -> None:
    ring = start(child(SyncRing), "own")

    with pytest.raises(AskCycle) as caught:
        ring.itself()

    assert caught.value.path == ("own", "own")
    assert ring.calls_plainly() == 1


@pytest.mark.parametrize("length", [2, 3, 5])
def test_an_ask_cycle_of_any_length_is_refused_at_once(start: Start, length: int) -> None:
    names = [f"ring{n}" for n in range(length)]
    rings = [start(child(SyncRing), name) for name in names]
    begin = time.monotonic()

    with pytest.raises(AskCycle) as caught:
        rings[0].go([*names[1:], names[0]])

    assert caught.value.path == (*names, names[0])
    assert str(caught.value) == " → ".join([*names, names[0]])
    assert time.monotonic() - begin < 2
    assert rings[0].go(names[1:]) == names[-1]


def test_an_ask_cycle_between_async_actors_is_refused_at_once(start: Start) -> None:
    first, _ = start(child(Ring), "one"), start(child(Ring), "two")

    with pytest.raises(AskCycle):
        first.go_async.ask(["two", "one"]).result()

    assert first.go_async.ask(["two"]).result() == "two"


def test_a_reference_has_the_messages_of_its_class_and_nothing_else(start: Start) -> None:
    counter = start(child(Counter))

    assert not isinstance(counter, Counter)
    assert is_ref(counter)
    assert not is_ref(Counter())
    for name in ("value", "context", "on_start", "nothing", "__len__"):
        with pytest.raises(NotAMessage):
            getattr(counter, name)
    with pytest.raises(NotAMessage):
        counter.value = 3
    with pytest.raises(NotAMessage):
        del counter.add
    with pytest.raises(TypeError):
        name_of(Counter())


def test_references_by_name_are_equal_typed_or_not(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter), "counter")

    assert system.ref("counter", Counter) == counter == system["counter"]
    assert hash(system["counter"]) == hash(counter)
    assert system["counter"].add(1) == 1
    assert system.ref("counter", Counter).add(1) == 2
    assert counter != start(child(Counter), "other")
    assert name_of(counter) == "counter"
    assert counter != "counter"


def test_a_reference_of_an_attached_program_is_equal_and_works(
    start: Start, system: Supervisor, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = start(child(Counter), "counter")
    monkeypatch.setenv("UNDERSTUDY_DIR", os.path.dirname(system._endpoint._directory))

    with connect(system.name) as attached:
        assert attached["counter"] == counter
        assert attached["counter"].add(5) == 5
        assert attached.ref("counter", Counter).add.ask(1).result() == 6


def test_an_unknown_message_of_an_untyped_reference_is_refused_in_the_caller(start: Start, system: Supervisor) -> None:
    start(child(Counter), "counter")

    with pytest.raises(NoSuchMessage):
        _ = system["counter"].subtract
    with pytest.raises(AttributeError):
        _ = system["counter"].subtract


def test_a_message_that_only_the_callers_class_has_is_no_such_message(start: Start, system: Supervisor) -> None:
    start(child(Counter), "counter")
    wrong = system.ref("counter", Echo)

    with pytest.raises(NoSuchMessage, match="echo"):
        wrong.echo(1)
    wrong.echo.tell(1)

    assert system["counter"].add(1) == 1


def test_an_unknown_name_is_not_found_at_once(system: Supervisor) -> None:
    ref = system.ref("nobody", Counter)

    for call in (ref.add, ref.add.tell, ref.add.ask):
        with pytest.raises(NotFound):
            call(1)
    with pytest.raises(NotFound):
        _ = system["nobody"].add


def test_an_actor_that_is_stopped_for_good_is_actor_stopped_at_once(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter), "counter")
    assert counter.add(1) == 1

    system.stop("counter")

    for call in (counter.add, counter.add.tell, counter.add.ask):
        with pytest.raises(ActorStopped):
            call(1)
    system.restart("counter")
    assert counter.add(1) == 1


def test_a_stopped_actors_queue_is_dead_letters_and_its_askers_are_told(
    start: Start, system: Supervisor, tmp_path: Path
) -> None:
    gate = start(child(Gate).options(drain="discard"), "gate")
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    assert wait_until((tmp_path / "in").exists)
    queued = [gate.note.ask(n) for n in range(5)]

    (tmp_path / "go").touch()
    system.stop("gate")

    assert held.result() == "held"
    for reply in queued:
        try:
            assert reply.result() in range(1, 6)  # handled before the stop was seen
        except ActorStopped as stopped:
            assert stopped.delivered == "no"


def test_references_survive_restarts(start: Start) -> None:
    counter = start(child(Counter, 10))
    for _ in range(3):
        pid = counter.pid()

        os.kill(pid, signal.SIGKILL)

        assert counter.add(1) == 11
        assert counter.pid() != pid


def test_messages_wait_while_the_actor_restarts(start: Start) -> None:
    counter = start(child(Counter))
    pid = counter.pid()

    with Stopped(pid):
        replies = [counter.add.ask(1) for _ in range(20)]
        os.kill(pid, signal.SIGKILL)

    assert [reply.result() for reply in replies] == list(range(1, 21))


def test_references_travel_inside_messages_and_come_back_equal(start: Start) -> None:
    counter = start(child(Counter), "counter")
    asker = start(child(Asker))

    asker.set_other(counter)

    assert asker.get_other() == counter
    assert asker.get_other().add(1) == 1
    assert asker.is_other(counter)
    assert not asker.is_other(asker)
    assert asker.ask_add(1) == 2
    echo = start(child(Echo))
    nested = echo.echo({"refs": [counter, (asker,)]})
    assert nested == {"refs": [counter, (asker,)]}


def test_a_reference_in_the_constructors_arguments_works_in_on_start(start: Start) -> None:
    counter = start(child(Counter, 5))

    assert start(child(Asker, counter)).ask_add(1) == 6


def test_an_instance_made_by_hand_has_no_context() -> None:
    with pytest.raises(NoContext):
        _ = Counter(10).context
    assert Counter(10).add(1) == 11


def test_classes_that_cannot_be_actors_are_refused_when_they_are_defined() -> None:
    with pytest.raises(BadActor):

        class _Static(Actor):
            @staticmethod
            @message
            def m() -> None: ...

    with pytest.raises(BadActor):

        class _Dunder(Actor):
            @message
            def __call__(self) -> None: ...

    with pytest.raises(BadActor):

        class _Reserved(Actor):
            @message
            def on_start(self) -> None: ...

    with pytest.raises(BadActor):

        class _ClassMethod(Actor):
            @classmethod
            @message
            def m(cls) -> None: ...

    with pytest.raises(BadActor):
        message(retry=-1)
    with pytest.raises(BadActor):
        message(unknown=1)  # type: ignore[call-overload]
    with pytest.raises(BadActor):
        child(int)
    with pytest.raises(BadActor):
        child(Counter, 1, 2)


def test_open_and_close_do_what_with_does(nothing_left: Path) -> None:
    supervisor = Supervisor("opened").open()
    counter = supervisor.start(child(Counter), name="counter")
    attached = connect("opened").open()

    assert counter.add(1) == 1
    assert attached["counter"].add(1) == 2

    attached.close()
    supervisor.close()
    supervisor.close()


def test_the_callers_reply_fifos_do_not_grow_with_what_it_asks(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter))
    counter.add(1)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(50):
        counter.add(1)
        with deadline(0.5):
            counter.add.ask(1).result()

    assert len(os.listdir("/proc/self/fd")) <= before + 1
