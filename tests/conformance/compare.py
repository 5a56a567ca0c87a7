"""`python -m tests.conformance.compare`: random scripts, answered by a real Erlang/OTP and by ours, and compared."""

import argparse
import functools
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.conformance.otp import answered_by_otp
from tests.conformance.replay import Recording, difference
from tests.runtime.supervision.scripts import REAL, WINDOW, random_script

_PACES = {"real": REAL, "window": WINDOW}


def recorded(pace: str, seeds: range, length: int) -> list[Recording]:
    """Random scripts and OTP's answers."""
    answered = answered_by_otp([random_script(seed, length, _PACES[pace]) for seed in seeds])
    return [Recording(f"{pace} {seed}", tuple(steps)) for seed, steps in zip(seeds, answered, strict=True)]


def main() -> None:
    """Compare, print each difference and the counts; exits 1 if there is a difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.compare", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1000, help="how many scripts")
    parser.add_argument("--length", type=int, default=30, help="operations of each")
    parser.add_argument("--pace", choices=sorted(_PACES), default="real", help="window: time passes, restarts expire")
    parser.add_argument("--processes", action="store_true", help="drive real processes in real time")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    begun = time.monotonic()
    scripts = recorded(options.pace, range(options.first, options.first + options.count), options.length)
    print(f"Erlang: {time.monotonic() - begun:.1f} s", flush=True)
    begun = time.monotonic()
    compared = functools.partial(difference, processes=options.processes)
    different = 0
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(compared, scripts):
            if found:
                different += 1
                print(found, flush=True)
    lines = sum(len(script.steps) for script in scripts)
    print(f"ours: {time.monotonic() - begun:.1f} s, {len(scripts)} scripts, {lines} lines, {different} differ")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
