"""Rows: a figure, its yardstick, their ratio and spread, the budget and whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.sample import Sample, ratio_of


@dataclass(frozen=True, slots=True)
class AtMost:
    """The figure may not exceed it, in the figure's unit."""

    limit: float


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The figure may not fall short of it, in the figure's unit."""

    limit: float


@dataclass(frozen=True, slots=True)
class AtMostTimes:
    """The figure may be so many times its yardstick."""

    limit: float


@dataclass(frozen=True, slots=True)
class AtLeastTimes:
    """The figure must be so many times its yardstick."""

    limit: float


@dataclass(frozen=True, slots=True)
class AtMostMore:
    """The figure may exceed its yardstick by so much, in its unit."""

    limit: float


Budget = AtMostMore | AtMost | AtLeast | AtMostTimes | AtLeastTimes


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.

    Attributes:
        bench: name of the bench it is of.
        what: was measured.
        figure: None when it could not be measured; note says why.
        yardstick: measured in the same rounds; None: there is none.
        against: what the yardstick is.
        budgets: all must be met.
        note: what else there is to say: a p99, a reason.
    """

    bench: str
    what: str
    figure: Sample | None
    yardstick: Sample | None = None
    against: str = ""
    budgets: Sequence[Budget] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Figure to yardstick: round by round when they have as many, else of the medians."""
        if self.figure is None or self.yardstick is None:
            return None
        if len(self.figure.values) == len(self.yardstick.values):
            return ratio_of(self.figure.values, self.yardstick.values)
        return self.figure.median / self.yardstick.median

    @property
    def is_met(self) -> bool | None:
        """Whether every budget is met; None without a budget or a figure."""
        if not self.budgets or self.figure is None:
            return None
        return all(_is_met(budget, self.figure.median, self.ratio or 0.0) for budget in self.budgets)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "bench": self.bench,
            "what": self.what,
            "figure": self.figure and self.figure.to_dict(),
            "yardstick": self.yardstick and self.yardstick.to_dict(),
            "against": self.against,
            "ratio": self.ratio,
            "budget": self.budget_text(),
            "met": self.is_met,
            "note": self.note,
        }

    def budget_text(self) -> str:
        """All budgets in words."""
        unit = self.figure.unit if self.figure is not None else ""
        return ", ".join(_text(budget, unit) for budget in self.budgets)


def skipped(bench: str, what: str, reason: str) -> Row:
    """A row for what could not be measured here."""
    return Row(bench, what, None, note=f"skipped: {reason}")


_LINE = "{:<10} {:<34} {:>30}  {:>30} {:>7}  {:<20} {:<6} {}"


def heading() -> str:
    """The line above the rows."""
    return _LINE.format("bench", "what", "figure [min–max]", "yardstick [min–max]", "ratio", "budget", "met", "")


def line(row: Row) -> str:
    """One row of text."""
    met = {True: "yes", False: "NO", None: ""}[row.is_met]
    ratio = "" if row.ratio is None else f"{_number(row.ratio)}×"
    notes = "; ".join(text for text in (row.against and f"against {row.against}", row.note) if text)
    texts = (_spread(row.figure), _spread(row.yardstick), ratio, row.budget_text(), met, notes)
    return _LINE.format(row.bench, row.what, *texts).rstrip()


def _spread(sample: Sample | None) -> str:
    if sample is None:
        return "–"
    return f"{_number(sample.median)} {sample.unit} [{_number(sample.lowest)}–{_number(sample.highest)}]"


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 1e4:
        return f"{value / 1e3:.0f}k"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _text(budget: Budget, unit: str) -> str:
    match budget:
        case AtMost(limit):
            return f"≤ {_number(limit)} {unit}"
        case AtLeast(limit):
            return f"≥ {_number(limit)} {unit}"
        case AtMostTimes(limit):
            return f"≤ {limit:g} ×"
        case AtLeastTimes(limit):
            return f"≥ {limit:g} ×"
        case AtMostMore(limit):
            return f"≤ + {_number(limit)} {unit}"


def _is_met(budget: Budget, figure: float, ratio: float) -> bool:
    match budget:
        case AtMost(limit):
            return figure <= limit
        case AtLeast(limit):
            return figure >= limit
        case AtMostTimes(limit):
            return ratio <= limit
        case AtLeastTimes(limit):
            return ratio >= limit
        case AtMostMore(limit):
            return figure - figure / ratio <= limit
