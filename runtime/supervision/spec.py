"""What the decisions are made of: specifications of workers and supervisors, and what makes one valid.

The values are plain data; nothing of an actor's class is known here. OTP's checks, with OTP's words in OTP's order: a
supervisor's own flags, then its children one by one, each against the ids before it. Like OTP, a supervisor that
starts checks itself and its children's specifications, not what lies deeper (`check_supervisor`): a nested supervisor
checks itself when it is started. `validate` walks the whole tree, for those who want to know before anything starts.

Source: check_flags, check_startspec and do_check_childspec of OTP's supervisor.erl.
"""

from dataclasses import dataclass
from typing import Literal

from actors.child import MOST_COUNT, AutoShutdown, Backoff, RestartType, Shutdown
from actors.errors import BadSpec

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
Path = str


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A worker: one process.

    Attributes:
        name: unique among its siblings; without dots.
        restart: "permanent" always, "transient" after an abnormal end, "temporary" never.
        shutdown: seconds between the polite request and the kill; "kill" at once; "infinity" waits.
        ready: seconds from launch to readiness; None: no limit.
        significant: its end may end its supervisor (`auto_shutdown`).
        payload: what to run; never looked at.
    """

    name: str
    restart: RestartType = "permanent"
    shutdown: Shutdown = 5.0
    ready: float | None = None
    significant: bool = False
    payload: object = None


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervisor: no process of its own, a rule for its children.

    Attributes:
        name: as of a worker; of the root, what errors and reports call it.
        restart, shutdown, significant: how it is supervised itself, when nested.
        strategy: who is restarted with a child that died; "dynamic": many instances of one template.
        max_restarts: more than this many within max_seconds and it gives up.
        max_seconds: the sliding window, both ends included.
        backoff: delay before restarts; None: none.
        auto_shutdown: whether the end of significant children ends it.
        children: in start order; of a dynamic one empty.
        template: of a dynamic one, what its instances are made of; its name does not matter.
        max_children: of a dynamic one; None: no limit.
        pool: a mark for others; never looked at.
    """

    name: str
    restart: RestartType = "permanent"
    shutdown: Shutdown = "infinity"
    significant: bool = False
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    max_seconds: float = 5.0
    backoff: Backoff | None = None
    auto_shutdown: AutoShutdown = "never"
    children: "tuple[WorkerSpec | SupervisorSpec, ...]" = ()
    template: WorkerSpec | None = None
    max_children: int | None = None
    pool: bool = False


Spec = WorkerSpec | SupervisorSpec


def validate(spec: SupervisorSpec, path: Path = "") -> None:
    """Check a supervisor and everything below it, before any of it is started.

    Raises:
        BadSpec: the first thing found wrong; `.name` is where, `.what` OTP's word.
    """
    check_supervisor(spec, path)
    for child in spec.children:
        if isinstance(child, SupervisorSpec):
            validate(child, joined(path, child.name))


def check_supervisor(spec: SupervisorSpec, path: Path) -> None:
    """Check what a supervisor checks of itself when it starts: its flags, and each child's own specification."""
    where = path or spec.name
    _check_flags(spec, where)
    if spec.strategy == "dynamic":
        if spec.template is None or spec.children:
            raise BadSpec(where, "bad_start_spec", "a dynamic supervisor has one template and no other children")
        _check_child(spec.template, spec, joined(path, "template"))
        return
    seen = set[str]()
    for child in spec.children:
        check_child(child, spec, path)
        if child.name in seen:
            raise BadSpec(joined(path, child.name), "duplicate_child_name", "two children of this name")
        seen.add(child.name)


def check_child(child: Spec, supervisor: SupervisorSpec, path: Path) -> None:
    """Check one child's own specification for the supervisor at path.

    Raises:
        BadSpec: the first thing found wrong.
    """
    if not child.name:
        raise BadSpec(path or supervisor.name, "missing_id", "a child without a name")
    _check_child(child, supervisor, joined(path, child.name))


def joined(path: Path, name: str) -> Path:
    """The path of a child."""
    return f"{path}.{name}" if path else name


def _check_flags(spec: SupervisorSpec, where: str) -> None:
    if spec.strategy not in ("one_for_one", "one_for_all", "rest_for_one", "dynamic"):
        expected = "one_for_one|one_for_all|rest_for_one|dynamic"
        raise BadSpec(where, "invalid_strategy", f"expected {expected}, got {spec.strategy!r}")
    if not _is_count(spec.max_restarts):
        raise BadSpec(where, "invalid_intensity", f"expected max_restarts of 0 to 2**63 - 1, got {spec.max_restarts!r}")
    if not (_is_seconds(spec.max_seconds) and spec.max_seconds > 0):
        raise BadSpec(where, "invalid_period", f"expected max_seconds above 0, got {spec.max_seconds!r}")
    if not (spec.backoff is None or _is_backoff(spec.backoff)):
        expected = "None or a Backoff of seconds from 0 on and a jitter from 0 to 1"
        raise BadSpec(where, "invalid_backoff", f"expected {expected}, got {spec.backoff!r}")
    if spec.auto_shutdown not in ("never", "any_significant", "all_significant"):
        expected = "never|any_significant|all_significant"
        raise BadSpec(where, "invalid_auto_shutdown", f"expected {expected}, got {spec.auto_shutdown!r}")
    if spec.max_children is not None and not _is_count(spec.max_children):
        raise BadSpec(where, "invalid_max_children", f"expected 0 to 2**63 - 1, got {spec.max_children!r}")


def _check_child(child: Spec, supervisor: SupervisorSpec, where: str) -> None:
    if child.restart not in ("permanent", "transient", "temporary"):
        raise BadSpec(where, "invalid_restart_type", f"expected permanent|transient|temporary, got {child.restart!r}")
    if child.significant is True and supervisor.auto_shutdown == "never":
        raise BadSpec(where, "bad_combination", "significant, but its supervisor's auto_shutdown is never")
    if child.significant is True and child.restart == "permanent":
        raise BadSpec(where, "bad_combination", "significant and permanent")
    if not isinstance(child.significant, bool):
        raise BadSpec(where, "invalid_significant", f"expected true or false, got {child.significant!r}")
    if child.shutdown not in ("kill", "infinity") and not _is_seconds(child.shutdown):
        raise BadSpec(where, "invalid_shutdown", f'expected seconds, "kill" or "infinity", got {child.shutdown!r}')


def _is_backoff(value: object) -> bool:
    return (
        isinstance(value, Backoff)
        and _is_seconds(value.first)
        and _is_seconds(value.most)
        and _is_seconds(value.jitter)
        and value.jitter <= 1
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNT


def _is_seconds(value: object) -> bool:
    # an infinite period or deadline is none: OTP refuses it for a period and has its own word for a deadline
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
