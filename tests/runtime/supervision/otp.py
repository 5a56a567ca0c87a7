"""A second opinion: OTP's supervisor.erl, written down once more the way it is there, one function per function.

Synchronous like the original: a supervisor does one thing at a time, a start or a stop returns when it is over, and
what happens meanwhile waits in a mailbox. It shares nothing with the decisions but the specifications, so a script
answered alike by both is an argument for both. Times are exact, as ours are; OTP counts whole seconds.
"""

from actors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    DynamicSupervisor,
    NotFound,
    NotRunning,
    Restarting,
    StartFailed,
    StillRunning,
)
from runtime.supervision.spec import Path, Spec, SupervisorSpec, WorkerSpec, check_child, check_supervisor
from runtime.supervision.tree import ChildState, Counts
from tests.conformance.driver import Record, StartBehaviour, StartOutcome, StopBehaviour
from tests.runtime.supervision.otp_records import ChildRecord, FailedError, KilledError, Process, Supervisor


class OtpDriver:
    """The original's behaviour behind the script protocol's operations."""

    def __init__(self) -> None:
        self.now = 0.0
        self.root: Supervisor | None = None
        self.exit: str | None = None
        self.starts: dict[str, tuple[StartBehaviour, int | None]] = {}
        self.stops: dict[str, StopBehaviour] = {}
        self.trace: list[Record] = []

    def start_tree(self, spec: SupervisorSpec) -> None:
        check_supervisor(spec, "")
        try:
            self.root = self.init(spec, None)
        except FailedError as error:
            raise StartFailed(error.args[0]) from None
        self.exit = None
        self.run()

    def stop(self) -> None:
        self.terminate(self.at(""), None)
        self.gone("shutdown")

    def status(self) -> str | None:
        return "running" if self.root is not None else self.exit

    def behave_start(self, worker: str, behaviour: StartBehaviour, times: int | None) -> None:
        self.starts[worker] = (behaviour, times)

    def behave_stop(self, worker: str, behaviour: StopBehaviour) -> None:
        self.stops[worker] = behaviour

    def start_child(self, supervisor: Path, spec: Spec) -> StartOutcome:
        state = self.at(supervisor)
        if state.is_simple:
            assert state.spec.template is not None
            template = state.spec.template
            spec = WorkerSpec(spec.name, template.restart, template.shutdown, None, template.significant)
        else:
            check_child(spec, state.spec, supervisor)
            old = state.children.get(spec.name)
            if old is not None:
                raise (AlreadyPresent if old.pid in (None, "restarting") else AlreadyStarted)(spec.name)
        pid = self.start_asked(spec, state)
        if pid is not None or not (spec.restart == "temporary" or state.is_simple):
            state.children[spec.name] = ChildRecord(spec, pid)
        self.run()
        return "ok" if pid is not None else "ignored"

    def terminate_child(self, path: Path) -> None:
        state, child = self.child(path)
        self.do_terminate(child)
        self.del_child(state, child)
        self.run()

    def restart_child(self, path: Path) -> StartOutcome:
        state, child = self.child(path)
        self.only_undefined(child)
        child.pid = self.start_asked(child.spec, state)
        self.run()
        return "ok" if child.pid is not None else "ignored"

    def delete_child(self, path: Path) -> None:
        state, child = self.child(path)
        self.only_undefined(child)
        del state.children[child.spec.name]

    def die(self, path: Path, reason: str) -> None:
        process = self.find(path)
        if not isinstance(process, Process) or not process.is_alive:
            raise NotRunning(path)
        process.is_alive = False
        process.supervisor.mailbox.append(("EXIT", process.spec.name, process, reason))
        self.run()

    def which_children(self, supervisor: Path) -> tuple[tuple[str, ChildState], ...]:
        states: list[tuple[str, ChildState]] = []
        for name, child in self.at(supervisor).children.items():
            match child.pid:
                case None:
                    states.append((name, "stopped"))
                case "restarting":
                    states.append((name, "restarting"))
                case _:
                    states.append((name, "running"))
        return tuple(states)

    def count_children(self, supervisor: Path) -> Counts:
        state = self.at(supervisor)
        size = len(state.children)
        supervisors = sum(isinstance(child.spec, SupervisorSpec) for child in state.children.values())
        active = sum(child.pid not in (None, "restarting") for child in state.children.values())
        return Counts(1 if state.is_simple else size, active, supervisors, size - supervisors)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def take_trace(self) -> list[Record]:
        trace, self.trace = self.trace, []
        return trace

    def at(self, path: Path) -> Supervisor:
        state = self.find(path)
        if not isinstance(state, Supervisor) or not state.is_alive:
            raise NotRunning(path)
        return state

    def find(self, path: Path) -> "Process | Supervisor | str | None":
        state: Process | Supervisor | str | None = self.root
        for name in path.split(".") if path else ():
            child = state.children.get(name) if isinstance(state, Supervisor) else None
            state = None if child is None else child.pid
        return state

    def child(self, path: Path) -> tuple[Supervisor, ChildRecord]:
        parent, _, name = path.rpartition(".")
        state = self.at(parent)
        if state.is_simple:
            raise DynamicSupervisor(path)
        if name not in state.children:
            raise NotFound(path)
        return state, state.children[name]

    def only_undefined(self, child: ChildRecord) -> None:
        if child.pid == "restarting":
            raise Restarting(child.spec.name)
        if child.pid is not None:
            raise StillRunning(child.spec.name)

    def run(self) -> None:
        while (state := self.busy(self.root)) is not None:
            kind, name, pid, reason = state.mailbox.popleft()
            child = state.children.get(name)
            if child is None:
                continue
            if kind == "EXIT" and child.pid is pid:
                is_over = self.do_restart(reason, child, state)
            elif kind == "try_again" and child.pid == "restarting":
                is_over = self.restart(child, state)
            else:
                continue
            if is_over:
                self.terminate(state, None)
                if state.parent is None:
                    self.gone("shutdown")
                else:
                    state.parent.mailbox.append(("EXIT", state.spec.name, state, "shutdown"))

    def busy(self, state: object) -> Supervisor | None:
        if not isinstance(state, Supervisor):
            return None
        if state.is_alive and state.mailbox:
            return state
        return next((found for c in state.children.values() if (found := self.busy(c.pid)) is not None), None)

    def gone(self, reason: str) -> None:
        self.root, self.exit = None, reason

    def init(self, spec: SupervisorSpec, parent: Supervisor | None) -> Supervisor:
        state = Supervisor(spec, parent)
        try:
            check_supervisor(spec, spec.name)
        except BadSpec as error:
            raise FailedError(error.what) from None
        if state.is_simple:
            return state
        state.children = {child.name: ChildRecord(child) for child in spec.children}
        failed = self.start_children(state, list(state.children))
        if failed is not None:
            self.terminate_children(state, list(state.children), None)
            raise FailedError(failed)
        return state

    def start_children(self, state: Supervisor, names: list[str]) -> str | None:
        for name in names:
            child = state.children[name]
            try:
                child.pid = self.do_start_child(child.spec, state)
            except FailedError:
                return name
            if child.pid is None and child.spec.restart == "temporary":
                del state.children[name]
        return None

    def do_start_child(self, spec: Spec, state: Supervisor) -> Process | Supervisor | None:
        if isinstance(spec, SupervisorSpec):
            return self.init(spec, state)
        behaviour, times = self.starts.get(spec.name, ("ok", None))
        if times is not None:
            self.starts[spec.name] = (behaviour, times - 1) if times > 1 else ("ok", None)
        match behaviour:
            case "fail":
                self.trace.append(("startfail", spec.name))
                raise FailedError(spec.name)
            case "ignore":
                self.trace.append(("ignore", spec.name))
                return None
            case "ok":
                self.trace.append(("start", spec.name))
                return Process(spec, state)

    def start_asked(self, spec: Spec, state: Supervisor) -> Process | Supervisor | None:
        try:
            return self.do_start_child(spec, state)
        except FailedError:
            raise StartFailed(spec.name) from None

    def do_restart(self, reason: str, child: ChildRecord, state: Supervisor) -> bool:
        if child.spec.restart == "permanent":
            return self.restart(child, state)
        if reason in ("normal", "shutdown"):
            self.del_child(state, child)
            return self.do_auto_shutdown(child, state)
        if child.spec.restart == "transient":
            return self.restart(child, state)
        self.del_child(state, child)
        return self.do_auto_shutdown(child, state)

    def do_auto_shutdown(self, child: ChildRecord, state: Supervisor) -> bool:
        if state.spec.auto_shutdown == "never" or not child.spec.significant:
            return False
        if state.spec.auto_shutdown == "any_significant":
            return True
        return not any(c.pid is not None and c.spec.significant for c in state.children.values())

    def restart(self, child: ChildRecord, state: Supervisor) -> bool:
        since = self.now - state.spec.max_seconds
        state.restarts = [self.now, *(time for time in state.restarts if time >= since)]
        if len(state.restarts) > state.spec.max_restarts:
            self.del_child(state, child)
            return True
        name = child.spec.name
        if state.spec.strategy in ("one_for_one", "dynamic"):
            self.restart_one(child, state)
            return False
        names = list(state.children)
        names = names[names.index(name) :] if state.spec.strategy == "rest_for_one" else names
        child.pid = None
        self.terminate_children(state, names, None)
        failed = self.start_children(state, [name for name in names if name in state.children])
        if failed is not None:
            state.children[failed].pid = "restarting"
            state.mailbox.append(("try_again", failed, None, ""))
        return False

    def restart_one(self, child: ChildRecord, state: Supervisor) -> None:
        try:
            child.pid = self.do_start_child(child.spec, state)
        except FailedError:
            child.pid = "restarting"
            state.mailbox.append(("try_again", child.spec.name, None, ""))
            return
        if child.pid is None and state.is_simple:
            del state.children[child.spec.name]

    def del_child(self, state: Supervisor, child: ChildRecord) -> None:
        if child.spec.restart == "temporary" or state.is_simple:
            del state.children[child.spec.name]
        else:
            child.pid = None

    def terminate(self, state: Supervisor, deadline: float | None) -> None:
        state.is_alive = False
        if not state.is_simple:
            self.terminate_children(state, list(state.children), deadline)
            return
        hanging = False
        for child in state.children.values():
            if isinstance(child.pid, Process):
                hanging |= self.ask(child.pid)
        shutdown = state.spec.template.shutdown if state.spec.template is not None else "kill"
        if hanging:
            self.wait(shutdown, deadline)

    def terminate_children(self, state: Supervisor, names: list[str], deadline: float | None) -> None:
        for name in reversed(names):
            child = state.children[name]
            self.do_terminate(child, deadline)
            if child.spec.restart == "temporary":
                del state.children[name]
            else:
                child.pid = None

    def do_terminate(self, child: ChildRecord, deadline: float | None = None) -> None:
        if isinstance(child.pid, Supervisor):
            shutdown = child.spec.shutdown
            if shutdown == "kill":
                self.kill(child.pid)
                return
            own = None if shutdown == "infinity" else self.now + float(shutdown)
            if deadline is not None and (own is None or deadline < own):
                self.terminate(child.pid, deadline)
                return
            try:
                self.terminate(child.pid, own)
            except KilledError:
                self.kill(child.pid)
        elif isinstance(child.pid, Process) and self.ask(child.pid):
            self.wait(child.spec.shutdown, deadline)

    def ask(self, process: Process) -> bool:
        """Whether it has to be waited for."""
        process.is_alive = False
        if process.spec.shutdown == "kill":
            return False
        behaviour = self.stops.get(process.spec.name, "ok")
        self.trace.append(({"ok": "stop", "hang": "hang", "crash": "stopcrash"}[behaviour], process.spec.name))
        return behaviour == "hang"

    def wait(self, shutdown: object, deadline: float | None) -> None:
        assert isinstance(shutdown, float), "a script in which somebody waits for ever"
        until = self.now + shutdown
        if deadline is not None and until > deadline:
            self.now = deadline
            raise KilledError
        self.now = until

    def kill(self, state: Supervisor) -> None:
        state.is_alive = False
        for child in reversed(state.children.values()):
            if isinstance(child.pid, Supervisor):
                self.orphan(child.pid)
            elif isinstance(child.pid, Process):
                child.pid.is_alive = False

    def orphan(self, state: Supervisor) -> None:
        """Its parent's exit ends it; unlike the original, what it waits for already is not waited for any longer."""
        for child in reversed(state.children.values()):
            if isinstance(child.pid, Supervisor) and not child.pid.is_alive:
                self.orphan(child.pid)
                child.pid = None
            elif isinstance(child.pid, Process) and not child.pid.is_alive:
                child.pid = None
        self.terminate(state, None)
