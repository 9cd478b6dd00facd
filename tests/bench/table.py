"""One table of figures, each with its aim and whether it was met. A bench reports; it never asserts on time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """``met`` is None for what has no aim, and is shown beside something that has one."""

    what: str
    value: str
    aim: str = ""
    met: bool | None = None


def below(what: str, value: float, limit: float, unit: str, digits: int = 1) -> Figure:
    """A figure that should stay under its limit."""
    return Figure(
        what=what, value=f"{value:.{digits}f} {unit}", aim=f"under {limit:g} {unit}", met=value < limit
    )


def at_least(what: str, value: float, limit: float) -> Figure:
    """A ratio that should reach its aim."""
    return Figure(what=what, value=f"{value:.2f}", aim=f"{limit:g} or more", met=value >= limit)


def plain(what: str, value: str) -> Figure:
    """A figure without an aim."""
    return Figure(what=what, value=value)


def load() -> float:
    """Processes that want to run, averaged over the last minute."""
    return os.getloadavg()[0]


def lines(figures: Sequence[Figure], load_before: float) -> list[str]:
    """The table, and how busy others kept the machine."""
    widths = [max(len(text) for text in column) for column in zip(*(_row(f) for f in figures), strict=True)]
    rows = [
        "  ".join(text.ljust(width) for text, width in zip(_row(f), widths, strict=True)) for f in figures
    ]
    cores = len(os.sched_getaffinity(0))
    said = f"{cores} cores; load before the run {load_before:.1f}, after it {load():.1f} (its own included)"
    if load_before > cores / 2:
        said += "\nOthers use this machine: rates and seconds say little, processor time and ratios more."
    return [row.rstrip() for row in rows] + ["", said]


def _row(figure: Figure) -> tuple[str, str, str, str]:
    said = {True: "met", False: "NOT met", None: ""}[figure.met]
    return figure.what, figure.value, figure.aim, said
