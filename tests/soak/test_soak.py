"""A short soak, by the command; longer ones are run by hand."""

import json

import pytest

from tests.soak.__main__ import main

pytestmark = pytest.mark.process

GROUPS = (
    "handled_once",
    "run_again",
    "reported_as_started",
    "started_cut",
    "expired",
    "refused",
    "stopped",
    "cancelled",
    "dead_letters",
    "asker_gone",
)


def test_a_short_soak_finds_no_fault(capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["--minutes", "0.12", "--seed", "short", "--json"])

    report = json.loads(capfd.readouterr().out)
    assert report["faults"] == 0, "\n".join(report["notes"])
    assert code == 0
    assert report["seed"] == "short"
    for figure in ("kills", "handled_once", "commits", "region_commits"):
        assert report[figure] > 0, figure
    assert report["sent"] == sum(report[group] for group in GROUPS)
