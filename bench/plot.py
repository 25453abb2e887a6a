"""A report as an SVG picture: bars of medians, with a line from the least to the greatest value of each.

Written by hand: a bar is a rectangle, and no plotting library is worth its size for that.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from bench.text import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.report import Report, Series

#: What the keys of the others' series begin with.
PEERS = ("raw", "plain", "kombu", "kcat", "producer")
#: All lengths are in the picture's own units; a browser scales them.
WIDTH, LABELS, VALUES, ROW, BAR, HEAD, MARGIN = 860, 330, 90, 26, 16, 34, 12
_BARS = WIDTH - LABELS - VALUES - 2 * MARGIN
#: The text takes the page's brightness: dark on light, light on dark. The colours can be told apart by everybody.
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.unit { font-weight: 600 }
.bar { fill: #8c959f } .ferry { fill: #0f7a8a }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #6e7681 } .ferry { fill: #39b3c6 } .spread { stroke: #e6edf3 }
}
"""


def svg_of(report: Report) -> str:
    """The picture, as a whole document."""
    groups = [(unit, list(items)) for unit, items in groupby(report.series, key=lambda series: series.unit)]
    height = sum(HEAD + ROW * len(items) for _, items in groups) + 2 * MARGIN
    size = {"viewBox": f"0 0 {WIDTH} {height}", "width": str(WIDTH), "height": str(height), "role": "img"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} | size)
    ET.SubElement(root, "title").text = f"{report.name}: medians, and from the least to the greatest value"
    ET.SubElement(root, "style").text = _STYLE
    top = MARGIN
    for unit, items in groups:
        _text(root, f"{report.name}, {unit}", MARGIN, top + HEAD / 2, "unit")
        top += HEAD
        _rows(root, items, top)
        top += ROW * len(items)
    return ET.tostring(root, encoding="unicode") + "\n"


def _rows(root: ET.Element, items: Iterable[Series], top: float) -> None:
    rows = list(items)
    longest = max(abs(value) for series in rows for value in series.values) or 1.0
    for place, series in enumerate(rows):
        y = top + place * ROW
        middle = y + ROW / 2
        _text(root, series.label, MARGIN, middle + 4, "label")
        left = MARGIN + LABELS
        # A length has no sign: the number beside it has.
        ends = [left + _BARS * abs(value) / longest for value in (series.median, *_range(series))]
        kind = "bar" if series.key.startswith(PEERS) else "bar ferry"
        _draw(root, "rect", x=left, y=middle - BAR / 2, width=ends[0] - left, height=BAR, kind=kind)
        _draw(root, "line", x1=ends[1], x2=ends[2], y1=middle, y2=middle, kind="spread")
        _text(root, number(series.median), left + _BARS + 8, middle + 4, "value")


def _range(series: Series) -> tuple[float, float]:
    return min(series.values, key=abs), max(series.values, key=abs)


def _draw(root: ET.Element, shape: str, *, kind: str, **lengths: float) -> None:
    ET.SubElement(root, shape, {name: f"{value:.1f}" for name, value in lengths.items()} | {"class": kind})


def _text(root: ET.Element, text: str, x: float, y: float, kind: str) -> None:
    ET.SubElement(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": kind}).text = text
