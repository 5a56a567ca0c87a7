"""Benches of whole trees: a thousand actors, an idle tree."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence

from actors import child
from tests.bench.players import Tally
from tests.bench.probe import probe
from tests.bench.row import AtMost, Row, skipped
from tests.bench.sample import Sample
from tests.bench.scale import Scale
from tests.bench.system import Meter, processes, pss_mib, system

_NOBODY = 65534
_DROP = f"--reuid={_NOBODY} --regid={_NOBODY} --clear-groups --no-new-privs"
_KEEP = "--inh-caps=-all,+dac_read_search --ambient-caps=+dac_read_search"  # an interpreter below /root stays readable


def thousand(scale: Scale) -> Iterator[Row]:
    """A thousand actors, started one after the other by their program, each asked once; as root and as nobody."""
    count = scale.of(1000, smoke=8)
    what, unprivileged = f"{count} actors", f"{count} actors, unprivileged"
    setpriv = shutil.which("setpriv")
    if os.geteuid():
        yield skipped("thousand", f"{what}, root", "this user is not root")
        yield from _crowd(scale, unprivileged, count)
        return
    yield from _crowd(scale, f"{what}, root", count)
    if setpriv is None:
        yield skipped("thousand", unprivileged, "setpriv is not installed (package util-linux)")
        return
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as directory:
        os.chown(directory, _NOBODY, _NOBODY)
        prefix = [setpriv, *_DROP.split(), *_KEEP.split()]
        yield from _crowd(scale, unprivileged, count, prefix, UNDERSTUDY_DIR=f"{directory}/run")


def _crowd(scale: Scale, what: str, count: int, prefix: Sequence[str] = (), **environment: str) -> Iterator[Row]:
    try:
        with probe("crowd", count, prefix=prefix, **environment) as crowd:
            taken = [crowd.measure() for _ in range(scale.of(2, smoke=1))]
    except RuntimeError as exc:
        yield Row("thousand", what, None, note=f"failed: {exc}")
        return
    times, memory = zip(*taken, strict=True)
    yield Row("thousand", f"{what}: time", Sample(times, "s"), budgets=[AtMost(10)])
    yield Row("thousand", f"{what}: PSS", Sample(memory, "MiB"), budgets=[AtMost(3 * 1024)])


def idle(scale: Scale) -> Iterator[Row]:
    """What a tree costs that does nothing: CPU of 100 actors with their supervisor; memory of an actor."""
    count, seconds = scale.of(100, smoke=5), 4.0 if not scale.smoke else 0.2
    with system() as running:
        for n in range(count):
            running.start(child(Tally), name=f"tally{n}").add(1)
        meter = Meter(processes(running))
        shares = []
        for _ in range(scale.of(3, smoke=1)):  # their median: in the first the zygote still settles its heap
            meter.seconds()
            start = time.monotonic()
            time.sleep(seconds)
            shares.append(meter.seconds() / (time.monotonic() - start) * 100)
        members = [pss_mib(status.pid) for status in running.children()]
    yield Row("idle", f"CPU, {count} actors", Sample(tuple(shares), "%"), budgets=[AtMost(0.5)])
    yield Row("idle", f"PSS of one of {count}", Sample(tuple(members), "MiB"), budgets=[AtMost(2)])
    with system() as running:
        alone = running.start(child(Tally), name="alone").pid()
        memory = [pss_mib(alone)]
    yield Row("idle", "PSS of the only one", Sample(tuple(memory), "MiB"), budgets=[AtMost(2)])
