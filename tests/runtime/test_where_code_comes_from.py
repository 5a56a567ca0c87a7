"""Where an actor's class may come from: scripts, shells, notebooks, modules nobody else can import."""

import asyncio
import importlib.util
import os
import pty
import queue
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, child, message
from runtime.testing import processes_of, wait_until
from tests.runtime.cast import Start

pytestmark = pytest.mark.process

COUNTER = """
from dataclasses import dataclass
from actors import Actor, child, message
from runtime import Supervisor

STEP = 10

@dataclass
class Amount:
    n: int

class Base(Actor):
    @message
    def kind(self) -> str:
        return type(self).__qualname__

class Counter(Base):
    def __init__(self, start: Amount) -> None:
        self.value = start.n
    @message
    def add(self, amount: Amount) -> Amount:
        self.value += amount.n * STEP
        return Amount(self.value)
    @message
    async def add_async(self, amount: Amount) -> Amount:
        return Amount(self.value + amount.n)
    @message
    def fail(self) -> None:
        raise Trouble("of its own", 3)

class Trouble(Exception):
    def __init__(self, text, n):
        super().__init__(text, n)
        self.n = n

def main():
    with Supervisor() as supervisor:
        counter = supervisor.start(child(Counter, Amount(1)), name="counter")
        amount = counter.add.ask(Amount(2)).result()
        assert type(amount) is Amount, type(amount)
        assert amount == Amount(21), amount
        assert counter.add_async.ask(Amount(1)).result() == Amount(22)
        assert counter.kind.ask().result() == "Counter"
        try:
            counter.fail.ask().result()
        except Trouble as trouble:
            assert trouble.n == 3
        print("fine", flush=True)
"""


def _run(
    script: str, tmp_path: Path, *arguments: str, name: str = "script.py", **more: Any
) -> subprocess.CompletedProcess[str]:
    file = tmp_path / name
    file.write_text(textwrap.dedent(script))
    return subprocess.run(
        [sys.executable, *arguments, str(file)], capture_output=True, text=True, timeout=60, check=False, **more
    )


@pytest.mark.parametrize("guard", ["main()", 'if __name__ == "__main__":\n    main()'])
def test_a_script_runs_with_and_without_a_guard(nothing_left: Path, tmp_path: Path, guard: str) -> None:
    ran = _run(COUNTER + guard, tmp_path)

    assert ran.stdout == "fine\n", ran.stderr
    assert ran.returncode == 0


def test_a_script_without_a_guard_is_run_once_only(nothing_left: Path, tmp_path: Path) -> None:
    script = COUNTER + 'print("once", flush=True)\nmain()\n'

    assert _run(script, tmp_path).stdout == "once\nfine\n"


def test_a_script_run_as_a_module_or_from_a_string_works(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(COUNTER + "main()")

    for arguments in (["-m", "script"], ["-c", COUNTER + "main()"]):
        ran = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
        )
        assert ran.stdout == "fine\n", ran.stderr


def test_a_module_beside_the_script_is_imported_by_the_actor(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "shop_beside.py").write_text(COUNTER)

    ran = _run("import shop_beside\nshop_beside.main()\n", tmp_path)

    assert ran.stdout == "fine\n", ran.stderr


def test_the_actor_has_the_programs_path_and_arguments(nothing_left: Path, tmp_path: Path) -> None:
    script = """
    import os, sys
    from actors import Actor, child, message
    from runtime import Supervisor
    sys.path.append("/somewhere/else")
    class Teller(Actor):
        @message
        def tell_all(self):
            return sys.path, sys.argv, os.getcwd()
    with Supervisor() as supervisor:
        path, argv, cwd = supervisor.start(child(Teller), name="teller").tell_all()
        assert path == [os.path.abspath(entry) for entry in sys.path], path
        assert argv == sys.argv
        assert cwd == os.getcwd()
        print("fine")
    """

    ran = _run(script, tmp_path, cwd=tmp_path)

    assert ran.stdout == "fine\n", ran.stderr


REPL = [
    "from actors import Actor, child, message",
    "from runtime import Supervisor",
    "class Greeter(Actor):\n    @message\n    def greet(self):\n        return 'first'\n",
    "supervisor = Supervisor().open()",
    "print('>' + supervisor.start(child(Greeter), name='one').greet())",
    "class Greeter(Actor):\n    @message\n    def greet(self):\n        return 'second'\n",
    "print('>' + supervisor.start(child(Greeter), name='two').greet())",
    "print('>' + supervisor['one'].greet())",
    "supervisor.close()",
]


def test_a_shell_fed_by_a_pipe_defines_redefines_and_starts_actors(nothing_left: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-i", "-q"], input="\n".join(REPL) + "\n", capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert [line for line in ran.stdout.splitlines() if ">" in line] == [">first", ">second", ">first"], ran.stderr


def test_a_shell_at_a_terminal_works_and_leaves_nothing_when_it_is_left(nothing_left: Path) -> None:
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [sys.executable, "-i", "-q"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    os.write(ours, ("\n".join(REPL[:5]) + "\nexit()\n").encode())  # left without close()
    printed = b""
    try:
        while part := os.read(ours, 1 << 16):
            printed += part
    except OSError:  # EIO: the other end is closed
        pass

    assert shell.wait(30) == 0
    assert b"\n>first" in printed.replace(b"\r", b"")
    assert wait_until(lambda: not processes_of(nothing_left))
    os.close(ours)


class Notebook:
    """A real ipykernel, driven as a notebook does."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self._manager, self._client = start_new_kernel(kernel_name="python3")

    def run(self, cell: str) -> str:
        """Run a cell; returns what it printed, or its error."""
        sent = self._client.execute(textwrap.dedent(cell))
        printed: list[str] = []
        while True:
            try:
                said = self._client.get_iopub_msg(timeout=30)
            except queue.Empty:
                return "timeout"
            if said["parent_header"].get("msg_id") != sent:
                continue
            content = said["content"]
            if said["msg_type"] == "stream" and content["name"] == "stdout":
                printed.append(content["text"])
            elif said["msg_type"] == "error":
                printed.append(f"{content['ename']}: {content['evalue']}")
            elif said["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(printed).strip()

    def close(self) -> None:
        """End the kernel."""
        from jupyter_core.utils import ensure_event_loop

        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._client.context.destroy()
        ensure_event_loop().close()  # jupyter keeps one for its blocking calls
        asyncio.set_event_loop(None)


@pytest.fixture
def kernel(nothing_left: Path) -> Iterator[Notebook]:
    opened = Notebook()
    yield opened
    opened.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_starts_calls_and_awaits_actors_across_cells(kernel: Notebook) -> None:
    assert (
        kernel.run("""
        from dataclasses import dataclass
        from actors import Actor, child, message
        from runtime import Supervisor
        @dataclass
        class Amount:
            n: int
        class Counter(Actor):
            value = 0
            @message
            def add(self, amount):
                self.value += amount.n
                return Amount(self.value)
            @message
            async def add_async(self, amount):
                self.value += amount.n
                return Amount(self.value)
        supervisor = Supervisor().open()
        counter = supervisor.start(child(Counter), name="counter")
    """)
        == ""
    )
    assert kernel.run("print(counter.add.ask(Amount(1)).result())") == "Amount(n=1)"
    assert kernel.run("print(await counter.add.ask(Amount(1)))") == "Amount(n=2)"
    assert kernel.run("print(await counter.add_async(Amount(1)))") == "Amount(n=3)"
    assert kernel.run("await counter.add.send(Amount(1)); counter.add.tell(Amount(1))") == ""
    assert kernel.run("print(counter.add(Amount(1)))") == "Amount(n=6)"
    assert (
        kernel.run("""
        class Counter(Actor):
            @message
            def add(self, amount):
                return "redefined"
        print(supervisor.start(child(Counter), name="again").add(Amount(1)), counter.add(Amount(0)))
    """)
        == "redefined Amount(n=6)"
    )
    assert (
        kernel.run("""
        import asyncio
        print(await asyncio.gather(*[counter.add.ask(Amount(0)) for _ in range(3)]))
    """)
        == "[Amount(n=6), Amount(n=6), Amount(n=6)]"
    )
    assert kernel.run("supervisor.close(); print('closed')") == "closed"


class OfThisModule(Actor):
    """A class of a test module goes by name."""

    @message
    def module(self) -> str:
        return type(self).__module__


def test_classes_of_a_test_module_work(start: Start) -> None:
    assert start(child(OfThisModule)).module() == __name__


def test_classes_made_in_a_function_work(start: Start) -> None:
    bound = 5

    class Local(Actor):
        @message
        def add(self, n: int) -> int:
            return bound + n

    assert start(child(Local)).add(1) == 6


def test_classes_of_a_module_made_by_hand_work(start: Start) -> None:
    module = types.ModuleType("made_by_hand")
    sys.modules["made_by_hand"] = module
    try:
        exec(COUNTER, vars(module))
        counter = start(child(module.Counter, module.Amount(1)))

        assert counter.add.ask(module.Amount(1)).result() == module.Amount(11)
    finally:
        del sys.modules["made_by_hand"]


def test_classes_of_a_module_that_only_this_process_can_import_work(start: Start, tmp_path: Path) -> None:
    (tmp_path / "from_a_file.py").write_text(COUNTER)
    spec = importlib.util.spec_from_file_location("from_a_file", tmp_path / "from_a_file.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["from_a_file"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        counter = start(child(module.Counter, module.Amount(1)))

        assert counter.add.ask(module.Amount(1)).result() == module.Amount(11)
    finally:
        del sys.modules["from_a_file"]


def test_a_module_that_fails_when_it_is_imported_is_a_failed_start(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "fails_there.py").write_text(
        "import os\nif os.environ.get('HERE') != '1':\n    raise LookupError('not over there')\n" + COUNTER
    )
    script = """
    import os
    from runtime import Supervisor
    from actors import StartFailed, child
    supervisor = Supervisor().open()
    os.environ["HERE"] = "1"
    import fails_there
    try:
        supervisor.start(child(fails_there.Counter, fails_there.Amount(1)), name="one")
    except StartFailed as exc:
        print(str(exc).strip().splitlines()[-1])
    supervisor.close()
    """

    ran = _run(script, tmp_path)

    assert ran.stdout == "LookupError: not over there\n", ran.stderr


@pytest.mark.parametrize("name", ["actors.py", "runtime.py", "actors/__init__.py", "runtime/__init__.py"])
def test_a_users_own_actors_or_runtime_is_one_line_that_says_what_to_rename(
    nothing_left: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine = True\n")

    by_path = "import sys\nsys.path.append(sys.path.pop(0))\nfrom runtime import Supervisor\nSupervisor().open()\n"
    ran = _run(by_path, tmp_path)

    last = ran.stderr.strip().splitlines()[-1]
    assert ran.returncode == 1
    assert f"{tmp_path / name}: rename it" in last
    assert name.partition("/")[0].removesuffix(".py") in last


def test_a_users_own_actors_that_is_imported_instead_of_ours_is_said_too(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "actors.py").write_text("mine = True\n")

    ran = _run("from runtime import Supervisor\n", tmp_path)

    last = ran.stderr.strip().splitlines()[-1]
    assert ran.returncode == 1
    assert f"{tmp_path / 'actors.py'}: rename it" in last


def test_a_module_that_starts_a_thread_when_imported_is_warned_of_and_works(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "with_thread.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n" + COUNTER
    )
    script = """
    import os
    from runtime import Supervisor
    from actors import child
    import with_thread
    with Supervisor() as supervisor:
        spec = child(with_thread.Counter, with_thread.Amount(1))
        one, two = (supervisor.start(spec, name=name) for name in ("one", "two"))
        assert two.add.ask(with_thread.Amount(1)).result() == with_thread.Amount(11)
        print(one.kind.ask().result(), flush=True)
    os._exit(0)
    """

    ran = _run(script, tmp_path)

    assert ran.stdout == "Counter\n", ran.stderr
    assert "module starts threads when imported" in ran.stderr
    assert "with_thread" in ran.stderr


def test_numpy_in_an_actor_starts_warm_and_keeps_the_users_environment(nothing_left: Path, tmp_path: Path) -> None:
    script = """
    import os
    import numpy
    from actors import Actor, child, message
    from runtime import Supervisor
    class Matrix(Actor):
        def __init__(self, n):
            self.cells = numpy.eye(n)
        @message
        def product(self, other):
            return self.cells @ other, os.environ.get("OPENBLAS_NUM_THREADS")
    with Supervisor() as supervisor:
        matrix = supervisor.start(child(Matrix, 50), name="matrix")
        product, threads = matrix.product(numpy.full((50, 50), 2.0))
        assert (product == 2.0).all()
        print(threads)
    """

    ran = _run(script, tmp_path)

    assert ran.stdout == "None\n", ran.stderr
    assert "threads" not in ran.stderr
