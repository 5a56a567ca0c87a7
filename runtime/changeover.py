"""Changeovers: the running tree is turned into a new specification, by the ordinary requests, one after another.

    checked ─▶ amended: flags apply, specifications are the new ones ─▶ removed ones stop ─▶ the rest, in start order:
               added ones start, changed ones restart with their queues, replaced ones stop and start

CV-1  A specification that is not valid is refused whole, before anything is touched.
CV-2  What cannot be done is told of in the answer, and the rest goes on. A child that could not be started is specified
      as it was before, or not at all: the next reload tries it again.
CV-3  What a changeover starts runs freshly imported code: a new class may be in a module that was imported before. The
      import comes first: a child whose code cannot be imported is left as it is, and runs on.
CV-4  One changeover at a time; a second one waits, and compares with what the first one made.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import structs

from actors.errors import BadSpec, NotFound, NotRunning, SupervisionError
from runtime.fresh import needs_of
from runtime.supervision import action, event, reload
from runtime.supervision.spec import Path, Spec, SupervisorSpec, validate
from runtime.supervision.tree import Tree
from runtime.supervision.turn import start_failed
from runtime.troupe import Troupe
from runtime.wire.answer import Change, ChangeKind

_KINDS: dict[type, ChangeKind] = {reload.Added: "added", reload.Changed: "changed", reload.Replaced: "replaced"}
_WAS_DOWN = "its last start had failed"
_MOST_TEXT = 8192  # characters of one error
_MOST_TEXTS = 1 << 17  # of all errors of an answer together: it is one message, of control.LIMIT bytes


class System(Protocol):
    """What a changeover needs of the supervisor."""

    tree: Tree
    troupe: Troupe

    def request(self, made: Callable[[int], event.Event], answered: Callable[[action.Result], None]) -> None:
        """Decide on a request."""


class Changeover:
    """The changeovers of one system."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = asyncio.Lock()

    async def turn_into(self, path: Path, spec: SupervisorSpec, front: Sequence[bytes]) -> list[Change]:
        """Turn the supervisor at path into what spec says.

        Args:
            front: directories for the front of the actors' `sys.path`.
        Returns:
            What was done, in that order; [] when there is nothing to change.
        Raises:
            BadSpec: the specification is not valid (CV-1).
            NotFound, NotRunning: there is no such supervisor, or it is down.
        """
        async with self._lock:  # CV-4
            old = self._checked(path, spec)
            spec = reload.merged(old, spec)
            steps = reload.changes(old, spec, path, reload.children_down(self._system.tree, path))
            unfit = await self._import(steps, front)  # CV-3
            spec = reload.reverted(old, spec, frozenset(unfit), path)
            await self._amend(reload.amended(old, spec, path))
            done = [unfit.get(step.path) or await self._step(step) for step in steps]
            failed = frozenset(change.path for change in done if change.error and change.kind != "removed")
            if failed:  # CV-2
                await self._amend(reload.amended(spec, reload.reverted(old, spec, failed, path), path))
            return _shortened(done)

    async def _import(self, steps: Sequence[reload.Change], front: Sequence[bytes]) -> dict[Path, Change]:
        """Import what the steps start; returns those that are not to be done, since it cannot be."""
        needs = {
            step.path: list(needs_of(step.path, step.spec))
            for step in steps
            if not isinstance(step, reload.Removed | reload.FlagsChanged)
        }
        every = [need for some in needs.values() for need in some]
        failures = await self._system.troupe.fresh_code.bring_in(every, front, is_whole=False)
        unfit: dict[Path, Change] = {}
        for step in steps:
            for need in needs.get(step.path, ()):
                if need.path in failures:
                    error = start_failed(need.path, failures[need.path])
                    unfit.setdefault(step.path, _change(step.path, _KINDS[type(step)], error))
        return unfit

    def _checked(self, path: Path, new: SupervisorSpec) -> SupervisorSpec:
        """The specification to compare with."""
        node = self._system.tree.nodes.get(path)
        if node is None:
            raise NotFound(path, "there is no such supervisor")
        if node.phase in ("down", "stopping"):
            raise NotRunning(path or new.name)
        validate(new, path)
        if not reload.is_same_kind(node.spec, new):
            detail = "a supervisor that runs cannot become dynamic, or cease to be"
            raise BadSpec(path or new.name, "invalid_strategy", detail)
        return node.spec

    async def _amend(self, specs: Iterable[tuple[Path, SupervisorSpec]]) -> None:
        for path, spec in specs:
            error = await self._ask(_amending(path, spec))
            if error is not None and not isinstance(error, NotRunning):
                raise error  # of one that is down, the one above it has the new specification

    async def _step(self, step: reload.Change) -> Change:
        match step:
            case reload.Removed(path):
                return _change(path, "removed", await self._remove(path))
            case reload.FlagsChanged(path, flags):
                return Change(path, "flags", ", ".join(flags))
            case reload.Added(path, spec, place):
                return _change(path, "added", await self._start(path, spec, place))
            case reload.Replaced(path, spec, place):
                error = await self._remove(path)
                return _change(path, "replaced", error or await self._start(path, spec, place))
            case reload.Changed(path, spec, place, is_down):
                change = _change(path, "changed", await self._restart(path, spec, place))
                return structs.replace(change, detail=_WAS_DOWN) if is_down and not change.detail else change

    async def _start(self, path: Path, spec: Spec, place: int) -> SupervisionError | None:
        above = path.rpartition(".")[0]
        return await self._ask(lambda number: event.StartChild(number, above, spec, place))

    async def _remove(self, path: Path) -> SupervisionError | None:
        error = await self._ask(lambda number: event.TerminateChild(number, path))
        if error is None:  # a temporary child is gone by that
            error = await self._ask(lambda number: event.DeleteChild(number, path))
        return None if isinstance(error, NotFound) else error

    async def _restart(self, path: Path, spec: Spec, place: int) -> SupervisionError | None:
        error = await self._ask(lambda number: event.CycleChild(number, path))
        if isinstance(error, NotFound):  # it was temporary, and has ended
            return await self._start(path, spec, place)
        return error

    async def _ask(self, made: Callable[[int], event.Event]) -> SupervisionError | None:
        """Have a request decided on; None when it was granted."""
        answer: asyncio.Future[action.Result] = asyncio.get_running_loop().create_future()
        self._system.request(made, answer.set_result)
        result = await answer
        return result.error if isinstance(result, action.Refused) else None


def _amending(path: Path, spec: SupervisorSpec) -> Callable[[int], event.Event]:
    return lambda number: event.Amend(number, path, spec)


def _change(path: Path, kind: ChangeKind, error: SupervisionError | None) -> Change:
    if isinstance(error, NotRunning):
        return Change(path, kind, "its supervisor does not run: as specified once it does")
    return Change(path, kind, error="" if error is None else str(error))


def _shortened(done: list[Change]) -> list[Change]:
    """Errors cut to what fits into the answer; what matters of a traceback is its end."""
    most = min(_MOST_TEXT, _MOST_TEXTS // max(1, len(done)))
    return [Change(one.path, one.kind, one.detail[:most], one.error[-most:] if most else "…") for one in done]
