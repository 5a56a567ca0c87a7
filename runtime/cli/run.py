"""`understudy run`: a system from a file, in the foreground, until it ends or a signal ends it.

The main thread takes what happens out of one queue: signals, put there by their handlers, and the end of the system,
put there by a thread that waits for it. So a signal is never an exception in the middle of something else.

RN-1  The first SIGINT or SIGTERM stops in reverse order, the second ends everything at once. One that comes within
      ECHO_SECONDS of the last is no second one: timeout(1) sends its signal to its child and to its child's group, a
      wrapper forwards what the terminal sends to the whole group, and both mean one request.
RN-2  The exit code is 128 + the signal's number after a signal; else 0 when the tree ended by itself, 1 if it gave up.
RN-3  A signal while the system is starting closes it as far as it has come.
RN-4  SIGHUP reads the file again, in a process of its own that imports what it names anew; a faulty one changes
      nothing. Where it comes because the terminal was closed it is a signal like SIGTERM.
RN-5  A stdout that nobody reads, or that is full, ends no system: what cannot be printed is left out.
"""

import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from types import FrameType

import click
import msgspec
import structlog

from actors.errors import ActorError, SystemGone
from runtime.cli.log import configure_logging
from runtime.cli.outcome import FAILED, OK, SIGNALLED
from runtime.cli.output import Unwritable, complain, reserved, say_json, show, silence
from runtime.cli.show import plain, table_of_changes, tree_of
from runtime.cli.system import Doors, System
from runtime.config import load
from runtime.wire.answer import Ending

_ENDING = (signal.SIGINT, signal.SIGTERM)
_SIGNALS = (*_ENDING, signal.SIGHUP)
ECHO_SECONDS = 0.25  # programs forward signals within milliseconds; nobody who is impatient is so quick


@dataclass(frozen=True, slots=True)
class _Signalled:
    number: int
    is_echo: bool


@dataclass(frozen=True, slots=True)
class _Ended:
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class _Lost:
    error: Exception


_Happening = _Signalled | _Ended | _Lost


class _StartInterrupted(BaseException):  # like KeyboardInterrupt: no Exception, so that nothing catches it
    """A signal came while the system was starting."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="What was started, and how it ended, as JSON lines on stdout.")
@click.pass_obj
def run(doors: Doors, file: Path, *, as_json: bool) -> int:
    """Run the system of a configuration file.

    Ctrl-C stops it in reverse order of start, a second Ctrl-C at once. SIGHUP reads the file again and applies what
    has changed. Logs go to stderr.
    """
    as_json = as_json or not sys.stdout.isatty()
    with reserved(only_if=as_json):
        config = load(file)
        configure_logging(sys.stderr)
        system = doors.supervisor(config.name, config.tree, config.path)
        return _run(doors, file, system, as_json=as_json)


def _run(doors: Doors, file: Path, system: System, *, as_json: bool) -> int:
    happenings: SimpleQueue[_Happening] = SimpleQueue()
    hang_up = _HangUp()
    echoes = _Echoes()
    with _queueing(happenings, echoes), _closing(system):
        try:
            with _interrupting(echoes):
                system.open()
        except _StartInterrupted as exc:
            return SIGNALLED + int(exc.args[0])
        _announce(system, as_json=as_json)
        reloads = _Reloads(doors, file, system.name, as_json=as_json)
        return _until_end(system, happenings, reloads, hang_up, as_json=as_json)


def _until_end(
    system: System, happenings: "SimpleQueue[_Happening]", reloads: "_Reloads", hang_up: "_HangUp", *, as_json: bool
) -> int:
    """THE loop: wait, and act on what happens; returns the exit code (RN-1, RN-2)."""
    log = structlog.get_logger().bind(system=system.name)
    signalled = 0
    threading.Thread(target=_wait, args=(system, happenings), daemon=True).start()
    while True:
        match happenings.get():
            case _Signalled(signal.SIGHUP) if not hang_up.is_meant():
                if not signalled:
                    reloads.start()
            case _Signalled(_, is_echo=True):
                continue
            case _Signalled(number) if not signalled:
                signalled = number
                log.info("stopping", signal=signal.Signals(number).name)
                threading.Thread(target=_stop, args=(system,), daemon=True).start()
            case _Signalled(number):
                log.warning("killing", signal=signal.Signals(number).name)
                system.kill()
                return SIGNALLED + number
            case _Lost() if signalled:
                return SIGNALLED + signalled
            case _Lost(error):
                raise error
            case _Ended(ending):
                return _report(system, ending, signalled, as_json=as_json)


class _Echoes:
    """Tells requests to end from echoes of them (RN-1)."""

    def __init__(self) -> None:
        self._last = -math.inf  # of the last request; echoes do not prolong it

    def is_one(self, number: int) -> bool:
        """Whether a signal that has just come is no request of its own."""
        if number not in _ENDING:
            return False
        now = monotonic()
        if now - self._last < ECHO_SECONDS:
            return True
        self._last = now
        return False


class _HangUp:
    """What SIGHUP means here: that the terminal is closed, once the one this process was started in is gone."""

    def __init__(self) -> None:
        self._had_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def is_meant(self) -> bool:
        """Whether that has happened; what is printed from then on goes nowhere instead of failing."""
        if not self._had_terminal or _has_terminal():
            return False
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                _silence_lost(stream.fileno())
        return True


def _silence_lost(fd: int) -> None:
    try:
        os.write(fd, b"")
    except OSError:  # of a terminal that is gone
        silence(fd)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class _Reloads:
    """The reloads of this system, each in a thread, one at a time: the last one reads the file last (RN-4)."""

    def __init__(self, doors: Doors, file: Path, system: str, *, as_json: bool) -> None:
        self._doors = doors
        self._file = file
        self._system = system
        self._as_json = as_json
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin one; what comes of it is told on stdout."""
        threading.Thread(target=self._reload, daemon=True).start()

    def _reload(self) -> None:
        with self._lock:
            log = structlog.get_logger().bind(system=self._system)
            log.info("reloading", file=str(self._file))
            done = self._doors.reload(self._file, self._system)
            with suppress(Unwritable):  # RN-5
                if self._as_json:
                    changes = [msgspec.structs.asdict(change) for change in done.changes]
                    say_json({"event": "reloaded", "system": self._system, "code": done.code, "changes": changes})
                else:
                    show(table_of_changes(done.changes))
            if done.code:
                log.error("reload failed", code=done.code)
            else:
                log.info("reloaded", changes=len(done.changes))


def _wait(system: System, happenings: "SimpleQueue[_Happening]") -> None:
    try:
        happenings.put(_Ended(system.wait()))
    except Exception as exc:  # raised again by the loop, which would wait forever without it
        happenings.put(_Lost(exc))


def _stop(system: System) -> None:
    with suppress(ActorError):  # whatever hinders it, the loop learns the end from _wait
        system.stop()


def _announce(system: System, *, as_json: bool) -> None:
    try:
        statuses = system.status()
    except SystemGone:  # over before it could be looked at: how, the loop says
        return
    with suppress(Unwritable):  # RN-5
        if as_json:
            children = [plain(status) for status in statuses]
            say_json({"event": "started", "system": system.name, "children": children})
        else:
            show(tree_of(system.name, statuses))
    structlog.get_logger().info("started", system=system.name, actors=sum(s.kind == "worker" for s in statuses))


def _report(system: System, ending: Ending | None, signalled: int, *, as_json: bool) -> int:
    """Say how it ended; the death certificate goes to stderr, where errors are."""
    reason = ending.reason if ending is not None else "stopped"
    gave_up = ending is not None and ending.gave_up
    certificate = ending.certificate if ending is not None else None
    structlog.get_logger().log(logging.ERROR if gave_up else logging.INFO, "ended", system=system.name, reason=reason)
    if as_json:
        written = certificate.to_dict() if certificate is not None else None
        ended = {"event": "ended", "system": system.name, "reason": reason, "gave_up": gave_up, "certificate": written}
        with suppress(Unwritable):  # RN-5
            say_json(ended)
    if signalled or not gave_up:  # what a signal ended did not give up, however it ended
        return SIGNALLED + signalled if signalled else OK
    complain(f"error: system {system.name!r} gave up: {reason}")
    if certificate is not None:
        complain(certificate.report())
    return FAILED


@contextmanager
def _closing(system: System) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(ActorError):  # it has ended, or did not come far enough to be closed in order
            system.close()


@contextmanager
def _interrupting(echoes: _Echoes) -> Iterator[None]:
    """While the system starts: a signal is an exception in the main thread, since that is where the start waits."""

    def interrupt(number: int, _: FrameType | None) -> None:
        if not echoes.is_one(number):
            raise _StartInterrupted(number)

    with _handling(interrupt, _ENDING):
        yield


@contextmanager
def _queueing(happenings: "SimpleQueue[_Happening]", echoes: _Echoes) -> Iterator[None]:
    """While the system runs: a signal is a happening. SimpleQueue.put is reentrant, so a handler may call it."""

    def enqueue(number: int, _: FrameType | None) -> None:
        happenings.put(_Signalled(number, echoes.is_one(number)))

    with _handling(enqueue, _SIGNALS):
        yield


@contextmanager
def _handling(handler: "signal._HANDLER", numbers: Sequence[signal.Signals]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
