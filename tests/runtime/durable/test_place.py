"""Where a database may be, and what may lie beside it."""

import os
from pathlib import Path

import pytest

from actors import NotDurable
from runtime.durable import place
from runtime.durable.database import Database
from runtime.durable.row import Row

NOBODY = 65534
BESIDE = ["", "-wal", "-shm", "-journal"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "of its own" / "state.db"


@pytest.fixture(autouse=True)
def directory(file: Path) -> Path:
    file.parent.mkdir()
    return file.parent


def test_a_file_is_made_and_then_found(file: Path) -> None:
    assert place.identity_at(str(file)) is None
    made = place.prepare(str(file))

    assert place.prepare(str(file)) == made == place.identity_at(str(file))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_directory_that_others_may_write_to_is_refused_sticky_or_not(file: Path, mode: int) -> None:
    file.parent.chmod(mode)

    with pytest.raises(NotDurable, match=f"others could lay their states there: .*got mode {mode:04o}"):
        place.prepare(str(file))
    assert list(file.parent.iterdir()) == []


@needs_root
@pytest.mark.parametrize("level", [0, 1])
def test_a_directory_of_another_user_is_refused_and_so_is_what_is_below_it(file: Path, level: int) -> None:
    below = file.parent / "below"
    below.mkdir()
    os.chown([below, below.parent][level], NOBODY, NOBODY)

    with pytest.raises(NotDurable, match=f"got one of uid {NOBODY}"):
        place.prepare(str(below / "state.db"))


@pytest.mark.parametrize("suffix", BESIDE)
@pytest.mark.parametrize("mode", [0o660, 0o620, 0o602, 0o666])
def test_each_file_that_others_may_write_to_is_refused(file: Path, suffix: str, mode: int) -> None:
    planted = file.with_name(file.name + suffix)
    planted.touch()
    planted.chmod(mode)

    with pytest.raises(NotDurable, match=f"that others cannot write to, got uid .*, mode {mode:04o}"):
        place.prepare(str(file))


@needs_root
@pytest.mark.parametrize("suffix", BESIDE)
def test_each_file_of_another_user_is_refused(file: Path, suffix: str) -> None:
    planted = file.with_name(file.name + suffix)
    planted.touch(0o600)
    os.chown(planted, NOBODY, NOBODY)

    with pytest.raises(NotDurable, match=f"got uid {NOBODY}"):
        place.prepare(str(file))


@pytest.mark.parametrize("suffix", BESIDE)
def test_each_link_is_refused_and_what_it_leads_to_untouched(file: Path, tmp_path: Path, suffix: str) -> None:
    victim = tmp_path / "victim"
    victim.touch(0o600)
    file.with_name(file.name + suffix).symlink_to(victim)

    with pytest.raises(NotDurable, match="expected a regular file, got a symbolic link"):
        Database(str(file))
    assert victim.stat().st_size == 0


def test_by_a_link_to_its_directory_it_is_found(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file.parent)
    made = Database(str(file))
    made.save("shop", "a", Row(1, 0, b"x"))
    made.close()

    found = Database(str(tmp_path / "link" / "state.db"))
    assert found.load("shop", "a") == (1, 0, b"x")
    found.close()
