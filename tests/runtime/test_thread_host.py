"""Actors that are threads of one process: the same mailbox, the same verdicts, no isolation."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from time import monotonic_ns

import pytest

from actors import (
    Actor,
    ActorDied,
    AskCycle,
    BadSpec,
    Child,
    DeadlineExceeded,
    Down,
    Layout,
    Limits,
    Region,
    StartFailed,
    child,
    deadline,
    dynamic,
    field,
    message,
    tree,
)
from actors.deadline import ambient
from runtime import Supervisor, config
from runtime.testing import processes_of, wait_until
from tests.runtime.cast import Counter, Echo, Gate, Start, bodies_of, descriptors_of

pytestmark = pytest.mark.process


class Troubled(Actor):
    """Ends in many ways, and says where it lives."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        if value < 0:
            raise ValueError("no such value")

    def on_stop(self, reason: str) -> None:
        print(f"{self.context.name} stopped", file=sys.stderr)

    @message
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @message
    def place(self) -> tuple[int, int]:
        return os.getpid(), threading.get_ident()

    @message
    def incarnation(self) -> int:
        return self.context.incarnation

    @message
    def fail(self, text: str) -> None:
        self.context.log.info("about to fail", what=text)
        print(f"{text} on stderr", file=sys.stderr)
        raise ValueError(text)

    @message
    def leave(self, code: int) -> None:
        sys.exit(code)

    @message
    def end_process(self, code: int) -> None:
        os._exit(code)

    @message
    def hang_around(self, entered: str) -> None:
        Path(entered).touch()
        while True:
            pass

    @message
    def relay(self, other: "Troubled", n: int) -> int:
        return other.add(n)

    @message
    def remaining(self) -> float:
        return deadline_left()

    @message
    def ask_remaining(self, other: "Troubled") -> float:
        return other.remaining()

    @message
    def circle(self, other: "Troubled", back: "Troubled") -> int:
        return other.relay(back, 1)

    @message
    def relay_in_a_thread(self, other: "Troubled", n: int) -> list[int]:
        answers: list[int] = []
        helper = threading.Thread(target=lambda: answers.append(other.add(n)))
        helper.start()
        helper.join()
        return answers

    @message
    def add_later(self, n: int) -> None:
        self.context.after(0.01, self.add, n)

    @message(retry=1)
    def once(self, body: bytes) -> tuple[bool, int]:
        if not self.context.redelivered:
            sys.exit(1)
        return self.context.redelivered, len(body)

    @message
    def child_that_returns(self) -> int:
        return os.fork()


def deadline_left() -> float:
    """Seconds until the ambient deadline."""
    until_ns = ambient.get()[0]
    assert until_ns
    return (until_ns - monotonic_ns()) / 1e9


class Async(Actor):
    @message
    async def add_of(self, other: Troubled, n: int) -> int:
        return await other.add.ask(n)

    @message
    async def place(self) -> tuple[int, int, bool]:
        await asyncio.sleep(0)
        return os.getpid(), threading.get_ident(), asyncio.get_running_loop().is_running()


class Blocking(Actor):
    @message
    async def block(self) -> None:
        while True:
            pass


class Watcher(Actor):
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def on_down(self, down: Down) -> None:
        self.seen.append((down.name, down.certificate is not None))

    @message
    def watch(self, other: Troubled) -> None:
        self.context.watch(other)

    @message
    def downs(self) -> list[tuple[str, bool]]:
        return self.seen

    @message
    def place(self) -> int:
        return os.getpid()

    @message
    def start_beside(self, name: str) -> int:
        return self.context.supervisor.start(child(Counter), name=name, host="thread").pid()


class Score(Layout):
    points = field("u8")


class Writer(Actor):
    def __init__(self, region: Region[Score]) -> None:
        self.region = region

    @message
    def raise_score(self, times: int) -> None:
        for _ in range(times):
            with self.region.write() as view:
                view.points += 1


class Saving(Actor):
    def __init__(self) -> None:
        self.total = 0

    def snapshot(self) -> int:
        return self.total

    def restore(self, state: int) -> None:
        self.total = state

    @message
    def add(self, n: int) -> int:
        self.total += n
        if n == 0:
            sys.exit(1)
        return self.total


class Keeper(Actor):
    """Keeps what arrives, as it arrives."""

    def __init__(self) -> None:
        self.kept = b""

    @message
    def keep(self, body: bytes) -> int:
        self.kept = body
        return len(body)

    @message
    def is_still(self, letter: bytes) -> bool:
        return self.kept.count(letter) == len(self.kept)


class StuckAtStart(Troubled):
    def on_start(self) -> None:
        while True:
            pass


class StuckAtStop(Troubled):
    def on_stop(self, reason: str) -> None:
        while True:
            pass


class Fragile(Troubled, on_raise="crash"):
    """As Troubled; a handler that raises ends it."""


def threaded(actor: type[Actor], *args: object) -> Child[Actor]:
    return child(actor, *args).options(host="thread")


def pid_of(supervisor: Supervisor, path: str) -> int:
    return next(status.pid for status in supervisor.status() if status.path == path)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_the_thread_hosted_children_of_a_supervisor_are_threads_of_one_process(start: Start) -> None:
    places = [start(child(Troubled), host="thread").place() for _ in range(3)]

    assert len({pid for pid, _ in places}) == 1
    assert len({thread for _, thread in places}) == 3
    assert places[0][0] not in (os.getpid(), start(child(Counter)).pid())


def test_twenty_thread_actors_live_in_one_process_and_talk_to_each_other(supervisor: Supervisor) -> None:
    refs = [supervisor.start(child(Troubled), name=f"a{n}", host="thread") for n in range(20)]

    assert [ref.relay(refs[(n + 1) % 20], n) for n, ref in enumerate(refs)] == list(range(20))
    statuses = supervisor.children()
    assert len({status.pid for status in statuses}) == 1
    assert {status.host for status in statuses} == {"thread"}


def test_threads_of_different_supervisors_are_in_different_processes(supervisor: Supervisor) -> None:
    spec = {"a": threaded(Troubled), "b": threaded(Troubled)}
    supervisor.start(tree(children=spec), name="left")
    supervisor.start(tree(children=spec), name="right")

    pids = {path: pid_of(supervisor, path) for path in ("left.a", "left.b", "right.a", "right.b")}

    assert pids["left.a"] == pids["left.b"] != pids["right.a"] == pids["right.b"]


def test_threads_and_processes_ask_each_other_under_one_deadline(start: Start) -> None:
    thread, other = start(child(Troubled), host="thread"), start(child(Troubled), host="thread")
    process = start(child(Troubled))

    assert (thread.relay(process, 2), process.relay(thread, 3), thread.relay(other, 4)) == (2, 3, 4)
    with deadline(2.0):
        assert 0 < thread.ask_remaining(other) <= 2.0


def test_a_cycle_of_asks_among_threads_is_refused(start: Start) -> None:
    one, two = start(child(Troubled), host="thread"), start(child(Troubled), host="thread")

    with pytest.raises(AskCycle):
        one.circle(two, one)


def test_an_async_actor_has_an_event_loop_in_its_own_thread(start: Start) -> None:
    plain, first, second = (
        start(child(Troubled), host="thread"),
        start(child(Async), host="thread"),
        start(child(Async), host="thread"),
    )

    places = [plain.place(), *(ref.place.ask().result(5) for ref in (first, second))]

    assert len({place[0] for place in places}) == 1
    assert len({place[1] for place in places}) == 3
    assert first.add_of.ask(plain, 7).result(5) == 7


def test_a_thread_that_an_actor_starts_itself_may_use_its_references(start: Start) -> None:
    thread, other = start(child(Troubled), host="thread"), start(child(Troubled), host="thread")

    assert thread.relay_in_a_thread(other, 3) == [3]


def test_a_timer_of_a_thread_runs(start: Start) -> None:
    thread = start(child(Troubled), host="thread")

    thread.add_later(5)

    assert wait_until(lambda: thread.add(0) == 5)


def test_a_handler_that_raises_ends_only_its_thread_and_is_restarted_in_the_same_process(
    system: Supervisor, start: Start
) -> None:
    fragile = start(child(Fragile, 1), name="fragile", host="thread")
    sibling = start(child(Troubled), host="thread")
    sibling.add(5)
    before = fragile.place()

    with pytest.raises(ValueError, match="boom"):
        fragile.fail("boom")

    assert fragile.add(0) == 1
    assert fragile.place()[0] == before[0] == sibling.place()[0]
    assert sibling.add(0) == 5
    certificate = system.why("fragile")
    assert certificate is not None
    assert (certificate.host, certificate.cause, certificate.reason) == ("thread", "exception", "ValueError: boom")
    assert any("boom on stderr" in line for line in certificate.log_lines)
    assert "thread of pid" in certificate.summary()


def test_an_exit_ends_only_its_thread_and_its_asker_is_told(start: Start) -> None:
    thread, sibling = start(child(Troubled), host="thread"), start(child(Troubled), host="thread")
    pid, _ = sibling.place()

    with pytest.raises(ActorDied) as died:
        thread.leave(3)

    assert died.value.delivered == "started"
    assert (died.value.certificate.exit_code, died.value.certificate.pid) == (3, pid)
    assert sibling.place()[0] == pid


def test_a_constructor_that_raises_is_a_failed_start_and_nobody_else_notices(start: Start) -> None:
    sibling = start(child(Troubled), host="thread")
    pid, _ = sibling.place()

    with pytest.raises(StartFailed) as failed:
        start(child(Troubled, -1), host="thread")

    assert "no such value" in failed.value.certificate.traceback
    assert failed.value.certificate.phase == "start"
    assert sibling.place()[0] == pid


def test_what_was_queued_is_handled_by_the_next_incarnation(start: Start, tmp_path: Path) -> None:
    thread = start(child(Troubled, 1), host="thread")
    gate = start(child(Gate), host="thread")

    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    thread.leave.tell(1)
    answers = [thread.add.ask(1) for _ in range(5)]

    assert [answer.result(5) for answer in answers] == [2, 3, 4, 5, 6]
    (tmp_path / "go").touch()
    assert held.result(5) == "held"


def test_a_message_with_a_retry_is_run_again_with_its_large_body(system: Supervisor, start: Start) -> None:
    thread = start(child(Troubled), host="thread")

    assert thread.once(b"x" * 200_000) == (True, 200_000)
    assert wait_until(lambda: bodies_of(system) == 0)


def test_the_death_of_a_thread_takes_nothing_from_what_its_siblings_hold(start: Start) -> None:
    keeper, thread = start(child(Keeper), host="thread"), start(child(Troubled), host="thread")
    keeper.keep(b"a" * 100_000)

    for letter in b"bcdef":
        with pytest.raises(ActorDied):
            thread.leave(1)
        start(child(Echo)).echo(bytes([letter]) * 100_000)

    assert keeper.is_still(b"a")


def test_snapshots_survive_the_death_of_their_thread(start: Start) -> None:
    saving = start(child(Saving), host="thread")
    saving.add(5)

    with pytest.raises(ActorDied):
        saving.add(0)

    assert saving.add(1) == 6


def test_kill_9_of_the_process_is_the_death_of_each_of_its_actors_and_each_is_restarted(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    gates = [supervisor.start(child(Gate), name=f"g{n}", host="thread") for n in range(20)]
    held = [gate.hold.ask(str(tmp_path / f"in{n}"), str(tmp_path / "never")) for n, gate in enumerate(gates)]
    assert wait_until(lambda: all((tmp_path / f"in{n}").exists() for n in range(20)), 20)
    queued = [gate.note.ask("kept") for gate in gates]
    pid = pid_of(supervisor, "g0")

    os.kill(pid, signal.SIGKILL)

    for n, reply in enumerate(held):
        with pytest.raises(ActorDied) as died:
            reply.result(5)
        certificate = died.value.certificate
        assert (certificate.actor, certificate.signal, certificate.pid) == (f"g{n}", "SIGKILL", pid)
        assert certificate.in_hand is not None
        assert certificate.in_hand.name == "hold"
    assert [reply.result(5) for reply in queued] == [1] * 20
    assert {status.restarts for status in supervisor.children()} == {1}
    assert len({status.pid for status in supervisor.children()} - {pid}) == 1


def test_the_deaths_of_one_process_cost_the_window_of_their_supervisor_one(nothing_left: Path) -> None:
    with Supervisor("window", max_restarts=1, backoff=None) as supervisor:
        refs = [supervisor.start(child(Counter), name=f"a{n}", host="thread") for n in range(3)]

        os.kill(refs[0].pid(), signal.SIGKILL)
        assert [ref.add(1) for ref in refs] == [1, 1, 1]
        os.kill(refs[0].pid(), signal.SIGKILL)

        ending = supervisor.wait(10)
        assert ending is not None
        assert ending.gave_up


def test_each_is_restarted_by_its_own_restart_type(supervisor: Supervisor) -> None:
    refs = {
        kind: supervisor.start(child(Counter), name=kind, host="thread", restart=kind)
        for kind in ("temporary", "transient", "permanent")
    }

    os.kill(refs["permanent"].pid(), signal.SIGKILL)

    assert (refs["permanent"].add(1), refs["transient"].add(1)) == (1, 1)
    assert [status.path for status in supervisor.children()] == ["transient", "permanent"]


def test_an_exit_of_the_process_ends_all_of_its_actors(system: Supervisor, start: Start) -> None:
    thread, sibling = start(child(Troubled), host="thread"), start(child(Troubled), name="sibling", host="thread")

    with pytest.raises(ActorDied) as died:
        thread.end_process(7)

    assert (died.value.certificate.exit_code, died.value.certificate.cause) == (7, "exit")
    assert wait_until(lambda: system.why("sibling") is not None)
    certificate = system.why("sibling")
    assert certificate is not None
    assert certificate.exit_code == 7
    assert sibling.add(1) == 1


def test_a_thread_that_hangs_is_killed_with_its_process_and_the_others_are_told_so(
    system: Supervisor, start: Start, tmp_path: Path
) -> None:
    hanging = start(child(Troubled), name="hanging", host="thread", watchdog=0.2)
    fellow = start(child(Troubled), name="fellow", host="thread")

    with pytest.raises(ActorDied) as died:
        hanging.hang_around(str(tmp_path / "in"))

    certificate = died.value.certificate
    assert (certificate.cause, certificate.signal) == ("watchdog", "SIGABRT")
    assert "hang_around" in certificate.native_stack
    assert fellow.add(1) == 1
    assert wait_until(lambda: system.why("fellow") is not None)
    told = system.why("fellow")
    assert told is not None
    assert (told.cause, told.reason) == ("fellow", "its process was killed because of another actor in it")


def test_a_stop_that_hangs_ends_with_the_process_at_its_deadline(system: Supervisor, start: Start) -> None:
    start(child(StuckAtStop), name="stuck", host="thread", shutdown=0.1)
    fellow = start(child(Counter), host="thread")
    pid = fellow.pid()

    system.stop("stuck")

    assert fellow.add(1) == 1
    assert fellow.pid() != pid


def test_a_start_that_hangs_is_told_of_its_limit_and_the_others_of_their_fellow(
    system: Supervisor, start: Start
) -> None:
    fellow = start(child(Troubled), name="earlier", host="thread")

    with pytest.raises(StartFailed) as failed:
        start(child(StuckAtStart), host="thread", ready=0.3)

    assert failed.value.certificate.cause == "start timeout"
    assert "on_start" in failed.value.certificate.native_stack
    assert fellow.add(1) == 1
    told = system.why("earlier")
    assert told is not None
    assert told.cause == "fellow"


def test_an_actor_that_dies_as_its_zygote_does_is_restarted(supervisor: Supervisor, nothing_left: Path) -> None:
    thread = supervisor.start(child(Troubled), name="a", host="thread")
    zygote = next(pid for pid in processes_of(nothing_left) if _name_of(pid) == "understudy-zyg")

    os.kill(zygote, signal.SIGKILL)
    os.kill(thread.place()[0], signal.SIGKILL)

    assert thread.add(1) == 1


def test_threads_stop_in_reverse_order_and_on_stop_runs(nothing_left: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor("order") as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(child(Troubled), name=name, host="thread")

    stopped = [line for line in capfd.readouterr().err.splitlines() if line.endswith(" stopped")]
    assert stopped == ["third stopped", "second stopped", "first stopped"]


def test_each_actor_has_only_its_own_lines_in_its_certificate(system: Supervisor, start: Start) -> None:
    names = ("one", "two")
    for name in names:
        start(child(Fragile), name=name, host="thread")
    for name in names:
        with pytest.raises(ValueError, match=name):
            system.ref(name, Fragile).fail(f"line-of-{name}")

    for name, other in (names, names[::-1]):
        assert wait_until(lambda name=name: system.why(name) is not None)
        certificate = system.why(name)
        assert certificate is not None
        assert any(f"line-of-{name}" in line for line in certificate.log_lines)
        assert not any(f"line-of-{other}" in line for line in certificate.log_lines)


def test_the_process_ends_with_the_last_of_its_names(supervisor: Supervisor) -> None:
    pid = supervisor.start(child(Counter), name="a", host="thread").pid()
    supervisor.start(child(Counter), name="b", host="thread")

    supervisor.stop("a")
    assert not is_gone(pid)
    supervisor.stop("b")

    assert wait_until(lambda: is_gone(pid))


def test_a_thread_that_crashes_again_and_again_leaves_no_descriptor(start: Start) -> None:
    thread, sibling = start(child(Troubled), host="thread"), start(child(Counter), host="thread")

    def crash() -> None:
        with pytest.raises(ActorDied):
            thread.leave(1)
        thread.relay(sibling, 1)

    def descriptors() -> int:
        # the sibling keeps the callers it has answered lately, as any actor does
        return sum("/replies/" not in target for target in descriptors_of(sibling.pid()))

    crash()
    before = descriptors()
    for _ in range(10):
        crash()
    assert wait_until(lambda: descriptors() <= before)


def test_fresh_code_comes_with_a_fresh_process_and_leaves_the_siblings_where_they_are(
    system: Supervisor, start: Start
) -> None:
    fresh, sibling = start(child(Counter), name="fresh", host="thread"), start(child(Counter), host="thread")
    pid = sibling.pid()

    system.restart("fresh", code=True)

    assert fresh.pid() != pid == sibling.pid()


def test_an_event_loop_that_is_blocked_is_found_in_a_thread_too(system: Supervisor, start: Start) -> None:
    blocked = start(child(Blocking), name="blocked", host="thread", heartbeat=0.3)

    with pytest.raises(ActorDied) as died:
        blocked.block.ask().result(10)

    assert died.value.certificate.cause == "heartbeat"


def test_a_thread_is_recycled_alone_by_its_limits(start: Start) -> None:
    thread = start(child(Troubled), host="thread", limits=Limits(max_messages=3, jitter=0.0))
    sibling = start(child(Troubled), host="thread")
    sibling.add(1)
    pid, _ = thread.place()

    assert wait_until(lambda: thread.incarnation() > 1)

    assert thread.place()[0] == pid
    assert sibling.add(0) == 1


def test_a_durable_state_outlives_the_process_of_its_thread(start: Start, tmp_path: Path) -> None:
    saving = start(child(Saving), host="thread", durable=str(tmp_path / "state.db"))
    saving.add(5)

    os.kill(start(child(Counter), host="thread").pid(), signal.SIGKILL)

    assert saving.add(1) == 6


def test_the_replicas_of_a_pool_are_threads_of_their_supervisors_process(start: Start, tmp_path: Path) -> None:
    pool = start(child(Gate), host="thread", replicas=2)
    sibling = start(child(Counter), host="thread")

    held = [pool.hold.ask(str(tmp_path / f"in{n}"), str(tmp_path / "go")) for n in range(2)]

    assert wait_until(lambda: all((tmp_path / f"in{n}").exists() for n in range(2)))
    (tmp_path / "go").touch()
    assert [reply.result(5) for reply in held] == ["held", "held"]
    assert {pool.pid() for _ in range(8)} == {sibling.pid()}


def test_instances_of_a_dynamic_supervisor_are_threads_where_its_template_is_one(supervisor: Supervisor) -> None:
    rooms = supervisor.start(dynamic(threaded(Counter)), name="rooms")
    pids = {rooms.start_instance(f"room{n}").pid() for n in range(3)}

    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_an_actor_in_a_thread_is_told_of_the_deaths_it_watches_for(start: Start) -> None:
    watcher = start(child(Watcher), host="thread")
    watched = start(child(Troubled), name="watched", host="thread")
    watcher.watch(watched)

    watched.leave.tell(1)

    assert wait_until(lambda: watcher.downs() == [("watched", True)])


def test_an_actor_in_a_thread_starts_others_beside_itself(system: Supervisor, start: Start) -> None:
    watcher = start(child(Watcher), host="thread")

    assert watcher.start_beside("beside") == watcher.place()
    system.stop("beside")
    system.delete("beside")


def test_threads_exclude_one_another_in_a_region(system: Supervisor, start: Start) -> None:
    region = system.region("score", Score)
    writers = [start(child(Writer, region), host="thread") for _ in range(3)]

    for reply in [writer.raise_score.ask(100) for writer in writers]:
        reply.result(10)

    assert region.read().points == 300
    region.close()


def test_a_child_forked_in_a_handler_ends_instead_of_answering(start: Start) -> None:
    thread = start(child(Troubled), host="thread")

    forked = thread.child_that_returns()

    assert forked > 0
    assert wait_until(lambda: is_gone(forked) or _is_zombie(forked))
    assert thread.add(1) == 1


def test_a_deadline_that_passes_in_a_thread_is_told_truthfully(start: Start, tmp_path: Path) -> None:
    gate = start(child(Gate), host="thread")

    with deadline(1.0):
        held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
        queued = gate.note.ask("too late")

    with pytest.raises(DeadlineExceeded) as late:
        held.result()
    with pytest.raises(DeadlineExceeded) as never:
        queued.result()

    assert late.value.delivered == ("started" if (tmp_path / "in").exists() else "no")
    assert never.value.delivered in ("no", "unknown")  # in the journal behind the other, or in the FIFO still
    (tmp_path / "go").touch()
    assert gate.notes() == []


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": "cloud"}, "invalid_host"),
        ({"host": "thread", "understudies": 1}, "invalid_understudies"),
        ({"host": "thread", "shutdown": "kill"}, "invalid_shutdown"),
        ({"host": "thread", "limits": Limits(max_rss=1 << 30)}, "invalid_limits"),
    ],
)
def test_what_takes_a_process_of_its_own_is_refused_to_a_thread(options: dict[str, object], what: str) -> None:
    with pytest.raises(BadSpec) as bad:
        child(Counter).options(**options)  # type: ignore[arg-type]  # what is refused

    assert bad.value.what == what


def test_a_reload_turns_a_process_into_a_thread_and_keeps_its_queue(nothing_left: Path, tmp_path: Path) -> None:
    with Supervisor("turned", children={"gate": child(Gate)}) as supervisor:
        gate = supervisor.ref("gate", Gate)
        held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
        assert wait_until((tmp_path / "in").exists)
        queued = gate.notes.ask()
        changed = threading.Thread(target=lambda: supervisor.reload(tree(children={"gate": threaded(Gate)})))
        changed.start()
        (tmp_path / "go").touch()
        changed.join()

        assert held.result(5) == "held"
        assert queued.result(5) == []
        assert [status.host for status in supervisor.children()] == ["thread"]


def test_a_file_says_where_a_child_runs(tmp_path: Path, nothing_left: Path) -> None:
    file = tmp_path / "threads.toml"
    file.write_text('[children.a]\nactor = "tests.runtime.cast:Counter"\nhost = "thread"\n')

    loaded = config.load(file)

    with Supervisor(loaded.name, tree=loaded.tree) as supervisor:
        assert [status.host for status in supervisor.children()] == ["thread"]


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
