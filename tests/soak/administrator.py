"""The administrator: restarts, reloads, stops, deletes and starts actors at random, by a seed, while others kill them.

AD-1  A request that a kill has made fail leaves an actor down, and says so: it is started again, as anybody would.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from random import Random
from time import monotonic
from typing import Protocol

from actors.child import Mailbox, Tree
from actors.errors import ActorError
from runtime import Client, connect
from tests.soak.report import Report

_PAUSE_SECONDS = 0.1  # mean, between two requests
_QUIET_SECONDS = 30.0  # until all that is down has been started again
_SIZES = (4096, 16384, 32768)  # of a mailbox


class House(Protocol):
    """What it administers, beside the tree."""

    def change_guest(self, client: Client) -> None:
        """Have the client stop the present guest for good, and start another."""
        ...

    def inner(self, mailbox: Mailbox) -> Tree:
        """The nested supervisor, whose actors have such mailboxes."""
        ...


class Administrator:
    """One round of requests. Owns its thread and its attachment to the system."""

    def __init__(self, system: str, paths: list[str], house: House, chance: Random, report: Report) -> None:
        """Administer what is at these paths of a system, supervisors and pools among them."""
        self._supervisor = connect(system)
        self._paths = paths
        self._house = house
        self._chance = chance
        self._report = report
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="administrator", daemon=True)

    def start(self) -> None:
        """Ask for things from now on."""
        self._supervisor.open()
        self._thread.start()

    def end(self) -> None:
        """No more, from now on; nobody kills any more, and what is down is started again."""
        self._enough.set()
        self._thread.join()
        until = monotonic() + _QUIET_SECONDS
        while self._start_what_is_down() and monotonic() < until:
            pass
        self._supervisor.close()

    def _run(self) -> None:
        while not self._enough.wait(self._chance.expovariate(1 / _PAUSE_SECONDS)):
            try:
                self._draw()()
            except ActorError as error:  # a kill made it fail
                self._report.requests_refused += 1
                print(f"administrator: {error!r}", file=sys.stderr)
            self._start_what_is_down()

    def _draw(self) -> Callable[[], None]:
        kinds: Mapping[Callable[[], None], int] = {
            self._restart: 10,
            self._restart_on_new_code: 1,
            self._reload: 4,
            self._change_guest: 8,
        }
        return self._chance.choices(list(kinds), list(kinds.values()))[0]

    def _restart(self) -> None:
        self._supervisor.restart(self._chance.choice(self._paths))
        self._report.restarts_by_hand += 1

    def _restart_on_new_code(self) -> None:
        self._supervisor.restart(self._chance.choice(self._paths), code=True)
        self._report.restarts_by_hand += 1

    def _reload(self) -> None:
        spec = self._house.inner(Mailbox(self._chance.choice(_SIZES)))
        for change in self._supervisor.at("inner").reload(spec):
            self._report.requests_refused += bool(change.error)
        self._report.reloads += 1

    def _change_guest(self) -> None:
        self._house.change_guest(self._supervisor)

    def _start_what_is_down(self) -> bool:
        """See that nothing is (AD-1); whether something was."""
        down = [status.path for status in self._supervisor.status() if status.state == "stopped"]
        for path in down:
            try:
                self._supervisor.restart(path)
            except ActorError as error:
                print(f"administrator: {error!r}", file=sys.stderr)
        return bool(down)
