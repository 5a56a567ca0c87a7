"""The command line with real processes: a system is run, looked at, talked to, and ended in every way."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runtime.cli.run import ECHO_SECONDS

pytestmark = pytest.mark.process

MODULE = """
import os

from actors.actor import Actor
from actors.message import message


class Inventory(Actor):
    def __init__(self, stock):
        self.stock = stock

    @message
    def count(self, kind, plus=0):
        return self.stock.get(kind, 0) + plus

    @message
    def die(self):
        os._exit(3)

    @message
    def fail(self):
        raise ValueError("no such tea")


class Gateway(Actor):
    def __init__(self, inventory):
        self.inventory = inventory

    @message
    def through(self, kind):
        return self.inventory.count(kind)

    def on_stop(self, reason):
        self.context.log.info("gateway stops")


class Broken(Actor):
    def __init__(self):
        raise RuntimeError("no water")
"""

SHOP = """
name = "shop"
max_restarts = 1
backoff = false

[children.inventory]
actor = "cli_shop:Inventory"
args = [{ tea = 3 }]

[children.payments]
strategy = "rest_for_one"
[children.payments.children.gateway]
actor = "cli_shop:Gateway"
args = [{ "$ref" = "inventory" }]
"""

_SECONDS = 20.0  # for whatever a machine under load may need; nothing here waits for a time to pass


class Shop:
    """A directory with a file, and the command line as its user has it."""

    def __init__(self, directory: Path, run_directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "UNDERSTUDY_DIR": str(run_directory)}
        (directory / "cli_shop.py").write_text(MODULE)
        self.write(SHOP)

    def write(self, text: str) -> None:
        (self.directory / "shop.toml").write_text(text)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=self.environment,
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=_SECONDS)
        return process.returncode, out, err

    @property
    def file(self) -> str:
        return str(self.directory / "shop.toml")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "run").mkdir(mode=0o700)
    return Shop(tmp_path, tmp_path / "run")


@contextlib.contextmanager
def running(shop: Shop, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A system that has said that it started."""
    process = shop.start("run", shop.file, *words)
    try:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started["event"] == "started"
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=_SECONDS)


def end_of(process: "subprocess.Popen[str]", *signals: signal.Signals) -> tuple[int, dict[str, object], str]:
    """Send the signals; the exit code, the last line on stdout, and stderr."""
    for number in signals:
        process.send_signal(number)
    out, err = process.communicate(timeout=_SECONDS)
    return process.returncode, json.loads(out.splitlines()[-1]) if out else {}, err


def paths(rows: Sequence[dict[str, object]]) -> list[object]:
    return [row["path"] for row in rows]


def test_a_running_system_is_seen_and_answers(shop: Shop) -> None:
    with running(shop):
        assert paths(json.loads(shop("ps", "--json")[1])) == ["inventory", "payments", "payments.gateway"]
        assert "payments  rest_for_one" in shop("tree", "shop")[1]
        assert shop("ask", "inventory", "count", "tea", "plus=1") == (0, "4\n", "")
        assert shop("ask", "payments.gateway", "through", "tea") == (0, "3\n", "")


def test_a_failed_ask_exits_4_with_the_verdict(shop: Shop) -> None:
    with running(shop):
        failed = shop("ask", "inventory", "fail")
        died = shop("ask", "inventory", "die", "--json")

    assert failed == (4, "", "error: inventory.fail raised ValueError: no such tea (delivered: done)\n")
    assert died[0] == 4
    answer = json.loads(died[1])
    assert (answer["error"], answer["delivered"], answer["certificate"]["exit_code"]) == ("ActorDied", "started", 3)


def test_what_is_not_there_exits_3(shop: Shop) -> None:
    assert shop("ps")[0] == 3
    with running(shop):
        assert shop("ask", "inventroy", "count")[0] == 3
        assert shop("restart", "inventroy")[0] == 3
        assert shop("ps", "bakery")[0] == 3


def test_restart_gives_an_actor_a_new_process(shop: Shop) -> None:
    with running(shop):
        before = json.loads(shop("ps", "--json")[1])[0]
        assert shop("restart", "inventory") == (0, "restarted inventory\n", "")
        after = json.loads(shop("ps", "--json")[1])[0]

    assert after["pid"] != before["pid"]
    assert after["incarnation"] == before["incarnation"] + 1


def test_stop_ends_the_run_with_0(shop: Shop) -> None:
    with running(shop) as process:
        stopped = shop("stop")
        code, ended, _ = end_of(process)

    assert stopped == (0, "stopped shop\n", "")
    assert (code, ended["gave_up"]) == (0, False)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_in_order(shop: Shop, number: signal.Signals, code: int) -> None:
    with running(shop) as process:
        got, ended, err = end_of(process, number)

    assert (got, ended["gave_up"]) == (code, False)
    assert "error:" not in err


def test_a_second_signal_ends_a_stop_that_hangs(shop: Shop) -> None:
    slow = MODULE.replace('self.context.log.info("gateway stops")', "import time; time.sleep(600)")
    (shop.directory / "cli_shop.py").write_text(slow)
    shop.write(SHOP + '\nshutdown = "infinity"\n')
    with running(shop) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while json.loads(process.stderr.readline())["event"] != "stopping":
            pass
        threading.Event().wait(ECHO_SECONDS)  # before that it would be taken for an echo of the first
        code, _, _ = end_of(process, signal.SIGINT)

    assert code == 130
    assert shop("ps")[0] == 3


def test_a_tree_that_gives_up_exits_1_with_the_certificate(shop: Shop) -> None:
    with running(shop) as process:
        shop("ask", "inventory", "die")
        shop("ask", "inventory", "die")
        code, ended, err = end_of(process)

    assert (code, ended["gave_up"]) == (1, True)
    assert "error: system 'shop' gave up" in err
    assert "died: exit code 3 while handling die" in err


def test_an_actor_that_cannot_start_exits_1_with_its_traceback(shop: Shop) -> None:
    shop.write('name = "shop"\n[children.kettle]\nactor = "cli_shop:Broken"')

    code, out, err = shop("run", shop.file)

    assert (code, out) == (1, "")
    assert "RuntimeError: no water" in err


def test_a_second_system_of_the_same_name_exits_1_and_names_the_first(shop: Shop) -> None:
    with running(shop):
        code, _, err = shop("run", shop.file)

    assert code == 1
    assert "error: system 'shop' is already running (pid " in err


def test_nothing_is_left_of_a_run(shop: Shop) -> None:
    with running(shop) as process:
        end_of(process, signal.SIGTERM)

    assert list(shop.directory.glob("run/*")) == []
