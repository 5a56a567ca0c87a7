"""What holds for every test."""

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ["runtime.testing"]


@pytest.fixture(autouse=True, scope="session")
def signals_name_their_process() -> Iterator[None]:
    """No test signals its own process group: kill(2) of pid 0, the pid of whoever has none, would end the run and its caller."""
    kill = os.kill

    def named(pid: int, number: int) -> None:
        if pid <= 0:
            raise ValueError(f"kill({pid}, {number}) is for a whole group of processes")
        kill(pid, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", named)
        yield
