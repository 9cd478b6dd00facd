"""A chart of bars, as data: words and figures on every bar, so that a drawing and its colour carry nothing alone.

`pipeline.picture` makes a PNG of it; here is what is said beside that, and instead of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

_CELLS: Final = 20
_SHORT: Final = 12
Row = tuple[str, float, str]
"""(name, value, value in words)"""


def bar(share: float) -> str:
    """A share of 0 to 1 as text: "█████ 25 %"."""
    filled = round(max(0.0, min(1.0, share)) * _CELLS)
    return f"{'█' * filled}{'░' * (_CELLS - filled)} {share * 100:.0f} %"


def text_bars(rows: Sequence[Row]) -> list[str]:
    """The same as lines of text: "█████░░░░░ 2026-W48: 33,120"."""
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    filled = [round(_SHORT * max(0.0, value) / most) for _, value, _ in rows]
    return [
        f"{'█' * count}{'░' * (_SHORT - count)} {name}: {words}"
        for count, (name, _, words) in zip(filled, rows, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars in the order in which they come; `name` is the file's, without its ending."""

    name: str
    title: str
    note: str
    rows: tuple[Row, ...]

    @property
    def text(self) -> str:
        """As bars of text."""
        return "\n".join([f"{self.title} ({self.note}):", *text_bars(self.rows)])

    @property
    def words(self) -> str:
        """All that it shows, for whoever does not see it."""
        return f"{self.title}, {self.note}. " + "; ".join(f"{name}: {words}" for name, _, words in self.rows)

    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` reads, in JSON values."""
        return {
            "name": self.name, "title": self.title, "note": self.note, "rows": [list(row) for row in self.rows],
        }  # fmt: skip

    def as_file(self) -> dict[str, Any]:
        """What a file's row says of it: Slack is sent the picture, and all of its figures in words."""
        return {
            "filename": f"{self.name}.png", "chart": self.to_json(), "comment": self.text, "alt": self.words,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for what is no chart."""
        rows = tuple((str(name), float(value), str(words)) for name, value, words in data["rows"])
        if not all(math.isfinite(value) for _, value, _ in rows):
            raise ValueError("a bar without an end")
        return cls(name=str(data["name"]), title=str(data["title"]), note=str(data["note"]), rows=rows)
