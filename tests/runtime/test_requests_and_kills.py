"""Requests at random against kills at random: what was accepted is handled once, in order, whatever comes between.

    senders    number their messages, one after the other, and wait as long as it takes
    operators  restart, reload, restart with code, stop, delete, start: two at a time, so that requests meet
    a killer   SIGKILLs actors and zygotes

The oracle is the state that is committed: of each sender the number that came last. One that does not follow it was lost, ran
twice, or came out of order. What is stopped for good is accounted for by what it wrote down, and by its dead letters.
"""

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest

from actors import Actor, Backoff, Mailbox, Tree, child, deadline, message, tree
from actors.errors import ActorStopped, NotFound, SupervisionError
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Counter
from tests.runtime.test_fresh_code import zygotes_of

pytestmark = pytest.mark.process

REQUESTS = int(os.environ.get("UNDERSTUDY_REQUESTS", "50"))
MOST_SECONDS = REQUESTS / 6  # on a machine that is busy with other things fewer requests have to do
FLAT: dict[str, Any] = {"max_restarts": 1_000_000, "max_seconds": 1.0}
PATHS = ("plain", "thread", "group.second")
QUIET_SECONDS = 60.0


class Clerk(Actor):
    """Knows, of each sender, which message came last."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.wrong: list[tuple[int, int, int]] = []

    def snapshot(self) -> Any:
        return self.last, self.wrong

    def restore(self, state: Any) -> None:
        self.last, self.wrong = state

    @message(retry=100)
    def put(self, sender: int, number: int) -> int:
        before = self.last.get(sender, 0)
        if number != before + 1:
            self.wrong.append((sender, before, number))
        self.last[sender] = number
        return number

    @message(snapshot=False)
    def found(self) -> Any:
        return self.last, self.wrong


class Guest(Actor):
    """Writes down what it handles, before it has done so."""

    def __init__(self, file: str) -> None:
        self.fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @message(retry=100)
    def put(self, number: int) -> None:
        os.write(self.fd, f"{number}\n".encode())


def specified(chance: Random) -> Tree:
    """The tree, with options drawn by chance: whatever differs is restarted by a reload."""

    def clerk(**options: Any) -> Any:
        mailbox = Mailbox(chance.choice((4096, 8192, 32768)))
        return child(Clerk).options(mailbox=mailbox, shutdown=chance.choice((4.0, 5.0)), **options)

    group = tree(
        children={"first": child(Counter), "second": clerk()},
        strategy=chance.choice(("rest_for_one", "one_for_all")),
        backoff=Backoff(0.05, 0.2, 0.5),
        **FLAT,
    )
    return tree(children={"plain": clerk(), "thread": clerk(host="thread"), "group": group}, backoff=None, **FLAT)


class Run:
    """One run: who sends, who asks for what, who kills."""

    def __init__(self, supervisor: Supervisor, seed: str, file: Path) -> None:
        self.supervisor = supervisor
        self.seed = seed
        self.file = file
        self.enough = threading.Event()
        self.requests = threading.Semaphore(REQUESTS)
        self.granted = self.refused = self.kills = 0

    def send(self, sender: int, path: str) -> int:
        """Send to one that stays; returns how many it has taken."""
        clerk, chance, number = self.supervisor.ref(path, Clerk), Random(f"{self.seed}/{sender}"), 0
        while not self.enough.is_set():
            number += 1
            with deadline(2 * QUIET_SECONDS):
                if chance.random() < 0.5:
                    clerk.put.tell(sender, number)
                else:
                    assert clerk.put(sender, number) == number
        return number

    def send_to_guest(self) -> set[int]:
        """Send to one that comes and goes; returns what it has taken."""
        guest, accepted, number = self.supervisor.ref("guest", Guest), set[int](), 0
        while not self.enough.is_set():
            number += 1
            with contextlib.suppress(ActorStopped, NotFound), deadline(2 * QUIET_SECONDS):
                guest.put.tell(number)
                accepted.add(number)
        return accepted

    def operate(self, operator: int) -> None:
        """Ask for this and that, until all requests are used up."""
        chance = Random(f"{self.seed}/operator{operator}")
        until = monotonic() + MOST_SECONDS
        while self.requests.acquire(blocking=False) and monotonic() < until:
            try:
                self._draw(chance)
                self.granted += 1
            except SupervisionError:  # a kill made it fail, or the other operator was first
                self.refused += 1

    def _draw(self, chance: Random) -> None:
        supervisor, path = self.supervisor, chance.choice((*PATHS, "group", "group.first"))
        match chance.choices(("restart", "code", "reload", "stop", "delete", "start"), (8, 1, 3, 2, 2, 3))[0]:
            case "restart":
                supervisor.restart(path)
            case "code":
                supervisor.restart(path, code=True)
            case "reload":
                supervisor.reload(specified(chance))
            case "stop":
                supervisor.stop("guest")
            case "delete":
                supervisor.delete("guest")
            case _:
                supervisor.start(child(Guest, str(self.file)), name="guest")

    def kill(self) -> None:
        """Kill, until it is enough."""
        chance = Random(f"{self.seed}/kills")
        while not self.enough.wait(chance.expovariate(10)):
            pids = {status.pid for status in self.supervisor.status() if status.pid}
            if chance.random() < 0.1:
                pids = set(zygotes_of(self.supervisor.pid))
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(sorted(pids)), signal.SIGKILL)
                    self.kills += 1

    def settle(self) -> None:
        """Start again what a kill has left down in a restart on request, as an operator would who was told so."""
        for path in ("group", *PATHS):
            for _ in range(3):
                with contextlib.suppress(SupervisionError):
                    if {status.path: status.state for status in self.supervisor.status()}[path] == "stopped":
                        self.supervisor.restart(path)
        assert wait_until(lambda: all(s.state == "running" for s in self.supervisor.status() if s.path != "guest"), 20)


@pytest.mark.parametrize("seed", ["larch", "alder"])
def test_requests_at_random_against_kills_at_random_lose_nothing_that_is_committed_or_queued(
    supervisor: Supervisor, tmp_path: Path, seed: str
) -> None:
    supervisor.reload(specified(Random(seed)))
    run = Run(supervisor, seed, tmp_path / "guest")
    with ThreadPoolExecutor(16) as pool:
        senders = {n: pool.submit(run.send, n, path) for n, path in enumerate(PATHS * 2)}
        to_guest = pool.submit(run.send_to_guest)
        killer = pool.submit(run.kill)
        operators = [pool.submit(run.operate, n) for n in range(2)]
        try:
            for each in operators:
                each.result()
        finally:
            run.enough.set()
        killer.result()
        run.settle()
        sent = {n: each.result(QUIET_SECONDS) for n, each in senders.items()}
        accepted = to_guest.result(QUIET_SECONDS)
        with contextlib.suppress(SupervisionError):
            supervisor.stop("guest")

    for place, path in enumerate(PATHS):
        last, wrong = supervisor.ref(path, Clerk).found()
        assert wrong == []
        assert last == {n: sent[n] for n in (place, place + len(PATHS))}
    letters = supervisor.letters()
    assert {letter.actor for letter in letters} <= {"guest"}
    handled = {int(line) for line in run.file.read_text().split()} if run.file.exists() else set()
    assert len(accepted - handled) <= len(letters)
    print(
        f"seed {seed}: {run.granted} requests granted, {run.refused} refused, {run.kills} kills, {sum(sent.values())} messages"
    )
