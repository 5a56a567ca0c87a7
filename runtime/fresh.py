"""Fresh code: what is to be started on it is imported first, and only then takes the place of the code there is.

    needs ─▶ a candidate beside the zygote imports each ─▶ it takes the zygote's place; or the old code stays as it is

FC-1  Nothing is stopped for code that cannot be imported.
FC-2  One at a time: each finds the code that the one before has left.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runtime.orders import Orders
from runtime.plan import Program
from runtime.process.candidate import Candidate, Imported
from runtime.process.launch import Launcher
from runtime.process.stock import what_of
from runtime.supervision.event import Reason
from runtime.supervision.spec import Path, Spec, SupervisorSpec, WorkerSpec, joined
from runtime.worker import Worker, not_launched


@dataclass(frozen=True, slots=True)
class Need:
    """A worker that is to be started on fresh code.

    Attributes:
        path: of it.
        program: what it runs.
        seconds: how long its import may take; None: as long as it takes.
    """

    path: Path
    program: Program
    seconds: float | None


def needs_of(path: Path, spec: Spec) -> Iterator[Need]:
    """Of a worker, or of all workers below a supervisor, its template included."""
    if isinstance(spec, WorkerSpec):
        if isinstance(spec.payload, Program):
            yield Need(path, spec.payload, spec.ready)
        return
    for child in _below(spec):
        yield from needs_of(joined(path, child.name), child)


def _below(spec: SupervisorSpec) -> tuple[Spec, ...]:
    return spec.children if spec.template is None else (spec.template,)


class FreshCode:
    """Brings in the code of one system."""

    def __init__(self, launcher: Launcher, orders: Orders, renewed: Callable[[], None]) -> None:
        """Import by that launcher; renewed() is called each time the code has changed."""
        self._launcher = launcher
        self._orders = orders
        self._renewed = renewed
        self._lock = asyncio.Lock()

    async def bring_in(
        self, needs: Sequence[Need], front: Sequence[bytes] = (), *, is_whole: bool
    ) -> dict[Path, Reason]:
        """Have whatever is launched from now on run freshly imported code, if that can be had (FC-1).

        Args:
            needs: to be imported first.
            front: directories for the front of `sys.path`; those that were there stay behind them.
            is_whole: all of it has to be imported, or nothing changes; else any of it.
        Returns:
            What could not be imported, and why.
        """
        if not needs:
            return {}
        async with self._lock:  # FC-2
            candidate, failures = await self._imported(needs, front)
            if len(failures) == len(needs) or (is_whole and failures):
                self._launcher.drop(candidate)
            else:
                self._launcher.renew(front, candidate)
                self._renewed()
            return failures

    async def _imported(
        self, needs: Sequence[Need], front: Sequence[bytes]
    ) -> tuple[Candidate | None, dict[Path, Reason]]:
        candidate: Candidate | None = None
        known: dict[bytes, Imported] = {}
        failures: dict[Path, Reason] = {}
        for need in needs:
            worker = Worker(need.path, need.program)
            launch = self._orders.of(worker)
            what = what_of(launch, need.program.payload)
            if what not in known:
                try:
                    candidate = candidate or self._launcher.candidate(front)
                except OSError as exc:
                    known[what] = Imported(f"no process to import it in: {os.strerror(exc.errno or 0)}")
                else:
                    known[what] = await candidate.import_code(launch, need.program.payload, need.seconds)
                    if known[what].is_over:
                        self._launcher.drop(candidate)
                        candidate = None
            imported = known[what]
            if imported.error:
                failures[need.path] = Reason("import", not_launched(worker, imported.error, imported.stacks))
        return candidate, failures
