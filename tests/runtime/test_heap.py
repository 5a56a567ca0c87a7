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


def _printed(program: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, capture_output=True, check=True, env=environment, timeout=30, text=True
    ).stdout.split()


def _looked(program: str) -> tuple[int, int, int]:
    found, collected, kib = map(int, _printed(program))
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


_FORKS = """
import ctypes, mmap, os, signal
from runtime.process import heap
PAGES = 64
data = mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
data.write(b"x" * len(data))
start = ctypes.addressof(ctypes.c_char.from_buffer(data))
every_fourth = {start + n * mmap.PAGESIZE for n in range(0, PAGES, 4)}
written = heap.Written()
def fork(main):
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        main()
        os.write(say, b"!")
        signal.pause()  # until it is killed
    os.read(said, 1)
    written.forked(pid)
    return pid
def write():
    for address in every_fourth:
        ctypes.memset(address, 1, 1)
def of_data(pages):
    return {address for address in pages if start <= address < start + len(data)}
"""


def test_what_a_fork_writes_to_is_learned_from_one_that_lives_and_copied_in_the_next() -> None:
    program = """
writer = fork(write)
pages = written.by("writer", writer)
copier = fork(lambda: heap.copy(pages))
again = written.by("copier", copier)
print(of_data(pages) == every_fourth, of_data(again) == every_fourth, written.by("writer", copier) == pages)
for pid in (writer, copier):
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"""
    assert _printed(_FORKS + program) == ["True", "True", "True"]


def test_nothing_is_learned_from_a_stranger_nor_of_a_heap_that_was_rearranged_since() -> None:
    program = """
writer = fork(write)
stranger = written.by("stranger", os.getppid())
written.by("writer", writer)
written.rearranged()
print(stranger == [], written.by("writer", writer) == [])
os.kill(writer, 9)
os.waitpid(writer, 0)
"""
    assert _printed(_FORKS + program) == ["True", "True"]
