"""Bench of the field: the same ask, and the same kill -9, of other libraries, each in a process of its own, in turn with ours.

They are no dependencies of anything here: what is not installed is a row that says so.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.field.measured import Measured
from tests.bench.row import Row, skipped
from tests.bench.sample import Sample, in_turn
from tests.bench.scale import Scale

_FIELD = {"ray": "Ray", "xoscar": "xoscar", "thespian": "Thespian", "pykka": "Pykka"}
_SLOW = {"ray"}  # to start: left out of the short form
_SECONDS = 120


def peers(scale: Scale) -> Iterator[Row]:
    """A row for each ask, and one for each library that restarts its actors."""
    for name, title in _FIELD.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield skipped("peers", f"ask, {title}", f"not installed (pip install {name})")
            continue
        if scale.smoke and name in _SLOW:
            yield skipped("peers", f"ask, {title}", "it takes too long to start for the short form")
        else:
            yield from _rows(scale, name, f"{title} {version}")


def _rows(scale: Scale, name: str, title: str) -> Iterator[Row]:
    asks, kills = scale.of(1000, smoke=10), scale.of(5, smoke=1)
    ours, theirs = in_turn(
        scale.of(3, smoke=1), lambda: _measured("understudy", asks, kills), lambda: _measured(name, asks, kills)
    )
    asked = [Sample(tuple(one["ask_us"] for one in each), "µs") for each in (ours, theirs)]
    yield Row("peers", "ask, p50", *asked, title)
    if theirs[0]["recover_ms"]:
        killed = [Sample(tuple(ms for one in each for ms in one["recover_ms"]), "ms") for each in (ours, theirs)]
        yield Row("peers", "SIGKILL → next answer", *killed, title)


def _measured(name: str, asks: int, kills: int) -> Measured:
    command = [sys.executable, "-m", "tests.bench.field", name, str(asks), str(kills)]
    quiet = os.environ | {"UNDERSTUDY_LOG_LEVEL": "critical", "RAY_DEDUP_LOGS": "0"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_SECONDS, check=True, env=quiet
    )
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found
