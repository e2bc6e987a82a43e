"""Figures as text: one table with ratios, and a line for each target."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

HEADINGS = ("", "tutorial", "ours", "ratio")


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of both systems. `more_is_better` inverts the ratio: above 1, ours is always the better one."""

    label: str
    tutorial: float
    ours: float
    unit: str
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How many times better our system is."""
        better, worse = (self.ours, self.tutorial) if self.more_is_better else (self.tutorial, self.ours)
        return better / worse

    def cells(self) -> tuple[str, ...]:
        """Return the text of each cell."""
        return (
            self.label,
            f"{number(self.tutorial)} {self.unit}",
            f"{number(self.ours)} {self.unit}",
            f"{self.ratio:.1f}" if self.tutorial and self.ours else "-",
        )


@dataclass(frozen=True, slots=True)
class Target:
    """A target: at most `limit`, or at least `limit` if `at_least`."""

    text: str
    limit: float
    measured: float
    unit: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the measured figure meets the target."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self) -> str:
        """Return a line: `ok` or `missed`, the target, the measured figure."""
        word = "at least" if self.at_least else "at most"
        verdict = "ok    " if self.reached else "missed"
        return f"{verdict}  {self.text}: {word} {self.limit:g}{self.unit}, measured {number(self.measured)}{self.unit}"


def number(value: float) -> str:
    """Format a figure with three significant digits, whole from 100 on, with commas between thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[Row]) -> str:
    """Format the rows in columns, with the figures to the right."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def p50(values: Sequence[float]) -> float:
    """Return the median."""
    return median(values)


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return quantiles(values, n=20, method="inclusive")[-1]
