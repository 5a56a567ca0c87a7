"""The bench of web requests: a hello through an actor beside bare uvicorn with as many processes, both under wrk."""

import contextlib
import importlib
import importlib.util
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from actors import child
from tests.bench.row import Row, skipped
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale
from tests.bench.system import system
from tests.bench.yardstick import ROOT

_WHAT = "hello through an actor"
_CONNECTIONS = 32
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s)\b")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_FAILED = re.compile(r"Non-2xx.*|Socket errors.*")
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured in one run; p99 in ms."""

    rate: float
    p99: float
    failures: str


def web(scale: Scale) -> Iterator[Row]:
    """Requests/s and p99: two actor processes (front, greeter) beside two workers of uvicorn."""
    wrk = shutil.which("wrk")
    if wrk is None:
        yield skipped("web", _WHAT, "wrk is not installed (Debian package wrk)")
        return
    if importlib.util.find_spec("uvicorn") is None:
        yield skipped("web", _WHAT, "uvicorn is not installed (extra web)")
        return
    seconds = scale.of(2, smoke=1)
    with ExitStack() as stack:
        ports = [stack.enter_context(_through_actor()), stack.enter_context(_bare(2 if not scale.smoke else 1))]
        if not scale.smoke:
            ports.append(stack.enter_context(_bare(1)))
            for port in ports:
                _load(wrk, port, 1)  # the first requests import and allocate
        actor, *bare = in_turn(scale.of(5, smoke=1), *(partial(_load, wrk, port, seconds) for port in ports))
    note = "; ".join(sorted({load.failures for load in actor} - {""}))
    yield _row("", actor, bare[0], bare[-1], "rate", "/s", note)
    yield _row(", p99", actor, bare[0], bare[-1], "p99", "ms", note)


def _row(suffix: str, actor: list[Load], bare: list[Load], single: list[Load], name: str, unit: str, note: str) -> Row:
    ours, two, one = (Sample(tuple(getattr(load, name) for load in side), unit) for side in (actor, bare, single))
    notes = f"1 worker: {one.median:.4g} {unit}" + (f"; {note}" if note else "")
    return Row("web", f"{_WHAT}{suffix}", ours, two, "uvicorn, 2 workers", note=notes)


def _load(wrk: str, port: int, seconds: int) -> Load:
    command = [wrk, "--latency", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, p99, failed = _RATE.search(said), _P99.search(said), _FAILED.search(said)
    assert rate is not None and p99 is not None, said
    return Load(float(rate[1]), float(p99[1]) * _MILLISECONDS[p99[2]], failed[0] if failed else "")


@contextlib.contextmanager
def _through_actor() -> Iterator[int]:
    """The port of a front that asks a greeter for each request."""
    hello = importlib.import_module("tests.bench.hello")  # it imports uvicorn
    with system() as running:
        greeter = running.start(child(hello.Greeter), name="greeter")
        front = running.start(child(hello.Front, greeter), name="front")
        port = front.port.ask().result()
        _wait_for(port)
        yield port


@contextlib.contextmanager
def _bare(workers: int) -> Iterator[int]:
    """The port of the same hello in uvicorn alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tests.bench.hello:app", "--port", str(port), "--lifespan", "off"]
    quiet = ["--no-access-log", "--log-level", "critical", "--workers", str(workers)]
    process = subprocess.Popen([*command, *quiet], cwd=ROOT)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, seconds: float = 20.0) -> None:
    """Until somebody accepts there; there is no event to wait for."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
