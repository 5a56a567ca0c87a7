"""Somebody removes the runtime directory under a running system, as systemd does when its user logs out."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from actors import Actor, AlreadyRunning, child, message
from actors.errors import ActorError, NoSuchSystem
from runtime import Supervisor, connect, systems
from runtime.claim import claim
from runtime.testing import wait_until
from tests.runtime.cast import Counter, Stopped

pytestmark = pytest.mark.process


class Asker(Actor):
    """Asks another, whom it may not have asked before."""

    @message
    def add(self, other: Counter, n: int) -> int:
        return other.add(n)


def _can_connect(name: str) -> bool:
    try:
        with connect(name) as system:
            return bool(system.children())
    except NoSuchSystem:
        return False


def test_everything_goes_on_when_the_names_are_removed_and_nothing_is_left_in_the_end(nothing_left: Path) -> None:
    with Supervisor("test") as supervisor:
        known = supervisor.start(child(Counter), name="known")
        unknown = supervisor.start(child(Counter), name="unknown")
        asker = supervisor.start(child(Asker), name="asker")
        pool = supervisor.start(child(Counter), name="pool", replicas=2)
        assert known.add(1) == 1
        pid = known.pid()

        shutil.rmtree(nothing_left)

        assert known.add(1) == 2
        assert unknown.add(1) == 1
        assert asker.add(unknown, 1) == 2
        assert pool.add(1) == 1
        assert supervisor.start(child(Counter), name="later").add(1) == 1
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: known.pid() != pid)
        assert known.add(1) == 1
        assert len(supervisor.children()) >= 5
        supervisor.stop("unknown")
        supervisor.delete("unknown")
        assert supervisor.start(child(Counter), name="unknown").add(1) == 1

        shutil.rmtree(nothing_left)

        assert wait_until(lambda: _can_connect("test"))  # nobody had asked for anything
        with connect("test") as system:
            assert system.ref("known", Counter).add(1) == 2
        assert systems() == ["test"]
        with pytest.raises(AlreadyRunning), Supervisor("test"):
            pass


def test_a_name_that_was_taken_meanwhile_is_left_alone(nothing_left: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor("test") as supervisor:
        known = supervisor.start(child(Counter), name="known")
        assert known.add(1) == 1
        with Stopped(supervisor.pid):
            shutil.rmtree(nothing_left)
            another = claim("test")
        said: list[str] = []

        def has_said() -> bool:
            said.append(capfd.readouterr().err)
            return "nobody new finds this system" in "".join(said)

        assert wait_until(has_said)
        assert known.add(1) == 2
        assert [path.name for path in another.root.iterdir()] == ["lock"]

    assert another.is_there()
    another.remove()
    another.close()


def test_the_warden_clears_up_what_was_made_again(nothing_left: Path) -> None:
    with Supervisor("test") as supervisor:
        known = supervisor.start(child(Counter), name="known")
        shutil.rmtree(nothing_left)
        assert known.add(1) == 1
        assert nothing_left.exists()

        os.kill(supervisor.pid, signal.SIGKILL)

        assert wait_until(lambda: not nothing_left.exists(), 2.0)
        with pytest.raises(ActorError):
            known.add(1)
