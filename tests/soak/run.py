"""One soak from beginning to end, in a directory of its own."""

import os
import tempfile
from pathlib import Path

from tests.soak.report import Report
from tests.soak.stage import Stage


def soak(seed: str, seconds: float, keep: Path | None = None) -> Report:
    """Soak a fresh system.

    Args:
        seed: of everything that is drawn by chance. Processes run as they like, so no two runs are quite alike.
        keep: where the ledger and the log of a faulty round are kept; None: nowhere.
    """
    before = os.environ.get("UNDERSTUDY_DIR")
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        os.environ["UNDERSTUDY_DIR"] = str(Path(directory, "run"))
        try:
            return Stage(seed, Path(directory), keep).play(seconds)
        finally:
            if before is None:
                del os.environ["UNDERSTUDY_DIR"]
            else:
                os.environ["UNDERSTUDY_DIR"] = before
