"""The cases of OTP's supervisor once more, on real processes, through the public API."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, child, dynamic, message, tree
from actors.child import Child, Tree
from actors.errors import (
    ActorStopped,
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    DynamicSupervisor,
    NotFound,
    NotRunning,
    StartCycle,
    StartFailed,
    StillRunning,
)
from runtime import Supervisor
from runtime.handle import Handle
from runtime.testing import wait_until

pytestmark = pytest.mark.process


class Player(Actor):
    """Records its starts and stops in a file; how they go, files say: NAME.start and NAME.stop."""

    def __init__(self, stage: str, role: str = "") -> None:
        self.stage = Path(stage)
        self.role = role or self.context.name.rpartition(".")[2]

    def on_start(self) -> None:
        match self.told("start"):
            case "fail":
                self.record("fail")
                raise ValueError("told to fail")
            case "ignore":
                self.record("ignore")
                self.context.stop()
            case "hang":
                self.record("begin")
                time.sleep(1000)
            case _:
                self.record("start")

    def on_stop(self, reason: str) -> None:
        self.record("stop")
        match self.told("stop"):
            case "hang":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(1000)
            case "hang until SIGTERM":
                time.sleep(1000)
            case "crash":
                os._exit(3)

    def told(self, what: str) -> str:
        path = self.stage / f"{self.role}.{what}"
        return path.read_text() if path.exists() else ""

    def record(self, what: str) -> None:
        fd = os.open(self.stage / "trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, f"{what} {self.role}\n".encode())
        os.close(fd)

    @message
    def pid(self) -> int:
        return os.getpid()

    @message
    def leave(self) -> None:
        self.context.stop()

    @message
    def note(self, what: str) -> None:
        self.record(what)

    @message
    def hold(self, until: str) -> None:
        self.record("hold")
        while not Path(until).exists():
            os.sched_yield()


class Parent(Actor):
    """Starts children under its own supervisor, when it is told to or while it starts."""

    def __init__(self, *, early: bool = False) -> None:
        self.early = early
        self.refused = ""

    def on_start(self) -> None:
        if self.early:
            try:
                self.context.supervisor.start(child(Parent), name="too_early")
            except StartCycle as exc:
                self.refused = str(exc)

    @message
    def how_it_was_refused(self) -> str:
        return self.refused

    @message
    def adopt(self, name: str, stage: str) -> list[str]:
        self.context.supervisor.start(child(Player, stage), name=name)
        return [status.path for status in self.context.supervisor.children()]


class Stage:
    """The files of a test's players, and what they recorded since the last look."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._seen = 0

    def player(self, role: str = "", **options: Any) -> Child[Player]:
        return child(Player, str(self.directory), role).options(**options)

    def players(self, *names: str, **options: Any) -> dict[str, Child[Any] | Tree]:
        return {name: self.player(**options) for name in names}

    def tell(self, role: str, what: str, how: str) -> None:
        (self.directory / f"{role}.{what}").write_text(how)

    def trace(self) -> list[str]:
        path = self.directory / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        seen, self._seen = self._seen, len(lines)
        return lines[seen:]

    def wait_for(self, *expected: str) -> None:
        """Until exactly this has been recorded, in this order."""
        found: list[str] = []

        def is_there() -> bool:
            found.extend(self.trace())
            return len(found) >= len(expected)

        wait_until(is_there)
        assert found == list(expected)


Run = Callable[..., Supervisor]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def run(nothing_left: Path) -> Iterator[Run]:
    """Starts the test's one system; without backoff, ten restarts in a minute."""
    opened: list[Supervisor] = []

    def start(children: dict[str, Any], **flags: Any) -> Supervisor:
        options = {"max_restarts": 10, "max_seconds": 60.0, "backoff": None, **flags}
        opened.append(Supervisor("test", children=children, **options).open())
        return opened[0]

    yield start
    for supervisor in opened:
        supervisor.close()


def states(handle: Handle) -> dict[str, str]:
    return {status.path.rpartition(".")[2]: status.state for status in handle.children()}


def crash(supervisor: Supervisor, path: str) -> None:
    """Kill an actor's process, and wait until it is gone."""
    pid = supervisor.ref(path, Player).pid()
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not _is_alive(pidfd))
    os.close(pidfd)


def _is_alive(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    return True


# ---- start and init


def test_an_empty_system_counts_nothing(run: Run) -> None:
    """Case 1."""
    assert run({}).count() == {"specs": 0, "active": 0, "supervisors": 0, "workers": 0}


def test_children_start_in_order_and_stop_in_reverse(run: Run, stage: Stage) -> None:
    """Cases 4 and 44."""
    inner = tree(children=stage.players("x", "y"))
    supervisor = run({**stage.players("a", "b"), "p": inner, "d": stage.player()})
    assert stage.trace() == ["start a", "start b", "start x", "start y", "start d"]
    assert list(states(supervisor)) == ["a", "b", "p", "d"]

    supervisor.close()

    assert stage.trace() == ["stop d", "stop y", "stop x", "stop b", "stop a"]


def test_a_start_that_fails_stops_what_had_started_and_says_why(run: Run, stage: Stage) -> None:
    """Cases 3 and 5."""
    stage.tell("b", "start", "fail")

    with pytest.raises(StartFailed) as caught:
        run(stage.players("a", "b", "d"))

    assert caught.value.name == "b"
    assert caught.value.certificate is not None
    assert caught.value.certificate.phase == "start"
    assert "ValueError: told to fail" in caught.value.certificate.traceback
    assert stage.trace() == ["start a", "fail b", "stop a"]


def test_an_ignored_start_leaves_a_specification_without_a_process(run: Run, stage: Stage) -> None:
    """Cases 2 and 6."""
    for role in ("a", "t", "x1"):
        stage.tell(role, "start", "ignore")
    children = {"a": stage.player(), "t": stage.player(restart="temporary"), "d": dynamic(stage.player())}
    supervisor = run(children)

    assert states(supervisor) == {"a": "stopped", "d": "running"}
    assert supervisor.count()["active"] == 1
    stage.tell("a", "start", "")
    supervisor.restart("a")
    assert states(supervisor)["a"] == "running"
    supervisor.supervisors["d"].start(stage.player(), name="x1")
    assert supervisor.supervisors["d"].children() == []


def test_a_start_that_takes_too_long_is_killed_and_has_failed(run: Run, stage: Stage) -> None:
    """Case 5, with a process that hangs."""
    stage.tell("a", "start", "hang")
    supervisor = run({})

    with pytest.raises(StartFailed) as caught:
        supervisor.start(stage.player(ready=0.2), name="a")

    assert caught.value.certificate is not None
    assert caught.value.certificate.phase == "start"
    assert supervisor.children() == []


# ---- validation


def test_what_cannot_be_is_refused_with_otps_word(run: Run, stage: Stage) -> None:
    """Cases 9, 10, 12 and 13."""
    supervisor = run(stage.players("a"))
    refused: dict[str, Callable[[], object]] = {
        "invalid_restart_type": lambda: stage.player(restart="always"),
        "invalid_shutdown": lambda: stage.player(shutdown=-1),
        "missing_start": lambda: supervisor.start(Child(print), name="b"),
        "bad_combination": lambda: supervisor.start(stage.player(significant=True), name="b"),
        "invalid_name": lambda: supervisor.start(stage.player(), name="b.c"),
        "invalid_intensity": lambda: supervisor.start(tree(max_restarts=-1), name="p"),
        "invalid_period": lambda: supervisor.start(tree(max_seconds=0), name="p"),
    }

    for what, request in refused.items():
        with pytest.raises(BadSpec) as caught:
            request()
        assert caught.value.what == what
    assert states(supervisor) == {"a": "running"}


# ---- administration


def test_every_request_is_granted_or_refused_as_otp_does(run: Run, stage: Stage) -> None:
    """Cases 14 to 18."""
    supervisor = run(stage.players("a"), max_restarts=0)
    with pytest.raises(AlreadyStarted):
        supervisor.start(stage.player(), name="a")
    with pytest.raises(StillRunning):
        supervisor.delete("a")
    supervisor.stop("a")
    supervisor.stop("a")
    assert states(supervisor) == {"a": "stopped"}
    with pytest.raises(AlreadyPresent):
        supervisor.start(stage.player(), name="a")
    supervisor.delete("a")
    for request in (supervisor.delete, supervisor.restart, supervisor.stop):
        with pytest.raises(NotFound):
            request("a")
    stage.tell("b", "start", "fail")
    with pytest.raises(StartFailed):
        supervisor.start(stage.player(), name="b")
    assert supervisor.children() == []
    with pytest.raises(NotRunning):
        supervisor.supervisors["nobody"].start(stage.player(), name="x")


def test_a_restart_on_request_that_fails_keeps_the_specification(run: Run, stage: Stage) -> None:
    """Case 17."""
    supervisor = run(stage.players("a"), max_restarts=0)
    stage.tell("a", "start", "fail")

    with pytest.raises(StartFailed):
        supervisor.restart("a")

    assert states(supervisor) == {"a": "stopped"}


def test_a_dynamic_supervisor_starts_stops_and_forgets_its_children(run: Run, stage: Stage) -> None:
    """Cases 19 and 20."""
    pool = run({"p": dynamic(stage.player(), max_children=2)}).supervisors["p"]
    for name in ("x1", "x2"):
        pool.start(stage.player(), name=name)

    with pytest.raises(StartFailed, match="max_children"):
        pool.start(stage.player(), name="x3")
    with pytest.raises(DynamicSupervisor):
        pool.delete("x1")
    assert pool.count() == {"specs": 1, "active": 2, "supervisors": 0, "workers": 2}
    pool.stop("x1")
    assert states(pool) == {"x2": "running"}
    pool.start(stage.player(), name="x3")


def test_an_actor_starts_children_under_its_own_supervisor(run: Run, stage: Stage) -> None:
    """Case 14."""
    parent = run({"p": tree(children={"parent": child(Parent)})}).ref("p.parent", Parent)

    assert parent.adopt("x", str(stage.directory)) == ["p.parent", "p.x"]


def test_an_actor_that_starts_cannot_ask_the_supervisor_that_waits_for_it(run: Run) -> None:
    parent = run({"parent": child(Parent, early=True)}).ref("parent", Parent)

    assert "is being started" in parent.how_it_was_refused()


# ---- restart types


@pytest.mark.parametrize(
    ("restart", "after_leaving", "after_a_crash"),
    [("permanent", "running", "running"), ("transient", "stopped", "running"), ("temporary", None, None)],
)
def test_the_restart_type_says_which_ends_are_followed_by_a_start(
    run: Run, stage: Stage, restart: str, after_leaving: str | None, after_a_crash: str | None
) -> None:
    """Cases 22 to 24."""
    supervisor = run(stage.players("a", "b", restart=restart), max_restarts=4)
    pids = {name: supervisor.ref(name, Player).pid() for name in ("a", "b")}

    supervisor.ref("a", Player).leave()
    crash(supervisor, "b")

    assert wait_until(lambda: states(supervisor).get("a") == after_leaving)
    assert wait_until(lambda: states(supervisor).get("b") == after_a_crash)
    if after_a_crash is not None:
        assert supervisor.ref("b", Player).pid() != pids["b"]
    if after_leaving == "stopped":
        with pytest.raises(ActorStopped):
            supervisor.ref("a", Player).pid()


# ---- strategies


@pytest.mark.parametrize(
    ("strategy", "trace"),
    [
        ("one_for_one", ["start b"]),
        ("one_for_all", ["stop e", "stop d", "stop a", "start a", "start b", "start e"]),
        ("rest_for_one", ["stop e", "stop d", "start b", "start e"]),
    ],
)
def test_the_strategy_says_who_is_restarted_with_the_dead(
    run: Run, stage: Stage, strategy: str, trace: list[str]
) -> None:
    """Cases 25 to 27; d is temporary."""
    children = {**stage.players("a", "b"), "d": stage.player(restart="temporary"), "e": stage.player()}
    supervisor = run(children, strategy=strategy)
    stage.trace()

    crash(supervisor, "b")

    stage.wait_for(*trace)


def test_an_end_without_restart_triggers_no_group_restart_and_the_next_revives_it(run: Run, stage: Stage) -> None:
    """Cases 28 and 29: what had left, and what was stopped on request, is started again with its group."""
    children = {"a": stage.player(), "b": stage.player(restart="transient"), "d": stage.player()}
    supervisor = run(children, strategy="one_for_all")
    supervisor.ref("b", Player).leave()
    assert wait_until(lambda: states(supervisor)["b"] == "stopped")
    supervisor.stop("d")
    assert states(supervisor) == {"a": "running", "b": "stopped", "d": "stopped"}
    stage.trace()

    crash(supervisor, "a")

    stage.wait_for("start a", "start b", "start d")
    assert wait_until(lambda: set(states(supervisor).values()) == {"running"})


@pytest.mark.parametrize(
    ("strategy", "retry"),
    [("one_for_all", ["stop a", "start a", "start b", "start d"]), ("rest_for_one", ["start b", "start d"])],
)
def test_a_group_whose_restart_fails_is_tried_again(run: Run, stage: Stage, strategy: str, retry: list[str]) -> None:
    """Cases 30 and 31."""

    class Once(Player):
        """Fails its second start."""

        def on_start(self) -> None:
            starts = int(self.told("starts") or 0) + 1
            (self.stage / f"{self.role}.starts").write_text(str(starts))
            self.record("start" if starts != 2 else "fail")
            if starts == 2:
                raise ValueError("told to fail")

    children = {"a": stage.player(), "b": child(Once, str(stage.directory)), "d": stage.player()}
    supervisor = run(children, strategy=strategy)
    stage.trace()

    crash(supervisor, "a")

    stage.wait_for("stop d", "stop b", "start a", "fail b", *retry)


def test_dynamic_children_restart_each_with_its_own_arguments(run: Run, stage: Stage) -> None:
    """Case 32."""
    supervisor = run({"p": dynamic(stage.player())})
    for name in ("x1", "x2"):
        supervisor.supervisors["p"].start(stage.player(f"role_of_{name}"), name=name)
    stage.trace()

    crash(supervisor, "p.x2")

    stage.wait_for("start role_of_x2")


# ---- intensity and escalation


def test_one_restart_too_many_ends_the_system_with_the_certificate(run: Run, stage: Stage) -> None:
    """Cases 33 and 37, up to the root of a nested tree."""
    inner = tree(children=stage.players("x"), max_restarts=1, backoff=None)
    supervisor = run({"a": stage.player(), "p": inner, "b": stage.player()}, max_restarts=0)
    ended: list[Any] = []
    waiting = threading.Thread(target=lambda: ended.append(supervisor.wait(20)))
    waiting.start()
    crash(supervisor, "p.x")
    crash(supervisor, "p.x")
    waiting.join()

    assert ended[0].gave_up
    assert ended[0].certificate.actor == "p.x"
    assert ended[0].certificate.signal == "SIGKILL"
    assert stage.trace()[-2:] == ["stop b", "stop a"]


def test_a_nested_supervisor_that_gave_up_comes_back_with_its_own_children_only(run: Run, stage: Stage) -> None:
    """Cases 37 and 38."""
    inner = tree(children=stage.players("x", "y"), max_restarts=0)
    supervisor = run({"a": stage.player(), "p": inner})
    supervisor.supervisors["p"].start(stage.player(), name="z")
    stage.trace()

    crash(supervisor, "p.x")

    stage.wait_for("stop z", "stop y", "start x", "start y")
    assert list(states(supervisor.supervisors["p"])) == ["x", "y"]


def test_every_failed_attempt_counts_and_is_told_apart_from_a_failed_run(run: Run, stage: Stage) -> None:
    """Cases 35 and 52."""
    supervisor = run(stage.players("a"), max_restarts=3)
    ended: list[Any] = []
    waiting = threading.Thread(target=lambda: ended.append(supervisor.wait(20)))
    waiting.start()
    stage.tell("a", "start", "fail")
    stage.trace()
    crash(supervisor, "a")
    waiting.join()

    assert stage.trace() == ["fail a"] * 3
    assert ended[0].certificate.phase == "start"
    assert "told to fail" in ended[0].certificate.traceback


def test_a_pool_whose_replicas_die_too_often_gives_up_and_is_restarted_by_its_supervisor(
    run: Run, stage: Stage
) -> None:
    """Case 37."""
    supervisor = run({"pool": stage.player("r", replicas=2)}, max_restarts=0)
    stage.trace()
    stage.tell("r", "start", "fail")
    ended: list[Any] = []
    waiting = threading.Thread(target=lambda: ended.append(supervisor.wait(20)))
    waiting.start()

    os.kill(supervisor.ref("pool", Player).pid(), signal.SIGKILL)
    waiting.join()

    assert ended[0].gave_up
    assert ended[0].certificate.actor.startswith("pool.")


# ---- shutdown


def test_a_child_that_does_not_stop_in_time_is_killed(run: Run, stage: Stage) -> None:
    """Case 39: the request, SIGTERM at the deadline, SIGKILL after it."""
    stage.tell("hard", "stop", "hang")
    stage.tell("soft", "stop", "hang until SIGTERM")
    supervisor = run(stage.players("hard", "soft", shutdown=0.2))
    begin = time.monotonic()

    supervisor.stop("hard")
    supervisor.stop("soft")

    assert time.monotonic() - begin >= 0.4
    assert states(supervisor) == {"hard": "stopped", "soft": "stopped"}


def test_a_child_with_kill_is_not_asked(run: Run, stage: Stage) -> None:
    """Case 40."""
    supervisor = run({"a": stage.player(shutdown="kill"), "b": stage.player(shutdown="infinity")})
    stage.trace()

    supervisor.close()

    assert stage.trace() == ["stop b"]


def test_a_kill_in_order_is_no_death_to_report(run: Run, stage: Stage) -> None:
    """Case 40: OTP says nothing of it."""
    supervisor = run({"a": stage.player(shutdown="kill")})

    supervisor.stop("a")

    assert states(supervisor) == {"a": "stopped"}
    assert supervisor.why("a") is None


def test_supervisors_below_one_that_is_killed_stop_in_order(run: Run, stage: Stage) -> None:
    """Case 40."""
    below = tree(children=stage.players("x", "y"))
    supervisor = run({"p": tree(children={"a": stage.player(), "q": below}, shutdown="kill")})
    stage.trace()

    supervisor.stop("p")

    assert stage.trace() == ["stop y", "stop x"]
    assert states(supervisor) == {"p": "stopped"}


def test_a_child_that_crashes_while_it_stops_is_not_restarted(run: Run, stage: Stage) -> None:
    """Case 41."""
    stage.tell("b", "stop", "crash")
    supervisor = run(stage.players("a", "b"))
    stage.trace()

    supervisor.close()

    assert stage.trace() == ["stop b", "stop a"]


def test_a_stopped_process_does_not_hang_the_shutdown(run: Run, stage: Stage) -> None:
    """Case 42: whatever a child does to itself, its process is what is waited for."""
    supervisor = run(stage.players("a", shutdown=0.2))
    os.kill(supervisor.ref("a", Player).pid(), signal.SIGSTOP)

    supervisor.stop("a")

    assert states(supervisor) == {"a": "stopped"}


def test_dynamic_children_stop_side_by_side_under_one_deadline(run: Run, stage: Stage) -> None:
    """Case 43."""
    supervisor = run({"p": dynamic(stage.player(shutdown=0.5))})
    names = [f"x{number}" for number in range(6)]
    for name in names:
        stage.tell(name, "stop", "hang")
        supervisor.supervisors["p"].start(stage.player(), name=name)
    stage.trace()
    begin = time.monotonic()

    supervisor.stop("p")

    assert 0.5 <= time.monotonic() - begin < 0.5 * len(names)
    assert sorted(stage.trace()) == [f"stop {name}" for name in names]


def test_drain_says_whether_what_is_queued_is_handled_first(run: Run, stage: Stage) -> None:
    supervisor = run({"finish": stage.player(), "discard": stage.player(drain="discard")})
    stage.trace()
    gate = stage.directory / "open"
    for name in ("finish", "discard"):
        ref = supervisor.ref(name, Player)
        ref.hold.tell(str(gate))
        stage.wait_for(f"hold {name}")
        ref.note.tell("note")
    stopping = [threading.Thread(target=supervisor.stop, args=(name,)) for name in ("finish", "discard")]
    for thread in stopping:
        thread.start()
    assert wait_until(lambda: set(states(supervisor).values()) == {"stopping"})

    gate.touch()
    for thread in stopping:
        thread.join()

    trace = stage.trace()
    assert [line for line in trace if "finish" in line] == ["note finish", "stop finish"]
    assert [line for line in trace if "discard" in line] == ["stop discard"]


# ---- auto_shutdown


@pytest.mark.parametrize(("auto_shutdown", "needed"), [("any_significant", 1), ("all_significant", 2)])
def test_the_end_of_significant_children_ends_the_system(
    run: Run, stage: Stage, auto_shutdown: str, needed: int
) -> None:
    """Cases 45 to 47."""
    pair = stage.players("s", "t", restart="transient", significant=True)
    supervisor = run({"a": stage.player(), "b": stage.player(restart="temporary"), **pair}, auto_shutdown=auto_shutdown)
    crash(supervisor, "s")
    supervisor.ref("b", Player).leave()
    assert supervisor.ref("s", Player).pid()
    ended: list[Any] = []
    waiting = threading.Thread(target=lambda: ended.append(supervisor.wait(20)))
    waiting.start()

    for name in ("s", "t")[:needed]:
        assert states(supervisor)["a"] == "running"
        supervisor.ref(name, Player).leave()
    waiting.join()

    assert not ended[0].gave_up
    assert stage.trace()[-1] == "stop a"


def test_an_auto_shutdown_of_a_significant_supervisor_goes_on_above(run: Run, stage: Stage) -> None:
    """Cases 48 and 49; s is restarted with its group first, which triggers nothing."""
    inner = tree(
        children={"x": stage.player(restart="transient", significant=True), "y": stage.player()},
        auto_shutdown="any_significant",
        strategy="one_for_all",
        restart="transient",
        significant=True,
        backoff=None,
    )
    supervisor = run({"a": stage.player(), "p": inner}, auto_shutdown="any_significant")
    stage.trace()
    crash(supervisor, "p.y")
    stage.wait_for("stop x", "start x", "start y")

    supervisor.ref("p.x", Player).leave()

    assert supervisor.wait(10) is not None
    stage.wait_for("stop x", "stop y", "stop a")


# ---- responsiveness


def test_it_answers_while_many_children_die_at_once(run: Run, stage: Stage) -> None:
    """Cases 20, 36 and 50."""
    names = [f"a{number}" for number in range(100)]
    supervisor = run(stage.players(*names, restart="temporary"))
    for status in supervisor.children():
        os.kill(status.pid, signal.SIGKILL)

    assert len(supervisor.children()) <= len(names)

    assert wait_until(lambda: supervisor.children() == [], 20)


def test_it_answers_while_one_child_restarts_for_ever(run: Run, stage: Stage) -> None:
    """Case 50."""
    supervisor = run(stage.players("a", "b"), max_restarts=100_000, max_seconds=1.0)
    stage.tell("a", "start", "fail")
    crash(supervisor, "a")

    assert states(supervisor)["b"] == "running"
    with pytest.raises((AlreadyPresent, AlreadyStarted, StartFailed)):
        supervisor.start(stage.player(), name="a")
    supervisor.stop("a")
    assert states(supervisor) == {"a": "stopped", "b": "running"}


def test_it_answers_while_a_child_hangs_in_its_start(run: Run, stage: Stage) -> None:
    """Case 50."""
    stage.tell("a", "start", "hang")
    supervisor = run(stage.players("b"))
    failed: list[StartFailed] = []

    def start() -> None:
        try:
            supervisor.start(stage.player(shutdown=0.1), name="a")
        except StartFailed as exc:
            failed.append(exc)

    starting = threading.Thread(target=start)
    starting.start()
    assert wait_until(lambda: "a" in states(supervisor))

    assert states(supervisor) == {"b": "running", "a": "starting"}
    assert supervisor.start(stage.player(), name="c").pid()
    supervisor.stop("a")
    starting.join()
    assert failed


def test_a_group_of_twenty_is_restarted(run: Run, stage: Stage) -> None:
    """Cases 26, 36 and 51: it costs one restart."""
    names = [f"a{number}" for number in range(20)]
    supervisor = run(stage.players(*names), strategy="one_for_all", max_restarts=1)
    before = {status.path: status.pid for status in supervisor.children()}
    stage.trace()

    crash(supervisor, "a0")

    stage.wait_for(*(f"stop {name}" for name in reversed(names[1:])), *(f"start {name}" for name in names))
    assert wait_until(lambda: set(states(supervisor).values()) == {"running"})
    assert all(status.pid != before[status.path] for status in supervisor.children())
