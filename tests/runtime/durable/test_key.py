"""The key of states: what it signs, where it is, who may have it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from actors import NotDurable
from runtime.durable import key
from runtime.durable.row import Row

ROW = Row(7, 1, b"state")


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


def test_a_signature_is_of_one_actors_one_state(file: str) -> None:
    mine = key.make(file)
    signature = mine.sign("shop", "a", ROW)

    assert mine.has_signed("shop", "a", ROW, signature)
    for others in (
        ("shop", "b", ROW),
        ("bank", "a", ROW),
        ("sho", "pa", ROW),
        ("shop", "a", Row(8, 1, b"state")),
        ("shop", "a", Row(7, 0, b"state")),
        ("shop", "a", Row(7, 1, b"stato")),
    ):
        assert not mine.has_signed(*others, signature)
    assert not key.Key(b"x" * key.NBYTES).has_signed("shop", "a", ROW, signature)
    assert not mine.has_signed("shop", "a", ROW, b"")


def test_it_is_made_once_for_its_owner_alone(file: str) -> None:
    assert key.read(file) is None
    made = key.make(file)
    found = key.read(file)

    assert found is not None
    assert found.has_signed("shop", "a", ROW, made.sign("shop", "a", ROW))
    assert stat.S_IMODE(os.stat(key.path_of(file)).st_mode) == 0o600


def test_one_that_was_not_written_to_its_end_is_none_and_made_anew(file: str) -> None:
    key.make(file)
    os.truncate(key.path_of(file), 5)

    assert key.read(file) is None
    key.make(file)
    assert key.read(file) is not None


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o640),
        lambda path: path.chmod(0o604),
        _link,
        _fifo,
        pytest.param(
            lambda path: os.chown(path, 65534, 65534),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away"),
        ),
    ],
    ids=["readable by the group", "readable by all", "a link", "a FIFO", "of another user"],
)
def test_one_that_others_may_know_is_refused(file: str, spoil: Callable[[Path], None]) -> None:
    key.make(file)
    spoil(Path(key.path_of(file)))

    with pytest.raises(NotDurable, match=r"state\.db-key: "):
        key.read(file)


def test_one_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotDurable, match="No such file or directory"):
        key.make(str(tmp_path / "gone" / "state.db"))
