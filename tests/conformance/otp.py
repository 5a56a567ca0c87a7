"""Scripts answered by a real Erlang/OTP: needs `erl` and `erlc` (Debian: erlang-base); the test suite does not."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.answers import Operation, Step

_SOURCES = Path(__file__).parent / "erlang"
_SECONDS = 1800


def answered_by_otp(scripts: Sequence[Sequence[Operation]], beams: int = 24) -> list[list[Step]]:
    """Each script with its answers, cut where it meets the one bug of OTP 25 that is not to be copied.

    Args:
        scripts: each begins with an empty system.
        beams: so many Erlangs side by side; they mostly wait for children that hang.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        sources = sorted(map(str, _SOURCES.glob("*.erl")))
        subprocess.run(["erlc", "-o", directory, *sources], check=True)
        parts = [scripts[number::beams] for number in range(beams)]
        with ThreadPoolExecutor(beams) as pool:
            done = list(pool.map(lambda part: _run(directory, part), parts))
    return [done[number % beams][number // beams] for number in range(len(scripts))]


def _run(directory: str, scripts: Sequence[Sequence[Operation]]) -> list[list[Step]]:
    if not scripts:
        return []
    reset: Operation = {"op": "reset"}
    lines = [json.dumps(operation) for script in scripts for operation in (*script, reset)]
    erl = ["erl", "-noshell", "+S", "1", "-pa", directory, "-s", "conformance", "main"]
    done = subprocess.run(
        erl, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True, timeout=_SECONDS
    )
    answers = iter([json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")])
    steps = [
        [(operation, answer) for operation, answer in zip((*script, reset), answers, strict=False)][: len(script)]
        for script in scripts
    ]
    assert sum(map(len, steps)) == sum(map(len, scripts)), f"Erlang stopped early: {done.stdout[-2000:]}"
    return [_cut(script) for script in steps]


def _cut(script: list[Step]) -> list[Step]:
    for number, (_, answer) in enumerate(script):
        if answer["result"] == {"error": "otp_bug"}:
            return script[:number]
    return script
