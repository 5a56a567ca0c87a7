"""What goes by name: modules that the others find where we found them."""

import importlib.util
import sys
from pathlib import Path

import pytest

from runtime.wire.codec_pickler import is_importable

FROZEN = ["abc", "codecs", "io", "os", "posixpath", "stat"]


@pytest.mark.parametrize("name", FROZEN)
def test_a_module_of_the_interpreter_itself_goes_by_name_wherever_the_path_leads(name: str) -> None:
    assert is_importable(name)
    assert is_importable(name, sys.path)


def test_every_module_of_the_standard_library_that_is_loaded_goes_by_name() -> None:
    loaded = [name for name in sys.modules if name.partition(".")[0] in sys.stdlib_module_names and name[0] != "_"]
    made_by_hand = {name for name in loaded if getattr(sys.modules[name], "__spec__", None) is None}

    assert len(loaded) > 50
    assert [name for name in loaded if not is_importable(name, sys.path) and name not in made_by_hand] == []


def test_a_module_that_another_of_its_name_hides_goes_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "colours_of_mine.py").write_text("RED = 1\n")
    front = tmp_path / "front"
    front.mkdir()
    (front / "colours_of_mine.py").write_text("RED = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "colours_of_mine", __import__("colours_of_mine"))

    assert is_importable("colours_of_mine")
    assert is_importable("colours_of_mine", [str(tmp_path), str(front)])
    assert not is_importable("colours_of_mine", [str(front)])


@pytest.mark.parametrize("name", ["__main__", "__mp_main__", "no_module_of_this_name", "no.package.of.this"])
def test_what_others_cannot_find_goes_by_value(name: str) -> None:
    assert not is_importable(name, sys.path)


def test_a_module_that_was_loaded_by_hand_goes_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "by_hand.py"
    file.write_text("")
    spec = importlib.util.spec_from_file_location("by_hand", file)
    assert spec is not None
    monkeypatch.setitem(sys.modules, "by_hand", importlib.util.module_from_spec(spec))

    assert not is_importable("by_hand", sys.path)
