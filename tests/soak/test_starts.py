"""Actors that come and go for good: what they leave is nothing. UNDERSTUDY_STARTS=1000 for as many."""

import os
from pathlib import Path

import pytest

from actors import Actor, child, message
from runtime import Supervisor
from runtime.testing import processes_of, wait_until
from tests.soak import leaks, sample

pytestmark = pytest.mark.process

_TIMES = int(os.environ.get("UNDERSTUDY_STARTS", "150"))
_WARM = 50
_MOST_KIB = 512  # of a thousand: the memory of one page each, 4 KiB, would be eight times that


class Passer(Actor):
    """Comes, answers, goes."""

    @message
    def pass_by(self, body: bytes) -> int:
        return len(body)


def _come_and_go(supervisor: Supervisor, number: int) -> None:
    passer = supervisor.start(child(Passer), name=f"passer{number}")
    assert passer.pass_by(bytes(10_000)) == 10_000
    supervisor.stop(f"passer{number}")
    supervisor.delete(f"passer{number}")


def test_actors_that_start_and_stop_for_good_leave_neither_memory_nor_descriptors_nor_names(
    supervisor: Supervisor, runtime_directory: Path
) -> None:
    for number in range(_WARM):
        _come_and_go(supervisor, number)
    before, held = sample.take(supervisor.pid, runtime_directory, 0.0), leaks.descriptors(supervisor.pid)
    names = set(runtime_directory.rglob("*"))

    for number in range(_WARM, _WARM + _TIMES):
        _come_and_go(supervisor, number)

    assert wait_until(lambda: not leaks.gained(supervisor.pid, held))
    assert set(runtime_directory.rglob("*")) == names
    assert wait_until(
        lambda: len(processes_of(runtime_directory)) <= before.processes + 1
    )  # a spare may have been on its way
    assert sample.take(supervisor.pid, runtime_directory, 0.0).memory_kib - before.memory_kib < _MOST_KIB
