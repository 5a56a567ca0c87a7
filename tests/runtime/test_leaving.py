"""`context.stop()` and what is queued: handled before the end, or left, as `drain` and the restart type say."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, child, message
from actors.child import Drain, Host, RestartType
from actors.testing import Stage
from runtime import Supervisor
from runtime.testing import wait_until

pytestmark = pytest.mark.process


class Leaver(Actor):
    """Leaves, once a file is there; writes down what it handled."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def write(self, what: str) -> None:
        with (self.directory / "trace").open("a") as trace:
            trace.write(f"{what}\n")

    def on_stop(self, reason: str) -> None:
        self.write(f"stopped {reason}")

    @message
    def leave(self, until: str) -> None:
        (self.directory / "leaving").touch()
        while not Path(until).exists():
            os.sched_yield()
        self.context.stop("done")

    @message
    def note(self, n: int) -> None:
        self.write(str(n))

    @message
    def note_and_go_on(self) -> None:
        """Sends itself one more, and so without end."""
        self.write("again")
        self.context.ref.note_and_go_on.tell()


class AsyncLeaver(Leaver):
    @message
    async def note(self, n: int) -> None:  # type: ignore[override]
        self.write(str(n))


class ConcurrentLeaver(Leaver):
    @message(concurrent=True)
    async def note(self, n: int) -> None:  # type: ignore[override]
        self.write(str(n))


def lines(directory: Path) -> list[str]:
    path = directory / "trace"
    return path.read_text().splitlines() if path.exists() else []


def leave(ref: Any, directory: Path, queue: Callable[[], None]) -> None:
    """Have it leave with that in its queue."""
    until = directory / "until"
    ref.leave.tell(str(until))
    assert wait_until((directory / "leaving").exists)
    queue()
    until.touch()
    assert wait_until(lambda: any(line.startswith("stopped") for line in lines(directory)))


@pytest.mark.parametrize("actor", [Leaver, AsyncLeaver, ConcurrentLeaver])
@pytest.mark.parametrize("host", ["process", "thread"])
@pytest.mark.parametrize("restart", ["temporary", "transient"])
def test_an_actor_that_stops_itself_for_good_first_handles_what_is_queued(
    supervisor: Supervisor, tmp_path: Path, actor: type[Leaver], host: Host, restart: RestartType
) -> None:
    ref = supervisor.start(child(actor, str(tmp_path)), name="a", host=host, restart=restart)

    leave(ref, tmp_path, lambda: [ref.note.tell(n) for n in range(50)] and None)

    assert lines(tmp_path) == [*map(str, range(50)), "stopped done"]
    assert supervisor.letters() == []


@pytest.mark.parametrize(("drain", "restart"), [("discard", "temporary"), ("finish", "permanent")])
def test_what_is_queued_is_left_where_drain_says_so_and_kept_where_it_starts_again(
    supervisor: Supervisor, tmp_path: Path, drain: Drain, restart: RestartType
) -> None:
    ref = supervisor.start(child(Leaver, str(tmp_path)), name="a", drain=drain, restart=restart)

    leave(ref, tmp_path, lambda: ref.note.tell(1))

    assert lines(tmp_path)[0] == "stopped done"
    if restart == "permanent":
        assert wait_until(lambda: lines(tmp_path) == ["stopped done", "1"])
    else:
        assert wait_until(lambda: len(supervisor.letters()) == 1)


def test_who_goes_on_sending_does_not_keep_it_alive(supervisor: Supervisor, tmp_path: Path) -> None:
    ref = supervisor.start(child(Leaver, str(tmp_path)), name="a", restart="temporary")

    leave(ref, tmp_path, ref.note_and_go_on.tell)

    assert "again" in lines(tmp_path)
    assert lines(tmp_path)[-1] == "stopped done"
    assert wait_until(lambda: len(supervisor.letters()) == 1)


@pytest.mark.parametrize("actor", [Leaver, AsyncLeaver, ConcurrentLeaver])
@pytest.mark.parametrize(
    ("drain", "restart", "expected"),
    [
        ("finish", "temporary", ["0", "1", "stopped done"]),
        ("discard", "temporary", ["stopped done"]),
        ("finish", "permanent", ["stopped done", "0", "1"]),
    ],
)
def test_on_a_stage_it_is_the_same(
    tmp_path: Path, actor: type[Leaver], drain: Drain, restart: RestartType, expected: list[str]
) -> None:
    (tmp_path / "until").touch()
    with Stage() as stage:
        ref = stage.start(child(actor, str(tmp_path)), name="a", drain=drain, restart=restart)
        ref.leave.tell(str(tmp_path / "until"))
        for n in range(2):
            ref.note.tell(n)
        stage.run()

        assert lines(tmp_path) == expected
