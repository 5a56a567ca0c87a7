"""A configuration file is checked as a whole; each problem says file, line, key, what was expected and what found."""

import datetime as dt
import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.child import MOST_DEPTH, Backoff, Child, ChildOptions, Limits, Mailbox, Tree
from actors.errors import ConfigError
from actors.region import RegionSpec
from runtime.config import load
from runtime.wire.placeholder import RefTo, RegionTo
from tests.runtime.configuration.samples import BROKEN, GOOD, MODULE

_serial = itertools.count()


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """A module beside the file, of a name no other test uses, since imported modules stay."""
    name = f"config_shop_{next(_serial)}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    yield name
    for imported in [key for key in sys.modules if key.split(".")[0] == name]:
        del sys.modules[imported]


def write(directory: Path, text: str, module: str = "", name: str = "shop.toml") -> Path:
    file = directory / name
    file.write_text(text.replace("MODULE", module))
    return file


def problems_of(file: Path, module: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [line.replace(f"{file}:", "F:").replace(module or "\0", "MODULE") for line in caught.value.problems]


def worker(tree: Tree, name: str) -> Child[Any]:
    child = tree.children[name]
    assert isinstance(child, Child)
    return child


def nested(tree: Tree, name: str) -> Tree:
    child = tree.children[name]
    assert isinstance(child, Tree)
    return child


def test_a_file_says_the_name_and_the_root_supervisor(tmp_path: Path, module: str) -> None:
    config = load(write(tmp_path, GOOD, module))

    assert config.name == "shop"
    assert config.path == (str(tmp_path.resolve()),)
    assert config.file == tmp_path / "shop.toml"
    assert (config.tree.strategy, config.tree.max_restarts, config.tree.max_seconds) == ("rest_for_one", 7, 60.0)
    assert config.tree.backoff == Backoff(0.05, 10.0, 0.5)
    assert config.tree.auto_shutdown == "any_significant"


def test_a_child_gets_its_real_class_its_arguments_and_every_option(tmp_path: Path, module: str) -> None:
    child = worker(load(write(tmp_path, GOOD, module)).tree, "inventory")

    assert child.actor is sys.modules[module].Inventory
    since, prices = dt.date(2024, 1, 1), sys.modules[module].Prices
    nested = [RefTo("payments.gateway"), RegionTo("prices", prices)]
    assert child.args == ({"tea": 3, "since": since, "nested": nested},)
    assert child.kwargs == {"gateway": RefTo("payments.gateway")}
    assert child.settings == ChildOptions(
        restart="transient",
        shutdown=0.25,
        ready=120.0,
        mailbox=Mailbox(65536, "refuse"),
        on_raise="crash",
        replicas=3,
        significant=True,
        drain="discard",
        understudies=1,
        watchdog=30.0,
        heartbeat=5.0,
        limits=Limits(1 << 30, 100_000, 21_600.0, 0.2),
        snapshot_every=10,
        durable=str(tmp_path / "state.db"),
        durable_every=2.0,
    )


def test_regions_have_their_real_layouts(tmp_path: Path, module: str) -> None:
    config = load(write(tmp_path, GOOD, module))

    assert config.tree.regions == {"prices": RegionSpec(sys.modules[module].Prices, "one")}


def test_children_make_a_nested_supervisor(tmp_path: Path, module: str) -> None:
    payments = nested(load(write(tmp_path, GOOD, module)).tree, "payments")

    assert (payments.strategy, payments.backoff) == ("one_for_all", None)
    assert (payments.restart, payments.shutdown, payments.significant) == ("temporary", "kill", False)
    assert worker(payments, "gateway").actor is sys.modules[module].Outer.Inner


def test_a_template_makes_a_dynamic_supervisor(tmp_path: Path, module: str) -> None:
    sessions = nested(load(write(tmp_path, GOOD, module)).tree, "sessions")

    assert sessions.max_children == 500
    assert sessions.template is not None
    assert sessions.template.actor is sys.modules[module].Gateway
    assert sessions.template.settings.restart == "temporary"
    assert sessions.children == {}


def test_a_template_needs_no_strategy_to_be_dynamic(tmp_path: Path, module: str) -> None:
    text = '[children.sessions]\ntemplate = { actor = "MODULE:Gateway" }'

    sessions = nested(load(write(tmp_path, text, module)).tree, "sessions")

    assert sessions.template is not None


def test_what_a_file_leaves_out_is_as_in_python(tmp_path: Path, module: str) -> None:
    text = '[children.gateway]\nactor = "MODULE:Gateway"\n[children.empty]\nchildren = {}'

    tree = load(write(tmp_path, text, module)).tree

    gateway = Child(sys.modules[module].Gateway)
    assert tree == Tree(children={"gateway": gateway, "empty": Tree()})


def test_the_system_has_the_name_of_the_file_unless_it_says_another(tmp_path: Path, module: str) -> None:
    assert load(write(tmp_path, "[children]", module, name="corner.toml")).name == "corner"


def test_children_start_in_the_order_of_first_mention(tmp_path: Path, module: str) -> None:
    text = """
        children.third.actor = "MODULE:Gateway"
        [children.first.mailbox]
        [children.second]
        actor = "MODULE:Gateway"
        [children.first]
        actor = "MODULE:Gateway"
    """

    tree = load(write(tmp_path, text, module)).tree

    assert list(tree.children) == ["third", "first", "second"]


def test_a_reference_may_name_an_actor_that_a_dynamic_supervisor_will_start(tmp_path: Path, module: str) -> None:
    text = GOOD + '[children.late]\nactor = "MODULE:Inventory"\nargs = [{ "$ref" = "sessions.s1" }]'

    assert worker(load(write(tmp_path, text, module)).tree, "late").args == (RefTo("sessions.s1"),)


def test_modules_are_imported_from_the_directories_of_path(tmp_path: Path, module: str) -> None:
    (tmp_path / "etc").mkdir()
    text = 'path = ["..", "."]\n[children.gateway]\nactor = "MODULE:Gateway"'

    config = load(write(tmp_path / "etc", text, module))

    assert config.path == (str(tmp_path.resolve()), str((tmp_path / "etc").resolve()))


def test_loading_leaves_the_search_path_as_it_was(tmp_path: Path, module: str) -> None:
    before = list(sys.path)

    load(write(tmp_path, GOOD, module))

    assert sys.path == before


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_one_line_that_says_what_is_wrong(tmp_path: Path, module: str, text: str, line: str) -> None:
    assert problems_of(write(tmp_path, text, module), module) == [line]


def test_all_problems_of_a_file_are_found_at_once_in_its_order(tmp_path: Path, module: str) -> None:
    text = """max_seconds = "soon"
[children.a]
actor = "MODULE:Gatway"
restrat = "permanent"
ready = -1
[children.b]
strategy = "dynamic"
[children.b.children.c]
actor = "MODULE:Inventory"
args = [{ "$ref" = "nowhere" }, 2]
mailbox = { size = 1 }
"""

    keys = [line.split(": ")[0:2] for line in problems_of(write(tmp_path, text, module), module)]

    assert keys == [
        ["F:1", "max_seconds"],
        ["F:3", "children.a.actor"],
        ["F:4", "children.a.restrat"],
        ["F:5", "children.a.ready"],
        ["F:7", "children.b.strategy"],
        ["F:10", 'children.b.children.c.args[0]."$ref"'],
        ["F:10", "children.b.children.c.args"],
        ["F:11", "children.b.children.c.mailbox"],
    ]


@pytest.mark.parametrize("text", [text for text, _ in BROKEN.values()], ids=BROKEN.keys())
def test_every_problem_is_a_line_of_the_same_form(tmp_path: Path, module: str, text: str) -> None:
    for line in problems_of(write(tmp_path, text, module)):
        assert re.fullmatch(r"F:\d+: [^\n]+: expected [^\n]+, got [^\n]+", line)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000 + "]" * 5000])
def test_a_value_that_tomllib_cannot_hold_is_a_problem_of_the_same_form(tmp_path: Path, value: str) -> None:
    [line] = problems_of(write(tmp_path, f"max_restarts = {value}\n"))

    assert line.startswith("F:1: syntax: expected valid TOML (")


def test_a_file_that_is_not_there_is_a_problem_of_the_same_form(tmp_path: Path) -> None:
    line = "F:1: file: expected one that can be read, got No such file or directory"

    assert problems_of(tmp_path / "none.toml") == [line]


def test_a_file_that_is_not_utf8_names_the_line_and_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes(b'name = "a"\n# \xff\n')

    assert problems_of(file) == ["F:2: file: expected UTF-8, got byte 0xff"]


def test_a_file_whose_own_name_cannot_be_the_systems_must_say_one(tmp_path: Path) -> None:
    line = 'F:1: name: expected a name like [A-Za-z_][A-Za-z0-9_-]{0,63}, got "my shop", the file\'s own name'

    assert problems_of(write(tmp_path, "[children]", name="my shop.toml")) == [line]


def test_a_module_that_raises_while_it_is_imported_says_where(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text('"""Doc."""\nraise ValueError("two\\nlines")\n')
    text = '[children.a]\nactor = "MODULE:Gateway"'

    [line] = problems_of(write(tmp_path, text, module), module)

    where = f"{tmp_path.resolve()}/MODULE.py:2"
    expected = "F:2: children.a.actor: expected a class that can be imported"
    assert line == f'{expected}, got "MODULE:Gateway": ValueError: two lines ({where})'


def test_a_module_that_exits_while_it_is_imported_is_a_problem_too(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise SystemExit(3)\n")

    [line] = problems_of(write(tmp_path, '[children.a]\nactor = "MODULE:Gateway"', module), module)

    assert "SystemExit: 3" in line


@pytest.mark.parametrize("clash", ["actors.py", "runtime.py", "actors/__init__.py", "runtime/main.py"])
def test_a_module_named_as_ours_is_one_line_that_says_what_to_rename(tmp_path: Path, clash: str) -> None:
    (tmp_path / clash).parent.mkdir(exist_ok=True)
    (tmp_path / clash).write_text("raise AssertionError\n")
    text = '# first line\n[children.a]\nactor = "actors:Gateway"'

    [line] = problems_of(write(tmp_path, text))

    named = (tmp_path / clash.removesuffix("/__init__.py").removesuffix("/main.py")).resolve()
    assert line == f"F:1: path: expected no module named as Understudy's own packages, got {named}: rename it"


def test_a_folder_named_as_ours_without_modules_is_no_clash(tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "notes.txt").write_text("")

    assert load(write(tmp_path, "[children]")).tree == Tree()


NESTING = "at most 200 levels of tables and arrays, and 64 supervisors one in the other"
ACTOR = '[children.a]\nactor = "MODULE:Inventory"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('path = ["a\\u0000"]\n', 'F:1: path[0]: expected a directory, got "a\\u0000"'),
        (f'path = ["{"a" * 5000}"]\n', f'F:1: path[0]: expected a directory, got "{"a" * 58}…'),
        (
            f"max_restarts = {1 << 63}\n",
            f"F:1: max_restarts: expected at most {(1 << 63) - 1}, got {1 << 63}",
        ),
        ("max_restarts = 0x" + "f" * 5000, "F:1: max_restarts: expected at most 14000 bits, got 20000"),
        (
            f"memory = {1 << 63}\n",
            f'F:1: memory: expected a size like "4096B", "32KiB", "1MiB", or bytes, got {1 << 63}',
        ),
        (
            "[children" + ".a.children" * 65 + ".a]\n",
            f"F:1: children.a.children.a.children.a…: expected {NESTING}, got more",
        ),
        (
            "[x" + ".x" * 3000 + "]\n",
            f"F:1: x.x.x.x.x.x…: expected {NESTING}, got more",
        ),
    ],
    ids=["NUL", "long path", "restarts", "hex", "memory", "supervisors", "tables"],
)
def test_a_value_beyond_all_bounds_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    assert line in problems_of(write(tmp_path, text))


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (
            f"limits = {{ max_messages = {1 << 63} }}",
            f"limits: expected a whole max_messages from 1 to 2**63 - 1, got {{ max_messages = {1 << 63} }}",
        ),
        ('durable = "a\\u0000"', 'durable: expected the path of a file, got "a\\u0000"'),
        (
            f"limits = {{ max_rss = {1 << 63} }}",
            f'limits.max_rss: expected a size like "4096B", "32KiB", "1MiB", or bytes, got {1 << 63}',
        ),
    ],
)
def test_an_option_beyond_all_bounds_is_one_line(tmp_path: Path, module: str, option: str, line: str) -> None:
    assert f"F:3: children.a.{line}" in problems_of(write(tmp_path, f"{ACTOR}{option}\n", module), module)


def test_supervisors_may_be_nested_as_deeply_as_is_said(tmp_path: Path, module: str) -> None:
    place = "children.a." * (MOST_DEPTH - 1)
    tree = load(write(tmp_path, f'[{place}children.a]\nactor = "MODULE:Inventory"\nargs = [{{}}]\n', module)).tree

    for _ in range(MOST_DEPTH - 1):
        tree = nested(tree, "a")
    assert worker(tree, "a")


def test_a_file_that_has_no_end_or_no_writer_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    (tmp_path / "large.toml").touch()
    os.truncate(tmp_path / "large.toml", 9 << 20)

    assert [problems_of(tmp_path / f"{name}.toml") for name in ("fifo", "zero", "large")] == [
        ["F:1: file: expected a regular file, got a FIFO"],
        ["F:1: file: expected a regular file, got a device"],
        ["F:1: file: expected at most 8 MiB, got 9"],
    ]
