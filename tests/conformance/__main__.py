"""`python -m tests.conformance`: a script on standard input, its answers on standard output, line by line."""

import argparse
import sys

from tests.conformance.protocol import Protocol
from tests.conformance.virtual import VirtualDriver


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.parse_args()
    protocol = Protocol(VirtualDriver())
    for line in sys.stdin:
        if line.strip():
            print(protocol.answer(line), flush=True)


if __name__ == "__main__":
    main()
