"""The web example, request by request and under load, as a browser sees it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import Supervisor
from runtime.config import load
from runtime.testing import wait_until
from runtime.web import WebFront

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "web" / "web.toml"
TEAS = 1_000_000
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"item": "tea"}, "quantity"),
    ({"item": "tea", "quantity": "two"}, "quantity"),
    ({"item": "tea", "quantity": 0}, "quantity"),
    ({"item": "", "quantity": 1}, "item"),
    ({"item": "tea", "quantity": 1, "price": 0}, "price"),
]


@pytest.fixture
def shop(nothing_left: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """The example, running, on a free port."""
    monkeypatch.setenv("PORT", "0")
    config = load(FILE)
    with Supervisor(config.name, tree=config.tree, path=[*config.path, *sys.path]) as supervisor:
        yield supervisor


@pytest.fixture
def client(shop: Supervisor) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port_of(shop)}", timeout=10) as client:
        yield client


def front_of(shop: Supervisor) -> WebFront:
    return shop.ref("front", WebFront)


def port_of(shop: Supervisor) -> int:
    return front_of(shop).address()[1]


def wait_served(shop: Supervisor, path: str, incarnation: int, messages: int) -> int:
    """Wait until that incarnation has handled so many messages; its pid."""
    found: list[int] = []

    def has_served() -> bool:
        status = next(status for status in shop.status() if status.path == path)
        found[:] = [status.pid]
        return status.state == "running" and status.incarnation == incarnation and status.handled >= messages

    assert wait_until(has_served), f"{path} #{incarnation} did not handle {messages} messages"
    return found[0]


def test_the_stock_is_looked_up(client: httpx.Client) -> None:
    answer = client.get("/stock/saffron")

    assert (answer.status_code, answer.json()) == (200, {"item": "saffron", "left": 3})


def test_an_order_takes_out_of_the_stock(client: httpx.Client) -> None:
    answer = client.post("/orders", json={"item": "saffron", "quantity": 2})

    assert answer.status_code == 201
    assert answer.json() == {"order": "1-1", "item": "saffron", "quantity": 2, "left": 1}
    assert client.get("/stock/saffron").json()["left"] == 1


def test_more_than_there_is_cannot_be_ordered(client: httpx.Client) -> None:
    answer = client.post("/orders", json={"item": "saffron", "quantity": 4})

    assert (answer.status_code, answer.json()) == (409, {"error": "out of stock", "item": "saffron", "left": 3})


def test_an_unknown_item_is_404(client: httpx.Client) -> None:
    answer = client.get("/stock/diamonds")

    assert (answer.status_code, answer.json()) == (404, {"error": "unknown item", "item": "diamonds"})


def test_an_unknown_path_is_404_and_a_wrong_method_405(client: httpx.Client) -> None:
    assert [client.get("/nowhere").status_code, client.get("/orders").status_code] == [404, 405]


def test_an_order_that_is_wrong_is_400_and_names_the_field(client: httpx.Client) -> None:
    for order, field in WRONG:
        answer = client.post("/orders", json=order)

        assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_a_body_over_the_limit_is_413(client: httpx.Client) -> None:
    assert client.post("/orders", content=b"x" * 20_000).status_code == 413


def test_a_body_over_the_limit_is_413_when_its_length_is_not_declared(client: httpx.Client) -> None:
    assert client.post("/orders", content=(b"x" * 4_000 for _ in range(5))).status_code == 413


def test_two_processes_count_primes_behind_one_reference(client: httpx.Client) -> None:
    answers = [client.get("/primes/1000").json() for _ in range(4)]

    assert [answer["primes"] for answer in answers] == [168] * 4
    assert len({answer["pid"] for answer in answers}) == 2


def test_a_crash_is_503_with_its_verdict_and_the_next_request_works(client: httpx.Client) -> None:
    answer = client.post("/crash")

    assert answer.status_code == 503
    assert answer.json() == {"error": "ActorDied", "actor": "fragile.crasher", "delivered": "started"}
    assert client.get("/crasher").json() == {"incarnation": 2}
    assert client.get("/stock/tea").status_code == 200


def test_a_client_that_disconnects_cancels_its_ask(shop: Supervisor, client: httpx.Client) -> None:
    front = front_of(shop)
    pids: set[int] = set()
    assert wait_until(lambda: len(pids) == 2 or pids.add(client.get("/primes/1000").json()["pid"]))
    answered = front.traffic().answered
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # no answer comes before it is seen that the client has gone

    with socket.create_connection(("127.0.0.1", port_of(shop))) as leaving:
        leaving.sendall(b"GET /primes/20000000 HTTP/1.1\r\nhost: shop\r\n\r\n")
        assert wait_until(lambda: front.traffic().open == 1)

    assert wait_until(lambda: front.traffic().abandoned == 1)
    assert front.traffic().answered == answered
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_clients_with_slow_heads_do_not_hold_up_others(shop: Supervisor) -> None:
    slow = [socket.create_connection(("127.0.0.1", port_of(shop))) for _ in range(100)]
    for one in slow:
        one.sendall(b"GET /stock/tea HTTP/1.1\r\nx-slow: ")

    answers = [httpx.get(f"http://127.0.0.1:{port_of(shop)}/stock/tea").status_code for _ in range(3)]

    assert answers == [200] * 3
    for one in slow:
        one.close()


def test_a_killed_replica_costs_the_request_in_its_hands_and_not_the_one_behind_it(shop: Supervisor) -> None:
    url = f"http://127.0.0.1:{port_of(shop)}/primes/20000000"
    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(httpx.get, url, timeout=20) for _ in range(3)]
        assert wait_until(lambda: all(status.in_hand == "count" for status in shop.children("primes")))
        os.kill(shop.children("primes")[0].pid, signal.SIGKILL)
        failed, *others = sorted((answer.result() for answer in answers), key=lambda answer: -answer.status_code)

    assert [answer.status_code for answer in others] == [200, 200]
    assert failed.status_code == 503
    assert failed.json() == {"error": "ActorDied", "actor": "primes.r1", "delivered": "started"}


def test_a_killed_inventory_costs_the_requests_in_its_hands_and_nothing_else(shop: Supervisor) -> None:
    kills = 12
    command = [sys.executable, "-m", "tests.examples.load", str(port_of(shop)), "2.5", "16"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as load:
        for incarnation in range(1, kills + 1):
            os.kill(wait_served(shop, "inventory", incarnation, 100), signal.SIGKILL)
        output, _ = load.communicate(timeout=20)
    outcome = json.loads(output)

    assert load.returncode == 0
    assert set(outcome["statuses"]) <= {"200", "201", "503"}
    assert len(outcome["failures"]) <= kills
    for verdict in outcome["failures"]:
        assert verdict == {"error": "ActorDied", "actor": "inventory", "delivered": "started"}
    assert outcome["longest_gap"] < 1.0  # start and backoff (100 ms) included; a hang would be the asks' 5 s
    _check_books(outcome["receipts"], kills)
    answered = front_of(shop).traffic().answered
    assert {str(status): n for status, n in answered.items()} == outcome["statuses"]


def test_understudy_run_serves_it_and_ctrl_c_stops_it(nothing_left: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "runtime.cli", "run", str(FILE)]
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, env=os.environ | {"PORT": str(port)}
        ) as running,
    ):
        assert running.stdout is not None
        running.stdout.readline()  # it has started
        assert httpx.get(f"http://127.0.0.1:{port}/stock/saffron").json()["left"] == 3
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=10)

    assert running.returncode == 130
    assert f'"url": "http://127.0.0.1:{port}"' in log.read_text()


def test_a_port_in_use_is_one_line(nothing_left: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtime.cli", "run", str(FILE)]
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        env = os.environ | {"PORT": str(port)}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, timeout=20, check=False)

    assert done.returncode == 1
    assert re.search(rf"^error: .*127\.0\.0\.1:{port}: address already in use$", done.stderr, re.MULTILINE)


def _check_books(receipts: list[dict[str, Any]], kills: int) -> None:
    """Each incarnation began with all teas, numbered its orders, and answered all of them but the one in hand."""
    books: dict[int, dict[int, int]] = defaultdict(dict)
    for receipt in receipts:
        incarnation, order = map(int, receipt["order"].split("-"))
        assert order not in books[incarnation], "an order was answered twice"
        books[incarnation][order] = receipt["left"]

    assert set(books) <= set(range(1, kills + 2))
    for left_after in books.values():
        assert all(left == TEAS - order for order, left in left_after.items())
    missing = sum(max(left_after) - len(left_after) for left_after in books.values())
    assert missing == 0
