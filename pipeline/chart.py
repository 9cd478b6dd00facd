"""A bar chart as SVG: words and figures on every bar, so that colour carries nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

_ROW: Final = 30
_LEFT, _BAR, _RIGHT = 220, 420, 200
_TOP: Final = 56
_CELLS: Final = 20
_SHORT: Final = 12


def bar(share: float) -> str:
    """A share of 0 to 1 as text: "█████ 25 %"."""
    filled = round(max(0.0, min(1.0, share)) * _CELLS)
    return f"{'█' * filled}{'░' * (_CELLS - filled)} {share * 100:.0f} %"


def text_bars(rows: Sequence[tuple[str, float, str]]) -> list[str]:
    """The same as lines of text: "█████░░░░░ 2026-W48: 33,120"."""
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    filled = [round(_SHORT * max(0.0, value) / most) for _, value, _ in rows]
    return [
        f"{'█' * count}{'░' * (_SHORT - count)} {name}: {words}"
        for count, (name, _, words) in zip(filled, rows, strict=True)
    ]


def bars_svg(title: str, note: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Bars of (name, value, value in words), the longest first as they come; an SVG document."""
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    height, width = _TOP + _ROW * len(rows) + 16, _LEFT + _BAR + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title><desc>{escape(_said(rows))}</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="16">{escape(title)}</text>',
        f'<text x="12" y="43" fill="#555555">{escape(note)}</text>',
    ]
    for index, (name, value, words) in enumerate(rows):
        y = _TOP + index * _ROW
        length = max(1.0, _BAR * max(0.0, value) / most)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(name[:32])}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y + 4}" width="{length:.1f}" height="20" fill="#3b6ea5"/>')
        parts.append(f'<text x="{_LEFT + length + 8:.1f}" y="{y + 18}">{escape(words)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _said(rows: Sequence[tuple[str, float, str]]) -> str:
    return "; ".join(f"{name}: {words}" for name, _, words in rows)


def store(directory: Path, name: str, svg: str) -> Path:
    """Writes the chart; OSError when that is not possible."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.svg"
    path.write_text(svg, encoding="utf-8")
    return path
