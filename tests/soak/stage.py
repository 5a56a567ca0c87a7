"""The stage of a soak: the tree, the clients around it, and rounds of trouble, each of them judged when all is quiet.

round: clients send, trouble kills ─▶ clients end ─▶ trouble ends ─▶ what waits is handled ─▶ the judge
"""

import asyncio
import contextlib
import faulthandler
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from actors import AskFailed, child, deadline, tree
from actors.child import Child, Mailbox
from actors.errors import NotFound
from runtime import Supervisor, connect
from runtime.testing import wait_until
from tests.soak import leaks
from tests.soak.cast import AsyncProducer, AsyncSink, Producer, Sink
from tests.soak.judge import Round, dead_letters_of
from tests.soak.ledger import CLOSED, Ledger, read
from tests.soak.report import Report
from tests.soak.sender import AsyncSender, Sender, Target
from tests.soak.trouble import Trouble

_ROUND_SECONDS = 15.0
_QUIET_SECONDS = 60.0  # a pool that was hit often waits half a minute before a restart
_LOOK_SECONDS = 0.05
_THREADS, _TASKS = 3, 6
_FIRST_TASK, _FIRST_ACTOR, _FIRST_GUEST = 100, 1000, 2000
_NAMES = ("note", "note", "note", "surely", "hurry", "swell")
_ASYNC_NAMES = (*_NAMES, "beside")
_FLAT: dict[str, Any] = {"max_restarts": 1_000_000, "max_seconds": 1.0, "backoff": None}

# path → what plays it; producers come last: they end first
_SINKS: dict[str, tuple[type[Any], float, Mailbox, int]] = {
    "plain": (Sink, 0.002, Mailbox(), 1),
    "tight": (Sink, 0.008, Mailbox(size=4096), 1),
    "refusing": (Sink, 0.008, Mailbox(size=4096, when_full="refuse"), 1),
    "loop": (AsyncSink, 0.002, Mailbox(), 1),
    "narrow": (AsyncSink, 0.008, Mailbox(size=4096), 1),
    "pool": (Sink, 0.003, Mailbox(size=8192), 3),
    "inner.first": (Sink, 0.002, Mailbox(), 1),
    "inner.second": (AsyncSink, 0.002, Mailbox(), 1),
}
_PRODUCERS = ("producer", "aproducer")
PATHS = (*_SINKS, *_PRODUCERS)
NUMBERS = {path: _FIRST_ACTOR + n for n, path in enumerate(PATHS)}


class Stage:
    """One soak. Owns the system, the traffic's own attachment to it, and the ledger."""

    def __init__(self, seed: str, directory: Path, keep: Path | None) -> None:
        """Play in this directory; keep is where the ledger of a round with faults goes."""
        self.report = Report(seed)
        self._seed = seed
        self._directory = directory
        self._keep = keep
        self._path = str(directory / "ledger")
        self._log = directory / "log"
        self._ledger = Ledger(self._path)
        self._supervisor = Supervisor("soak", tree=tree(**_FLAT))
        self._traffic = connect("soak")
        self._targets: list[Target] = []
        self._guest = 0
        self._numbers = dict(NUMBERS)
        self._senders = [self._sender(n) for n in range(1, 1 + _THREADS)]
        self._tasks = [self._task(_FIRST_TASK + n) for n in range(_TASKS)]

    def play(self, seconds: float) -> Report:
        """Soak for about that long."""
        start = monotonic()
        before = leaks.surroundings()
        with _log_to(self._log):
            with self._supervisor:
                leaks.warm_up(self._supervisor)
                held = leaks.descriptors(self._supervisor.pid)
                with self._traffic:
                    self._start()
                    while monotonic() - start < seconds and not self.report.hung:
                        self._round(min(_ROUND_SECONDS, max(1.0, seconds - (monotonic() - start))))
                    self._stop()
                self._drop_letters()
                leaks.check_payloads(self.report, self._supervisor.pid)
                leaks.check_descriptors(self.report, self._supervisor.pid, held)
            self._ledger.close()
        leaks.check_surroundings(self.report, before, self._directory / "run")
        self.report.seconds = monotonic() - start
        return self.report

    def change(self) -> None:
        """Stop the present guest for good, and start another; see `trouble.Guests`."""
        if self._guest:
            path = f"guest{self._guest}"
            with deadline(10):
                self._supervisor.stop(path)
                self._supervisor.delete(path)
            self._ledger.put(CLOSED, actor=_FIRST_GUEST + self._guest)
            del self._numbers[path]
            self._targets[:] = [target for target in self._targets if target.number < _FIRST_GUEST]
        self._guest = 0
        number = self.report.guests + 1
        self.report.guests = number
        spec = child(Sink, self._path, _FIRST_GUEST + number)
        self._supervisor.start(spec, name=f"guest{number}", drain="discard")
        self._guest = number
        self._numbers[f"guest{number}"] = _FIRST_GUEST + number
        ref = self._traffic.ref(f"guest{number}", Sink)
        self._targets.append(Target(_FIRST_GUEST + number, ref, _NAMES, False, 0.02))

    # ---- the tree

    def _start(self) -> None:
        for path in ("plain", "tight", "refusing", "loop", "narrow", "pool"):
            self._supervisor.start(self._sink(path), name=path)
        inner = {path.partition(".")[2]: self._sink(path) for path in _SINKS if path.startswith("inner.")}
        self._supervisor.start(tree(strategy="rest_for_one", children=inner, **_FLAT), name="inner")
        targets = [self._target(path, self._supervisor) for path in _SINKS]
        for path, kind in zip(_PRODUCERS, (Producer, AsyncProducer), strict=True):
            self._supervisor.start(child(kind, self._path, NUMBERS[path], targets, self._seed), name=path)
        self._targets += [self._target(path, self._traffic) for path in _SINKS]
        for path, kind in zip(_PRODUCERS, (Producer, AsyncProducer), strict=True):
            ref = self._traffic.ref(path, kind)
            self._targets += [Target(NUMBERS[path], ref, ("produce", "note"), kind is AsyncProducer, 0.0)] * 2

    def _sink(self, path: str) -> Child[Any]:
        kind, _, mailbox, replicas = _SINKS[path]
        return child(kind, self._path, NUMBERS[path]).options(mailbox=mailbox, replicas=replicas)

    def _target(self, path: str, system: Any) -> Target:
        kind, slow, _, _ = _SINKS[path]
        is_async = kind is AsyncSink
        return Target(NUMBERS[path], system.ref(path, kind), _ASYNC_NAMES if is_async else _NAMES, is_async, slow)

    def _stop(self) -> None:
        for status in reversed(self._supervisor.children()):
            self._supervisor.stop(status.path)
            self._supervisor.delete(status.path)

    # ---- a round

    def _round(self, seconds: float) -> None:
        enough = threading.Event()
        clients = [threading.Thread(target=_send, args=(sender, enough), daemon=True) for sender in self._senders]
        clients.append(threading.Thread(target=_send_in_loop, args=(self._tasks, enough), daemon=True))
        chance = Random(f"{self._seed}/trouble{self.report.rounds}")
        trouble = Trouble(
            self._supervisor, self._directory / "run", self._ledger, self._numbers, self, chance, self.report
        )
        for client in clients:
            client.start()
        trouble.begin()
        enough.wait(seconds)
        enough.set()
        for client in clients:
            client.join(_QUIET_SECONDS)
        trouble.end()
        if any(client.is_alive() for client in clients):
            self.report.hung += 1
            self.report.note("a client hangs; its stack is in the log")
            faulthandler.dump_traceback(file=sys.stderr)
        self._settle()
        self._judge()

    def _settle(self) -> None:
        """Wait until nothing waits any more: producers first, whose messages are others' then."""
        until = monotonic() + _QUIET_SECONDS
        guests = [f"guest{self._guest}"] if self._guest else []
        for path in (*_PRODUCERS, *_SINKS, *guests):
            while True:
                try:
                    with deadline(5.0):
                        self._traffic[path].settled.ask().result()
                    break
                except AskFailed as error:  # killed by the last of the trouble, or refusing
                    if monotonic() > until:
                        self.report.hung += 1
                        self.report.note(f"{path} does not settle: {error!r}")
                        break
        if not wait_until(self._is_idle, _QUIET_SECONDS):
            self.report.hung += 1
            self.report.note(f"not idle: {self._supervisor.status()}")

    def _is_idle(self) -> bool:
        """Everybody plays, has nothing in hand, and nothing has been handled between two looks."""
        first = self._supervisor.status()
        time.sleep(_LOOK_SECONDS)
        second = self._supervisor.status()
        return all(
            before == after and after.state == "running" and not after.in_hand and not after.queued_bytes
            for before, after in zip(first, second, strict=False)
        )

    def _judge(self) -> None:
        report = self.report
        report.rounds += 1
        before = report.faults
        counted = {
            _FIRST_GUEST + int(path.removeprefix("guest")): count
            for path, count in dead_letters_of(self._log.read_text(errors="replace").splitlines()).items()
            if path.startswith("guest")
        }
        living = frozenset(status.pid for status in self._supervisor.status())
        judged = Round(frozenset({NUMBERS["pool"]}), counted, living)
        judged.read(read(self._path))
        judged.into(report)
        if report.faults > before and self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._path, self._keep / f"ledger-{self._seed}-{report.rounds}")
            shutil.copy(self._log, self._keep / f"log-{self._seed}-{report.rounds}")
        self._ledger.clear()
        self._drop_letters()

    def _drop_letters(self) -> None:
        """Dead letters keep their payloads, which are no leaks."""
        for letter in self._supervisor.letters():
            with contextlib.suppress(NotFound):
                self._supervisor.drop(letter.id)

    def _sender(self, number: int) -> Sender:
        return Sender(self._ledger, number, self._targets, Random(f"{self._seed}/{number}"))

    def _task(self, number: int) -> AsyncSender:
        return AsyncSender(self._ledger, number, self._targets, Random(f"{self._seed}/{number}"))


def _send(sender: Sender, enough: threading.Event) -> None:
    while not enough.is_set():
        sender.step()
    sender.collect()


def _send_in_loop(senders: list[AsyncSender], enough: threading.Event) -> None:
    async def send(sender: AsyncSender) -> None:
        while not enough.is_set():
            await sender.step()
            await asyncio.sleep(0.001)
        await sender.collect()

    async def main() -> None:
        await asyncio.gather(*(send(sender) for sender in senders))

    asyncio.run(main())


@contextlib.contextmanager
def _log_to(file: Path) -> Iterator[None]:
    """Let stderr, the system's and ours, be a file."""
    before = os.dup(2)
    log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.dup2(log, 2)
        os.close(log)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
