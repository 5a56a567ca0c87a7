"""The supervisor: THE other loop. It waits, decides, performs.

    what happened: a death, a "ready", a timer, a request
        └─▶ decide(tree, event, now) ─▶ actions ─▶ performed by the troupe, in the order given

It never imports user code, opens a payload or waits for anybody: a hanging actor, caller or zygote is a timer to it.
"""

import asyncio
import itertools
import os
import signal
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from actors.certificate import DeathCertificate
from actors.errors import ActorError
from actors.letter import Letter
from runtime.account import is_named, snapshot_bytes
from runtime.callers import Callers
from runtime.changeover import Changeover
from runtime.claim import Claim
from runtime.deaths import Deaths
from runtime.desk import Desk
from runtime.estate import Estate
from runtime.fresh import needs_of
from runtime.letters import Letters
from runtime.memory.allowance import Allowance
from runtime.names import Names
from runtime.notices import Notices
from runtime.process import bounds
from runtime.process import exit as process_exit
from runtime.process.zygote import ActorMain
from runtime.reporter import Reporter
from runtime.supervision import action, event
from runtime.supervision.decide import decide
from runtime.supervision.spec import Spec, SupervisorSpec
from runtime.supervision.tree import Tree, new_tree
from runtime.troupe import Troupe
from runtime.vault import Vault
from runtime.watches import Watches
from runtime.wire.answer import Change, Ending

Answered = Callable[[action.Result], None]
Reloaded = Callable[[list[Change] | ActorError], None]
EMPTY = SupervisorSpec("")


class Supervisor:
    """One system's supervisor, in its own process."""

    def __init__(self, claimed: Claim, system: str, main: ActorMain, memory: int | None = None) -> None:
        self.system = system
        self.tree: Tree = new_tree(EMPTY)
        self.reporter = Reporter()
        self.names = Names(claimed, self._restore_names, self.reporter)
        root = str(claimed.root)
        self.allowance = Allowance(memory, lambda: snapshot_bytes(self.troupe))
        self.vault = Vault(self.allowance, self._is_named)
        self.estate = Estate(self.allowance)
        self.deaths = Deaths()
        self.letters = Letters(self.vault, self._dead_letter, self.reporter.letter_lost)
        self.callers = Callers(root, self.vault)
        self.troupe = Troupe(
            root,
            system,
            callers=self.callers,
            vault=self.vault,
            reporter=self.reporter,
            letters=self.letters,
            main=main,
            happened=self.happened,
            decide=self.decide_now,
            died=self._died,
        )
        self.watches = Watches(self.troupe, Notices(self.troupe, self.reporter.notice_lost))
        self.desk = Desk(self, f"{root}/control")
        self._changeover = Changeover(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._events: deque[event.Event] = deque()
        self._wake = asyncio.Event()
        self._requests: dict[int, Answered] = {}
        self._numbers = itertools.count(1)
        self._timers: dict[event.Timer, asyncio.TimerHandle] = {}
        self._fault: Exception | None = None
        self.ending: Ending | None = None

    async def run(self, warden: int, ready: Callable[[], None]) -> Ending:
        """Serve until the tree has ended.

        Args:
            warden: its pidfd.
            ready: called once everybody may connect.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(warden, self._warden_gone)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._on_signal)
        self.names.note(self.troupe.marks)
        self.troupe.open()
        self.desk.open()
        self.names.watch()
        ready()
        while self.ending is None:  # THE other loop: wait, decide, perform
            await self._wake.wait()
            self._wake.clear()
            if self._fault is not None:
                raise self._fault
            self._decide()
        self.troupe.shut()
        self.desk.tell_ending(self.ending)
        self.desk.close()
        return self.ending

    def happened(self, what: event.Event) -> None:
        """Something happened; it is decided on in its turn."""
        self._events.append(what)
        self._wake.set()

    def decide_now(self) -> None:
        """Decide on what has happened without waiting for its turn: a restart waits for it. A fault is `run`'s."""
        try:
            self._decide()
        except Exception as fault:
            self._fault = fault
            self._wake.set()

    def _decide(self) -> None:
        while self._events:
            self.tree, actions = decide(self.tree, self._events.popleft(), monotonic())
            for one in actions:
                self._perform(one)

    def boot(self, spec: SupervisorSpec, answered: Answered) -> None:
        """Start the tree."""
        self.tree = new_tree(spec, seed=int.from_bytes(os.urandom(4), "little"))
        self.request(event.Boot, answered)

    def request(self, made: Callable[[int], event.Event], answered: Answered) -> None:
        """Decide on a request, which is made with its number; answered() gets what comes of it."""
        number = next(self._numbers)
        self._requests[number] = answered
        self.happened(made(number))

    def start_child(self, supervisor: str, spec: Spec, answered: Answered) -> None:
        """Start a child."""
        self.request(lambda number: event.StartChild(number, supervisor, spec), answered)

    def stop_child(self, path: str, answered: Answered) -> None:
        """Stop a child for good; of a dynamic supervisor's, its present process (OTP's terminate_child by pid)."""
        self.request(lambda number: event.TerminateChild(number, path, "present"), answered)

    def delete_child(self, path: str, answered: Answered) -> None:
        """Forget a stopped child's specification."""
        self.request(lambda number: event.DeleteChild(number, path), answered)

    def restart_child(self, path: str, answered: Answered, *, code: bool = False) -> None:
        """Stop a child and start it again, its mailbox kept; with code, on freshly imported code."""
        self.request(lambda number: event.CycleChild(number, path, code), answered)

    def reload(self, path: str, spec: SupervisorSpec, front: list[bytes], answered: Reloaded) -> None:
        """Turn the supervisor at path into what spec says; see `Changeover`."""
        self._in_background(self._reload(path, spec, front, answered))

    def stop(self, answered: Answered | None = None) -> None:
        """Stop the whole tree, in reverse order."""
        self.request(event.StopTree, answered or _nobody)

    @property
    def is_settled(self) -> bool:
        """Nothing is waiting to be decided on, and no process is being started or stopped."""
        return not self._events and not self.troupe.is_busy

    def kill(self) -> None:
        """End at once: the warden kills and clears up what is left."""
        os._exit(128 + signal.SIGKILL)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # a loop holds its tasks by weak references only
        task.add_done_callback(self._tasks.discard)

    async def _import(self, wanted: action.Import) -> None:
        try:
            needs = list(needs_of(wanted.path, wanted.spec))
            failures = await self.troupe.fresh_code.bring_in(needs, is_whole=True)
            failure = next(iter(failures.values()), None)
        except Exception:  # a fault of our own, which must not leave its asker waiting
            self.reporter.failed_inside("import failed")
            failure = event.Reason("the import failed inside the supervisor, whose log says how")
        self.happened(event.Imported(wanted.path, wanted.request, failure))

    async def _reload(self, path: str, spec: SupervisorSpec, front: list[bytes], answered: Reloaded) -> None:
        try:
            answered(await self._changeover.turn_into(path, spec, front))
        except ActorError as exc:
            answered(exc)
        except Exception:  # a fault of our own, which must not leave its asker waiting
            self.reporter.failed_inside("reload failed")
            answered(ActorError("the reload failed inside the supervisor, whose log says how"))

    def _warden_gone(self) -> None:
        """Nobody would clear up after us: end everything now, and do it ourselves."""
        process_exit.end_children()
        self.names.remove()
        os._exit(1)

    def _on_signal(self) -> None:
        if self._loop.is_running() and self.tree.phase == "stopping":
            self.kill()
        self.stop()

    def _perform(self, one: action.Action) -> None:
        match one:
            case action.Launch():
                self.names.look()
                self.troupe.launch(one)
            case action.AskToStop():
                pool = self.tree.nodes.get(one.path.rpartition(".")[0])
                self.troupe.ask_to_stop(one, is_alone=pool is None or pool.phase == "running")
            case action.Kill():
                self.troupe.kill(one)
            case action.Import():
                self._in_background(self._import(one))
            case action.SetTimer(timer, at):
                self._timers[timer] = self._loop.call_at(at, self._due, timer)
            case action.CancelTimer(timer):
                handle = self._timers.pop(timer, None)
                if handle is not None:
                    handle.cancel()
            case action.Close(path):
                self.troupe.mailboxes.close(path)
                self.watches.stopped(path)
            case action.Forget(path):
                self.troupe.mailboxes.forget(path)
            case action.Answer(request, result):
                self._requests.pop(request)(result)
            case action.Report():
                self.reporter.report(one)
            case action.Halt(reason, gave_up, cause):
                certificate = cause.certificate if cause is not None else None
                known = certificate if isinstance(certificate, DeathCertificate) else None
                self.ending = Ending("gave up" if gave_up else reason.kind, gave_up, known)

    def _restore_names(self) -> None:
        self.callers.restore()
        self.troupe.mailboxes.restore()
        self.desk.restore()

    def _due(self, timer: event.Timer) -> None:
        self._timers.pop(timer, None)
        self.happened(event.Due(timer))

    def _is_named(self, body: int, address: int) -> bool:
        queues = self.troupe.mailboxes.queues().values()
        return is_named(body, address, self.troupe, queues, self.callers, self.letters)

    def _died(self, certificate: DeathCertificate) -> None:
        self.deaths.add(certificate)
        self.reporter.died(certificate)
        self.watches.died(certificate)

    def _dead_letter(self, letter: Letter) -> None:
        self.reporter.dead_letter(letter.actor)
        self.watches.letter(letter)


def _nobody(_result: action.Result) -> None:
    """Nobody waits for the answer."""


def main(
    claimed: Claim, system: str, actor_main: ActorMain, warden: int, ready: Callable[[], None], memory: int | None
) -> Ending:
    """Be the supervisor until the tree has ended."""
    supervisor = Supervisor(claimed, system, actor_main, memory)
    if bounds.descriptors() < bounds.FEW_DESCRIPTORS:
        supervisor.reporter.few_descriptors(bounds.descriptors())
    return asyncio.run(supervisor.run(warden, ready))
