"""The heap of a process that is forked often, in large pages. Each test has a process of its own: what a heap is made
of stays as long as its process."""

import os
import subprocess
import sys
from pathlib import Path

from runtime.process.heap import HUGE_BYTES, LARGEST_BYTES, WIDEN

_HAS_LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage").exists()
_LOOK = """
import os
from runtime.process import heap
def large_kib():
    with open("/proc/self/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("AnonHugePages"))
found = list(heap.stretches())
before = large_kib()
collected = 0
for each in found:
    try:
        heap.collect(each)
        collected += 1
    except OSError:
        pass
print(len(found), collected, large_kib() - before)
"""


def _looked(program: str) -> tuple[int, int, int]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment, timeout=30)
    found, collected, kib = map(int, told.stdout.split())
    return found, collected, kib


def test_each_stretch_that_is_collected_is_one_large_page() -> None:
    _, collected, kib = _looked(WIDEN + _LOOK)
    assert kib == collected * HUGE_BYTES // 1024
    assert (collected > 0) is _HAS_LARGE_PAGES


def test_a_heap_that_was_widened_first_has_more_of_itself_in_stretches() -> None:
    widened, _, _ = _looked(WIDEN + _LOOK)
    as_it_comes, _, _ = _looked(_LOOK)
    assert widened > as_it_comes


def test_what_is_no_heap_cannot_be_collected() -> None:
    program = (
        "from runtime.process import heap\ntry:\n heap.collect(0)\nexcept OSError as exc:\n print(exc.errno, 0, 0)"
    )
    errno, _, _ = _looked(program)
    assert errno


_MAPPED = """
import mmap
from runtime.process import heap
before = set(heap.stretches())
data = mmap.mmap(-1, {nbytes}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, {nbytes}, {step}):
    data[at] = 1
print(len(set(heap.stretches()) - before), 0, 0)
"""


def test_large_data_is_left_alone() -> None:
    gained, _, _ = _looked(_MAPPED.format(nbytes=LARGEST_BYTES + HUGE_BYTES, step=4096))
    assert gained == 0


def test_what_is_mostly_empty_is_left_alone() -> None:
    nbytes = 8 * HUGE_BYTES
    empty, _, _ = _looked(_MAPPED.format(nbytes=nbytes, step=HUGE_BYTES))
    full, _, _ = _looked(_MAPPED.format(nbytes=nbytes, step=4096))
    assert empty == 0
    assert full >= 7
