"""Benches of supervision over processes: a group's restart, and how long a question waits while many die."""

import contextlib
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from time import perf_counter_ns

from actors import child, deadline, tree
from runtime import Supervisor
from tests.bench.players import Ledger, Tally
from tests.bench.row import AtMost, AtMostMore, AtMostTimes, Row
from tests.bench.sample import Sample, in_turn, seconds
from tests.bench.scale import Scale
from tests.bench.system import system
from tests.bench.yardstick import peer

_GROUP = 20
_CROWD = 100
_PAUSE_SECONDS = 0.05


def group(scale: Scale) -> Iterator[Row]:
    """One of a group's children is killed: until all of them answer again."""
    children = {f"c{n}": child(Tally) for n in range(_GROUP)}
    group_of = tree(strategy="one_for_all", children=children, max_restarts=1_000_000, backoff=None)
    with system() as running, peer("fork") as forking:
        handle = running.start(group_of, name="group")
        members = [handle.ref(name, Tally) for name in children]

        def all_again() -> float:
            before = [member.pid() for member in members]
            time.sleep(_PAUSE_SECONDS)
            begun = perf_counter_ns()
            os.kill(before[0], signal.SIGKILL)
            with deadline(30):
                while any(member.pid() == pid for member, pid in zip(members, before, strict=True)):
                    continue
            return (perf_counter_ns() - begun) / 1e6

        all_again()
        ours, theirs = in_turn(scale.of(7, smoke=1), all_again, forking.turn)
    values = Sample(tuple(ours), "ms"), Sample(tuple(theirs), "ms")
    yield Row("group", f"one_for_all of {_GROUP}, one killed", *values, "os.fork, first byte", [AtMost(200)])


def responsive(scale: Scale) -> Iterator[Row]:
    """`status()` while a hundred children die at once and are started again: the slowest answer."""
    with system() as running:
        for n in range(scale.of(_CROWD, smoke=5)):
            running.start(child(Tally), name=f"c{n}")
        rounds = [_slowest(running) for _ in range(scale.of(3, smoke=1))]
    what = f"status() while {scale.of(_CROWD, smoke=5)} die at once, slowest"
    yield Row("responsive", what, Sample(tuple(rounds), "ms"), budgets=[AtMost(200)])


def _slowest(running: Supervisor) -> float:
    doomed = {status.pid for status in running.children() if status.pid}  # 0 would be ourselves
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    slowest, is_whole, until = 0.0, False, time.monotonic() + 60
    while not is_whole and time.monotonic() < until:
        begun = perf_counter_ns()
        is_whole = all(status.state == "running" and status.pid not in doomed for status in running.status())
        slowest = max(slowest, (perf_counter_ns() - begun) / 1e6)
    return slowest


def snapshot(scale: Scale) -> Iterator[Row]:
    """What a commit after each message costs: a tell with one beside a tell without; in memory, and on disk too."""
    count, few = scale.of(20_000, smoke=200), scale.of(200, smoke=5)
    with system() as running, tempfile.TemporaryDirectory(prefix="understudy-bench-") as directory:
        file = f"{directory}/state.db"
        plain = running.start(child(Tally), name="plain")
        kept = running.start(child(Ledger), name="kept")
        shared = running.start(child(Ledger), name="shared", snapshot_every=100)
        behind = running.start(child(Ledger), name="behind", durable=file, durable_every=1.0)
        synced = running.start(child(Ledger), name="synced", durable=file)

        def tells(actor: Tally, count: int) -> float:
            def run() -> None:
                for _ in range(count):
                    actor.add.tell(1)
                with deadline(60):
                    actor.add(0)

            return seconds(run) / count * 1e6

        often = in_turn(scale.rounds, *(partial(tells, actor, count) for actor in (plain, kept, shared, behind)))
        without, with_one, with_few, with_file = (Sample(tuple(values), "µs") for values in often)
        bare = partial(_commits, f"{directory}/bare.db", few)
        on_disk, alone = in_turn(scale.rounds, partial(tells, synced, few), bare)
    less = "a tell without"
    yield Row("snapshot", "small state, a tell with a commit", with_one, without, less, [AtMostMore(5)])
    yield Row("snapshot", "… that up to 100 tells share", with_few, without, less, [AtMostMore(5)])
    yield Row("snapshot", "… and in a file every second", with_file, without, less, [AtMostMore(10)])
    values = Sample(tuple(on_disk), "µs"), Sample(tuple(alone), "µs")
    yield Row("snapshot", "… and in a file at each message", *values, "a row in SQLite, synced", [AtMostTimes(1.5)])


def _commits(file: str, count: int) -> float:
    """One row written again and again with nothing but sqlite3, each time synced: µs each."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS state (actor TEXT PRIMARY KEY, state BLOB)")

        def run() -> None:
            for n in range(count):
                connection.execute("INSERT OR REPLACE INTO state VALUES ('a', ?)", (n.to_bytes(8, "little"),))

        return seconds(run) / count * 1e6
