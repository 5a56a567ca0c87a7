"""References to actors whose first start is still to come: messages wait, and are checked as they will be handled."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, ActorStopped, NoSuchMessage, StartFailed, child, message, tree
from runtime import Supervisor
from runtime.config import load
from runtime.testing import wait_until
from tests.runtime.cast import Gate

pytestmark = pytest.mark.process


class Early(Actor):
    """Starts before the others, and writes to them at once."""

    def __init__(self, *paths: str) -> None:
        self.refused: list[str] = []
        for path in paths:
            later = self.context.ref_to(path)
            later.note.tell(f"to {path}")
            try:
                later.no_such_thing.tell()
            except NoSuchMessage as error:
                self.refused.append(str(error))

    @message
    def refusals(self) -> list[str]:
        return self.refused


class Given(Actor):
    """Is given a reference by a file, and uses it in `on_start`."""

    def __init__(self, later: Any) -> None:
        self.later = later

    def on_start(self) -> None:
        self.later.note.tell("from on_start")


class Held(Actor):
    """Does not become ready before a file appears."""

    def __init__(self, until: str) -> None:
        assert wait_until(Path(until).exists, 20)


LATER = {"later": child(Gate)}
PATHS = ("later", "pool", "below.later", "below.pool", "below.deeper.later")


@pytest.fixture
def below() -> dict[str, Any]:
    spec: dict[str, Any] = {"later": child(Gate), "pool": child(Gate).options(replicas=2)}
    return {**spec, "below": tree(children={**spec, "deeper": tree(children={"later": child(Gate)})})}


def notes(supervisor: Supervisor, path: str) -> list[Any]:
    """Of all that have this name."""
    paths = [path] if not path.endswith("pool") else [f"{path}.r1", f"{path}.r2"]
    return [note for each in paths for note in supervisor.ref(each, Gate).notes()]


def test_a_message_to_whom_is_started_later_waits_and_one_that_it_does_not_have_is_refused(
    nothing_left: Path, below: dict[str, Any]
) -> None:
    assert nothing_left.parent.exists()
    with Supervisor("later", children={"early": child(Early, *PATHS), **below}) as supervisor:
        assert [notes(supervisor, path) for path in PATHS] == [[f"to {path}"] for path in PATHS]
        assert supervisor.ref("early", Early).refusals() == [
            f"{path}: the actor has no message 'no_such_thing'" for path in PATHS
        ]


def test_a_reference_in_a_file_to_a_later_sibling_may_be_used_in_on_start(nothing_left: Path, tmp_path: Path) -> None:
    assert nothing_left.parent.exists()
    here = Path(__file__).parents[2]
    (tmp_path / "two.toml").write_text(
        f'name = "two"\npath = ["{here}"]\n'
        f'[children.given]\nactor = "{__name__}:Given"\nargs = [{{"$ref" = "gate"}}]\n'
        '[children.gate]\nactor = "tests.runtime.cast:Gate"\n'
    )
    config = load(tmp_path / "two.toml")

    with Supervisor(config.name, children=config.tree.children) as supervisor:
        assert supervisor.ref("gate", Gate).notes() == ["from on_start"]


def test_an_untyped_ask_of_one_whose_turn_has_not_come_is_answered_when_it_has(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    spec = tree(children={"slow": child(Held, str(go)), "later": child(Gate)})
    with ThreadPoolExecutor(1) as starting:
        started = starting.submit(supervisor.start, spec, name="group")
        assert wait_until(lambda: any(status.path == "group" for status in supervisor.status()))

        answer = supervisor["group.later"].note.ask("x")
        with pytest.raises(NoSuchMessage):
            supervisor["group.later"].nothing_of_the_kind.ask()
        go.touch()

        assert answer.result() == 1
        started.result()


def test_what_was_written_to_one_that_is_never_started_is_told_when_its_specification_goes(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    spec = tree(children={"slow": child(Held, str(go)), "later": child(Gate), "deeper": tree(children=LATER)})
    with ThreadPoolExecutor(1) as starting:
        started = starting.submit(supervisor.start, spec, name="group")
        assert wait_until(lambda: any(status.path == "group.slow" and status.pid for status in supervisor.status()))
        answers = [supervisor[f"group.{path}"].note.ask("x") for path in ("later", "deeper.later")]

        os.kill(next(status.pid for status in supervisor.status() if status.path == "group.slow"), signal.SIGKILL)

        with pytest.raises(StartFailed):
            started.result()
    for answer in answers:
        with pytest.raises(ActorStopped) as caught:
            answer.result(2)
        assert caught.value.delivered == "no"
