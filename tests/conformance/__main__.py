"""`python -m tests.conformance`: a script on standard input, its answers on standard output, line by line."""

import argparse
import contextlib
import sys

from tests.conformance.driver import Driver
from tests.conformance.processes import ProcessDriver
from tests.conformance.protocol import Protocol
from tests.conformance.virtual import VirtualDriver


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--processes", action="store_true", help="drive real processes in real time")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        driver: Driver = VirtualDriver()
        if options.processes:
            driver = stack.enter_context(contextlib.closing(ProcessDriver()))
        protocol = Protocol(driver)
        for line in sys.stdin:
            if line.strip():
                print(protocol.answer(line), flush=True)


if __name__ == "__main__":
    main()
