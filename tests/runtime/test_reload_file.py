"""`understudy reload` and SIGHUP to `understudy run`, with real processes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.test_cli import MODULE, SHOP, Shop, end_of, running

pytestmark = pytest.mark.process

_SECONDS = 20.0


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "run").mkdir(mode=0o700)
    return Shop(tmp_path, tmp_path / "run")


def pids(shop: Shop) -> dict[str, int]:
    return {row["path"]: row["pid"] for row in json.loads(shop("ps", "--json")[1]) if row["kind"] == "worker"}


def reloaded(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next thing a run says of a reload on stdout."""
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert line["event"] == "reloaded"
    return dict(line)


BIGGER = (
    SHOP.replace("tea = 3", "tea = 30").replace("max_restarts = 1", "max_restarts = 5")
    + """
[children.new]
actor = "cli_shop:Inventory"
args = [{ salt = 1 }]
"""
)


def test_reload_applies_what_has_changed_in_the_file(shop: Shop) -> None:
    with running(shop):
        before = pids(shop)
        assert shop("reload", shop.file) == (0, "shop: nothing has changed\n", "")
        shop.write(BIGGER)
        code, out, err = shop("reload", "--json", shop.file)
        after = pids(shop)
        answers = [shop("ask", "inventory", "count", "tea")[1], shop("ask", "new", "count", "salt")[1]]

    assert (code, err) == (0, "")
    assert [(one["kind"], one["path"]) for one in json.loads(out)["changes"]] == [
        ("flags", ""),
        ("changed", "inventory"),
        ("added", "new"),
    ]
    assert answers == ["30\n", "1\n"]
    assert after["payments.gateway"] == before["payments.gateway"]
    assert after["inventory"] != before["inventory"]


def test_a_faulty_file_is_refused_whole_and_the_old_tree_runs_on(shop: Shop) -> None:
    with running(shop):
        before = pids(shop)
        shop.write(BIGGER.replace('"cli_shop:Inventory"\nargs = [{ salt', '"cli_shop:Inventroy"\nargs = [{ salt'))
        code, out, err = shop("reload", shop.file)

        assert (code, out) == (2, "")
        assert err.startswith(f"{shop.file}:")
        assert "Inventroy" in err
        assert pids(shop) == before


def test_a_start_that_fails_exits_1_and_the_rest_is_done(shop: Shop) -> None:
    with running(shop):
        shop.write(BIGGER.replace("[children.new]", '[children.kettle]\nactor = "cli_shop:Broken"\n[children.new]'))
        code, out, err = shop("reload", shop.file)
        after = pids(shop)

    assert code == 1
    assert re.search(r"added +kettle +failed: ", out)
    assert "no water" in err
    assert list(after) == ["inventory", "payments.gateway", "new"]


def test_reload_of_a_system_that_does_not_run_exits_3(shop: Shop) -> None:
    assert shop("reload", shop.file)[0] == 3


def test_sighup_applies_the_file(shop: Shop) -> None:
    with running(shop) as process:
        before = pids(shop)
        shop.write(BIGGER)
        process.send_signal(signal.SIGHUP)
        done = reloaded(process)
        after = pids(shop)
        code, ended, _ = end_of(process, signal.SIGTERM)

    assert (done["code"], [one["path"] for one in done["changes"]]) == (0, ["", "inventory", "new"])
    assert after["payments.gateway"] == before["payments.gateway"]
    assert "new" in after
    assert (code, ended["gave_up"]) == (143, False)


def test_sighup_with_a_faulty_file_says_what_is_wrong_and_the_old_tree_runs_on(shop: Shop) -> None:
    with running(shop) as process:
        before = pids(shop)
        shop.write("children = 3\n")
        process.send_signal(signal.SIGHUP)
        done = reloaded(process)
        after = pids(shop)
        _, _, err = end_of(process, signal.SIGTERM)

    assert (done["code"], done["changes"]) == (2, [])
    assert f"{shop.file}:1: children: expected a table, got 3" in err
    assert after == before


def test_a_class_that_was_written_since_can_be_added(shop: Shop) -> None:
    with running(shop) as process:
        before = pids(shop)
        (shop.directory / "cli_shop.py").write_text(MODULE + "\n\nclass Younger(Inventory):\n    pass\n")
        shop.write(BIGGER.replace('"cli_shop:Inventory"\nargs = [{ salt', '"cli_shop:Younger"\nargs = [{ salt'))
        process.send_signal(signal.SIGHUP)
        done = reloaded(process)

        assert done["code"] == 0
        assert shop("ask", "new", "count", "salt")[1] == "1\n"
        assert pids(shop)["payments.gateway"] == before["payments.gateway"]


def test_restart_code_runs_what_is_on_disk(shop: Shop) -> None:
    with running(shop):
        before = pids(shop)
        (shop.directory / "cli_shop.py").write_text(MODULE.replace("+ plus", "+ plus + 100"))
        shop("restart", "inventory")
        old = shop("ask", "inventory", "count", "tea")[1]
        assert shop("restart", "--code", "inventory") == (0, "restarted inventory\n", "")
        new = shop("ask", "inventory", "count", "tea")[1]
        after = pids(shop)

    assert (old, new) == ("3\n", "103\n")
    assert after["payments.gateway"] == before["payments.gateway"]


def test_a_terminal_that_is_closed_stops_the_system(shop: Shop) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(Path(__file__).parents[2])
        words = [sys.executable, "-m", "runtime.cli", "run", "--json", shop.file]
        os.execve(sys.executable, words, shop.environment)
    seen = b""
    while b"actors" not in seen or not seen.endswith(b"\n"):  # the log line that it has started
        seen += os.read(terminal, 4096)

    os.close(terminal)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP
    assert list(shop.directory.glob("run/*")) == []
