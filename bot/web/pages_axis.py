"""The incident on a time axis: when it was acknowledged and resolved, and where the ladder stands. Pure.

The scale is logarithmic, as the ladder is: its first steps are minutes apart, its last ones hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log1p

from bot.core.incident import Incident
from bot.core.policy import format_duration
from bot.web.pages_view import Rung

LEFT, WIDTH = 32, 664
_TICKS = tuple(timedelta(minutes=m) for m in (0, 1, 5, 15, 60, 120, 240, 480, 1440, 4320, 10080))
_APART = 46  # units between two labels, so that none lies on another


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span of the axis, in the drawing's units. ``label`` is "" where it would not fit."""

    x: int
    width: int
    kind: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A step of the ladder or a tick. ``state`` is a rung's, ``row`` the line of its label."""

    x: int
    label: str
    state: str = ""
    row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The drawing, and the same in words."""

    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Mark, ...]
    words: str
    steps: str


def axis(incident: Incident, rungs: Sequence[Rung], now: datetime) -> Axis:
    """The axis from the opening to the resolve, or to the last step that is to come."""
    begin, end = incident.opened_at, incident.resolved_at or now
    shown = _shown(rungs)
    span = max([end - begin, timedelta(minutes=1), *(rung.due_at - begin for _, rung in shown)])

    def x(at: datetime) -> int:
        return LEFT + round(WIDTH * log1p(_minutes(at - begin)) / log1p(_minutes(span)))

    marks = [Mark(x=x(rung.due_at), label=name, state=rung.state) for name, rung in shown]
    ticks: list[Mark] = []
    for each in _TICKS:
        if each <= span and (not ticks or x(begin + each) - ticks[-1].x >= _APART):
            ticks.append(Mark(x=x(begin + each), label=format_duration(each) if each else "opened"))
    said = ", ".join(
        f"{name} {_said(rung)} after {format_duration(_after(rung, begin))}" for name, rung in shown
    )
    return Axis(
        bars=tuple(_bars(incident, x(end), x(incident.acked_at) if incident.acked_at else None)),
        marks=tuple(_rows(marks)),
        ticks=tuple(ticks),
        words=_words(incident, now),
        steps=f"Steps: {said}." if said else "No step.",
    )


def _minutes(span: timedelta) -> float:
    return max(0.0, span.total_seconds() / 60)


def _after(rung: Rung, begin: datetime) -> timedelta:
    return max(rung.due_at - begin, timedelta(0))


def _said(rung: Rung) -> str:
    return "is due" if rung.state != "fired" else "fired"


def _shown(rungs: Sequence[Rung]) -> list[tuple[str, Rung]]:
    """The first step of each name; repeats, questions and warnings would hide the ladder."""
    found: dict[str, Rung] = {}
    for rung in sorted(rungs, key=lambda each: each.due_at):
        last = rung.step.rsplit(":", 1)[-1]
        name = last if last in ("backup", "emergency") else rung.level
        if name and ":warn:" not in rung.step:
            found.setdefault(name, rung)
    return list(found.items())


def _bars(incident: Incident, end: int, acked: int | None) -> list[Bar]:
    stop = end if acked is None else min(acked, end)
    bars = [_bar(LEFT, stop, "open", "not acknowledged")]
    if acked is not None and end > stop:
        bars.append(_bar(stop, end, "acked", f"in hand: {incident.acked_by}"))
    return bars


def _bar(x: int, end: int, kind: str, label: str) -> Bar:
    width = max(end - x, 2)
    return Bar(x=x, width=width, kind=kind, label=label if width > 8 * len(label) else "")


def _rows(marks: Sequence[Mark]) -> list[Mark]:
    """Labels that are near to one another stand in two rows."""
    rows: list[Mark] = []
    for mark in marks:
        near = bool(rows) and mark.x - rows[-1].x < 1.5 * _APART
        row = 1 - rows[-1].row if near else 0
        rows.append(Mark(x=mark.x, label=mark.label, state=mark.state, row=row))
    return rows


def _words(incident: Incident, now: datetime) -> str:
    opened = incident.opened_at
    acked = (
        f"Acknowledged by {incident.acked_by} after {format_duration(incident.acked_at - opened)}"
        if incident.acked_at
        else "Not acknowledged"
    )
    if incident.resolved_at:
        return f"{acked}; resolved after {format_duration(incident.resolved_at - opened)}."
    return f"{acked}; unresolved for {format_duration(now - opened)}."
