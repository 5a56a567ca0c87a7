"""The stage of a soak: the tree, the clients around it, and rounds of trouble, each of them judged when all is quiet.

round: clients send, trouble kills, requests are made ─▶ clients end ─▶ trouble ends ─▶ what waits is handled ─▶ the judge
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

from actors import AskFailed, Mailbox, Tree, child, deadline, tree
from runtime import Client, Supervisor, connect
from runtime.testing import wait_until
from tests.soak import leaks, sample
from tests.soak.administrator import Administrator
from tests.soak.callers import SYSTEM, Nursery
from tests.soak.canvas import Canvas
from tests.soak.cast import Sink
from tests.soak.clerk import Clerk
from tests.soak.judge import Round
from tests.soak.ledger import CLOSED, Ledger, read
from tests.soak.playbill import (
    ADMINISTERED,
    CANVAS,
    FIRST_GUEST,
    FLAT,
    KEEPER,
    NAMES,
    NUMBERS,
    PATHS,
    POOL,
    PRODUCERS,
    ROLES,
    inner,
    producing,
    sink,
    targets,
)
from tests.soak.report import Report
from tests.soak.sender import AsyncSender, Sender, Target
from tests.soak.trouble import Trouble

_ROUND_SECONDS = 15.0
_QUIET_SECONDS = 60.0  # a pool that was hit often waits half a minute before a restart
_LOOK_SECONDS = 0.05
_THREADS, _TASKS = 3, 6
_FIRST_TASK = 100


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
        self._supervisor = Supervisor(SYSTEM, tree=tree(**FLAT))
        self._traffic = connect(SYSTEM)
        self._targets: list[Target] = []
        self._guest = 0
        self._numbers = dict(NUMBERS)
        self._known = dict(NUMBERS)  # guests that are gone too
        self._senders = [self._sender(n) for n in range(1, 1 + _THREADS)]
        self._tasks = [self._task(_FIRST_TASK + n) for n in range(_TASKS)]

    def play(self, seconds: float) -> Report:
        """Soak for about that long."""
        start = monotonic()
        before = leaks.surroundings()
        with _log_to(self._log):
            with self._supervisor:
                leaks.warm_up(self._supervisor)
                self._canvas = self._supervisor.region(CANVAS, Canvas)
                held = leaks.holdings(self._supervisor.pid, self._directory / "run")
                with self._traffic:
                    self._start()
                    while monotonic() - start < seconds and not self.report.hung:
                        self._round(min(_ROUND_SECONDS, max(1.0, seconds - (monotonic() - start))))
                        taken = sample.take(self._supervisor.pid, self._directory / "run", monotonic() - start)
                        self.report.samples.append(taken)
                    self._stop()
                self._supervisor_is_empty(held)
                self._canvas.close()
            self._ledger.close()
        leaks.check_surroundings(self.report, before, self._directory / "run")
        self.report.close(monotonic() - start)
        return self.report

    def inner(self, mailbox: Mailbox) -> Tree:
        """See `administrator.House`."""
        return inner(self._path, self._canvas, mailbox)

    def change_guest(self, client: Client) -> None:
        """See `administrator.House`."""
        if self._guest:
            path = f"guest{self._guest}"
            with deadline(10):
                client.stop(path)
                client.delete(path)
            self._ledger.put(CLOSED, actor=FIRST_GUEST + self._guest)
            del self._numbers[path]
            self._targets[:] = [target for target in self._targets if target.number < FIRST_GUEST]
        self._guest = 0
        number = self.report.guests + 1
        self.report.guests = number
        self._known[f"guest{number}"] = FIRST_GUEST + number
        spec = child(Sink, self._path, FIRST_GUEST + number)
        client.start(spec, name=f"guest{number}", drain="discard")
        self._guest = number
        self._numbers[f"guest{number}"] = FIRST_GUEST + number
        ref = self._traffic.ref(f"guest{number}", Sink)
        self._targets.append(Target(FIRST_GUEST + number, ref, NAMES, False, 0.02))

    # ---- the tree

    def _start(self) -> None:
        for path in ROLES:
            if "." not in path:
                self._supervisor.start(sink(path, self._path, self._canvas), name=path)
        self._supervisor.start(inner(self._path, self._canvas), name="inner")
        aims = targets(self._supervisor)
        for path, kind in PRODUCERS.items():
            self._supervisor.start(child(kind, self._path, NUMBERS[path], aims, self._seed), name=path)
        self._targets += targets(self._traffic) + producing(self._traffic)

    def _stop(self) -> None:
        for status in reversed(self._supervisor.children()):
            self._supervisor.stop(status.path)
            self._supervisor.delete(status.path)

    def _supervisor_is_empty(self, held: leaks.Holdings) -> None:
        """Everybody has stopped: nothing but what it held at first is held."""
        self._clerk(self._supervisor).list()
        leaks.check_payloads(self.report, self._supervisor.pid)
        leaks.check_holdings(self.report, self._supervisor.pid, held)

    def _clerk(self, client: Client) -> Clerk:
        return Clerk(client, self._ledger, self._known)

    # ---- a round

    def _round(self, seconds: float) -> None:
        enough = threading.Event()
        clients = [threading.Thread(target=_send, args=(sender, enough), daemon=True) for sender in self._senders]
        clients.append(threading.Thread(target=_send_in_loop, args=(self._tasks, enough), daemon=True))
        nursery = Nursery(self._path, f"{self._seed}/{self.report.rounds}")
        trouble = Trouble(
            self._supervisor,
            self._directory / "run",
            self._ledger,
            self._numbers,
            nursery,
            Random(f"{self._seed}/trouble{self.report.rounds}"),
            self.report,
        )
        administrator = Administrator(
            SYSTEM,
            ADMINISTERED,
            self,
            Random(f"{self._seed}/administrator{self.report.rounds}"),
            self.report,
        )
        clerk = self._clerk(self._traffic)
        for each in (*clients, trouble, administrator, clerk):
            each.start()
        enough.wait(seconds)
        enough.set()
        for client in clients:
            client.join(_QUIET_SECONDS)
        trouble.end()
        administrator.end()
        ended, hung = nursery.end()
        if hung or any(client.is_alive() for client in clients):
            self.report.hung += 1
            self.report.note(f"a client hangs ({hung or 'ours'}); its stack is in the log")
            faulthandler.dump_traceback(file=sys.stderr)
        self._settle()
        clerk.end()
        self._judge(ended)
        self._read_on()
        leaks.check_payloads(self.report, self._supervisor.pid)

    def _settle(self) -> None:
        """Wait until nothing waits any more.

        Producers come first, whose messages are others' then; and last, when all that is still to be answered has been.
        """
        until = monotonic() + _QUIET_SECONDS
        guests = [f"guest{self._guest}"] if self._guest else []
        for path in (*PATHS, *guests, *PRODUCERS):
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

    def _read_on(self) -> None:
        """Late answers wait in the FIFOs of our threads and of our loop, which have ended: the next ones drop them."""
        ref = self._targets[0].ref
        all_are_there = threading.Barrier(_THREADS)

        def read() -> None:
            all_are_there.wait(_QUIET_SECONDS)
            ref.settled()
            all_are_there.wait(_QUIET_SECONDS)  # a FIFO each

        threads = [threading.Thread(target=read) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def read_in_loop() -> None:
            await ref.settled.ask()

        asyncio.run(read_in_loop())

    def _is_idle(self) -> bool:
        """Everybody plays, has nothing in hand, and nothing has been handled between two looks."""
        first = self._supervisor.status()
        time.sleep(_LOOK_SECONDS)
        second = self._supervisor.status()
        return all(
            before == after and after.state == "running" and not after.in_hand and not after.queued_bytes
            for before, after in zip(first, second, strict=False)
        )

    def _judge(self, ended: list[int]) -> None:
        """Judge the round; those are callers that ended in order, and have heard of all they asked."""
        report = self.report
        report.rounds += 1
        before = report.faults
        living = frozenset(status.pid for status in self._supervisor.status()).union(ended)
        judged = Round(frozenset({POOL}), KEEPER, living)
        judged.read(read(self._path))
        judged.into(report)
        self._check_canvas()
        if '"dead letters dropped' in self._log.read_text(errors="replace"):
            report.letters_wrong += 1
            report.note("dead letters were dropped for want of room")
        if report.faults > before and self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._path, self._keep / f"ledger-{self._seed}-{report.rounds}")
            shutil.copy(self._log, self._keep / f"log-{self._seed}-{report.rounds}")
        self._ledger.clear()

    def _check_canvas(self) -> None:
        """Every commit of the region has drawn the next number: none was lost, none is another's."""
        canvas = self._canvas
        number = canvas.peek(lambda view: int(view.number))
        self.report.region_commits, self.report.region_recoveries = number, canvas.recoveries
        if number != canvas.generation:
            self.report.torn += 1
            self.report.note(f"the region has number {number} after {canvas.generation} commits")

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
