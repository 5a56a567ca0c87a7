"""Durable snapshots: a state that outlives the system it was made in."""

import contextlib
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, BadSpec, StartFailed, child, deadline, message, tree
from actors.child import Options
from runtime import Supervisor
from runtime.testing import processes_of, wait_until

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]


class Counter(Actor):
    def __init__(self) -> None:
        self.total = 0
        self.ballast = b""

    def snapshot(self) -> tuple[int, bytes]:
        return self.total, self.ballast

    def restore(self, state: tuple[int, bytes]) -> None:
        self.total, self.ballast = state

    @message(retry=100)
    def add(self, n: int) -> int:
        self.total += n
        return self.total

    @message
    def fatten(self, nbytes: int) -> None:
        self.ballast = os.urandom(nbytes)

    @message(snapshot=False)
    def look(self) -> tuple[int, int]:
        return self.total, self.context.incarnation

    @message(snapshot=False)
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def raise_after(self, n: int) -> None:
        self.total += n
        raise ValueError("counted all the same")

    @message
    def fork(self) -> None:
        self.context.after(0.01, self.fork_now)

    @message
    def fork_now(self) -> None:
        self.total += 1
        if not os.fork():
            self.total = -1


class Patient(Counter):
    @message
    async def add_slowly(self, n: int) -> int:
        self.total += n
        return self.total


class Picky(Counter):
    def restore(self, state: object) -> None:
        raise ValueError(f"a state of another time: {state}")


class Forgetful(Actor):
    @message
    def nothing(self) -> None: ...


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "states" / "state.db"
    path.parent.mkdir()
    return path


def totals(file: Path) -> dict[tuple[str, str], int]:
    """Of the counters in the file, as any program reads them; a state is a pickle of (total, ballast)."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT system, actor, state FROM snapshot").fetchall()
    return {(system, actor): pickle.loads(state)[0] for system, actor, state in found}


def kill_everything(directory: Path) -> None:
    """As a power failure would, as far as processes go."""
    for pid in processes_of(directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not processes_of(directory))


@contextlib.contextmanager
def killed_in_the_end(directory: Path) -> Iterator[Supervisor]:
    with Supervisor("test", max_restarts=1_000_000, backoff=None) as supervisor:
        yield supervisor
        kill_everything(directory)


def status_of(supervisor: Supervisor) -> Any:
    return supervisor.children()[0]


@pytest.mark.parametrize("kind", [Counter, Patient])
def test_what_was_acknowledged_is_there_after_everything_was_killed(
    nothing_left: Path, file: Path, kind: type[Counter]
) -> None:
    with killed_in_the_end(nothing_left) as supervisor:
        counter = supervisor.start(child(kind), name="counter", durable=file)
        for n in range(1, 11):
            assert counter.add(1) == n
            assert totals(file) == {("test", "counter"): n}

    with Supervisor("test") as supervisor:
        assert supervisor.start(child(kind), name="counter", durable=file).look() == (10, 1)


@pytest.mark.parametrize("every", ["message", 0.05])
def test_actors_that_are_threads_keep_their_states_too(nothing_left: Path, file: Path, every: Any) -> None:
    assert nothing_left
    options: Options = {"durable": file, "durable_every": every, "host": "thread"}
    for n in range(2):
        with Supervisor("test") as supervisor:
            counters = [supervisor.start(child(Counter), name=name, **options) for name in ("a", "b", "c")]
            for counter in counters:
                assert [counter.add(1) for _ in range(5)] == [5 * n + k for k in range(1, 6)]

    assert set(totals(file).values()) == {10}


def test_in_the_background_it_is_there_after_that_time(nothing_left: Path, file: Path) -> None:
    with killed_in_the_end(nothing_left) as supervisor:
        counter = supervisor.start(child(Counter), name="counter", durable=file, durable_every=0.05)
        for _ in range(10):
            counter.add(1)
        assert wait_until(lambda: totals(file) == {("test", "counter"): 10})
        assert wait_until(lambda: status_of(supervisor).unsaved == 0)

    with Supervisor("test") as supervisor:
        counter = supervisor.start(child(Counter), name="counter", durable=file, durable_every=0.05)
        assert counter.look() == (10, 1)


def test_in_the_background_an_orderly_stop_writes_what_is_left(nothing_left: Path, file: Path) -> None:
    assert nothing_left
    with Supervisor("test") as supervisor:
        counter = supervisor.start(child(Counter), name="counter", durable=file, durable_every=3600.0)
        counter.add(3)
        assert totals(file) == {}
        assert status_of(supervisor).unsaved == 1

    assert {path.name for path in file.parent.iterdir()} == {file.name, f"{file.name}-key"}
    assert totals(file) == {("test", "counter"): 3}


def test_in_the_background_a_killed_actor_goes_on_from_shared_memory(supervisor: Supervisor, file: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", durable=file, durable_every=3600.0)
    counter.add(3)

    counter.die.tell()

    assert wait_until(lambda: counter.look() == (3, 2))
    assert totals(file) == {}
    supervisor.stop("counter")
    assert totals(file) == {("test", "counter"): 3}


def test_an_actor_that_becomes_durable_goes_on_and_is_written(nothing_left: Path, file: Path) -> None:
    assert nothing_left
    with Supervisor("test", children={"counter": child(Counter)}) as supervisor:
        counter = supervisor.ref("counter", Counter)
        counter.add(5)

        [change] = supervisor.reload(tree(children={"counter": child(Counter).options(durable=file)}))

        assert (change.kind, change.error) == ("changed", "")
        assert totals(file) == {("test", "counter"): 5}
        assert counter.add(1) == 6
        assert totals(file) == {("test", "counter"): 6}


def test_a_state_of_a_class_that_goes_by_value_is_there_for_the_next_system(nothing_left: Path, file: Path) -> None:
    """Within a system such a class has a number; in the file it is whole."""

    @dataclass
    class Note:
        text: str

    class Notebook(Actor):
        def __init__(self) -> None:
            self.notes: list[Note] = []

        def snapshot(self) -> list[Note]:
            return self.notes

        def restore(self, state: list[Note]) -> None:
            self.notes = state

        @message
        def write(self, text: str) -> None:
            self.notes.append(Note(text))

        @message(snapshot=False)
        def read(self) -> list[str]:
            return [note.text for note in self.notes]

    assert nothing_left
    for n in range(3):
        with Supervisor("test") as supervisor:
            notebook = supervisor.start(child(Notebook), name="notebook", durable=file)
            assert notebook.read() == [str(m) for m in range(n)]
            notebook.write(str(n))


def test_the_state_outlives_a_stop_for_good(supervisor: Supervisor, file: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", durable=file)
    counter.add(5)

    supervisor.stop("counter")
    supervisor.delete("counter")

    assert supervisor.start(child(Counter), name="counter", durable=file).look()[0] == 5


def test_a_message_that_raised_is_on_disk_too(supervisor: Supervisor, file: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", durable=file)

    with pytest.raises(ValueError, match="counted all the same"):
        counter.raise_after(4)

    assert totals(file) == {("test", "counter"): 4}


def test_one_file_holds_many_actors_that_write_at_once(runtime_directory: Path, file: Path) -> None:
    names = [f"c{n}" for n in range(6)]
    with killed_in_the_end(runtime_directory) as supervisor, deadline(30):
        counters = [supervisor.start(child(Counter), name=name, durable=file) for name in names]
        pool = supervisor.start(child(Counter), name="pool", durable=file, replicas=2)
        for _ in range(20):
            replies = [counter.add.ask(1) for counter in counters] + [pool.add.ask(1)]
            for reply in replies:
                reply.result()

    found = totals(file)
    assert {path: total for (_, path), total in found.items() if path in names} == dict.fromkeys(names, 20)
    assert sum(total for (_, path), total in found.items() if path.startswith("pool.")) == 20


def test_systems_share_a_file_and_not_their_states(nothing_left: Path, file: Path) -> None:
    assert nothing_left
    with Supervisor("one") as one, Supervisor("two") as two:
        for supervisor, n in ((one, 1), (two, 2)):
            supervisor.start(child(Counter), name="counter", durable=file).add(n)

    assert totals(file) == {("one", "counter"): 1, ("two", "counter"): 2}


def test_a_state_of_any_size_is_kept(nothing_left: Path, file: Path) -> None:
    with killed_in_the_end(nothing_left) as supervisor:
        counter = supervisor.start(child(Counter), name="counter", durable=file)
        counter.fatten(3_000_000)

    with Supervisor("test") as supervisor:
        counter = supervisor.start(child(Counter), name="counter", durable=file)
        counter.add(1)
        counter.die.tell()
        assert wait_until(lambda: counter.look() == (1, 2))


def test_a_state_that_restore_does_not_take_is_a_failed_start(supervisor: Supervisor, file: Path) -> None:
    supervisor.start(child(Counter), name="counter", durable=file).add(1)
    supervisor.stop("counter")
    supervisor.delete("counter")

    with pytest.raises(StartFailed, match="a state of another time"):
        supervisor.start(child(Picky), name="counter", durable=file)

    assert supervisor.start(child(Counter), name="counter", durable=file).look()[0] == 1


def test_a_child_forked_by_a_timer_commits_nothing(supervisor: Supervisor, file: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", durable=file)
    counter.fork()

    assert wait_until(lambda: totals(file) == {("test", "counter"): 1})
    assert [counter.add(1) for _ in range(5)] == [2, 3, 4, 5, 6]
    assert totals(file) == {("test", "counter"): 6}


def make_foreign(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE users (name TEXT)")


def make_newer(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA application_id = {int.from_bytes(b'Undr', 'big')}")
        connection.execute("PRAGMA user_version = 99")


UNUSABLE = {
    "garbage": (lambda file: file.write_bytes(os.urandom(8192)), "file is not a database"),
    "foreign": (make_foreign, "expected a database of states, got one of something else"),
    "newer": (make_newer, "expected a database of states in version 2, got version 99"),
    "directory": (lambda file: file.mkdir(), "expected a regular file"),
    "writable by all": (lambda file: (file.touch(), file.chmod(0o666)), "that others cannot write to"),
    "device": (lambda file: file.symlink_to("/dev/full"), "expected a regular file, got a symbolic link"),
    "no directory": (lambda file: file.parent.rmdir(), "its directory does not exist"),
    "dangling": (lambda file: file.symlink_to(file.parent / "gone" / "x"), "got a symbolic link"),
    "directory for all": (lambda file: file.parent.chmod(0o1777), "others could lay their states there"),
}


@pytest.mark.parametrize(("make", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_used_is_a_failed_start_that_says_why(
    supervisor: Supervisor, tmp_path: Path, make: Any, why: str
) -> None:
    file = tmp_path / "of its own" / "state.db"
    file.parent.mkdir()
    make(file)
    before = file.read_bytes() if file.is_file() else b""

    with pytest.raises(StartFailed) as caught:
        supervisor.start(child(Counter), name="counter", durable=file)

    assert f"NotDurable: durable '{file}': " in str(caught.value)
    assert why in str(caught.value)
    assert (file.read_bytes() if file.is_file() else b"") == before


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return self.path.touch, ()


def planted(file: Path, state: bytes) -> None:
    """Write a state into the file, as somebody would who may write to it."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE snapshot SET state = ?, number = number + 1", (state,))


def test_a_state_that_somebody_else_wrote_is_never_unpickled(
    supervisor: Supervisor, file: Path, tmp_path: Path
) -> None:
    supervisor.start(child(Counter), name="counter", durable=file).add(1)
    supervisor.stop("counter")
    supervisor.delete("counter")
    planted(file, pickle.dumps(Trap(tmp_path / "trapped")))

    with pytest.raises(StartFailed, match="the state of 'counter' was not signed with the key in"):
        supervisor.start(child(Counter), name="counter", durable=file)

    assert not (tmp_path / "trapped").exists()


def test_a_write_ahead_log_that_was_laid_beside_the_file_is_never_played_into_it(
    supervisor: Supervisor, file: Path, tmp_path: Path
) -> None:
    supervisor.start(child(Counter), name="counter", durable=file).add(1)
    supervisor.stop("counter")
    supervisor.delete("counter")
    copy = tmp_path / "copy" / "state.db"
    shutil.copytree(file.parent, copy.parent)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        with connection:
            connection.execute("UPDATE snapshot SET state = ?", (pickle.dumps(Trap(tmp_path / "trapped")),))
        shutil.copy(f"{copy}-wal", f"{file}-wal")
    Path(f"{file}-wal").chmod(0o666)
    before = file.read_bytes()

    with pytest.raises(StartFailed, match=r"state\.db-wal: expected a file of uid .* that others cannot write to"):
        supervisor.start(child(Counter), name="counter", durable=file)

    assert not (tmp_path / "trapped").exists()
    assert file.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written_is_a_failed_start(supervisor: Supervisor, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(StartFailed, match="Permission denied"):
        supervisor.start(child(Counter), name="counter", durable=tmp_path / "state.db")


def test_a_locked_file_is_a_failed_start_once_it_was_waited_for(supervisor: Supervisor, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StartFailed, match="database is locked"):
            supervisor.start(child(Counter), name="counter", durable=file)


def test_a_file_that_others_hold_for_a_moment_is_waited_for(supervisor: Supervisor, file: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", durable=file)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        reply = counter.add.ask(1)
        assert wait_until(lambda: status_of(supervisor).in_hand == "add")
        holder.execute("ROLLBACK")

        assert reply.result() == 1
    assert totals(file) == {("test", "counter"): 1}
    assert status_of(supervisor).saves_failed == 0


def test_an_actor_whose_file_is_gone_goes_on_and_makes_it_anew(supervisor: Supervisor, file: Path) -> None:
    counter = supervisor.start(child(Counter), name="counter", durable=file)
    counter.add(1)

    for path in file.parent.iterdir():
        path.unlink()

    assert counter.add(1) == 2
    assert status_of(supervisor).saves_failed == 1
    assert wait_until(lambda: file.exists() and status_of(supervisor).unsaved == 0)
    assert totals(file) == {("test", "counter"): 2}


def test_a_file_that_cannot_be_used_later_does_not_end_the_actor_not_even_by_a_restart(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    file = tmp_path / "mounted" / "state.db"
    file.parent.mkdir()
    counter = supervisor.start(child(Counter), name="counter", durable=file)
    counter.add(1)
    file.parent.rename(tmp_path / "unmounted")

    assert counter.add(1) == 2
    counter.die.tell()
    assert wait_until(lambda: counter.look() == (2, 2))
    assert counter.add(1) == 3
    assert status_of(supervisor).unsaved == 2
    assert status_of(supervisor).saves_failed >= 2

    (tmp_path / "unmounted").rename(file.parent)
    assert wait_until(lambda: status_of(supervisor).unsaved == 0)
    assert totals(file) == {("test", "counter"): 3}


FULL_DISK = """
import sys
from actors import child
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.test_durable import Counter, status_of, totals

file = sys.argv[1]
with Supervisor("full") as supervisor:
    counter = supervisor.start(child(Counter), name="counter", durable=file)
    assert counter.add(1) == 1
    counter.fatten(1_000_000)
    assert [counter.add(1) for _ in range(3)] == [2, 3, 4]
    assert wait_until(lambda: status_of(supervisor).saves_failed >= 2)
    assert status_of(supervisor).unsaved == 4
    assert totals(file) == {("full", "counter"): 1}
    counter.die.tell()
    assert wait_until(lambda: counter.look() == (4, 2))
    counter.fatten(10)
    assert wait_until(lambda: status_of(supervisor).unsaved == 0)
    assert totals(file) == {("full", "counter"): 4}
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare(1)")
def test_with_a_full_disk_an_actor_goes_on_and_its_state_is_written_once_there_is_room(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=512k,mode=700 tmpfs {tmp_path} && exec "$@"'
    # its own mounts: nobody else sees the small file system
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", FULL_DISK, str(tmp_path / "state.db")]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 0, ended.stderr
    failed = [line for line in ended.stderr.splitlines() if "its state cannot be written to disk" in line]
    assert len(failed) == 2  # once in each incarnation
    assert all("database or disk is full" in line for line in failed)


def test_only_an_actor_with_snapshots_can_be_durable(supervisor: Supervisor, file: Path) -> None:
    with pytest.raises(BadSpec, match="expected an actor with snapshot and restore, got Forgetful"):
        supervisor.start(child(Forgetful), name="forgetful", durable=file)


def test_a_system_without_a_name_cannot_find_its_states_again(nothing_left: Path, file: Path) -> None:
    assert nothing_left
    with Supervisor() as supervisor, pytest.raises(BadSpec, match="expected a system with a name"):
        supervisor.start(child(Counter), name="counter", durable=file)


@pytest.mark.parametrize("value", [0, -1.0, "often", True, None])
def test_how_often_is_each_message_or_seconds(value: Any) -> None:
    with pytest.raises(BadSpec, match='expected "message" or seconds above 0'):
        child(Counter).options(durable="state.db", durable_every=value)


@pytest.mark.parametrize("value", [3, "", b"state.db"])
def test_a_durable_file_is_a_path(value: Any) -> None:
    with pytest.raises(BadSpec, match="expected the path of a file"):
        child(Counter).options(durable=value)


@pytest.mark.parametrize("every", ["message", 0.02])
def test_every_message_counts_exactly_once_through_kills_of_the_actor_and_of_everything(
    runtime_directory: Path, file: Path, every: Any
) -> None:
    """Of a killed system queued messages are lost and no acknowledged one, with a file that is written each time."""
    sent, rounds = 0, 4
    for _ in range(rounds):
        with killed_in_the_end(runtime_directory) as supervisor, deadline(30):
            counter = supervisor.start(child(Counter), name="counter", durable=file, durable_every=every)
            found, _ = counter.look()
            assert found == sent
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                counter.die.tell()
                for _ in range(5):
                    counter.add.tell(1)
                sent += 6
                assert counter.add(1) == sent
            if every != "message":
                assert wait_until(lambda: status_of(supervisor).unsaved == 0)
