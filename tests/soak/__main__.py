"""The soak: a tree of actors under continuous SIGKILL, SIGSTOP, full mailboxes and expiring deadlines, judged outside."""

import argparse
import secrets
import sys
from pathlib import Path

from tests.soak.run import soak


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when something that must be 0 is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="how long (default 1)")
    parser.add_argument("--seed", default="", metavar="S", help="of what is drawn by chance; the report names it")
    parser.add_argument("--json", action="store_true", help="an object instead of lines")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the ledger and the log of a faulty round go")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed or secrets.token_hex(4)
    print(f"seed {seed}", file=sys.stderr, flush=True)
    report = soak(seed, chosen.minutes * 60, chosen.keep)
    print(report.to_json() if chosen.json else report.text())
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
