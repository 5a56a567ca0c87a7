"""The limit of a system's shared memory: refused with what was asked for and what is left; everything else lives."""

import asyncio
import itertools
import os
import resource
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from actors import Actor, Layout, NotFound, OutOfMemory, array, child, deadline, message
from actors.layout import shape_of
from runtime import Supervisor, config
from runtime.estate import Estate
from runtime.memory.allowance import Allowance, memory_of_machine
from runtime.testing import wait_until
from runtime.wire import answer, control, stream
from runtime.wire.line import connect
from tests.runtime.cast import Counter, Stopped, bodies_of

pytestmark = pytest.mark.process

MIB = 1 << 20
ROOT = Path(__file__).parents[2]


class Half(Layout):
    """A region of 4 MiB and a little."""

    cells = array("u1", 2 * MIB)


class Whole(Layout):
    cells = array("u1", 256 * MIB)


class Gate(Actor):
    """Weighs what it gets."""

    def __init__(self) -> None:
        self.total = 0

    @message
    def weigh(self, value: Any) -> None:
        self.total += len(value)

    @message
    def weighed(self) -> int:
        return self.total

    @message
    def pid(self) -> int:
        return os.getpid()


class Hoarder(Actor):
    """Has a state of the size it is asked for."""

    def __init__(self) -> None:
        self.held: Any = None
        self.state = b""

    def snapshot(self) -> bytes:
        return self.state

    def restore(self, state: bytes) -> None:
        self.state = state

    @message
    def hold(self, value: Any) -> int:
        self.held = value
        return len(value)

    @message
    def grow(self, nbytes: int) -> None:
        self.state = bytes(nbytes)

    @message
    def give(self, nbytes: int) -> bytes:
        return bytes(nbytes)

    @message
    def pid(self) -> int:
        return os.getpid()


@pytest.fixture
def small(nothing_left: Path) -> Iterator[Supervisor]:
    """A system that may have 8 MiB."""
    assert nothing_left.parent.exists()
    with Supervisor("small", memory=8 * MIB) as supervisor:
        yield supervisor


def test_a_payload_over_the_limit_is_refused_where_it_is_sent(small: Supervisor) -> None:
    hoarder = small.start(child(Hoarder), name="hoarder")
    counter = small.start(child(Counter), name="counter")
    pid = hoarder.pid()

    with pytest.raises(OutOfMemory) as refused:
        hoarder.hold(bytes(9 * MIB))

    assert refused.value.wanted > 9 * MIB
    assert 0 < refused.value.left <= 8 * MIB
    assert str(refused.value.wanted) in str(refused.value)
    assert f"{8 * MIB}" in str(refused.value)
    assert (hoarder.pid(), counter.add(1)) == (pid, 1)
    assert hoarder.hold(bytes(MIB)) == MIB
    assert wait_until(lambda: bodies_of(small) == 0)


def test_a_slow_receiver_makes_its_sender_wait_for_room(small: Supervisor) -> None:
    gate = small.start(child(Gate), name="gate")
    chunk = numpy.ones(MIB, "u1")
    sent = []

    def send() -> None:
        with deadline(60):
            for n in range(20):
                gate.weigh.tell(chunk)
                sent.append(n)

    with Stopped(gate.pid()):
        thread = threading.Thread(target=send)
        thread.start()
        assert wait_until(lambda: small.memory().limit - small.memory().used < 2 * MIB)
        assert len(sent) < 8
    thread.join(60)

    assert len(sent) == 20
    assert gate.weighed() == 20 * MIB
    assert small.memory().used <= 8 * MIB


def test_its_deadline_bounds_that_wait(small: Supervisor) -> None:
    gate = small.start(child(Gate), name="gate")
    chunk = memoryview(bytes(MIB))
    with Stopped(gate.pid()), pytest.raises(OutOfMemory), deadline(0.3):
        for _ in range(20):
            gate.weigh.tell(chunk)

    assert gate.weighed() <= 8 * MIB


def test_free_memory_of_other_sizes_makes_room(small: Supervisor) -> None:
    hoarder = small.start(child(Hoarder), name="hoarder")

    for nbytes in (5 * MIB, 3 * MIB, 6 * MIB, MIB, 5 * MIB):
        assert hoarder.hold(bytes(nbytes)) == nbytes


def test_an_answer_over_the_limit_fails_its_ask_and_the_actor_lives(small: Supervisor) -> None:
    hoarder = small.start(child(Hoarder), name="hoarder")
    pid = hoarder.pid()

    with pytest.raises(OutOfMemory):
        hoarder.give(9 * MIB)

    assert hoarder.give(MIB) == bytes(MIB)
    assert hoarder.pid() == pid


def test_a_lent_array_over_the_limit_is_refused(small: Supervisor) -> None:
    with pytest.raises(OutOfMemory):
        small.empty(9 * MIB)

    assert len(small.empty(MIB)) == MIB


def test_a_region_over_the_limit_is_refused_and_not_half_made(small: Supervisor) -> None:
    small.region("first", Half).close()

    with pytest.raises(OutOfMemory, match="region 'second'") as refused:
        small.region("second", Half)

    assert refused.value.wanted > 4 * MIB > refused.value.left
    assert list(small.memory().regions) == ["first"]
    with pytest.raises(NotFound):
        small.region("second")


def test_regions_payloads_and_snapshots_share_one_limit(small: Supervisor) -> None:
    hoarder = small.start(child(Hoarder), name="hoarder")
    small.region("first", Half).close()
    hoarder.hold(bytes(MIB))
    hoarder.grow(MIB // 4)
    memory = small.memory()

    assert memory.limit == 8 * MIB
    assert memory.used == memory.large + memory.snapshots + sum(memory.regions.values())
    assert memory.regions["first"] > 4 * MIB
    assert memory.snapshots > MIB // 2
    with pytest.raises(OutOfMemory) as refused:
        small.empty(4 * MIB)
    memory = small.memory()
    assert refused.value.left == memory.limit - memory.used


def test_a_system_says_what_each_actor_holds_and_keeps(supervisor: Supervisor) -> None:
    hoarder = supervisor.start(child(Hoarder), name="hoarder")
    supervisor.start(child(Counter), name="counter")

    hoarder.hold(numpy.zeros(MIB, "u1"))
    hoarder.give(2 * MIB)

    rows = {status.path: status for status in supervisor.status()}
    assert rows["hoarder"].large_bytes > MIB
    assert rows["hoarder"].arena_bytes > 2 * MIB
    assert (rows["counter"].large_bytes, rows["counter"].arena_bytes) == (0, 0)


def test_a_file_says_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('memory = "8MiB"\n[children.counter]\nactor = "tests.runtime.cast:Counter"\n')

    assert config.load(file).tree.memory == 8 * MIB


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="memory"):
        Supervisor("x", memory=-1)


def test_a_limit_on_file_sizes_is_an_error_and_never_a_signal(supervisor: Supervisor) -> None:
    hoarder = supervisor.start(child(Hoarder), name="hoarder")
    before = resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (4 * MIB, before[1]))

    with pytest.raises(OutOfMemory, match="File too large") as refused:
        hoarder.hold(bytes(8 * MIB))
    with pytest.raises(OutOfMemory, match="File too large"):
        supervisor.region("half", Half)

    assert refused.value.left == 4 * MIB
    assert hoarder.hold(bytes(MIB)) == MIB
    assert supervisor.memory().regions == {}


@pytest.mark.parametrize(
    ("listing", "file"),
    [
        ("0::/a/b", "a/b/memory.max"),
        ("0::/a/b", "a/memory.max"),
        ("0::/a/b", "memory.max"),
        ("7:cpu:/\n4:memory:/a/b", "memory/a/b/memory.limit_in_bytes"),
        ("4:memory:/hidden", "memory/memory.limit_in_bytes"),
    ],
)
def test_the_cgroups_limit_counts_where_it_is_smaller(tmp_path: Path, listing: str, file: str) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroups"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(listing + "\n")
    (cgroups / file).parent.mkdir(parents=True)
    machine = memory_of_machine(proc, cgroups)

    (cgroups / file).write_text(f"{64 * MIB}\n")
    assert memory_of_machine(proc, cgroups) == 64 * MIB
    (cgroups / file).write_text("max\n")
    assert memory_of_machine(proc, cgroups) == machine
    (cgroups / file).write_text(f"{1 << 62}\n")
    assert memory_of_machine(proc, cgroups) == machine


def test_the_supervisors_loop_goes_on_while_a_region_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    real = os.posix_fallocate

    def step(fd: int, at: int, nbytes: int) -> None:
        happened.append("step")
        real(fd, at, nbytes)

    async def main() -> None:
        estate = Estate(Allowance(64 * MIB))

        async def others() -> None:
            while "made" not in happened:
                happened.append("other")
                await asyncio.sleep(0)

        async def make() -> None:
            layout = Layout.of(shape_of(Half), "Half")
            fds = await asyncio.gather(*(estate.make_region("r", shape_of(layout).describe(), None) for _ in range(2)))
            assert fds[0] == fds[1], "whoever asks meanwhile gets the same one"
            happened.append("made")
            os.close(fds[0])

        await asyncio.gather(make(), others())

    monkeypatch.setattr(os, "posix_fallocate", step)
    monkeypatch.setattr("runtime.memory.seal.STEP_BYTES", MIB)
    asyncio.run(main())

    steps = [at for at, what in enumerate(happened) if what == "step"]
    assert len(steps) == 5
    assert all("other" in happened[one:following] for one, following in itertools.pairwise(steps))


def test_a_supervisor_answers_others_before_a_large_region_is_made(supervisor: Supervisor) -> None:
    if memory_of_machine() < 3 << 30:
        pytest.skip("needs 3 GiB")
    counter = supervisor.start(child(Counter), name="counter")
    asking = stream.Channel(connect(str(Path(os.environ["UNDERSTUDY_DIR"]) / "test"), "test"))
    for request in (
        control.Hello(pid=os.getpid()),
        control.MakeRegion(name="whole", layout=shape_of(Whole).describe()),
    ):
        asking.put(stream.encode(request))
        asking.flush()
        if isinstance(request, control.Hello):
            while asking.take() is None:
                assert asking.feed()

    statuses = supervisor.status()
    is_made = bool(select.select([asking.sock], [], [], 0)[0])

    assert ([status.path for status in statuses], counter.add(1)) == (["counter"], 1)
    assert not is_made
    while (body := asking.take()) is None:
        assert asking.feed()
    assert isinstance(answer.decode_answer(body), answer.Ok)
    assert supervisor.memory().regions["whole"] > 512 * MIB
    asking.close()


TREE = """
import os
from pathlib import Path
from actors import child
from runtime import Supervisor
from tests.runtime.test_memory_limit import Half, Hoarder, MIB

shm = os.statvfs("/dev/shm")
assert shm.f_blocks * shm.f_frsize == 64 * MIB, "a small /dev/shm"
with Supervisor("full") as supervisor:
    regions = [supervisor.region(f"r{n}", Half) for n in range(20)]
    for region in regions:
        with region.write() as view:
            view.cells[-1] = 7
    hoarder = supervisor.start(child(Hoarder), name="hoarder")
    assert hoarder.hold(bytes(96 * MIB)) == 96 * MIB
    lent = supervisor.empty(96 * MIB)
    assert hoarder.hold(lent) == 96 * MIB
    hoarder.grow(40 * MIB)
    supervisor.restart("hoarder")
    assert len(hoarder.give(80 * MIB)) == 80 * MIB
    assert all(region.read().cells[-1] == 7 for region in regions)
    memory = supervisor.memory()
    assert sum(memory.regions.values()) > 64 * MIB
    assert memory.snapshots > 64 * MIB
assert not any(Path("/dev/shm").glob("understudy-*/*"))
print("enough")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_small_dev_shm_is_enough_for_everything(tmp_path: Path) -> None:
    mounted = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", sys.executable, "-c", TREE]
    environment = {key: value for key, value in os.environ.items() if key != "UNDERSTUDY_DIR"}

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=environment)

    assert done.stdout == "enough\n", done.stderr
