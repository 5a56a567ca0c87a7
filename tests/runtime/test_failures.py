"""What fails, and who is told: handlers, hooks, constructors, deaths; over real processes."""

import asyncio
import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    BadSpec,
    RemoteError,
    StartFailed,
    Unencodable,
    child,
    message,
)
from runtime import Supervisor
from runtime.testing import processes_of, wait_until
from tests.runtime.cast import Counter, Start

pytestmark = pytest.mark.process


class Failing(Actor):
    """Fails in every way there is."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def on_error(self, failure: Exception) -> None:
        self.failures.append(f"{type(failure).__name__}: {failure}")

    @message
    def fail(self, what: str = "no such tea") -> None:
        raise ValueError(what)

    @message
    def fail_deeply(self) -> None:
        try:
            self.fail("the cause")
        except ValueError as exc:
            raise KeyError("the key") from exc

    @message
    def fail_oddly(self) -> None:
        raise Odd(1, 2)

    @message
    def fail_noted(self) -> None:
        error = ValueError("with notes")
        error.add_note("the note")
        raise error

    @message
    def seen(self) -> list[str]:
        return self.failures

    @message
    def end(self, how: str) -> None:
        match how:
            case "exit":
                raise SystemExit(3)
            case "exit 0":
                sys.exit(0)
            case "interrupt":
                raise KeyboardInterrupt
            case "os._exit":
                os._exit(7)
            case "os._exit 0":
                os._exit(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "term":
                os.kill(os.getpid(), signal.SIGTERM)
            case "segv":
                ctypes.string_at(0)
            case "abort":
                os.abort()

    @message
    def pid(self) -> int:
        return os.getpid()


class Odd(Exception):
    """Pickles fine; un-pickling raises TypeError."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = faulthandler  # a module: cannot be pickled by name as an attribute would


class AsyncFailing(Failing):
    """The same with async handlers and hooks."""

    async def on_error(self, failure: Exception) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().on_error(failure)

    @message
    async def fail(self, what: str = "no such tea") -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        raise ValueError(what)

    @message
    async def end(self, how: str) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().end(how)


class Crashing(Failing, on_raise="crash"):
    """A handler that raises ends it."""


class ConcurrentCrashing(Actor, on_raise="crash"):
    """The same for messages that run side by side."""

    @message(concurrent=True)
    async def fail(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("side by side")

    @message
    async def incarnation(self) -> int:
        return self.context.incarnation


class BadErrorHook(Actor):
    """Raises in on_error."""

    def on_error(self, failure: Exception) -> None:
        raise RuntimeError("in on_error")

    @message
    def fail(self) -> None:
        raise ValueError

    @message
    def incarnation(self) -> int:
        return self.context.incarnation


class BadStart(Actor):
    """Does not start."""

    def __init__(self, where: str) -> None:
        self.where = where
        if where == "init":
            raise LookupError("no such shelf")
        if where == "hang in init":
            signal.pause()
        if where == "exit":
            raise SystemExit(4)
        if where == "os._exit":
            os._exit(5)
        if where == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    def on_start(self) -> None:
        if self.where == "on_start":
            raise LookupError("no such shelf")
        if self.where == "hang in on_start":
            signal.pause()


class AsyncBadStart(Actor):
    """Does not start, in a loop."""

    def __init__(self, where: str) -> None:
        self.where = where

    async def on_start(self) -> None:
        if self.where == "hang in on_start":
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        raise LookupError("no such shelf")


class Forking(Actor):
    """Forks in a handler."""

    @message
    def fork(self) -> int:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return os.getpid()

    @message
    def pid(self) -> int:
        return os.getpid()


class StubbornStop(Actor):
    """Ignores being asked."""

    def on_stop(self, reason: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()


class SigpipeChanger(Actor):
    """Changes what SIGPIPE does; also closes nothing."""

    @message
    def use_default(self) -> str:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        return "default"

    @message
    def add(self, n: int) -> int:
        return n + 1


@pytest.mark.parametrize("kind", [Failing, AsyncFailing])
def test_a_handler_that_raises_answers_its_asker_and_the_actor_lives_on(start: Start, kind: Any) -> None:
    failing = start(child(kind))
    pid = failing.pid()

    with pytest.raises(ValueError, match="no such tea") as caught:
        failing.fail.ask().result()

    assert type(caught.value) is ValueError
    assert failing.pid() == pid
    assert failing.seen() == []  # on_error is for those that nobody waits for


def test_the_remote_traceback_is_visible_in_the_printed_one(start: Start) -> None:
    failing = start(child(Failing))

    with pytest.raises(KeyError) as caught:
        failing.fail_deeply()

    printed = "".join(traceback.format_exception(caught.value))
    assert "in fail_deeply" in printed
    assert 'raise KeyError("the key") from exc' in printed
    assert "the cause" in printed
    assert "test_failures.py" in printed


def test_notes_arrive_with_the_exception(start: Start) -> None:
    failing = start(child(Failing))

    with pytest.raises(ValueError, match="with notes") as caught:
        failing.fail_noted()

    assert caught.value.__notes__ == ["the note"]


def test_an_exception_with_an_odd_init_never_hangs_the_asker(start: Start) -> None:
    failing = start(child(Failing))

    with pytest.raises((Odd, RemoteError)) as caught:
        failing.fail_oddly()

    assert "1 and 2" in str(caught.value)
    assert "in fail_oddly" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", [Failing, AsyncFailing])
def test_the_failure_of_a_tell_is_given_to_on_error_and_counted(start: Start, system: Supervisor, kind: Any) -> None:
    failing = start(child(kind), "failing")

    failing.fail.tell("one bad message")

    assert failing.seen() == ["ValueError: one bad message"]
    (status,) = [status for status in system.children() if status.path == "failing"]
    assert status.failed == 1
    assert status.restarts == 0


def test_the_failure_of_a_tell_is_logged_with_its_traceback(start: Start) -> None:
    failing = start(child(Failing))
    failing.fail.tell("one bad message")
    failing.seen()

    with pytest.raises(ActorDied) as caught:
        failing.end("kill")

    assert any("one bad message" in line for line in caught.value.certificate.log_lines)


def test_on_raise_crash_answers_the_asker_and_restarts_the_actor(start: Start) -> None:
    crashing = start(child(Crashing))
    pid = crashing.pid()

    with pytest.raises(ValueError, match="no such tea"):
        crashing.fail()

    assert crashing.pid() != pid
    pid = crashing.pid()
    crashing.fail.tell()
    assert crashing.pid() != pid


def test_on_raise_may_be_a_child_option(start: Start) -> None:
    crashing = start(child(Failing).options(on_raise="crash"))
    surviving = start(child(Crashing), on_raise="survive")
    pids = crashing.pid(), surviving.pid()

    for failing in (crashing, surviving):
        with pytest.raises(ValueError, match="no such tea"):
            failing.fail()

    assert crashing.pid() != pids[0]
    assert surviving.pid() == pids[1]
    with pytest.raises(BadSpec):
        child(Failing).options(on_raise="perhaps")  # type: ignore[arg-type]


def test_a_concurrent_message_that_raises_crashes_too(start: Start) -> None:
    crashing = start(child(ConcurrentCrashing))

    with pytest.raises(ValueError, match="side by side"):
        crashing.fail.ask().result()

    assert crashing.incarnation.ask().result() == 2


def test_raising_in_on_error_is_a_crash(start: Start) -> None:
    failing = start(child(BadErrorHook))

    failing.fail.tell()

    assert failing.incarnation() == 2


@pytest.mark.parametrize("kind", [Failing, AsyncFailing])
@pytest.mark.parametrize(
    ("how", "code", "name"),
    [
        ("exit", 3, ""),
        ("exit 0", 0, ""),
        ("os._exit", 7, ""),
        ("os._exit 0", 0, ""),
        ("interrupt", 1, ""),
        ("kill", None, "SIGKILL"),
        ("term", None, "SIGTERM"),
        ("segv", None, "SIGSEGV"),
        ("abort", None, "SIGABRT"),
    ],
)
def test_every_end_in_a_handler_is_a_death(start: Start, kind: Any, how: str, code: int | None, name: str) -> None:
    failing = start(child(kind), "failing")
    pid = failing.pid()

    with pytest.raises(ActorDied) as caught:
        failing.end.ask(how).result()

    certificate = caught.value.certificate
    assert caught.value.delivered == "started"
    assert (certificate.actor, certificate.incarnation, certificate.pid) == ("failing", 1, pid)
    assert certificate.signal == name
    assert certificate.exit_code == (code if name == "" else None)
    assert certificate.in_hand is not None
    assert certificate.in_hand.name == "end"
    assert certificate.in_hand.attempt == 1
    assert failing.pid() != pid


def test_a_fatal_signal_leaves_the_native_stack_in_the_certificate(start: Start) -> None:
    failing = start(child(Failing))

    with pytest.raises(ActorDied) as caught:
        failing.end("segv")

    assert "in end" in caught.value.certificate.native_stack
    assert "in end" in caught.value.certificate.report()


def test_a_crash_leaves_its_traceback_in_the_certificate(start: Start, system: Supervisor) -> None:
    crashing = start(child(Crashing), restart="temporary")
    watched = [crashing.fail.ask("last words"), crashing.pid.ask()]

    with pytest.raises(ValueError, match="last words"):
        watched[0].result()
    with pytest.raises(Exception, match=r"stopped|delivered"):
        watched[1].result()


def test_a_dead_actor_says_how_many_restarts_there_were(start: Start) -> None:
    failing = start(child(Failing))

    for restarts in range(3):
        with pytest.raises(ActorDied) as caught:
            failing.end("kill")
        assert caught.value.certificate.restarts == restarts
        assert caught.value.certificate.incarnation == restarts + 1


@pytest.mark.parametrize("where", ["init", "on_start"])
def test_raising_in_init_or_on_start_is_a_failed_start_with_its_traceback(
    start: Start, system: Supervisor, where: str
) -> None:
    with pytest.raises(StartFailed) as caught:
        start(child(BadStart, where), "bad")

    assert "LookupError: no such shelf" in str(caught.value)
    assert f"in {'__init__' if where == 'init' else 'on_start'}" in str(caught.value)
    assert caught.value.certificate is not None
    assert caught.value.certificate.phase == "start"
    assert "bad" not in [status.path for status in system.children()]


def test_raising_in_an_async_on_start_is_a_failed_start(start: Start) -> None:
    with pytest.raises(StartFailed, match="LookupError: no such shelf"):
        start(child(AsyncBadStart, "on_start"))


@pytest.mark.parametrize(
    ("where", "reason"), [("exit", "SystemExit: 4"), ("os._exit", "exit code 5"), ("kill", "SIGKILL")]
)
def test_dying_in_init_is_a_failed_start(start: Start, where: str, reason: str) -> None:
    with pytest.raises(StartFailed, match=reason):
        start(child(BadStart, where))


@pytest.mark.parametrize("where", ["hang in init", "hang in on_start"])
def test_a_start_that_never_returns_is_killed_at_the_ready_timeout(start: Start, where: str) -> None:
    begin = time.monotonic()

    with pytest.raises(StartFailed, match="time"):
        start(child(BadStart, where), ready=0.2)

    assert time.monotonic() - begin < 3


def test_an_async_start_that_never_returns_is_killed_at_the_ready_timeout(start: Start) -> None:
    with pytest.raises(StartFailed, match="time"):
        start(child(AsyncBadStart, "hang in on_start"), ready=0.2)


def test_a_child_that_does_not_start_leaves_nothing_of_the_system(nothing_left: Path) -> None:
    children = {"good": child(Counter), "bad": child(BadStart, "init")}

    with pytest.raises(StartFailed, match="no such shelf"):
        Supervisor("never", children=children).open()

    assert wait_until(lambda: not processes_of(nothing_left))


def test_a_name_that_failed_to_start_can_be_started_again(start: Start) -> None:
    with pytest.raises(StartFailed):
        start(child(BadStart, "init"), "again")

    assert start(child(Counter), "again").add(1) == 1


def test_constructor_arguments_that_cannot_be_sent_fail_in_the_caller(start: Start) -> None:
    with pytest.raises(Unencodable, match=r"Counter\(\) argument 1"):
        start(child(Counter, (n for n in range(3))))  # type: ignore[arg-type]


def test_a_child_forked_in_a_handler_never_gets_into_the_loop(start: Start) -> None:
    forking = start(child(Forking))
    pid = forking.pid()

    assert forking.fork() == pid
    assert [forking.pid() for _ in range(20)] == [pid] * 20


def test_a_stop_returns_whatever_on_stop_does(start: Start, system: Supervisor) -> None:
    start(child(StubbornStop), "stubborn", shutdown=0.1)
    begin = time.monotonic()

    system.stop("stubborn")

    assert time.monotonic() - begin < 2


def test_a_caller_that_is_gone_does_not_disturb_the_actor(start: Start, system: Supervisor, tmp_path: Path) -> None:
    changer = start(child(SigpipeChanger), "changer")
    script = """
import os, sys
from runtime import connect
with connect("shared") as system:
    replies = [system["changer"].add.ask(n) for n in range(50)]
    os._exit(0)
"""
    environment = {**os.environ, "UNDERSTUDY_DIR": os.path.dirname(system._endpoint._directory)}

    assert changer.add(1) == 2
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)

    assert changer.add(2) == 3
