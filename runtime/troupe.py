"""The troupe: every actor under the supervisor that runs. Performs launches, stops and kills; tells of starts and ends.

    launch ─▶ box, page, zygote ─▶ pid, pidfd ─▶ "ready" on the event pipe ─▶ Started
    pidfd readable ─▶ reaped ─▶ certificate ─▶ askers told ─▶ Exited

TR-1  A process is reaped before its death is told: one incarnation of a name at a time.
TR-2  Whoever waits for an answer of the dead is told before anything is restarted.
TR-3  What the dead leave behind (their process group; what was handed to us) is swept.
TR-4  A process that says that it is ready before the zygote has reported its pid has started once that is known: nobody
      is ever told of a running actor without a pid.
TR-5  An actor that is a thread is launched, heard of and buried like one that is a process: the ensemble tells.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Iterator, Mapping

from runtime.backlog import Backlogs
from runtime.callers import Callers
from runtime.ends import Died, Ends
from runtime.ensemble import Ensembles
from runtime.fresh import FreshCode
from runtime.letters import Letters
from runtime.limits import Recycler
from runtime.mailbox import page
from runtime.mailbox.box import Box
from runtime.mailbox.poolqueue import PoolQueue
from runtime.mailboxes import Mailboxes
from runtime.memory.slab import holder_of
from runtime.orders import Orders
from runtime.process import exit as process_exit
from runtime.process import mark
from runtime.process.launch import Launcher
from runtime.process.order import Setup, decode_ready
from runtime.process.sweeper import Sweeper
from runtime.process.zygote import ActorMain
from runtime.reporter import Reporter
from runtime.seats import Seats
from runtime.supervision import event
from runtime.supervision.action import AskToStop, Kill, Launch
from runtime.understudies import Understudies
from runtime.undertaker import Undertaker
from runtime.vault import Vault
from runtime.watchdog import START_TIMEOUT, Watchdog
from runtime.worker import Worker, not_launched

TERM_GRACE_SECONDS = 0.1  # between SIGTERM and SIGKILL, after the child's own `shutdown`
_EVENT_BYTES = 1 << 16  # the capacity of a pipe: a read returns whole lines


class Troupe:
    """All workers that run, and the one zygote they come from.

    Attributes:
        mailboxes: of all names, whether they run or not.
        seats: at the board.
        backlogs: what waits in the mailboxes.
        fresh_code: what brings in new code.
    """

    def __init__(
        self,
        root: str,
        system: str,
        *,
        callers: Callers,
        vault: Vault,
        reporter: Reporter,
        letters: Letters,
        main: ActorMain,
        happened: Callable[[event.Event], None],
        decide: Callable[[], None],
        died: Died,
    ) -> None:
        self._reporter = reporter
        self._undertaker = Undertaker(callers, vault, letters)
        self._watchdog = Watchdog()
        self.backlogs = Backlogs(lambda: self, self._queues, reporter)
        self._recycler = Recycler(lambda: self, reporter.recycled)
        self._happened = happened
        self._decide = decide
        self._ends = Ends(self._undertaker, happened, died)
        self._by_token: dict[int, Worker] = {}
        self._tokens = itertools.count(1)
        self.seats = Seats()
        self._events_read, self._events_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(self._events_write, True)
        self.marks = mark.new_system()
        self._launcher = Launcher(self, main, {self._events_write}, self.marks)
        self._ensembles = Ensembles(self._launcher, self.seats, self._tokens, self)
        self.mailboxes = Mailboxes(root, reporter, self._undertaker, self._closed)
        self._sweeper = Sweeper(self._launcher, self._known_pids, self.marks)
        self._orders = Orders(root, system, self._events_write, self.seats.pollers)
        self._understudies = Understudies(
            self._launcher, self.seats, self._orders, self._tokens, self._study, self._sweeper.sweep_soon
        )
        self.fresh_code = FreshCode(self._launcher, self._orders, self._renewed)
        self._zygote_fd = -1

    def open(self) -> None:
        """Fork the zygote, and listen to the event pipe."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._events_read, self._on_events)
        self._loop.add_signal_handler(signal.SIGCHLD, self._sweeper.reap_soon)
        self._launcher.open()
        self.backlogs.open()

    def set_up(self, path: list[bytes], argv: list[bytes]) -> None:
        """The surroundings of the owner's program, for the zygote."""
        self._launcher.set_up(Setup(path, argv))

    def _renewed(self) -> None:
        """Whatever is launched from now on runs freshly imported code."""
        self._understudies.clear()
        self._ensembles.renew()

    def get(self, path: str) -> Worker | None:
        """The worker of that path, running or not; None when it is not known."""
        return self.mailboxes.get(path)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self.mailboxes)

    @property
    def is_busy(self) -> bool:
        """A process is being started, or was asked to end and has not."""
        return any(each.token or (each.pid and (each.is_asked or not each.is_ready)) for each in self)

    # ---- what the decisions ask for

    def launch(self, launch: Launch) -> None:
        """Start a process; its mailbox is opened if it is not open."""
        worker = self.mailboxes.worker(launch.path, launch.spec.payload)
        program = worker.program
        worker.incarnation = launch.incarnation
        worker.shutdown, worker.restart = launch.spec.shutdown, launch.spec.restart
        try:
            box = self.mailboxes.open(worker)
            snapshots = [box.open_snapshots()] if program.has_snapshots else []
        except OSError as exc:
            self._ends.start(worker, f"mailbox: {os.strerror(exc.errno or 0)}")
            return
        box.set_life(page.RESTARTING if launch.incarnation > 1 else page.STARTING)
        box.set_control(page.RUN)
        box.page.forget_last_words()
        # it counts on past what a zygote's death has taken over (`zygote_gone`)
        box.begin(launch.incarnation)
        worker.token = next(self._tokens)
        if program.host == "thread":
            worker.holder = holder_of(0, worker.token)
            self._ensembles.launch(worker, self._orders.of(worker), [box.page_fd, program.payload, *snapshots])
        else:
            self._launch_process(worker, box, snapshots)
        self._keep_spares()

    def _launch_process(self, worker: Worker, box: Box, snapshots: list[int]) -> None:
        self._by_token[worker.token] = worker
        if pid := self._understudies.enter(worker, self._orders.of(worker), snapshots):
            self.launched(worker.token, pid)
            return
        worker.seat = self.seats.take()
        fds = [box.page_fd, worker.program.payload, self.seats.fd, *snapshots]
        self._launcher.launch(self._orders.of(worker), fds)

    def ask_to_stop(self, ask: AskToStop, *, is_alone: bool) -> None:
        """Ask politely; an actor that stops for good first handles what is queued, if its `drain` says so.

        Args:
            is_alone: its supervisor goes on: what is queued for its pool is left to the others, where there are any.
        """
        worker = self._current(ask.path, ask.incarnation)
        if worker is None or worker.box is None:
            return
        worker.is_asked = True
        finish = ask.is_final and worker.program.drain == "finish"
        leave = is_alone and self.mailboxes.has_fellows(worker)
        worker.box.set_control((page.STOP_LEAVE if leave else page.STOP_FINISH) if finish else page.STOP_DISCARD)

    def kill(self, kill: Kill) -> None:
        """End a process: one that was asked by SIGTERM and, a moment later, SIGKILL; any other by SIGKILL at once.

        One whose start took too long first writes down where it hangs.
        """
        worker = self._current(kill.path, kill.incarnation)
        if worker is None:
            return
        if worker.token:
            worker.is_doomed = True
            worker.is_called_off = not kill.is_late
            self._launcher.cancel(worker.token)
            self._ensembles.cancel(worker)
        elif worker.is_asked:
            worker.send_signal(signal.SIGCONT)
            worker.send_signal(signal.SIGTERM)
            self._loop.call_later(TERM_GRACE_SECONDS, self._kill_hard, worker, kill.incarnation)
        elif kill.is_late:
            self._watchdog.condemn(worker, START_TIMEOUT)
        else:
            worker.is_killed = True
            worker.send_signal(signal.SIGKILL)

    # ---- what the zygote reports

    def queued(self, token: int) -> None:
        """See `launch.Outcome`; who waits for a thread host is told of when it is given to that."""
        if (worker := self._by_token.get(token)) is not None:
            self.waits(worker)

    def begun(self, token: int) -> None:
        """See `launch.Outcome`."""
        workers = self._ensembles.waiting(token) if token in self._ensembles else [self._by_token[token]]
        for worker in workers:
            self._happened(event.Begun(worker.path, worker.incarnation))

    def launched(self, token: int, pid: int) -> None:
        """See `launch.Outcome`."""
        if token in self._ensembles:
            self._ensembles.launched(token, pid)
            return
        worker = self._by_token.pop(token)
        worker.token = 0
        worker.pid = worker.holder = pid
        try:
            worker.pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # a spare that was killed, and swept, as it got its order
            self.seats.leave(worker.seat)
            self._ends.start(worker, "its process was killed before it began")
            return
        except OSError as exc:
            self._end_unwatched(worker, f"no descriptor to watch its process by: {os.strerror(exc.errno or 0)}")
            return
        self._loop.add_reader(worker.pidfd, self._on_exit, worker)
        if worker.is_doomed:
            worker.send_signal(signal.SIGKILL)
        if worker.is_ready:
            self._started(worker)

    def failed(self, token: int, error: str, stacks: str = "") -> None:
        """See `launch.Outcome`."""
        if token in self._ensembles:
            self._ensembles.failed(token, error, stacks)
            return
        worker = self._by_token.pop(token)
        worker.token = 0
        self.seats.leave(worker.seat)
        self._ends.start(worker, error, stacks=stacks)

    def zygote_gone(self, tokens: list[int]) -> None:
        """See `launch.Outcome`; an actor may already play that nobody reported (TR-1)."""
        self._understudies.clear()
        strangers = self._sweeper.sweep_unreported()
        kept: set[int] = set()
        for worker in [self._by_token[token] for token in tokens if token in self._by_token]:
            worker.is_ready = False
            kept |= self._bury_start(worker, "its zygote died before it could say what it had started")
            if worker.box is not None:
                worker.box.begin(0)  # whoever comes next takes the journal over
        self._undertaker.free(strangers, kept)

    def _end_unwatched(self, worker: Worker, error: str) -> None:
        """Its process has begun, and its end could not be told: end it now, with whatever it has taken."""
        process_exit.kill_group(worker.pid)
        process_exit.end(worker.pid)
        self._sweeper.sweep_soon()
        self.seats.leave(worker.seat)
        self._undertaker.free([worker.pid], self._bury_start(worker, error))
        self._ends.start(worker, error)

    def threads_at_import(self, token: int, module: str) -> None:
        """See `launch.Outcome`."""
        self._reporter.threads_at_import(self._by_token[token].path, module)

    def zygote_forked(self, pid: int) -> None:
        """See `launch.Outcome`; the understudies have gone with the last one."""
        self._zygote_fd = os.pidfd_open(pid)
        self._loop.add_reader(self._zygote_fd, self._on_zygote_exit)

    def learned(self) -> None:
        """See `launch.Outcome`."""
        for worker in self:
            if worker.is_ready:
                self._understudies.soon(worker)

    def understudy(self, token: int, pid: int, fds: list[int]) -> None:
        """See `launch.Outcome`."""
        self._understudies.arrived(token, pid, fds)

    # ---- what the kernel reports

    def _on_events(self) -> None:
        try:
            raw = os.read(self._events_read, _EVENT_BYTES)
        except BlockingIOError:
            return
        for line in raw.splitlines():
            ready = decode_ready(line)
            worker = self._current(ready.path, ready.incarnation)
            if worker is not None and ready.is_ignored:
                worker.is_ignored = True
            elif worker is not None and worker.box is not None:
                worker.is_ready = True
                worker.box.set_life(page.READY)
                if worker.pid:
                    self._started(worker)

    def _started(self, worker: Worker) -> None:
        """It is ready and its pid is known (TR-4)."""
        self._watchdog.watch(worker)
        self._recycler.watch(worker)
        self._understudies.soon(worker)
        self._happened(event.Started(worker.path, worker.incarnation))

    def _on_exit(self, worker: Worker) -> None:
        ended = process_exit.reap(worker.pid)
        if ended is None:
            return
        if not worker.is_ready:
            self._on_events()  # it may have said that it was just before
        self._loop.remove_reader(worker.pidfd)
        process_exit.kill_group(worker.pid)
        seat = worker.seat
        self._ends.process(worker, ended)
        self._decide()
        self._sweeper.sweep_soon()
        self.seats.leave(seat)

    # ---- what the ensembles report

    def waits(self, worker: Worker) -> None:
        """See `ensemble.Audience`."""
        self._happened(event.Queued(worker.path, worker.incarnation))

    def joined(self, worker: Worker, pid: int, pidfd: int) -> None:
        """See `ensemble.Audience`."""
        worker.token = 0
        worker.pid = pid
        worker.pidfd = pidfd
        if worker.is_doomed:
            worker.send_signal(signal.SIGKILL)

    def not_joined(self, worker: Worker, error: str, together: int = 0, stacks: str = "") -> None:
        """See `ensemble.Audience`."""
        worker.token = 0
        self._ends.start(worker, error, together, stacks)

    def left(self, worker: Worker, ended: process_exit.Exit) -> None:
        """See `ensemble.Audience`."""
        self._on_events()  # it may have said that it was ready just before
        worker.pidfd = -1
        self._ends.thread(worker, ended)

    def fell(self, workers: list[Worker], pid: int, ended: process_exit.Exit, stacks: str) -> None:
        """See `ensemble.Audience`; together they cost their supervisor one restart."""
        self._on_events()
        self._sweeper.sweep_soon()
        for worker in workers:
            worker.pidfd = -1
            worker.token = 0
        self._ends.host(workers, pid, ended, stacks, next(self._tokens))

    def _on_zygote_exit(self) -> None:
        ended = process_exit.reap(self._launcher.pid)
        if ended is None:
            return
        self._unwatch_zygote()
        self._launcher.died(ended)
        self._sweeper.sweep_soon()

    def _unwatch_zygote(self) -> None:
        if self._zygote_fd >= 0:
            self._loop.remove_reader(self._zygote_fd)
            os.close(self._zygote_fd)
            self._zygote_fd = -1

    # ---- inside

    def _queues(self) -> Mapping[str, PoolQueue]:
        return self.mailboxes.queues()

    def _study(self, worker: Worker, incarnation: int) -> None:
        """Have a worker's next incarnation prepared (`Understudies.soon`)."""
        if self._current(worker.path, incarnation) is worker and worker.box is not None:
            self._understudies.study(worker, [worker.box.page_fd, worker.program.payload, self.seats.fd])

    def _closed(self, path: str) -> None:
        """Its mailbox is closed for good."""
        self._understudies.dismiss(path)
        self._ensembles.closed(path)
        self._keep_spares()

    def _keep_spares(self) -> None:
        """The first of an actor's understudies knows its part, the others are spares like any other."""
        wanted = (each.program.understudies - 1 for each in self if each.box is not None and each.program.understudies)
        self._launcher.keep_spares(1 + sum(wanted))

    def _current(self, path: str, incarnation: int) -> Worker | None:
        worker = self.get(path)
        is_alive = worker is not None and worker.incarnation == incarnation and (worker.pid or worker.token)
        return worker if is_alive else None

    def _kill_hard(self, worker: Worker, incarnation: int) -> None:
        if worker.incarnation == incarnation:
            worker.send_signal(signal.SIGKILL)

    def _bury_start(self, worker: Worker, error: str) -> set[int]:
        """End what a process took that nobody was told of; returns as `Box.bury` does."""
        return self._undertaker.bury(worker, not_launched(worker, error))

    def _known_pids(self) -> set[int]:
        pids = (*self._launcher.pids, *self._ensembles.pids, *(worker.pid for worker in self))
        return {pid for pid in pids if pid}

    def shut(self) -> None:
        """The tree is down: end the zygote and kill what is left."""
        self._understudies.clear()
        self._launcher.shut()
        self._ensembles.shut()
        self._unwatch_zygote()
        self._sweeper.sweep_all()
