"""Regions in one process: transactions, snapshots, layouts, errors."""

import gc
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy
import pytest

from actors.errors import (
    BadLayout,
    LayoutMismatch,
    OutOfMemory,
    RegionBusy,
    RegionDamaged,
    RegionError,
    SecondWriter,
)
from actors.layout import Layout, array, committed_at_of, field, generation_of
from runtime.memory import arrays, slots
from runtime.memory import region as region_module
from runtime.memory.allowance import Allowance
from runtime.memory.region import Region, create
from tests.runtime.memory.farm import Small


class Huge(Layout):
    x = array("u1", 1 << 20)


class Marks(Layout):
    names = array("S4", 3)
    open = array("bool", 2)
    grid = array("i2", (2, 3))


def test_a_new_region_is_all_zero(region):
    view = region.read()

    assert (view.n, set(view.x)) == (0, {0.0})
    assert (region.generation, generation_of(view), region.recoveries) == (0, 0, 0)


def test_a_transaction_is_seen_when_it_is_left_and_not_before(region):
    with region.write() as view:
        view.n, view.x[3] = 7, 1.5
        assert region.read().n == 0

    after = region.read()
    assert (after.n, after.x[3], region.generation) == (7, 1.5, 1)


def test_a_transaction_starts_from_the_last_commit(region):
    for number in range(5):
        with region.write() as view:
            assert (view.n, generation_of(view)) == (number, number)
            view.n += 1

    assert region.read().n == 5


def test_an_exception_discards_the_whole_transaction(region):
    with pytest.raises(ZeroDivisionError), region.write() as view:
        view.n = 1 // 0 if view.n == 0 and setattr(view, "n", 9) is None else 0

    assert (region.read().n, region.generation) == (0, 0)
    with region.write() as view:
        assert view.n == 0


def test_update_returns_what_the_function_returns(region):
    def add(view):
        view.n += 2
        return view.n

    assert region.update(add) == 2
    assert region.read().n == 2


def test_a_snapshot_is_unchanged_by_later_commits_and_read_only(region):
    before = region.read()
    region.update(lambda view: setattr(view, "n", 9))
    region.update(lambda view: setattr(view, "n", 10))

    assert before.n == 0
    with pytest.raises(TypeError, match=r"Small\.n: a snapshot cannot be changed"):
        before.n = 1
    with pytest.raises((TypeError, ValueError)):
        before.x[0] = 1.0


def test_a_commit_is_dated_in_monotonic_seconds(region):
    start = time.monotonic()
    region.update(lambda view: setattr(view, "n", 1))
    snapshot = region.read()

    assert start <= region.committed_at <= time.monotonic()
    assert committed_at_of(snapshot) == region.committed_at
    assert generation_of(snapshot) == region.generation == 1


def test_peek_reads_the_commit_itself(region):
    region.update(lambda view: setattr(view, "n", 4))

    assert region.peek(lambda view: (view.n, generation_of(view))) == (4, 1)
    with pytest.raises(ZeroDivisionError):
        region.peek(lambda view: view.n // 0)
    with pytest.raises((TypeError, ValueError)):
        region.peek(lambda view: setattr(view, "n", 1))


def test_a_peek_that_was_overtaken_runs_again(region):
    seen = []

    def overtaken(view):
        seen.append(view.n)
        if len(seen) == 1:
            region.update(lambda writing: setattr(writing, "n", 5))
            region.update(lambda writing: setattr(writing, "n", 6))
            raise ArithmeticError("what it saw did not fit together")
        return view.n

    assert region.peek(overtaken) == 6
    assert seen == [0, 6]


def test_where_the_machine_does_not_keep_the_order_a_peek_runs_on_a_copy(region, monkeypatch):
    monkeypatch.setattr(region_module, "_ORDERED", False)

    memory = region.peek(lambda view: view.__memory__)

    assert isinstance(memory.obj, bytes)


def test_a_view_ends_with_its_transaction(region):
    with region.write() as view:
        x = view.x
        view.n = 1

    with pytest.raises(TypeError, match="nor a view whose transaction ended"):
        view.n = 2
    with pytest.raises(ValueError, match="released"):
        _ = view.n
    with pytest.raises(ValueError, match=r"read-only|released"):
        x[0] = 1.0
    assert region.read().n == 1


def test_a_transaction_is_entered_once(region):
    transaction = region.write()
    with transaction:
        pass

    with pytest.raises(RegionError, match="entered once"), transaction:
        pass


def test_without_numpy_arrays_are_memoryviews(make, monkeypatch):
    monkeypatch.setattr(arrays, "numpy", lambda: None)
    region = make(Marks)
    with region.write() as view:
        grid = view.grid
        grid[1, 2], view.open[1] = -5, True
        view.names[1, 0] = ord("t")

    with pytest.raises(ValueError, match="released"):
        grid[0, 0] = 1
    seen = region.read()
    assert isinstance(seen.grid, memoryview)
    assert (seen.grid.tolist(), seen.open.tolist()) == ([[0, 0, 0], [0, 0, -5]], [False, True])
    assert seen.names.tolist()[1] == [ord("t"), 0, 0, 0]


def test_with_numpy_arrays_are_arrays(make):
    region = make(Marks)
    with region.write() as view:
        view.grid[:] = numpy.arange(6).reshape(2, 3)
        view.names[:] = [b"tea", b"", b"milk"]

    seen = region.read()
    assert isinstance(seen.grid, numpy.ndarray)
    assert seen.grid.sum() == 15
    assert seen.names.tolist() == [b"tea", b"", b"milk"]


def test_a_structured_dtype_is_a_layout(make):
    layout = Layout.of(numpy.dtype([("id", "u4"), ("where", "f8", (2,))]))
    region = make(layout)
    with region.write() as view:
        view.id = 7
        view.where[:] = 0.5, 1.5

    assert (region.read().id, region.read().where.tolist()) == (7, [0.5, 1.5])


def test_opening_with_another_layout_shows_the_difference(make, region):
    class Other(Layout):
        n = field("i8")
        x = array("f8", 511)

    with pytest.raises(LayoutMismatch) as refused:
        Region(make.fd(), Other, name="prices")

    assert str(refused.value).splitlines() == [
        "region 'prices': made with another layout:",
        "-        0  n  u8",
        "+        0  n  i8",
    ]


def test_opening_with_the_same_fields_under_another_name_is_fine(make, region):
    class Renamed(Layout):
        n = field("u8")
        x = array("f8", 511)

    assert Region(make.fd(), Renamed).read().n == 0


@pytest.mark.parametrize("content", [b"", b"x" * 4096, bytes(600)])
def test_memory_that_is_no_region_is_refused(content):
    fd = os.memfd_create("other")
    os.write(fd, content)

    with pytest.raises(RegionDamaged, match="expected the memory of a region"):
        Region(fd, Small)

    os.close(fd)


def test_a_commit_changed_from_outside_is_reported_and_the_next_commit_ends_it(make, region):
    region.update(lambda view: setattr(view, "n", 1))
    memory = region._open().slots._slots[region.generation & 1]
    memory[0] = 99

    with pytest.raises(RegionDamaged, match="changed outside a transaction"):
        region.read()
    region.update(lambda view: setattr(view, "n", 2))
    assert region.read().n == 2


def test_a_checksum_seen_before_its_data_is_a_retry(region, monkeypatch):
    answers = [None, None]
    snapshot = slots.Slots.snapshot
    monkeypatch.setattr(slots.Slots, "snapshot", lambda held: answers.pop() if answers else snapshot(held))

    assert region.read().n == 0
    assert answers == []


def test_a_closed_region_says_so_and_leaves_no_descriptor(make):
    before = set(os.listdir("/proc/self/fd"))
    region = make()
    snapshot = region.read()
    with region.write() as view:
        view.n = 1
    region.close()
    region.close()

    with pytest.raises(RegionError, match="it is closed here"):
        region.read()
    assert snapshot.n == 0
    assert len(set(os.listdir("/proc/self/fd")) - before) == 1, "beside the one that the test itself holds"


def test_a_region_closed_in_a_transaction_is_mapped_until_its_end(make, region):
    with region.write() as view:
        region.close()
        view.n = 3

    assert make(again=True).read().n == 3


def test_the_layout_decides_the_size_and_the_memory_cannot_shrink(make, region):
    size = os.fstat(make.fd()).st_size

    assert size == slots.total_nbytes(Small.__shape__)
    with pytest.raises(PermissionError):
        os.ftruncate(make.fd(), 0)


def test_a_region_beyond_the_room_is_refused_with_what_was_asked_and_left():
    with pytest.raises(OutOfMemory) as refused:
        create("huge", Huge, allowance=Allowance(4096))

    assert refused.value.wanted > 2 << 20
    assert refused.value.left == 4096


def test_a_region_that_the_kernel_refuses_is_an_error_and_leaves_nothing():
    code = (
        "import os, resource\n"
        "from tests.runtime.memory.test_region import Huge, OutOfMemory, create\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "before = os.listdir('/proc/self/fd')\n"
        "try:\n    create('huge', Huge)\n"
        "except OutOfMemory as exc:\n    print(exc)\n"
        "assert os.listdir('/proc/self/fd') == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)

    assert "region 'huge': File too large: asked for" in done.stdout, done.stderr


def test_a_full_memory_is_an_error_at_creation(monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    gc.collect()  # what earlier tests left to the collector has descriptors too
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(OutOfMemory, match="No space left on device"):
        create("small", Small)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "error",
    [
        BadLayout("text"),
        RegionError("prices", "detail"),
        RegionBusy("prices", "inventory (pid 1)", 1.5),
        LayoutMismatch("prices", "detail"),
        SecondWriter("prices", "inventory (pid 1)"),
        RegionDamaged("prices", "detail"),
    ],
)
def test_every_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_region_busy_is_a_timeout():
    assert str(RegionBusy("prices", "", 0.0)) == "region 'prices': held by an unknown process for 0.000 s"
    assert issubclass(RegionBusy, TimeoutError)


def test_threads_exclude_one_another(region):
    def add():
        for _ in range(100):
            region.update(lambda view: setattr(view, "n", view.n + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert (region.read().n, region.generation) == (400, 400)
