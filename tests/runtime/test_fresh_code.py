"""Restarts on freshly imported code: a new zygote, and nobody else is touched."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import Actor, StartFailed, child
from runtime import Supervisor
from runtime.testing import wait_until
from tests.runtime.cast import Counter, Gate
from tests.runtime.test_reload import flat

pytestmark = pytest.mark.process

NAME = "reloaded_inventory"
MODULE = """
from actors import Actor, message

class Inventory(Actor):
    @message
    def version(self):
        return {version!r}
"""


def write(directory: Path, version: str) -> None:
    """Every version is to have another size: a .pyc is known by that and the time, in whole seconds."""
    (directory / f"{NAME}.py").write_text(MODULE.format(version=version))


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Actor]]:
    """An actor class from a file, which this process imports once."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, "1")
    yield importlib.import_module(NAME).Inventory
    del sys.modules[NAME]


def test_restart_with_code_runs_what_is_on_disk_and_touches_nobody_else(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(child(inventory), name="a")
    supervisor.start(child(inventory), name="b")
    before = flat(supervisor)
    write(tmp_path, "22")

    supervisor.restart("a")
    assert supervisor["a"].version() == "1"
    supervisor.restart("a", code=True)

    assert (supervisor["a"].version(), supervisor["b"].version()) == ("22", "1")
    assert flat(supervisor)["b"] == before["b"]


def test_code_is_renewed_again_and_again_and_starts_go_on(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(child(inventory), name="a")
    for version in ("22", "333", "4444"):
        write(tmp_path, version)
        supervisor.restart("a", code=True)
        assert supervisor["a"].version() == version

    assert supervisor.start(child(Counter, 3), name="c").add(1) == 4


def test_a_queue_is_kept_over_a_restart_with_code(supervisor: Supervisor, tmp_path: Path) -> None:
    gate = supervisor.start(child(Gate), name="gate", shutdown="kill")
    gate.hold.tell(str(tmp_path / "in"), str(tmp_path / "never"))
    for n in range(3):
        gate.note.tell(n)
    assert wait_until((tmp_path / "in").exists)

    supervisor.restart("gate", code=True)

    assert gate.notes() == [0, 1, 2]


def test_code_that_cannot_be_imported_fails_the_restart_and_nobody_else(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(child(inventory), name="a")
    other = supervisor.start(child(Counter, 1), name="b")
    (tmp_path / f"{NAME}.py").write_text("raise RuntimeError('half written')")

    with pytest.raises(StartFailed, match="half written"):
        supervisor.restart("a", code=True)
    write(tmp_path, "55555")
    supervisor.restart("a", code=True)

    assert supervisor["a"].version() == "55555"
    assert other.add(1) == 2


def test_a_zygote_that_dies_again_and_again_is_replaced_each_time(supervisor: Supervisor) -> None:
    for n in range(3):
        supervisor.start(child(Counter, n), name=f"c{n}")
        pid = zygote_of(supervisor.pid)
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda pid=pid: zygote_of(supervisor.pid) not in (0, pid))  # type: ignore[misc]

    assert [supervisor[f"c{n}"].add(0) for n in range(3)] == [0, 1, 2]


def zygote_of(supervisor: int) -> int:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                name, _, rest = Path(f"/proc/{entry}/stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if name == "understudy-zyg" and int(rest.split()[1]) == supervisor and rest.split()[2] == entry:
                return int(entry)
    return 0
