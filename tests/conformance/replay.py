"""Recorded scripts: how they are kept, and how they are answered again by ours.

A recording is one line of JSON per script: `{"script": name, "steps": [[operation, result, trace], …]}`.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.answers import Answer, Operation, Step, first_difference
from tests.conformance.driver import Driver
from tests.conformance.processes import ProcessDriver
from tests.conformance.protocol import Protocol
from tests.conformance.virtual import VirtualDriver

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True, slots=True)
class Recording:
    """A script and what Erlang/OTP answered."""

    script: str
    steps: tuple[Step, ...]

    @property
    def operations(self) -> list[Operation]:
        """The script."""
        return [operation for operation, _ in self.steps]


def load(kind: str) -> list[Recording]:
    """The recordings of one file."""
    lines = (RECORDED / f"{kind}.jsonl").read_text().splitlines()
    plain = [json.loads(line) for line in lines]
    return [Recording(each["script"], tuple(_step(*step) for step in each["steps"])) for each in plain]


def save(kind: str, recordings: Iterable[Recording]) -> None:
    """Replace the recordings of one file."""
    lines = [
        json.dumps({"script": each.script, "steps": [_plain(*step) for step in each.steps]}, separators=(",", ":"))
        for each in recordings
    ]
    (RECORDED / f"{kind}.jsonl").write_text("\n".join(lines) + "\n")


def difference(recording: Recording, *, processes: bool = False) -> str:
    """What ours first answers otherwise, for people; "" if nothing."""
    if not processes:
        return _difference(recording, VirtualDriver())
    with contextlib.closing(ProcessDriver()) as driver:
        return _difference(recording, driver)


def _step(operation: Operation, result: object, trace: list[list[str]]) -> Step:
    return operation, {"result": result, "trace": trace}


def _plain(operation: Operation, answer: Answer) -> list[object]:
    return [operation, answer["result"], answer["trace"]]


def _difference(recording: Recording, driver: Driver) -> str:
    protocol = Protocol(driver)
    answers: list[Answer] = [json.loads(protocol.answer(json.dumps(operation))) for operation in recording.operations]
    found = first_difference(recording.steps, answers)
    return f"{recording.script}: {found}" if found else ""
