"""Every bench runs, in its smoke form, and prints its rows. No test asserts a time (docs/reference/benchmarks.md)."""

import json
import os
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.registry import BENCHES
from tests.bench.row import AtLeast, AtLeastTimes, AtMost, AtMostTimes, Budget, Row, heading, line, skipped
from tests.bench.sample import Sample, in_turn, latencies
from tests.bench.scale import Scale

_FIELDS = {"bench", "what", "figure", "yardstick", "against", "ratio", "budget", "met", "note"}


@pytest.mark.process
@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_measures_what_its_rows_say(name: str, nothing_left: Path) -> None:
    affinity = os.sched_getaffinity(0)

    rows = list(BENCHES[name](Scale(smoke=True)))

    assert rows
    assert {row.bench for row in rows} == {name}
    assert all(row.figure or row.note.startswith("skipped: ") for row in rows)
    assert all(min(row.figure.values) >= 0 for row in rows if row.figure)
    assert os.sched_getaffinity(0) == affinity


@pytest.mark.process
def test_the_command_prints_a_line_for_each_row(nothing_left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["decide", "--smoke"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == heading()
    assert lines[1].startswith("decide ")


@pytest.mark.process
def test_the_command_prints_a_list_of_objects_with_json(nothing_left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["decide", "--smoke", "--json"])

    (row,) = json.loads(capsys.readouterr().out)
    assert row.keys() == _FIELDS
    assert row["figure"].keys() == {"median", "min", "max", "n", "unit"}


def test_a_name_that_is_no_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["asks"])

    assert ended.value.code == 2
    assert "no such bench: asks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("budget", "is_met"),
    [
        (AtMost(10), True),
        (AtMost(9), False),
        (AtLeast(10), True),
        (AtLeast(11), False),
        (AtMostTimes(2), True),
        (AtMostTimes(1.9), False),
        (AtLeastTimes(2), True),
        (AtLeastTimes(2.1), False),
    ],
)
def test_a_budget_is_of_the_figure_or_of_the_ratio(budget: Budget, is_met: bool) -> None:
    row = Row("ask", "p50", Sample((10.0,), "µs"), Sample((5.0,), "µs"), budgets=[budget])

    assert row.is_met is is_met


def test_every_budget_of_a_row_must_be_met() -> None:
    row = Row("ask", "p50", Sample((10.0,), "µs"), budgets=[AtMost(10), AtMost(9)])

    assert row.is_met is False


def test_the_ratio_is_taken_round_by_round() -> None:
    row = Row("ask", "p50", Sample((1.0, 20.0, 3.0), "µs"), Sample((1.0, 10.0, 1.0), "µs"))

    assert row.ratio == 2.0


def test_a_line_shows_figure_spread_yardstick_ratio_and_budget() -> None:
    figure, yardstick = Sample((9.0, 10.0, 30.0), "µs"), Sample((5.0,) * 3, "µs")
    row = Row("ask", "p50", figure, yardstick, "pipes", [AtMost(15)], "p99 31 µs")

    shown = " ".join(line(row).split())
    assert shown == "ask p50 10 µs [9–30] 5 µs [5–5] 2× ≤ 15 µs yes against pipes; p99 31 µs"


def test_what_cannot_be_measured_here_is_a_row_with_the_reason() -> None:
    row = skipped("web", "hello", "wrk is not installed")

    assert row.is_met is None
    assert line(row).endswith("skipped: wrk is not installed")


def test_measures_are_called_in_turn() -> None:
    called: list[str] = []

    in_turn(2, lambda: called.append("a"), lambda: called.append("b"))

    assert called == ["a", "b", "a", "b"]


def test_latencies_are_sorted() -> None:
    taken = latencies(lambda: None, 50)

    assert taken == sorted(taken)
    assert len(taken) == 50
