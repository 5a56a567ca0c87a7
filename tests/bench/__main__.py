"""The command: runs the benches of the given names, all without any, and prints a row for each figure."""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator

from tests.bench.registry import BENCHES
from tests.bench.row import heading, line
from tests.bench.scale import Scale

_LOG_BYTES = 4096


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 whatever the figures are (a benchmark is no test), 2 for a name that is none."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(BENCHES))
    parser.add_argument("--json", action="store_true", help="a list of objects")
    parser.add_argument(
        "--smoke", action="store_true", help="shows in seconds that each runs; its figures mean nothing"
    )
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in BENCHES]
    if unknown:
        parser.error(f"no such bench: {', '.join(unknown)}; expected {', '.join(BENCHES)}")
    scale = Scale(smoke=chosen.smoke)
    rows = []
    if not chosen.json:
        print(heading(), flush=True)
    with _logs_aside():
        for name in chosen.names or BENCHES:
            for row in BENCHES[name](scale):
                rows.append(row)
                if not chosen.json:
                    print(line(row), flush=True)
    if chosen.json:
        print(json.dumps([row.to_dict() for row in rows], indent=1))
    return 0


@contextlib.contextmanager
def _logs_aside() -> Iterator[None]:
    """Keep what the systems log (every actor that a bench kills) out of the report; its end is shown after an error."""
    before = os.dup(2)
    with tempfile.TemporaryFile() as logs:
        os.dup2(logs.fileno(), 2)
        try:
            yield
        except BaseException:
            logs.seek(max(0, logs.seek(0, os.SEEK_END) - _LOG_BYTES))
            os.write(before, logs.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the systems' processes: their warnings are the tests' matter
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # as installed: nobody compiles at each start
        os.execv(sys.executable, [sys.executable, "-m", "tests.bench", *sys.argv[1:]])
    sys.exit(main())
