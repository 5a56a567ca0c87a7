"""The claim to a system's directory: what it clears, what it never touches, and whom it waits for."""

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import AlreadyRunning
from actors.errors import UnsafeDirectory
from runtime.claim import Claim, claim
from runtime.directory import LOCK, MARK, is_running, systems
from runtime.testing import wait_until

NOBODY = 65534
DEAD = 2**22 + 1  # no pid: more than PID_MAX_LIMIT, <linux/threads.h>


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A claim sets it, for the warden's whole life."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def parent(runtime_directory: Path) -> Path:
    runtime_directory.mkdir(mode=0o700)
    return runtime_directory


def ended(claimed: Claim) -> None:
    claimed.remove()
    claimed.close()


def killed(parent: Path, name: str) -> Path:
    """What a system leaves that was killed as a whole."""
    root = parent / name
    (root / "children" / "a").mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    os.mkfifo(root / "children" / "a" / "mailbox")
    (root / LOCK).write_bytes(MARK + b"%d\n" % DEAD)
    return root


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_claim_makes_the_directory_for_us_alone_and_removes_it(runtime_directory: Path) -> None:
    claimed = claim("shop")
    root = runtime_directory / "shop"

    assert claimed.root == root
    assert [stat.S_IMODE(path.stat().st_mode) for path in (runtime_directory, root, root / LOCK)] == [
        0o700,
        0o700,
        0o600,
    ]
    assert is_running("shop")
    assert systems() == ["shop"]
    with pytest.raises(AlreadyRunning) as refused:
        claim("shop")
    assert refused.value.pid == os.getpid()

    (root / "children").mkdir()
    ended(claimed)
    assert not runtime_directory.exists()


def test_what_a_killed_system_left_is_cleared(parent: Path) -> None:
    root = killed(parent, "shop")

    claimed = claim("shop")

    assert names(root) == [LOCK]
    ended(claimed)


@pytest.mark.parametrize(
    "there",
    [
        {"thesis.txt": "precious"},
        {"thesis.txt": "precious", LOCK: ""},
        {"thesis.txt": "precious", LOCK: "4711\n"},
        {LOCK: "x"},
    ],
    ids=["no lock", "an empty lock", "another's lock", "another's lock alone"],
)
def test_a_directory_that_is_no_systems_is_refused_and_untouched(parent: Path, there: dict[str, str]) -> None:
    root = parent / "shop"
    root.mkdir(mode=0o700)
    for name, text in there.items():
        (root / name).write_text(text)

    with pytest.raises(UnsafeDirectory, match=r"expected (a directory|the lock) of a system"):
        claim("shop")

    assert {path.name: path.read_text() for path in root.iterdir()} == there
    assert systems() == []


@pytest.mark.parametrize("left", [[], [LOCK]])
def test_a_directory_that_was_only_begun_is_claimed(parent: Path, left: list[str]) -> None:
    root = parent / "shop"
    root.mkdir(mode=0o700)
    for name in left:
        (root / name).touch()

    ended(claim("shop"))

    assert not root.exists()


def test_a_fifo_in_the_place_of_a_lock_holds_up_nobody(parent: Path) -> None:
    root = parent / "shop"
    root.mkdir(mode=0o700)
    os.mkfifo(root / LOCK)

    with pytest.raises(UnsafeDirectory):
        claim("shop")


def test_links_in_what_is_cleared_are_removed_and_not_followed(parent: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    root = killed(parent, "shop")
    (root / "control").symlink_to(victim)
    (root / "children" / "b").symlink_to(victim)

    ended(claim("shop"))

    assert names(victim) == ["sub"]
    assert not root.exists()


def test_a_directory_that_was_exchanged_meanwhile_is_not_the_one_that_is_cleared(parent: Path) -> None:
    claimed = claim("shop")
    claimed.root.rename(parent / "away")
    claimed.root.mkdir(mode=0o700)
    (claimed.root / "precious").touch()

    ended(claimed)

    assert names(claimed.root) == ["precious"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_runtime_directory_below_one_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    his = tmp_path / "his"
    (his / "run").mkdir(parents=True, mode=0o700)
    os.chown(his, NOBODY, NOBODY)
    monkeypatch.setenv("UNDERSTUDY_DIR", str(his / "run"))

    for use in (lambda: claim("shop"), systems):
        with pytest.raises(UnsafeDirectory, match=f"{his}: expected a directory of uid 0 or of root"):
            use()
    assert names(his) == ["run"]


def test_a_runtime_directory_below_one_that_all_may_write_to_is_refused_unless_it_is_sticky(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_DIR", str(tmp_path / "open" / "run"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UnsafeDirectory, match=r"others may exchange it: .* got mode 0777"):
        claim("shop")
    assert names(tmp_path / "open") == []

    (tmp_path / "open").chmod(0o1777)
    ended(claim("shop"))


def test_each_start_clears_the_systems_that_were_killed_and_nothing_else(parent: Path) -> None:
    stale = [killed(parent, name) for name in ("shop-1", "shop-2")]
    running = claim("bank")
    (parent / "precious").mkdir(mode=0o700)
    (parent / "precious" / "thesis.txt").touch()
    (parent / "empty").mkdir(mode=0o700)
    (parent / "a file").touch()
    (parent / "link").symlink_to(killed(parent.parent, "elsewhere"))
    shared = killed(parent, "shared")
    shared.chmod(0o750)
    before = {path.name for path in parent.iterdir()}

    claimed = claim("shop-3")
    (stale[0] / LOCK).write_bytes(MARK + b"%10d\nmarks 4711\n" % DEAD)
    ended_marks: list[int] = []
    claimed.clear_siblings(ended_marks.append)

    assert ended_marks == [4711]

    assert {path.name for path in parent.iterdir()} == before - {path.name for path in stale} | {"shop-3"}
    assert (parent / "precious" / "thesis.txt").exists()
    assert (parent.parent / "elsewhere" / "children").exists()
    assert systems() == ["bank", "shop-3"]
    for one in (running, claimed):
        one.close()


def test_a_name_whose_last_system_is_just_being_cleared_up_is_waited_for(parent: Path) -> None:
    root = killed(parent, "shop")
    holder = os.open(root / LOCK, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    claims: list[Claim] = []
    waiting = threading.Thread(target=lambda: claims.append(claim("shop")))
    waiting.start()

    os.close(holder)
    waiting.join(10)

    assert [one.root for one in claims] == [root]
    ended(claims[0])


def test_a_name_that_is_never_let_go_of_is_refused_in_the_end(parent: Path) -> None:
    root = killed(parent, "shop")
    holder = os.open(root / LOCK, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)

    with pytest.raises(AlreadyRunning):
        claim("shop", patience=0.02)
    os.close(holder)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_of_many_that_claim_one_name_at_once_one_has_it(parent: Path) -> None:
    killed(parent, "shop")
    read, write = os.pipe()
    pids = []
    for _ in range(8):
        pid = os.fork()
        if not pid:
            code = 2
            try:
                os.close(write)
                try:
                    claimed = claim("shop")
                except AlreadyRunning:
                    os._exit(1)
                os.read(read, 1)
                ended(claimed)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(read)
    try:
        assert wait_until(lambda: sum(map(_has_ended, pids)) == 7)
    finally:
        os.close(write)
    assert sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids) == [0] + [1] * 7
