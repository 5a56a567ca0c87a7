"""Fixtures of the process tests: one system for a module, since a start of it takes longer than most tests."""

from collections.abc import Iterator

import pytest

from runtime import Supervisor
from tests.runtime.cast import Start, running_system, starting


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """A running system that the tests of the module share; each starts actors of its own."""
    directory = tmp_path_factory.mktemp("shared")
    with running_system(directory) as supervisor:
        yield supervisor
    assert not (directory / "run").exists()


@pytest.fixture
def start(system: Supervisor) -> Iterator[Start]:
    """Starts an actor in the shared system; it is stopped and forgotten after the test."""
    with starting(system) as started:
        yield started
