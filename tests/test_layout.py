"""The rooms and floors: what may import what, what is written where, and what is shipped."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for package in ("actors", "runtime") for path in (ROOT / package).rglob("*.py"))
UNSAFE_MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}
EXTRAS = {"numpy", "uvicorn", "httptools", "uvloop", "starlette"}  # what `pip install understudy` alone does not bring
NEEDS_SQLITE = (
    "runtime.durable.database"  # Python may have been built without it; who does not use it is spared its 10 ms
)

Tree = tuple[Path, ast.Module]


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    return [(path, ast.parse(path.read_text(), str(path))) for path in SOURCES]


def imported(node: ast.AST) -> Iterator[str]:
    """Names of the modules that an import statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_imports_go_down_only_and_in_no_circle() -> None:
    script = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", script, "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_floors_are_written_down_for_both_packages() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    kinds = [contract["type"] for contract in settings["contracts"]]

    assert sorted(settings["root_packages"]) == ["actors", "runtime"]
    assert sorted(kinds) == ["acyclic_siblings", "forbidden", "layers", "layers"]


def test_actors_imports_nothing_of_runtime(trees: list[Tree]) -> None:
    assert not [
        place(path, node)
        for path, tree in trees
        for node in ast.walk(tree)
        for name in imported(node)
        if path.is_relative_to(ROOT / "actors") and name.split(".")[0] == "runtime"
    ]


def test_no_module_imports_its_own_package_root(trees: list[Tree]) -> None:
    assert not [
        place(path, node)
        for path, tree in trees
        for node in ast.walk(tree)
        for name in imported(node)
        if name in ("actors", "runtime", "")
        and path != ROOT / "runtime" / "__init__.py"  # looks whether `actors` is ours before it hands anything on
        and not (isinstance(node, ast.ImportFrom) and all(_is_module(name, alias.name) for alias in node.names))
    ]


def _is_module(package: str, name: str) -> bool:
    return (ROOT / package / f"{name}.py").exists() or (ROOT / package / name).is_dir()


def test_imports_stand_at_the_top_but_for_optional_extras(trees: list[Tree]) -> None:
    found = [
        f"{place(path, node)}: {name}"
        for path, tree in trees
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        for name in imported(node)
        if name.split(".")[0] not in EXTRAS and name != NEEDS_SQLITE
    ]

    assert not found


def test_an_optional_extra_is_imported_in_one_module_only(trees: list[Tree]) -> None:
    importers = defaultdict(set)
    for path, tree in trees:
        for node in ast.walk(tree):
            for name in imported(node):
                if name.split(".")[0] in EXTRAS:
                    importers[name.split(".")[0]].add(str(path.relative_to(ROOT)))

    assert not {extra: paths for extra, paths in importers.items() if len(paths) > 1}


def test_nothing_is_imported_for_the_type_checker_only(trees: list[Tree]) -> None:
    assert not [
        place(path, node)
        for path, tree in trees
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING")
        or (isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING")
    ]


def test_only_the_codec_pickles(trees: list[Tree]) -> None:
    found = {
        path.relative_to(ROOT)
        for path, tree in trees
        for node in ast.walk(tree)
        for name in imported(node)
        if name.split(".")[0] in UNSAFE_MODULES
    }

    assert found
    assert not [path for path in found if path.parent != Path("runtime/wire") or not path.name.startswith("codec")]


def test_nothing_evaluates_text_as_code(trees: list[Tree]) -> None:
    assert not [
        place(path, node)
        for path, tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in {"eval", "exec", "yaml.load", "yaml.unsafe_load"}
    ]


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return f"{module}.{name}"
        case _:
            return ""


def test_every_module_says_what_it_is(trees: list[Tree]) -> None:
    assert not [str(path.relative_to(ROOT)) for path, tree in trees if not ast.get_docstring(tree)]


def test_every_folder_of_tests_is_a_package() -> None:
    tests = ROOT / "tests"
    folders = {folder for path in tests.rglob("*.py") for folder in path.parents if folder.is_relative_to(tests)}

    assert not [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_the_wheel_holds_actors_and_runtime_only(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"actors", "runtime"}


def test_the_wheel_holds_every_module_and_both_typing_marks(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = {str(path.relative_to(ROOT)) for path in SOURCES} | {"actors/py.typed", "runtime/py.typed"}

    assert not wanted - names


def test_the_wheel_has_the_command_and_no_pytest_plugin(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    text = wheel.read(name).decode()

    assert "understudy" in text
    assert "pytest11" not in text
