"""Reloads of a running system: only what has changed is touched."""

import asyncio
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    Backoff,
    BadSpec,
    Child,
    Mailbox,
    MailboxFull,
    StartCycle,
    Tree,
    child,
    deadline,
    dynamic,
    message,
    tree,
)
from runtime import Change, Supervisor, connect
from runtime.testing import wait_until
from tests.runtime.cast import Counter, Gate

pytestmark = pytest.mark.process


class Broken(Actor):
    """Cannot be started, unless it is told otherwise."""

    def __init__(self, why: str) -> None:
        if why:
            raise RuntimeError(why)

    @message
    def pid(self) -> int:
        return os.getpid()


def flat(supervisor: Supervisor) -> dict[str, int]:
    """Pids of all actors, by path, in start order."""
    return {one.path: one.pid for one in supervisor.status() if one.kind == "worker"}


def root(children: Mapping[str, Child[Any] | Tree], **flags: Any) -> Tree:
    return tree(children=children, **flags)


def done(changes: list[Change]) -> list[tuple[str, str]]:
    assert not [change.error for change in changes if change.error]
    return [(change.kind, change.path) for change in changes]


def counters(**starts: int) -> dict[str, Child[Counter]]:
    return {name: child(Counter, start) for name, start in starts.items()}


def test_a_reload_of_the_same_tree_changes_nothing(supervisor: Supervisor) -> None:
    spec = root({"a": child(Counter, 1).options(shutdown=1.0), "p": tree(children=counters(b=2))})
    supervisor.reload(spec)
    before = flat(supervisor)

    again = root({"a": child(Counter, 1).options(shutdown=1.0), "p": tree(children=counters(b=2))})

    assert supervisor.reload(again) == []
    assert flat(supervisor) == before


def test_only_the_children_concerned_change(supervisor: Supervisor) -> None:
    supervisor.reload(root({**counters(same=1, gone=2, other=3), "p": tree(children=counters(x=4, y=5))}))
    before = flat(supervisor)

    changes = supervisor.reload(
        root({**counters(new=0, same=1, other=30), "p": tree(children=counters(x=4, y=50, z=6))})
    )

    assert done(changes) == [
        ("removed", "gone"),
        ("added", "new"),
        ("changed", "other"),
        ("changed", "p.y"),
        ("added", "p.z"),
    ]
    after = flat(supervisor)
    assert list(after) == ["new", "same", "other", "p.x", "p.y", "p.z"]
    assert (after["same"], after["p.x"]) == (before["same"], before["p.x"])
    assert after["other"] != before["other"]
    assert [supervisor[path].add(0) for path in after] == [0, 1, 30, 4, 50, 6]


def test_a_changed_option_restarts_its_child(supervisor: Supervisor) -> None:
    supervisor.reload(root(counters(a=1)))
    before = flat(supervisor)

    assert done(supervisor.reload(root({"a": child(Counter, 1).options(drain="discard")}))) == [("changed", "a")]
    assert flat(supervisor)["a"] != before["a"]


def test_a_class_of_this_program_is_the_same_until_it_is_defined_anew(supervisor: Supervisor) -> None:
    def define(step: int) -> type[Actor]:
        class Local(Actor):
            @message
            def step(self) -> int:
                return step

        return Local

    one = define(1)
    supervisor.reload(root({"a": child(one)}))

    assert supervisor.reload(root({"a": child(one)})) == []
    assert done(supervisor.reload(root({"a": child(define(2))}))) == [("changed", "a")]
    assert supervisor["a"].step() == 2


@pytest.mark.parametrize("restart", ["permanent", "temporary"])
def test_a_changed_child_keeps_its_queue(supervisor: Supervisor, tmp_path: Path, restart: Any) -> None:
    spec = child(Gate).options(restart=restart)
    supervisor.reload(root({"gate": spec}))
    gate = supervisor.ref("gate", Gate)
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "never"))
    for n in range(3):
        gate.note.tell(n)
    assert wait_until((tmp_path / "in").exists)

    assert done(supervisor.reload(root({"gate": spec.options(shutdown="kill")}))) == [("changed", "gate")]

    assert gate.notes() == [0, 1, 2]
    with pytest.raises(ActorDied):
        held.result(timeout=5)


class Scribe(Actor):
    """Writes down what it handles, in its state and in a file."""

    def __init__(self, file: str) -> None:
        self.count = 0
        self.fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def snapshot(self) -> int:
        return self.count

    def restore(self, count: int) -> None:
        self.count = count

    @message
    def put(self, sender: int, number: int) -> int:
        os.write(self.fd, f"{sender} {number}\n".encode())
        self.count += 1
        return self.count


@pytest.mark.parametrize("host", ["process", "thread"])
def test_a_mailbox_of_another_size_keeps_state_queue_and_order_while_others_send(
    supervisor: Supervisor, tmp_path: Path, host: Any
) -> None:
    spec = child(Scribe, str(tmp_path / "log")).options(host=host)
    supervisor.reload(root({"scribe": spec.options(mailbox=Mailbox(4096))}))
    scribe = supervisor.ref("scribe", Scribe)
    enough = threading.Event()
    accepted: dict[int, int] = {}

    def send(sender: int) -> None:
        number = 0
        while not enough.is_set():
            with deadline(10):
                scribe.put.tell(sender, number + 1) if sender else scribe.put(sender, number + 1)
            number += 1
        accepted[sender] = number

    with ThreadPoolExecutor() as pool:
        sending = [pool.submit(send, sender) for sender in range(3)]
        try:
            for nbytes in (65536, 4096, 1 << 20, 8192, 32768):
                (change,) = supervisor.reload(root({"scribe": spec.options(mailbox=Mailbox(nbytes))}))
                assert change.error == ""
        finally:
            enough.set()
        for each in sending:
            each.result()

    total = sum(accepted.values())
    assert scribe.put(9, 1) == total + 1
    handled = [tuple(map(int, line.split())) for line in (tmp_path / "log").read_text().splitlines()]
    for sender, count in accepted.items():
        assert [number for who, number in handled if who == sender] == list(range(1, count + 1))
    assert supervisor.letters() == []


def test_a_mailbox_becomes_smaller_once_what_waits_fits_into_it(supervisor: Supervisor, tmp_path: Path) -> None:
    spec = child(Gate).options(shutdown="kill")
    supervisor.reload(root({"gate": spec}))
    gate = supervisor.ref("gate", Gate)
    gate.hold.tell(str(tmp_path / "in"), str(tmp_path / "never"))
    assert wait_until((tmp_path / "in").exists)
    for _ in range(8):
        gate.note.tell(bytes(1500))  # two of them take a page each

    assert done(supervisor.reload(root({"gate": spec.options(mailbox=Mailbox(4096))}))) == [("changed", "gate")]

    assert gate.notes() == [bytes(1500)] * 8
    supervisor.restart("gate")
    assert supervisor.children()[0].mailbox_bytes == 4096
    assert gate.note("still there") == 1


def test_whether_a_full_mailbox_refuses_changes_for_those_who_know_it_already(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    spec = child(Gate).options(mailbox=Mailbox(4096))
    supervisor.reload(root({"gate": spec}))
    gate = supervisor.ref("gate", Gate)
    gate.note(0)

    supervisor.reload(root({"gate": spec.options(mailbox=Mailbox(4096, "refuse"))}))

    gate.hold.tell(str(tmp_path / "in"), str(tmp_path / "out"))
    assert wait_until((tmp_path / "in").exists)
    with deadline(None), pytest.raises(MailboxFull):  # else it would wait for ever
        for _ in range(9):
            gate.note.tell(bytes(1500))
    (tmp_path / "out").touch()


class Forgetful(Actor):
    """Plays the part of `Scribe`, without a state."""

    def __init__(self, file: str) -> None:
        self.file = file

    @message
    def put(self, sender: int, number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return sender + number


def test_what_an_earlier_class_has_committed_answers_no_message_of_the_next(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    """Both handle their first message at the same place of the same journal."""
    supervisor.reload(root({"scribe": child(Scribe, str(tmp_path / "log"))}))
    scribe = supervisor.ref("scribe", Scribe)
    assert scribe.put(1, 1) == 1

    supervisor.reload(root({"scribe": child(Forgetful, str(tmp_path / "log"))}))

    with pytest.raises(ActorDied):
        scribe.put(2, 2)
    supervisor.reload(root({"scribe": child(Scribe, str(tmp_path / "log"))}))
    assert scribe.put(3, 3) == 2


def test_flags_apply_in_place(supervisor: Supervisor) -> None:
    supervisor.reload(root({"p": tree(children=counters(a=1, b=2))}))
    before = flat(supervisor)

    flags = {"strategy": "one_for_all", "max_restarts": 9, "max_seconds": 60.0, "backoff": None}
    changes = supervisor.reload(root({"p": tree(children=counters(a=1, b=2), **flags)}))  # type: ignore[arg-type]

    assert [(change.kind, change.path) for change in changes] == [("flags", "p")]
    assert "strategy: one_for_one → one_for_all, max_restarts: 3 → 9" in changes[0].detail
    assert flat(supervisor) == before
    os.kill(before["p.a"], signal.SIGKILL)
    assert wait_until(lambda: 0 != flat(supervisor)["p.b"] != before["p.b"])


def test_the_root_takes_new_flags_too(supervisor: Supervisor) -> None:
    supervisor.reload(root(counters(a=1)))

    (change,) = supervisor.reload(root(counters(a=1), max_restarts=0, backoff=Backoff(1.0)))
    os.kill(flat(supervisor)["a"], signal.SIGKILL)
    ending = supervisor.wait(timeout=10)

    assert (change.path, change.kind) == ("", "flags")
    assert ending is not None
    assert ending.gave_up


def test_a_start_that_fails_is_told_of_and_the_rest_goes_on(supervisor: Supervisor) -> None:
    supervisor.reload(root(counters(a=1)))

    first = supervisor.reload(root({**counters(a=1), "b": child(Broken, "no water"), **counters(c=3)}))
    second = supervisor.reload(root({**counters(a=1), "b": child(Broken, "no water"), **counters(c=3)}))
    third = supervisor.reload(root({**counters(a=1), "b": child(Broken, ""), **counters(c=3)}))

    assert [(one.kind, one.path, "no water" in one.error) for one in first] == [
        ("added", "b", True),
        ("added", "c", False),
    ]
    assert [(one.kind, one.path, "no water" in one.error) for one in second] == [("added", "b", True)]
    assert done(third) == [("added", "b")]
    assert list(flat(supervisor)) == ["a", "b", "c"]


def test_a_child_whose_change_failed_is_tried_again_by_the_next_reload(supervisor: Supervisor) -> None:
    supervisor.reload(root({"b": child(Broken, "")}))

    (failed,) = supervisor.reload(root({"b": child(Broken, "no water")}))
    (again,) = supervisor.reload(root({"b": child(Broken, "no water")}))
    (back,) = supervisor.reload(root({"b": child(Broken, "").options(shutdown=1.0)}))

    assert [("no water" in one.error, one.kind) for one in (failed, again, back)] == [
        (True, "changed"),
        (True, "changed"),
        (False, "changed"),
    ]
    assert supervisor["b"].pid() == flat(supervisor)["b"]


def test_a_tree_that_is_not_valid_is_refused_whole(supervisor: Supervisor) -> None:
    supervisor.reload(root({**counters(a=1), "p": tree(children=counters(b=2))}))
    before = flat(supervisor)

    faulty = tree(children={"b": child(Counter, 2).options(restart="temporary", significant=True)})
    with pytest.raises(BadSpec):
        supervisor.reload(root({**counters(new=0), "p": faulty}))
    with pytest.raises(BadSpec):
        supervisor.reload(dynamic(child(Counter)))

    assert flat(supervisor) == before
    assert supervisor["a"].add(1) == 2


def test_a_child_becomes_a_supervisor_and_a_worker_again(supervisor: Supervisor) -> None:
    supervisor.reload(root(counters(a=1, b=2)))
    before = flat(supervisor)

    assert done(supervisor.reload(root({"a": tree(children=counters(x=7)), **counters(b=2)}))) == [("replaced", "a")]
    assert list(flat(supervisor)) == ["a.x", "b"]
    assert done(supervisor.reload(root(counters(a=1, b=2)))) == [("replaced", "a")]

    assert list(flat(supervisor)) == ["a", "b"]
    assert flat(supervisor)["b"] == before["b"]


def test_a_changed_template_is_for_future_instances(supervisor: Supervisor) -> None:
    supervisor.reload(root({"d": dynamic(child(Counter).options(restart="transient"), max_children=1)}))
    supervisor.supervisors["d"].start(child(Counter), name="i1")
    before = flat(supervisor)

    supervisor.reload(root({"d": dynamic(child(Counter).options(restart="temporary"), max_children=2)}))
    supervisor.supervisors["d"].start(child(Counter), name="i2")

    assert flat(supervisor)["d.i1"] == before["d.i1"]
    assert [one.restart for one in supervisor.children("d")] == ["transient", "temporary"]


def test_children_started_on_request_stay(supervisor: Supervisor) -> None:
    mine = supervisor.start(child(Counter, 5), name="mine")
    pid = mine.pid()

    supervisor.reload(root(counters(a=1)))
    supervisor.reload(root({}))

    assert mine.pid() == pid
    assert list(flat(supervisor)) == ["mine"]


def test_a_nested_supervisor_is_reloaded_alone(supervisor: Supervisor) -> None:
    supervisor.reload(root({**counters(a=1), "p": tree(children=counters(b=2))}))
    before = flat(supervisor)

    assert done(supervisor.supervisors["p"].reload(tree(children=counters(b=2, c=3)))) == [("added", "p.c")]
    assert supervisor.reload(root({**counters(a=1), "p": tree(children=counters(b=2, c=3))})) == []

    assert {path: flat(supervisor)[path] for path in before} == before


class Meeting(Actor):
    """Its messages wait for each other, so that as many members of a pool have one each."""

    @message
    def meet(self, directory: str, count: int) -> int:
        (Path(directory) / str(os.getpid())).touch()
        while len(list(Path(directory).iterdir())) < count:
            os.sched_yield()
        return os.getpid()


def test_a_pool_grows_and_shrinks_and_its_callers_notice(supervisor: Supervisor, tmp_path: Path) -> None:
    def pool(replicas: int) -> Tree:
        return root({"pool": child(Meeting).options(replicas=replicas)})

    def members(replicas: int) -> set[int]:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        return {reply.result() for reply in [ref.meet.ask(str(directory), replicas) for _ in range(replicas)]}

    supervisor.reload(pool(2))
    before = flat(supervisor)
    ref = supervisor.ref("pool", Meeting)
    assert members(2) == set(before.values())

    supervisor.reload(pool(3))
    grown = flat(supervisor)
    assert {path: grown[path] for path in before} == before
    assert members(3) == set(grown.values())
    supervisor.reload(pool(2))

    assert members(2) == set(before.values())


def test_reloads_at_one_time_come_one_after_another(supervisor: Supervisor) -> None:
    async def both() -> None:
        async with connect("test") as system:
            await asyncio.gather(*[system.reload(root(counters(a=1, **{f"n{n}": n}))) for n in range(4)])

    asyncio.run(both())

    paths = list(flat(supervisor))
    assert paths[0] == "a"
    assert len(paths) == 2


def test_the_async_face_reloads_and_restarts_too(supervisor: Supervisor) -> None:
    async def play() -> list[Change]:
        async with connect("test") as system:
            changes = await system.reload(root(counters(a=1)))
            await system.restart("a", code=True)
            return changes

    assert done(asyncio.run(play())) == [("added", "a")]
    assert supervisor.status()[0].incarnation == 2


def test_an_actor_that_is_starting_cannot_reload_what_starts_it(supervisor: Supervisor) -> None:
    class Reloading(Actor):
        def on_start(self) -> None:
            try:
                self.context.supervisor.reload(tree(children={}))  # type: ignore[attr-defined]
                self.said = ""
            except Exception as exc:
                self.said = type(exc).__name__

        @message
        def what(self) -> str:
            return self.said

    assert supervisor.start(child(Reloading), name="r").what() == StartCycle.__name__
