"""The play: who is on the Stage, whose turn it is, what time it is, and what a death means.

    wait_until(condition) ─▶ next player that has something to do ─▶ its step ─▶ ended? ─▶ restart or close
                          └▶ nobody has: move time to the next thing that is due

PY-1  A player whose code is below on the stack (it waits, blocking, for somebody) has no turn until that wait is over.
PY-2  Whoever waits for an answer of the dead is told before anything is restarted.
"""

from collections.abc import Callable
from typing import Any

from actors.actor import Down
from actors.certificate import DeathCertificate
from actors.child import Child
from actors.errors import (
    ActorDied,
    ActorError,
    ActorStopped,
    AlreadyPresent,
    AlreadyStarted,
    NotFound,
    StartCycle,
    StartFailed,
)
from actors.layout import Layout
from actors.letter import Letter as PublicLetter
from actors.message import BoundMessage, MessageEntry
from actors.rehearsal.clockwork import Killed
from actors.rehearsal.letter import DeadLetter, Letter, Pending
from actors.rehearsal.player import Exit, Player
from actors.rehearsal.post import Post
from actors.rehearsal.region import StageRegion
from actors.rehearsal.watchers import Watchers
from actors.role import NOTICES

_MOST_TURNS = 20_000  # between two moves of time; a play that has more never comes to rest
_BORN_NS = 1_000_000_000  # 0 would read as "no deadline"
KILL = Exit(code=None)


class Play:
    """All players by path, and the virtual clock. The `Machine` of the test's own references.

    Attributes:
        deaths: certificates of all abnormal ends, in order.
        dead_letters: tells that nobody will handle.
    """

    def __init__(self, room: int, max_restarts: int, max_seconds: float, handle: Callable[[str], Any]) -> None:
        self.system = "stage"
        self.refs: dict[bytes, Any] = {}
        self.players: dict[str, Player] = {}
        self.deaths: list[DeathCertificate] = []
        self.dead_letters: list[DeadLetter] = []
        self.is_closed = False
        self.open: list[Pending] = []
        self._room = room
        self._max_restarts = max_restarts
        self._max_ns = int(max_seconds * 1e9)
        self._handle = handle
        self._now_ns = _BORN_NS
        self._stack: list[Player] = []
        self._never_ready: list[Player] = []
        self._watchers = Watchers(self._notify)
        self._turns = 0
        self._post = Post(self)
        self._regions: dict[str, StageRegion[Any]] = {}

    # ---- what references and players need

    def now_ns(self) -> int:
        """Virtual time."""
        return self._now_ns

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """See `actors.interfaces.Machine.bind`."""
        return self._post.bind(path, name, entry)

    def region(self, name: str, layout: type[Layout] | None = None) -> StageRegion[Any]:
        """See `actors.interfaces.Machine.region`; with a layout it is made if there is none."""
        region = self._regions.get(name)
        if region is None:
            if layout is None:
                raise NotFound(name, "there is no such region")
            region = self._regions[name] = StageRegion(name, layout, self.now_ns, self.wait_until)
        elif layout is not None:
            region.check(layout)
        return region

    def supervisor_of(self, path: str) -> Any:
        """The handle of the supervisor an actor is under."""
        return self._handle(path.rpartition(".")[0])

    def watch(self, path: str, watcher: str) -> None:
        """Tell a watcher of every death; at once when there is nobody."""
        player = self.players.get(path)
        self._watchers.add(path, watcher, is_there=player is not None and not player.is_stopped)

    def unwatch(self, path: str, watcher: str) -> None:
        """Undo `watch`."""
        self._watchers.remove(path, watcher)

    def watch_letters(self, watcher: str, *, on: bool) -> None:
        """Tell a watcher of each dead letter, or no more."""
        change = self._watchers.add_reader if on else self._watchers.remove_reader
        change(watcher)

    @property
    def current(self) -> Player | None:
        """Whose turn it is; None: the test's own."""
        return self._stack[-1] if self._stack else None

    def check(self) -> None:
        """Stop the code of a killed actor (PL-2)."""
        if self.is_closed or (self._stack and self._stack[-1].inbox.is_killed):
            raise Killed

    def known(self, path: str) -> Player:
        """The player of that path.

        Raises:
            NotFound: there is none.
        """
        player = self.players.get(path)
        if player is None:
            raise NotFound(path, "there is no such actor")
        return player

    # ---- turns and time

    def wait(self, pending: Pending, timeout: float | None) -> None:
        """Play on until that ask has ended, or raise TimeoutError after so many seconds."""
        until_ns = None if timeout is None else self._now_ns + int(timeout * 1e9)
        if not self.wait_until(pending.done, pending.actor, until_ns):
            raise TimeoutError(f"{pending.actor}: no answer yet; the ask lives on")

    def wait_until(self, condition: Callable[[], bool], path: str, until_ns: int | None) -> bool:
        """Play on until a condition holds that the actor at path is to bring about; False once until_ns has come."""
        while not condition():
            self.check()
            if until_ns is not None and self._now_ns >= until_ns:
                return False
            player = self._next(path)
            if player is not None:
                self._turn(player)
                continue
            due_ns = self._next_due_ns()
            if due_ns is None or (until_ns is not None and until_ns < due_ns):
                due_ns = until_ns
            if due_ns is None:
                raise ActorError(f"Stage: waiting for {path} would never end: nothing is left to happen")
            self._move_to(due_ns)
        self.check()
        return True

    def run(self) -> None:
        """Play until nobody has anything to do at this time."""
        while due := [player for player in list(self.players.values()) if self._has_turn(player)]:
            for player in due:
                if self._has_turn(player):
                    self._turn(player)

    def advance(self, seconds: float) -> None:
        """Play on for so long: every timer, wake-up and deadline in its order."""
        until_ns = self._now_ns + int(seconds * 1e9)
        self.run()
        while (due_ns := self._next_due_ns()) is not None and due_ns <= until_ns:
            self._move_to(due_ns)
            self.run()
        self._move_to(until_ns)

    def _has_turn(self, player: Player) -> bool:
        return player not in self._stack and player.is_due()

    def _next(self, path: str) -> Player | None:
        """Who goes on: whoever the wait depends on, else the first who can."""
        self.open = [pending for pending in self.open if not pending.done()]
        awaited = [path]
        for name in awaited:
            awaited += [p.actor for p in self.open if p.asker == name and p.actor not in awaited]
        wanted = [self.players[name] for name in awaited if name in self.players]
        player = next((player for player in (*wanted, *self.players.values()) if self._has_turn(player)), None)
        if player is None and self.current is not None:
            self._refuse_knot([other for other in wanted if other in self._stack and other is not self.current])
        return player

    def _refuse_knot(self, stuck: list[Player]) -> None:
        """Two processes would both go on here; one thread cannot (ST-5). An error beats a deadline that never was."""
        if stuck and self.current is not None:
            raise ActorError(
                f"Stage: {self.current.path} waits for {stuck[0].path}, whose blocking wait is further down the "
                "stack of this one thread; test this with real processes"
            )

    def _turn(self, player: Player) -> None:
        self._turns += 1
        if self._turns > _MOST_TURNS:
            raise ActorError(f"Stage: {player.path} is still busy after {_MOST_TURNS} turns at the same time")
        self._stack.append(player)
        try:
            ended = player.step()
        finally:
            self._stack.pop()
        if ended is not None:
            self.ended(player, ended)

    def _next_due_ns(self) -> int | None:
        times = [player.next_due_ns() for player in self.players.values() if player not in self._stack]
        times += [pending.until_ns for pending in self.open if pending.until_ns and not pending.done()]
        return min((time for time in times if time is not None), default=None)

    def _move_to(self, now_ns: int) -> None:
        self._now_ns = max(self._now_ns, now_ns)
        self._turns = 0
        for pending in self.open:
            if pending.until_ns and pending.until_ns <= self._now_ns and not pending.done():
                pending.settle(ok=False, value=pending.expired())

    # ---- starting and stopping

    def start(self, path: str, spec: Child[Any]) -> None:
        """Start an actor, and play until it is ready."""
        self.check()
        player = self.players.get(path)
        if player is not None:
            raise AlreadyPresent(path) if player.is_stopped else AlreadyStarted(path)
        self._refuse_start_cycle(path)
        player = self.players[path] = Player(self, path, spec, self._room)
        try:
            self._get_ready(player)
        except StartFailed:
            self._never_ready.append(self.players.pop(path))
            raise

    def stop(self, path: str) -> None:
        """Stop an actor in order; kill it when its `shutdown` is over."""
        self.check()
        self._refuse_start_cycle(path)
        player = self.known(path)
        self._stop(player, drains=player.spec.settings.drain == "finish")

    def restart(self, path: str) -> None:
        """Stop an actor and start it again; what is queued stays."""
        self.check()
        self._refuse_start_cycle(path)
        player = self.known(path)
        player.is_held = True
        try:
            self._stop(player, drains=False)
        finally:
            player.is_held = False
        player.state = "restarting"
        self._get_ready(player)

    def kill(self, player: Player) -> None:
        """End its incarnation as kill -9 would; code of its own that called this goes no further."""
        if player.is_alive:
            self.ended(player, KILL)
        if self._stack:
            self.check()

    def close(self) -> None:
        """Stop everybody in reverse order; close what killed incarnations left."""
        is_restless = self._turns > _MOST_TURNS  # what never comes to rest is not waited for either
        self._turns = 0
        try:
            for player in reversed(list(self.players.values())):
                if player.is_suspended:
                    self.kill(player)
                self._stop(player, drains=not is_restless and player.spec.settings.drain == "finish")
        finally:
            self.is_closed = True
            for player in (*self.players.values(), *self._never_ready):
                player.kill()
                player.bury()

    def _get_ready(self, player: Player) -> None:
        player.is_launching = True
        player.failed_start = None
        until_ns = self._now_ns + int(player.spec.settings.ready * 1e9)
        try:
            if not self.wait_until(lambda: player.state not in ("starting", "restarting"), player.path, until_ns):
                self.ended(player, KILL)
        finally:
            player.is_launching = False
        if player.failed_start is not None:
            raise StartFailed(player.path, "", player.failed_start)

    def _stop(self, player: Player, *, drains: bool) -> None:
        if player.is_stopped:
            return
        player.inbox.drains = drains
        player.inbox.stop_wanted_for = "shutdown"
        shutdown = player.spec.settings.shutdown
        if not player.is_alive:
            self._close(player)
        elif shutdown != "kill":
            until_ns = None if isinstance(shutdown, str) else self._now_ns + int(shutdown * 1e9)
            self.wait_until(lambda: player.is_stopped, player.path, until_ns)
        if not player.is_stopped:
            self.ended(player, KILL)
        player.inbox.stop_wanted_for = None
        self.check()

    def _refuse_start_cycle(self, path: str) -> None:
        me = self.current
        is_starting = me is not None and me.state in ("starting", "restarting")
        if me is not None and is_starting and path.rpartition(".")[0] == me.path.rpartition(".")[0]:
            raise StartCycle(f"{me.path} is being started by the supervisor it asks; do it after on_start")

    # ---- ends

    def ended(self, player: Player, exit_: Exit) -> None:
        """An incarnation is over: tell those who wait for it, then restart it or close its name."""
        certificate = player.certificate(exit_)
        if exit_.code is None:
            player.kill()
        else:
            self._stack.append(player)  # its last `finally` blocks are its own
            player.end()
            self._stack.pop()
        self._end_in_hand(player, certificate)
        if not exit_.is_normal:
            self.deaths.append(certificate)
        self._watchers.ended(player.path, None if exit_.is_normal else certificate)
        if player.is_launching and certificate.phase == "start":
            player.failed_start = certificate
            self._close(player)
        elif self._is_to_restart(player, exit_):
            player.state = "restarting"
        else:
            self._close(player)

    def _is_to_restart(self, player: Player, exit_: Exit) -> bool:
        kind = player.spec.settings.restart
        if player.inbox.stop_wanted_for is not None or kind == "temporary" or (kind == "transient" and exit_.is_normal):
            return False
        recent = [time for time in player.restarts_ns if time >= self._now_ns - self._max_ns]
        player.restarts_ns = [*recent, self._now_ns]
        return len(player.restarts_ns) <= self._max_restarts  # ST-4

    def _end_in_hand(self, player: Player, certificate: DeathCertificate) -> None:
        again: list[Letter] = []
        for letter in player.inbox.in_hand:
            if letter.attempt <= letter.retry:
                again.append(letter)
            elif letter.reply is not None:
                letter.reply.settle(ok=False, value=ActorDied(certificate, "started"))
            else:
                self._bury(player, letter, f"its actor died of it (attempt {letter.attempt}): {certificate.reason}")
        player.inbox.in_hand.clear()
        for letter in reversed(again):
            (player.inbox.urgent if letter.is_urgent else player.inbox.queue).appendleft(letter)

    def _close(self, player: Player) -> None:
        """Stopped for good, unless it is only being restarted by hand."""
        player.state = "stopped"
        if player.is_held:
            return
        player.committed = ()
        for letter in (*player.inbox.urgent, *player.inbox.queue):
            if letter.reply is not None:
                letter.reply.settle(ok=False, value=ActorStopped(player.path, "no", "stopped for good"))
            else:
                self._bury(player, letter, "its actor stopped for good")
        for sender in player.inbox.full:
            sender.settle(ok=False, value=ActorStopped(player.path, "no", "stopped for good"))
        for lane in (player.inbox.urgent, player.inbox.queue, player.inbox.full):
            lane.clear()
        self._watchers.stopped(player.path)

    def _bury(self, player: Player, letter: Letter, why: str) -> None:
        """A tell that nobody will handle."""
        if letter.name in NOTICES:  # nobody misses it
            return
        self.dead_letters.append(DeadLetter(player.path, letter.name, letter.args, letter.kwargs))
        number, when = len(self.dead_letters), self._now_ns / 1e9
        told = PublicLetter(number, player.path, when, why, 0, letter.name, attempt=letter.attempt)
        self._watchers.letter(told)

    def _notify(self, watcher: str, hook: str, what: Down | PublicLetter) -> None:
        player = self.players.get(watcher)
        if player is not None and not player.is_stopped:
            player.inbox.urgent.append(Letter(hook, (what,), {}, is_urgent=True))
