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

from actors import child
from tests.bench.row import Row, skipped
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale
from tests.bench.system import system
from tests.bench.yardstick import ROOT

_CONNECTIONS = 32
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s)\b")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def web(scale: Scale) -> Iterator[Row]:
    """Requests/s and p99 of 32 connections: two actor processes (front, greeter); two uvicorn workers."""
    wrk = shutil.which("wrk")
    if wrk is None:
        yield skipped("web", "hello through an actor", "wrk is not installed (Debian package wrk)")
        return
    if importlib.util.find_spec("uvicorn") is None:
        yield skipped("web", "hello through an actor", "uvicorn is not installed (extra web)")
        return
    seconds = scale.of(3, smoke=1)
    with _through_actor() as ours, _bare(2) as two, _bare(1) as one:
        ports = (ours, two, one)
        taken: list[list[tuple[float, float]]] = [[] for _ in ports]
        for port in ports if not scale.smoke else ():
            _load(wrk, port, 1)  # warm
        rounds = scale.of(3, smoke=1)
        in_turn(rounds, *(lambda n=n, port=port: taken[n].append(_load(wrk, port, seconds)) or 0 for n, port in enumerate(ports)))
    actor, bare, single = ([Sample(tuple(values), unit) for values, unit in zip(zip(*side, strict=True), ("/s", "ms"), strict=True)] for side in taken)
    yield Row("web", "hello through an actor", actor[0], bare[0], "uvicorn, 2 workers", note=f"uvicorn, 1 worker: {single[0].median:.0f} /s")
    yield Row("web", "hello through an actor, p99", actor[1], bare[1], "uvicorn, 2 workers", note=f"uvicorn, 1 worker: {single[1].median:.2g} ms")
