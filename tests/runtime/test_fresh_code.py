"""Restarts on freshly imported code: a new zygote, and nobody else is touched."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors import Actor, StartFailed, child, tree
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


BROKEN = {
    "raises": "raise RuntimeError('half written')",
    "hangs": "import time\nwhile True: time.sleep(0.01)",
    "ends": "import os\nos._exit(0)",
    "is killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("how", BROKEN)
def test_code_that_cannot_be_imported_stops_nothing_and_the_old_code_stays(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path, how: str
) -> None:
    ref = supervisor.start(child(inventory), name="a", ready=1.0)
    supervisor.start(child(Counter), name="b")
    before = flat(supervisor)
    (tmp_path / f"{NAME}.py").write_text(BROKEN[how])

    with pytest.raises(StartFailed) as caught:
        supervisor.restart("a", code=True)

    assert flat(supervisor) == before
    certificate = caught.value.certificate
    assert certificate is not None
    assert (certificate.phase, certificate.cause) == ("start", "launch")
    assert (f"{NAME}.py" in certificate.native_stack) == (how == "hangs")
    os.kill(before["a"], signal.SIGKILL)  # whoever restarts now is not the broken code's victim
    assert ref.version() == "1"
    write(tmp_path, "22")
    supervisor.restart("a", code=True)
    assert ref.version() == "22"
    assert wait_until(lambda: len(zygotes_of(supervisor.pid)) == 1)


def test_a_reload_whose_code_cannot_be_imported_leaves_the_child_as_it_is_and_does_the_rest(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.reload(tree(children={"a": child(inventory), "b": child(Counter, 1)}))
    before = flat(supervisor)
    (tmp_path / f"{NAME}.py").write_text(BROKEN["raises"])
    new = tree(children={"a": child(inventory).options(shutdown=1.0), "b": child(Counter, 2), "c": child(inventory)})

    changes = supervisor.reload(new)

    assert [(one.path, one.kind, "half written" in one.error) for one in changes] == [
        ("a", "changed", True),
        ("b", "changed", False),
        ("c", "added", True),
    ]
    assert flat(supervisor)["a"] == before["a"]
    assert list(flat(supervisor)) == ["a", "b"]
    write(tmp_path, "333")
    assert [(one.path, one.error) for one in supervisor.reload(new)] == [("a", ""), ("c", "")]
    assert (supervisor["a"].version(), supervisor["c"].version()) == ("333", "333")


def test_a_module_that_starts_threads_is_imported_first_all_the_same(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(child(inventory), name="a")
    write(tmp_path, "22")
    with (tmp_path / f"{NAME}.py").open("a") as file:
        file.write("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")

    supervisor.restart("a", code=True)

    assert supervisor["a"].version() == "22"


def test_a_stop_does_not_wait_for_an_import_and_refuses_the_restart_that_does(
    inventory: type[Actor], supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(child(inventory), name="a", ready=30.0)
    (tmp_path / f"{NAME}.py").write_text(f"open({str(tmp_path / 'began')!r}, 'w')\n" + BROKEN["hangs"])
    with ThreadPoolExecutor() as pool:
        restart = pool.submit(supervisor.restart, "a", code=True)
        assert wait_until((tmp_path / "began").exists)
        supervisor.stop("a")
        with pytest.raises(StartFailed, match="stopped on request"):
            restart.result(timeout=10)


def test_a_zygote_that_dies_again_and_again_is_replaced_each_time(supervisor: Supervisor) -> None:
    for n in range(3):
        supervisor.start(child(Counter, n), name=f"c{n}")
        pid = zygote_of(supervisor.pid)
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda pid=pid: zygote_of(supervisor.pid) not in (0, pid))  # type: ignore[misc]

    assert [supervisor[f"c{n}"].add(0) for n in range(3)] == [0, 1, 2]


def zygotes_of(supervisor: int) -> list[int]:
    """Pids of the zygotes of a supervisor: of the present one, and of what may take its place."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                name, _, rest = Path(f"/proc/{entry}/stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if name == "understudy-zyg" and int(rest.split()[1]) == supervisor and rest.split()[2] == entry:
                found.append(int(entry))
    return found


def zygote_of(supervisor: int) -> int:
    """Pid of the zygote; 0 while there is none."""
    return next(iter(zygotes_of(supervisor)), 0)
