"""Figures as text: one table with ratios, and a line for each target."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

HEADINGS = ("", "tutorial", "ours", "ratio")


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of both systems. `more_is_better` turns the ratio round, so that above 1 is always ours."""

    label: str
    tutorial: float
    ours: float
    unit: str
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How many times better ours is."""
        better, worse = (self.ours, self.tutorial) if self.more_is_better else (self.tutorial, self.ours)
        return better / worse

    def cells(self) -> tuple[str, ...]:
        """The row's text, cell by cell."""
        return (
            self.label,
            f"{number(self.tutorial)} {self.unit}",
            f"{number(self.ours)} {self.unit}",
            f"{self.ratio:.1f}" if self.tutorial and self.ours else "-",
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What an issue asks for: at most `limit`, or at least where `at_least`."""

    text: str
    limit: float
    measured: float
    unit: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the measured figure keeps the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self) -> str:
        """`ok` or `missed`, what is asked, what was measured."""
        word = "at least" if self.at_least else "at most"
        verdict = "ok    " if self.reached else "missed"
        return f"{verdict}  {self.text}: {word} {self.limit:g}{self.unit}, measured {number(self.measured)}{self.unit}"


def number(value: float) -> str:
    """Three significant digits, whole above a thousand, with thousands set apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[Row]) -> str:
    """The rows in columns, figures to the right."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def p50(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return quantiles(values, n=20, method="inclusive")[-1]
