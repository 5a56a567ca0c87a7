"""Death certificates: complete, the same everywhere, and without what messages carried."""

import asyncio
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorDied, DeathCertificate, Down, NotFound, StartFailed, child, message
from runtime import Supervisor
from runtime.deaths import MOST_NAMES, Deaths
from runtime.process.oom import OomCounter
from runtime.testing import wait_until
from runtime.trace import formatted, shortened
from tests.runtime.cast import Counter, Start

SECRET = "hunter2-the-secret"


class Fragile(Actor):
    """Ends in several ways."""

    @message
    def end(self, how: str, secret: str = "") -> None:
        self.context.log.info("about to end")
        print("to stderr", file=sys.stderr)
        print("half a line", end="", file=sys.stderr)
        match how:
            case "exit":
                os._exit(3)
            case "system exit":
                raise SystemExit(4)
            case number:
                os.kill(os.getpid(), getattr(signal, number))

    @message
    def log(self, lines: int) -> None:
        for n in range(lines):
            self.context.log.info("line", n=n)

    @message
    def fork_and_log(self) -> int:
        pid = os.fork()
        if pid == 0:
            self.context.log.info("from the child")
            print("from the child", file=sys.stderr)
            os._exit(0)
        return os.waitpid(pid, 0)[1]


class Raising(Actor, on_raise="crash"):
    @message
    def end(self, secret: str) -> None:
        self._inner(secret)

    def _inner(self, secret: str) -> None:
        raise LookupError("no such shelf")


class Watcher(Actor):
    def __init__(self) -> None:
        self.downs: list[Down] = []

    def on_down(self, down: Down) -> None:
        self.downs.append(down)

    @message
    def watch(self, ref: Any) -> None:
        self.context.watch(ref)

    @message
    def certificates(self) -> list[dict[str, Any]]:
        return [down.certificate.to_dict() for down in self.downs if down.certificate is not None]


def died(asked: Any) -> DeathCertificate:
    with pytest.raises(ActorDied) as caught:
        asked.result()
    return caught.value.certificate


@pytest.mark.process
def test_an_exit_has_its_code_and_a_signal_its_name(start: Start) -> None:
    fragile = start(child(Fragile))

    assert died(fragile.end.ask("exit")).exit_code == 3
    by_signal = died(fragile.end.ask("SIGUSR1"))
    assert (by_signal.cause, by_signal.signal, by_signal.exit_code) == ("signal", "SIGUSR1", None)
    system_exit = died(fragile.end.ask("system exit"))
    assert (system_exit.cause, system_exit.exit_code) == ("exception", 4)
    assert [by_signal.restarts, system_exit.restarts] == [1, 2]


@pytest.mark.process
def test_the_certificate_has_the_last_50_lines_logged_and_what_went_to_stderr(start: Start) -> None:
    fragile = start(child(Fragile))
    fragile.log(60)

    certificate = died(fragile.end.ask("SIGKILL"))

    assert len(certificate.log_lines) <= 50
    assert any('"n": 59' in line for line in certificate.log_lines)
    assert "about to end" in certificate.log_lines[-2]
    assert certificate.log_lines[-1] == "to stderr"


@pytest.mark.process
def test_a_child_forked_in_a_handler_may_log(start: Start) -> None:
    fragile = start(child(Fragile))

    assert fragile.fork_and_log() == 0


@pytest.mark.process
def test_a_traceback_begins_with_the_actors_own_code(start: Start, system: Supervisor) -> None:
    raising = start(child(Raising), "raising")

    with pytest.raises(LookupError):
        raising.end(SECRET)

    assert wait_until(lambda: system.why("raising") is not None)
    certificate = system.why("raising")
    assert certificate is not None
    lines = certificate.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in end")
    assert certificate.reason == "LookupError: no such shelf"


@pytest.mark.process
def test_callers_watchers_and_why_have_the_same_certificate(start: Start, system: Supervisor) -> None:
    watcher, fragile = start(child(Watcher)), start(child(Fragile), "fragile")
    watcher.watch(fragile)

    certificate = died(fragile.end.ask("SIGKILL"))

    assert wait_until(lambda: len(watcher.certificates()) == 1)
    [seen] = watcher.certificates()
    known = system.why("fragile")
    assert known is not None
    assert DeathCertificate.from_dict(seen) == certificate == known


@pytest.mark.process
def test_what_a_message_carried_is_in_no_certificate(start: Start, system: Supervisor) -> None:
    fragile = start(child(Fragile), "discreet")

    certificates = [died(fragile.end.ask(how, SECRET)) for how in ("SIGSEGV", "SIGKILL", "system exit")]

    assert SECRET not in repr(certificates) + "".join(each.report() for each in certificates)
    assert SECRET not in repr(system.why("discreet"))


@pytest.mark.process
def test_why_tells_of_a_supervisor_the_last_death_below_it_and_of_a_stranger_nothing(supervisor: Supervisor) -> None:
    pool = supervisor.start(child(Counter), name="pool", replicas=2)

    assert supervisor.why("pool") is None
    pid = pool.pid()
    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: supervisor.why("pool") is not None)
    certificate = supervisor.why("pool")
    assert certificate is not None
    assert certificate.pid == pid
    assert certificate == supervisor.why(certificate.actor) == supervisor.why("")
    with pytest.raises(NotFound):
        supervisor.why("nobody")


@pytest.mark.process
def test_why_still_knows_a_child_that_is_gone(start: Start, system: Supervisor) -> None:
    counter = start(child(Counter).options(restart="temporary"), "gone")

    os.kill(counter.pid(), signal.SIGKILL)

    assert wait_until(lambda: "gone" not in [status.path for status in system.children()])
    assert wait_until(lambda: system.why("gone") is not None)


@pytest.mark.process
def test_a_failed_start_is_told_by_why_too(system: Supervisor) -> None:
    with pytest.raises(StartFailed):
        system.start(child(Unstarted), name="unstarted")

    assert wait_until(lambda: system.why("unstarted") is not None)


class Unstarted(Actor):
    async def on_start(self) -> None:
        raise LookupError("no such shelf")


def test_of_the_names_that_died_longest_ago_nothing_is_known() -> None:
    deaths = Deaths()

    for n in range(MOST_NAMES + 1):
        deaths.add(DeathCertificate(f"a{n}", 1, 7, "run", "signal", signal="SIGKILL"))

    assert deaths.last("a0") is None
    assert deaths.last("a1") is not None
    last = deaths.last("")
    assert last is not None
    assert last.actor == f"a{MOST_NAMES}"


def _raised() -> Exception:
    try:
        asyncio.run(_fail())
    except LookupError as error:
        return error
    raise AssertionError


async def _fail() -> None:
    raise LookupError("no such shelf")


def test_frames_of_ours_that_lead_to_the_actors_code_are_left_out() -> None:
    error = _raised()
    assert error.__traceback__ is not None

    text = formatted(error.with_traceback(error.__traceback__.tb_next))  # from asyncio.run on

    assert "asyncio" not in text
    assert "in _fail" in text


def test_a_traceback_of_nothing_but_our_frames_is_kept_whole() -> None:
    try:
        asyncio.run(7)  # type: ignore[arg-type]  # on purpose
    except ValueError as error:
        assert error.__traceback__ is not None
        inner = error.with_traceback(error.__traceback__.tb_next)
        assert formatted(inner) == "".join(traceback.format_exception(inner))


def test_native_stacks_end_where_the_actors_code_does() -> None:
    host = str(Path(formatted.__code__.co_filename).parent / "host.py")
    stacks = (
        "Fatal Python error: Aborted\n\n"
        f'Thread 0x1 (most recent call first):\n  File "{host}", line 2 in play\n\n'
        "Current thread 0x2 (most recent call first):\n"
        f'  File "/shop/tea.py", line 7 in brew\n  File "{host}", line 1 in play\n  File "<string>", line 1 in <module>\n'
    )

    assert shortened(stacks) == (
        "Fatal Python error: Aborted\n\n"
        f'Thread 0x1 (most recent call first):\n  File "{host}", line 2 in play\n\n'
        'Current thread 0x2 (most recent call first):\n  File "/shop/tea.py", line 7 in brew'
    )


@pytest.mark.parametrize(
    ("listing", "counter", "text"),
    [
        ("0::/shop\n", "shop/memory.events", "low 0\noom 4\noom_kill {}\n"),
        ("0::/\n", "memory.events", "oom_kill {}\n"),
        ("4:memory:/shop\n0::/\n", "memory/shop/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
        ("4:cpu,memory:/not/seen\n", "memory/memory.oom_control", "oom_kill {}\n"),
    ],
)
def test_an_oom_kill_is_seen_in_the_cgroups_own_counter(tmp_path: Path, listing: str, counter: str, text: str) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(listing)
    (cgroups / counter).parent.mkdir(parents=True, exist_ok=True)
    (cgroups / counter).write_text(text.format(2))
    oom = OomCounter(proc, cgroups)

    assert not oom.has_grown()
    (cgroups / counter).write_text(text.format(3))
    assert oom.has_grown()
    assert not oom.has_grown()


def test_without_a_cgroup_the_machines_counter_counts_and_without_that_none(tmp_path: Path) -> None:
    assert not OomCounter(tmp_path, tmp_path).has_grown()

    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 1\n")
    oom = OomCounter(tmp_path, tmp_path)
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 2\n")
    assert oom.has_grown()


@pytest.mark.process
def test_a_child_killed_for_want_of_memory_has_the_hint(nothing_left: Path) -> None:
    group = Path("/sys/fs/cgroup/memory") if Path("/sys/fs/cgroup/memory").is_dir() else Path("/sys/fs/cgroup")
    own = group / f"understudy-test-{os.getpid()}"
    limit = own / ("memory.limit_in_bytes" if group.name == "memory" else "memory.max")
    try:
        own.mkdir()
        limit.write_text(str(160 << 20))
    except OSError as exc:
        pytest.skip(f"no memory cgroup of our own: {exc}")
    before = next(
        (line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line), "/"
    )
    (own / "cgroup.procs").write_text(str(os.getpid()))
    try:
        with Supervisor("test") as supervisor:
            (group / before.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
            eater = supervisor.start(child(Eater), name="eater")
            certificate = died(eater.eat.ask())
    finally:
        (group / before.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
        assert wait_until(lambda: not (own / "cgroup.procs").read_text())
        own.rmdir()
    assert (certificate.signal, certificate.oom) == ("SIGKILL", True)
    assert "perhaps out of memory" in certificate.summary()


class Eater(Actor):
    @message
    def eat(self) -> int:
        Path("/proc/self/oom_score_adj").write_text("1000")
        eaten = [bytes([n % 256]) * (16 << 20) for n in range(64)]
        return len(eaten)
