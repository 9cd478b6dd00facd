"""``python -m pipeline.painter``: a chart as JSON on standard input, its PNG on standard output.

The only module that loads matplotlib, and only as a process of its own (``pipeline.picture`` starts it). Every bar has
its name before it and its figure behind it and all have one colour, so colour says nothing; the ground is opaque
white with a frame, so that it reads the same on a dark page and on a light one.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Final

from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.transforms import IdentityTransform

from pipeline.chart import Chart

WIDTH: Final = 1200
MOST: Final = 20
"""Bars that are drawn; a longer chart says how many more its words have."""
_TOP, _ROW, _BAR, _BOTTOM = 144, 62, 42, 16
_EDGE, _GAP, _NAMES = 32, 16, 440
_TITLE, _TEXT = 40.0, 28.0
_INK, _FAINT, _FILL, _FRAME = "#1d1c1d", "#4a4a4a", "#3b6ea5", "#8a8a8a"
# A point is a pixel, so that all lengths here are pixels.
_DPI: Final = 72


def size(chart: Chart) -> tuple[int, int]:
    """(width, height) of its picture in pixels."""
    lines = min(len(chart.rows), MOST) + (len(chart.rows) > MOST)
    return WIDTH, _TOP + _ROW * lines + _BOTTOM


class _Sheet:
    """A figure that is drawn on in pixels from its upper left corner: bars with words need no axes."""

    def __init__(self, width: int, height: int) -> None:
        self._height = height
        self._figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        self._renderer = FigureCanvasAgg(self._figure).get_renderer()  # type: ignore[no-untyped-call]

    def length(self, text: str, size: float) -> float:
        """How wide a text is."""
        font = FontProperties(size=size)
        return float(self._renderer.get_text_width_height_descent(text, font, False)[0])

    def cut(self, text: str, size: float, most: float) -> str:
        """The text on one line, shortened to at most this width."""
        text = " ".join(text.split())
        if self.length(text, size) <= most:
            return text
        while text and self.length(f"{text}…", size) > most:
            text = text[:-1]
        return f"{text.rstrip()}…"

    def write(
        self,
        x: float,
        middle: float,
        text: str,
        size: float = _TEXT,
        *,
        color: str = _INK,
        to_left: bool = False,
    ) -> None:
        self._figure.text(
            x, self._height - middle, text, size=size, color=color, transform=IdentityTransform(),
            ha="right" if to_left else "left", va="center",
        )  # fmt: skip

    def box(
        self, x: float, top: float, width: float, height: float, *, fill: str = "none", edge: str = _INK
    ) -> None:
        shape = Rectangle((x, self._height - top - height), width, height, facecolor=fill, edgecolor=edge)
        shape.set_transform(IdentityTransform())
        self._figure.add_artist(shape)

    def png(self) -> bytes:
        made = io.BytesIO()
        self._figure.savefig(made, format="png", metadata={"Software": None})
        return made.getvalue()


def paint(chart: Chart) -> bytes:
    """The PNG; the same bytes for the same chart."""
    # A name of others with a dollar in it is a name, not a formula.
    rcParams["text.parse_math"] = False
    width, height = size(chart)
    sheet = _Sheet(width, height)
    sheet.box(1, 1, width - 2, height - 2, edge=_FRAME)
    sheet.write(_EDGE, 50, sheet.cut(chart.title, _TITLE, width - 2 * _EDGE), _TITLE)
    sheet.write(_EDGE, 102, sheet.cut(chart.note, _TEXT, width - 2 * _EDGE), color=_FAINT)
    rows = [(sheet.cut(n, _TEXT, _NAMES), v, sheet.cut(w, _TEXT, _NAMES)) for n, v, w in chart.rows[:MOST]]
    left = _EDGE + max((sheet.length(name, _TEXT) for name, _, _ in rows), default=0.0) + _GAP
    right = _EDGE + max((sheet.length(words, _TEXT) for _, _, words in rows), default=0.0) + _GAP
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    for place, (name, value, words) in enumerate(rows):
        top = _TOP + place * _ROW
        # Nothing is a thin line: a bar that is missing would look forgotten.
        length = max(2.0, (width - left - right) * max(0.0, value) / most)
        sheet.write(left - _GAP, top + _BAR / 2, name, to_left=True)
        sheet.box(left, top, length, _BAR, fill=_FILL)
        sheet.write(left + length + _GAP, top + _BAR / 2, words)
    if more := len(chart.rows) - len(rows):
        sheet.write(_EDGE, _TOP + MOST * _ROW + _BAR / 2, f"and {more} more, in the words beside it")
    return sheet.png()


def main() -> int:
    """Exits with 1 and a line for what is no chart."""
    try:
        chart = Chart.from_json(json.load(sys.stdin))
    except (KeyError, TypeError, ValueError) as error:
        print(f"no chart: {error!r}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(paint(chart))
    return 0


if __name__ == "__main__":
    sys.exit(main())
