"""A debugger on a process of ours that is killed: it is the debugger's to reap, and nobody waits for that."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import child
from runtime import Supervisor
from runtime.process import exit as process_exit
from runtime.process.exit import Exit
from runtime.testing import processes_of, wait_until
from tests.runtime.cast import Counter

pytestmark = pytest.mark.process

_TRACER = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
SEIZE = 0x4206  # PTRACE_SEIZE, linux/ptrace.h: attach, and stop nothing
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
print(libc.ptrace(SEIZE, int(sys.argv[1]), None, None), flush=True)
sys.stdin.read()
"""


class Debugger:
    """Attached to a process, and in no hurry."""

    def __init__(self, pid: int) -> None:
        command = [sys.executable, "-c", _TRACER, str(pid)]
        environment = {**os.environ, "UNDERSTUDY_DIR": ""}  # it is none of the system's
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if said != "0\n":
            self.leave()
            pytest.skip("no process may be traced here")

    def leave(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(20)


@pytest.fixture
def debuggers() -> Iterator[list[Debugger]]:
    attached: list[Debugger] = []
    yield attached
    for each in attached:
        each.leave()


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("end", "expected"), [("kill", Exit(None, "SIGKILL")), ("exit", Exit(7))])
def test_how_a_process_ended_is_known_while_a_debugger_holds_it(
    debuggers: list[Debugger], end: str, expected: Exit
) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(write)
        os.read(read, 1)
        os._exit(7)
    os.close(read)
    debuggers.append(Debugger(pid))
    ended = os.pidfd_open(pid)
    assert process_exit.reap(pid) is None

    if end == "kill":
        os.kill(pid, signal.SIGKILL)
    os.close(write)
    assert select.select([ended], [], [], 10)[0]
    os.close(ended)

    assert process_exit.reap(pid) == expected
    assert _is_there(pid)
    debuggers.pop().leave()
    assert process_exit.reap(pid) == expected
    assert not _is_there(pid)


def test_a_child_that_is_ended_at_once_is_not_waited_for_while_a_debugger_holds_it(debuggers: list[Debugger]) -> None:
    pid = os.fork()
    if not pid:
        signal.pause()
    debuggers.append(Debugger(pid))

    process_exit.end(pid)

    assert _is_there(pid)
    debuggers.pop().leave()
    assert process_exit.reap(pid) == Exit(None, "SIGKILL")


@pytest.mark.parametrize("host", ["process", "thread"])
def test_an_actor_that_is_killed_under_a_debugger_is_restarted_and_the_supervisor_idles(
    supervisor: Supervisor, debuggers: list[Debugger], host: str
) -> None:
    counter = supervisor.start(child(Counter), name="counter", host=host, shutdown=1.0)  # type: ignore[arg-type]
    pid = counter.pid()
    debuggers.append(Debugger(pid))

    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: counter.pid() != pid)
    why = supervisor.why("counter")
    assert why is not None
    assert (why.pid, why.signal) == (pid, "SIGKILL")
    before = _cpu_ticks(supervisor.pid)
    assert not wait_until(lambda: _cpu_ticks(supervisor.pid) - before > 10, 0.4)  # 10 ticks: a quarter of that time
    supervisor.stop("counter")
    assert _is_there(pid)
    debuggers.pop().leave()
    assert wait_until(lambda: not _is_there(pid))


@pytest.mark.parametrize("whose", ["understudy-sup", "understudy-zyg", "actor"])
def test_a_system_ends_while_a_debugger_holds_one_of_its_dead(
    nothing_left: Path, debuggers: list[Debugger], whose: str
) -> None:
    with Supervisor("held") as supervisor:
        actor = supervisor.start(child(Counter), name="counter").pid()
        named = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in processes_of(nothing_left)}
        pid = actor if whose == "actor" else named[whose]
        debuggers.append(Debugger(pid))
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: "State:\tZ" in Path(f"/proc/{pid}/status").read_text())

    assert wait_until(lambda: not nothing_left.exists(), 2.0)
    debuggers.pop().leave()
