"""The table as one picture: for each row a bar that says how many times better our system is."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from bench.table import Row

WIDTH, ROW_HEIGHT, TOP = 920, 24, 56
LABEL_END, BAR_END = 360, 660
MOST = 1_000.0
"""The ratio of the longest bar. Bars are logarithmic: a ratio of 1 has none."""
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .note { fill: #59636e } .bar { fill: #2f6f9f } .worse { fill: #b35900 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .bar { fill: #4f9fd6 } .worse { fill: #e8a15a }
}
"""


def picture(rows: Sequence[Row], title: str) -> str:
    """Return the rows that have a ratio as SVG. It is readable on a dark page as well."""
    shown = [row for row in rows if row.tutorial and row.ours]
    height = TOP + ROW_HEIGHT * len(shown) + 12
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<text class="title" x="12" y="22">{escape(title)}</text>',
            '<text class="note" x="12" y="42">How many times better, medians; bars are logarithmic.</text>',
            *(line for number, row in enumerate(shown) for line in _row(row, TOP + ROW_HEIGHT * number)),
            "</svg>\n",
        ]
    )


def _row(row: Row, y: float) -> Iterator[str]:
    _, tutorial, ours, ratio = row.cells()
    length = min(abs(math.log(row.ratio)) / math.log(MOST), 1) * (BAR_END - LABEL_END)
    kind = "bar" if row.ratio >= 1 else "bar worse"
    baseline = y + 16
    yield f'<text x="{LABEL_END - 10}" y="{baseline}" text-anchor="end">{escape(row.label)}</text>'
    yield f'<rect class="{kind}" x="{LABEL_END}" y="{y + 4}" width="{length:.1f}" height="{ROW_HEIGHT - 8}" rx="2"/>'
    figures = escape(f"{tutorial.strip()} to {ours.strip()}")
    yield (
        f'<text x="{LABEL_END + length + 8:.1f}" y="{baseline}"><tspan class="title">{ratio}</tspan>'
        f'<tspan class="note" dx="10">{figures}</tspan></text>'
    )
