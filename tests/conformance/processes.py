"""Real processes, driven in real time: the supervisor's own loop in this process, and workers that act as told.

How a worker behaves, and what it records, are files in a directory of the driver's: one per worker for its behaviour,
one for the trace. The names of workers are ids, and ids are file names.
"""

import asyncio
import contextlib
import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from actors import Actor, message
from actors.child import Mailbox
from actors.errors import NotRunning
from runtime import host
from runtime.claim import claim
from runtime.memory.seal import sealed
from runtime.plan import Program
from runtime.process import prctl
from runtime.process.payload import joined_payload
from runtime.supervision.action import IgnoredStart, Refused, Result
from runtime.supervision.event import DeleteChild, Event, RestartChild, StartChild, StopTree, TerminateChild
from runtime.supervision.spec import Path, Spec, SupervisorSpec
from runtime.supervision.tree import ChildState, Counts, count_children, which_children
from runtime.supervisor import Supervisor
from runtime.wire import frame
from runtime.wire.codec import Codec
from tests.conformance.driver import Record, StartBehaviour, StartOutcome, StopBehaviour

_DEADLINE_SECONDS = 60.0
_POLL_SECONDS = 0.001
_AT_REST = ("running", "stopped")


class Player(Actor):
    """A worker that starts, stops and dies as its files say."""

    def __init__(self, stage: str) -> None:
        self.stage = FilePath(stage)
        self.id = self.context.name.rpartition(".")[2]

    def on_start(self) -> None:
        match self._start_behaviour():
            case "fail":
                self._record("startfail")
                raise RuntimeError("told to fail")
            case "ignore":
                self._record("ignore")
                self.context.stop("ignore")
            case _:
                self._record("start")

    def on_stop(self, reason: str) -> None:
        if reason != "shutdown":
            return
        match self._read(f"{self.id}.stop") or "ok":
            case "hang":
                self._record("hang")
                time.sleep(1000)
            case "crash":
                self._record("stopcrash")
                os._exit(1)
            case _:
                self._record("stop")

    @message
    def die(self, reason: str) -> None:
        if reason == "crash":
            os._exit(1)
        self.context.stop(reason if reason != "shutdown" else "normal")

    def _start_behaviour(self) -> str:
        how, _, times = (self._read(f"{self.id}.start") or "ok").partition(" ")
        if times:
            left = int(times) - 1
            (self.stage / f"{self.id}.start").write_text(f"{how} {left}" if left else "ok")
        return how

    def _read(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.stage / name).read_text()
        return ""

    def _record(self, what: str) -> None:
        fd = os.open(self.stage / "trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, f"{what} {self.id}\n".encode())
        os.close(fd)


class ProcessDriver:
    """A supervisor in this process, and its workers. `close` ends both."""

    def __init__(self) -> None:
        self._stage = FilePath(tempfile.mkdtemp(prefix="conformance-"))
        self._environment = {name: os.environ.get(name) for name in ("UNDERSTUDY_DIR", "UNDERSTUDY_LOG_LEVEL")}
        os.environ["UNDERSTUDY_DIR"] = str(self._stage / "run")
        os.environ.setdefault("UNDERSTUDY_LOG_LEVEL", "critical")
        self._umask = os.umask(0o077)
        prctl.become_subreaper()
        self._loop = asyncio.new_event_loop()
        self._supervisor: Supervisor | None = None
        self._running: asyncio.Task[Any] | None = None
        self._exit: str | None = None
        self._read_to = 0
        self._codec = Codec()
        constructor = self._codec.encode_constructor(Player, (str(self._stage),), {})
        self._payload = joined_payload(self._codec.encode_value(Player, "Player")[1], b"", constructor)

    def start_tree(self, spec: SupervisorSpec) -> None:
        before, self._exit = self._exit, None
        self._loop.run_until_complete(self._begin())
        boot = self._up().boot
        result = self._answered(lambda answered: boot(self._played(spec), answered))
        if isinstance(result, Refused):
            self._loop.run_until_complete(self._end())
            self._exit = before
            raise result.error

    def stop(self) -> None:
        self._ask(StopTree)

    def status(self) -> str | None:
        return self._exit if self._supervisor is None else "running"

    def behave_start(self, worker: str, behaviour: StartBehaviour, times: int | None) -> None:
        (self._stage / f"{worker}.start").write_text(behaviour if times is None else f"{behaviour} {times}")

    def behave_stop(self, worker: str, behaviour: StopBehaviour) -> None:
        (self._stage / f"{worker}.stop").write_text(behaviour)

    def start_child(self, supervisor: Path, spec: Spec) -> StartOutcome:
        return self._ask(lambda number: StartChild(number, supervisor, self._with_payload(spec)))

    def terminate_child(self, path: Path) -> None:
        self._ask(lambda number: TerminateChild(number, path))

    def restart_child(self, path: Path) -> StartOutcome:
        return self._ask(lambda number: RestartChild(number, path))

    def delete_child(self, path: Path) -> None:
        self._ask(lambda number: DeleteChild(number, path))

    def die(self, path: Path, reason: str) -> None:
        worker = self._supervisor.troupe.get(path) if self._supervisor is not None else None
        if worker is None or worker.box is None or not worker.is_ready:
            raise NotRunning(path)
        pid = worker.pid
        kind, payload = self._codec.encode_call("die", (reason,), {}, ())
        worker.box.deliver(frame.tell(kind, payload))
        self._settle(lambda: worker.pid != pid)

    def which_children(self, supervisor: Path) -> tuple[tuple[str, ChildState], ...]:
        return which_children(self._up().tree, supervisor)

    def count_children(self, supervisor: Path) -> Counts:
        return count_children(self._up().tree, supervisor)

    def advance(self, seconds: float) -> None:
        self._loop.run_until_complete(asyncio.sleep(seconds))
        self._settle(lambda: True)

    def take_trace(self) -> list[Record]:
        with contextlib.suppress(FileNotFoundError):
            raw = (self._stage / "trace").read_bytes()
            lines = raw[self._read_to :].decode().splitlines()
            self._read_to = len(raw)
            return [(what, name) for what, _, name in (line.partition(" ") for line in lines)]
        return []

    def close(self) -> None:
        """Stop what runs, and remove the driver's files."""
        if self._supervisor is not None:
            self.stop()
        self._loop.close()
        prctl.become_subreaper(wanted=False)
        os.umask(self._umask)
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self._stage, ignore_errors=True)

    def _up(self) -> Supervisor:
        if self._supervisor is None:
            raise NotRunning("root")
        return self._supervisor

    async def _begin(self) -> None:
        """Make a supervisor and let it run in this loop."""
        gc.collect()  # the programs of an earlier tree: the zygote must not inherit them, and close what is not its
        claimed = claim("conformance")
        supervisor = self._supervisor = Supervisor(claimed, "conformance", host)
        never, other = os.pipe()
        is_up = asyncio.Event()

        async def run() -> None:
            await supervisor.run(never, is_up.set)
            for fd in (never, other):
                os.close(fd)
            claimed.remove()
            claimed.close()

        self._running = asyncio.get_running_loop().create_task(run())
        await is_up.wait()
        supervisor.troupe.set_up([*map(os.fsencode, sys.path)], [*map(os.fsencode, sys.argv)])

    async def _end(self) -> None:
        """The tree is down: let the supervisor finish."""
        if self._running is None:
            return
        await self._running
        self._supervisor, self._running, self._exit = None, None, "shutdown"

    def _ask(self, made: Callable[[int], Event]) -> StartOutcome:
        up = self._up()
        match self._answered(lambda answered: up.request(made, answered)):
            case Refused(error):
                raise error
            case IgnoredStart():
                return "ignored"
            case _:
                return "ok"

    def _answered(self, request: Callable[[Callable[[Result], None]], None]) -> Result:
        results: list[Result] = []
        self._loop.call_soon(request, results.append)
        self._settle(lambda: bool(results))
        return results[0]

    def _settle(self, condition: Callable[[], bool]) -> None:
        """Run until a condition holds and nothing more happens by itself."""
        self._loop.run_until_complete(asyncio.wait_for(self._settled(condition), _DEADLINE_SECONDS))

    async def _settled(self, condition: Callable[[], bool]) -> None:
        while self._supervisor is not None:
            if self._running is not None and self._running.done():
                await self._end()
            elif condition() and self._is_quiet(self._supervisor):
                return
            else:
                await asyncio.sleep(_POLL_SECONDS)

    def _is_quiet(self, supervisor: Supervisor) -> bool:
        if supervisor.ending is not None or not supervisor.is_settled:
            return False
        nodes = supervisor.tree.nodes.values()
        return all(child.state in _AT_REST for node in nodes for child in node.children.values())

    def _played(self, spec: SupervisorSpec) -> SupervisorSpec:
        """A tree whose workers are players."""
        children = tuple(self._with_payload(child) for child in spec.children)
        template = None if spec.template is None else replace(spec.template, payload=self._program())
        return replace(spec, children=children, template=template)

    def _with_payload(self, spec: Spec) -> Spec:
        if isinstance(spec, SupervisorSpec):
            return self._played(spec)
        return replace(spec, payload=self._program())

    def _program(self) -> Program:
        return Program("Player", sealed(self._payload), Mailbox(4096), None, "discard", 0)
