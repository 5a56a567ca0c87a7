"""What the tests of the command line start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from actors import interfaces
from tests.runtime.cli.fake import FakeMachine, FakeSystem


@pytest.fixture
def shop() -> Iterator[FakeSystem]:
    system = FakeSystem()
    interfaces.attach(system)
    yield system
    interfaces.detach(system)


@pytest.fixture
def understudy(shop: FakeSystem) -> Iterator[FakeMachine]:
    yield FakeMachine({"shop": shop})
    structlog.reset_defaults()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text("[children]\n")
    return path
