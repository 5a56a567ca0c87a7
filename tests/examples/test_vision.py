"""The pipeline of images: all arrive, in order, and it says how fast."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

FILE = Path(__file__).parents[2] / "examples" / "vision" / "vision.toml"
RUN = [sys.executable, "-m", "runtime.cli", "run", str(FILE)]


def test_every_image_arrives_and_the_rate_is_said(nothing_left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMES", "60")

    ended = subprocess.run(RUN, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert re.search(
        r"^60 images of 640 × 480 in \d+\.\d s: \d+ frames/s, \d+ MB/s into each stage$", ended.stderr, re.MULTILINE
    )


def test_without_numpy_it_says_what_to_install(nothing_left: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text('raise ImportError("No module named numpy")')
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    ended = subprocess.run(RUN, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert "this example needs numpy: pip install 'understudy[numpy]'" in ended.stderr
