"""Who may exchange what a path leads to, by owners, modes and groups of every directory on the way."""

import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import trust

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def way(tmp_path: Path) -> Path:
    """A directory, a few below one of ours that is safe."""
    path = tmp_path / "a" / "b" / "c"
    path.mkdir(parents=True, mode=0o755)
    return path


def test_a_way_that_only_we_and_root_decide_is_trusted(way: Path) -> None:
    assert trust.fault_on_the_way(way) == ""
    assert trust.fault_of_directory(str(way)) == ""


def test_of_a_way_that_is_not_there_yet_the_part_that_is_counts(way: Path) -> None:
    assert trust.fault_on_the_way(way / "x" / "y") == ""
    way.chmod(0o757)
    assert trust.fault_on_the_way(way / "x" / "y") != ""


def test_a_directory_that_all_may_write_to_decides_what_is_below_it(way: Path) -> None:
    way.parent.chmod(0o777)

    assert f"{way.parent}: " in trust.fault_on_the_way(way)
    assert "got mode 0777" in trust.fault_on_the_way(way)


def test_in_a_sticky_directory_what_is_ours_cannot_be_exchanged_but_others_may_lay_things(way: Path) -> None:
    way.parent.chmod(0o1777)

    assert trust.fault_on_the_way(way) == ""
    assert trust.fault_on_the_way(way.parent / "not there yet") == ""
    assert "got mode 1777" in trust.fault_of_directory(str(way.parent))


@needs_root
def test_in_a_sticky_directory_what_is_anothers_is_not_trusted(way: Path) -> None:
    way.parent.chmod(0o1777)
    os.chown(way, NOBODY, NOBODY)

    assert trust.fault_on_the_way(way) != ""


@needs_root
def test_what_is_below_a_directory_of_another_user_is_his(way: Path) -> None:
    os.chown(way.parent, NOBODY, NOBODY)

    assert trust.fault_on_the_way(way) == (
        f"{way.parent}: expected a directory of uid 0 or of root, got one of uid {NOBODY}"
    )
    assert trust.fault_of_directory(str(way.parent)) == trust.fault_on_the_way(way)


def test_links_are_followed_and_so_is_the_way_to_what_they_lead_to(way: Path, tmp_path: Path) -> None:
    (tmp_path / "absolute").symlink_to(way)
    (tmp_path / "relative").symlink_to("a/../a/./b")
    for link in ("absolute", "relative/c"):
        assert trust.fault_on_the_way(tmp_path / link) == ""

    way.parent.chmod(0o777)

    for link in ("absolute", "relative/c"):
        assert f"{way.parent}: " in trust.fault_on_the_way(tmp_path / link)


@needs_root
def test_a_link_of_another_user_is_his_to_exchange(way: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(way)
    assert trust.fault_on_the_way(shared / "link") == ""

    os.lchown(shared / "link", NOBODY, NOBODY)

    assert trust.fault_on_the_way(shared / "link") != ""


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to("there")
    (tmp_path / "there").symlink_to("here")

    with pytest.raises(OSError, match="too many levels of symbolic links"):
        trust.fault_on_the_way(tmp_path / "here")


def _group(*members: str) -> grp.struct_group:
    return grp.struct_group(("mine", "x", 4711, list(members)))


def _user(name: str, uid: int, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))


US = _user("us", os.geteuid(), 4711)
BOB = _user("bob", NOBODY, 100)
CARL = _user("carl", NOBODY, 4711)


@pytest.mark.parametrize(
    ("group", "users", "is_trusted"),
    [
        (_group(), [US], True),
        (_group("us"), [US, BOB], True),
        (_group("us", "bob"), [US, BOB], False),
        (_group("bob"), [US, BOB], False),
        (_group(), [US, CARL], False),
        (_group(), [BOB], False),
        (_group("gone"), [US], False),
        (None, [US], False),
    ],
    ids=["primary", "named", "shared", "another's", "another's primary", "nobody's", "of a user unknown", "unknown"],
)
def test_a_group_may_write_where_none_but_us_is_its_member(
    way: Path,
    monkeypatch: pytest.MonkeyPatch,
    group: grp.struct_group | None,
    users: list[pwd.struct_passwd],
    is_trusted: bool,
) -> None:
    def of_gid(gid: int) -> grp.struct_group:
        if group is None:
            raise KeyError(gid)
        return group

    gid = way.stat().st_gid
    mine = [_user(user.pw_name, user.pw_uid, gid if user.pw_gid == 4711 else user.pw_gid) for user in users]
    monkeypatch.setattr(grp, "getgrgid", of_gid)
    monkeypatch.setattr(pwd, "getpwall", lambda: mine)
    monkeypatch.setattr(pwd, "getpwnam", {user.pw_name: user for user in mine}.__getitem__)

    way.chmod(0o775)

    assert (trust.fault_of_directory(str(way)) == "") is is_trusted


def test_a_directory_with_an_access_control_list_that_lets_write_is_not_trusted(
    way: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits of the group are the mask of the list then."""
    entries = [(0x01, 7, -1), (0x02, 7, NOBODY), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1)]  # acl(5): user, bob, …
    listed = b"".join([(2).to_bytes(4, "little"), *(_entry(*entry) for entry in entries)])
    monkeypatch.setattr(trust, "_is_private", lambda _gid: True)
    way.chmod(0o775)
    assert trust.fault_of_directory(str(way)) == ""
    try:
        os.setxattr(way, "system.posix_acl_access", listed)
    except OSError as exc:
        pytest.skip(f"no access control lists here: {exc}")

    assert trust.fault_of_directory(str(way)) != ""


def _entry(tag: int, permissions: int, who: int) -> bytes:
    return tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")


def test_in_a_user_namespace_the_root_of_outside_is_trusted(way: Path) -> None:
    """There its files are those of the overflow uid."""
    code = "import sys; from runtime import trust; print(trust.fault_on_the_way(sys.argv[1]) or 'trusted')"
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code, "/usr/lib"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[2])
    if ended.returncode != 0 and "unshare" in ended.stderr:
        pytest.skip("no user namespaces here")

    assert ended.stdout.strip() == "trusted", ended.stderr
