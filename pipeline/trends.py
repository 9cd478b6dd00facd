"""The quality of events beside other days: today, yesterday, the same day last week, the mean of a week.  Pure.

Days are UTC.  Other days are taken until the same time of day, so that a day that runs can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.report import Evidence, Finding, Table, duration, number, percent

if TYPE_CHECKING:
    from pipeline.history_quality import Hour

_DAY: Final = timedelta(days=1)
_WEEK: Final = 7
_LEAST: Final = 2  # days that a mean needs
_ACCOUNTS: Final = ("valid", "dead_lettered", "duplicates")
_NO_HISTORY: Final = "no history yet"
COLUMNS: Final = ("when", "events", "error rate", "completeness", "measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The sums of some hours; ``measured_s`` of them were looked at."""

    counts: Mapping[str, float] = field(default_factory=dict)
    measured_s: float = 0.0

    @property
    def events(self) -> float:
        return self.counts.get("received", 0.0)

    @property
    def error_rate(self) -> float | None:
        """Invalid by received; None without events."""
        return self.counts.get("invalid", 0.0) / self.events if self.events >= 1 else None

    @property
    def completeness(self) -> float | None:
        """How much of what came in is in an account: valid, dead-lettered or a duplicate; None without events."""
        if self.events < 1:
            return None
        return min(1.0, sum(self.counts.get(name, 0.0) for name in _ACCOUNTS) / self.events)


def day_until(hours: Iterable[Hour], now: datetime, days_ago: int) -> Span | None:
    """A day until the time of ``now``; None where nothing of it was measured.

    Of the hour that runs a past day gives the share that has passed.
    """
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - days_ago * _DAY
    until = now - days_ago * _DAY
    return _sum(
        (hour, min(1.0, (until - hour.begin) / timedelta(hours=1)) if days_ago else 1.0)
        for hour in hours
        if begin <= hour.begin < until
    )


def whole_day(hours: Iterable[Hour], now: datetime, days_ago: int) -> Span | None:
    """All of a day; None where nothing of it was measured."""
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - days_ago * _DAY
    return _sum((hour, 1.0) for hour in hours if begin <= hour.begin < begin + _DAY)


def mean(spans: Sequence[Span | None]) -> Span | None:
    """The mean of the days that were measured; None of fewer than two."""
    known = [span for span in spans if span is not None]
    if len(known) < _LEAST:
        return None
    names = {name for span in known for name in span.counts}
    return Span(
        counts={name: sum(span.counts.get(name, 0.0) for span in known) / len(known) for name in names},
        measured_s=sum(span.measured_s for span in known) / len(known),
    )


def compared(hours: Sequence[Hour], now: datetime) -> Table:
    """Today beside other days until the same time."""
    week = [day_until(hours, now, ago) for ago in range(1, _WEEK + 1)]
    at = f"until {now:%H:%M}"
    named = (
        (f"today {at}", day_until(hours, now, 0)),
        (f"yesterday {at}", week[0]),
        (f"same day last week {at}", week[-1]),
        (f"last 7 days {at}, mean", mean(week)),
    )
    return Table("Compared with other days (UTC)", COLUMNS, tuple(_row(name, span) for name, span in named))


def by_day(hours: Sequence[Hour], now: datetime, days: int) -> Table:
    """The last whole days, the newest first."""
    rows = tuple(
        _row(f"{now - ago * _DAY:%a %Y-%m-%d}", whole_day(hours, now, ago)) for ago in range(1, days + 1)
    )
    return Table("By day (UTC)", COLUMNS, rows)


def told(table: Table) -> bool:
    """Whether one of these tables has anything of another day than today."""
    return any(row[1] != _NO_HISTORY for row in table.rows if not row[0].startswith("today"))


def finding(hours: Sequence[Hour], now: datetime) -> Finding:
    """Today's error rate beside a usual one; what has no history says so."""
    today = day_until(hours, now, 0)
    usual = mean([day_until(hours, now, ago) for ago in range(1, _WEEK + 1)])
    if today is None or today.error_rate is None:
        return Finding(
            "history", "info", "No history of the quality of today yet; each probe of health adds to it."
        )
    since_midnight = (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    part = (
        "" if today.measured_s > 0.9 * since_midnight else f", in the {duration(today.measured_s)} measured,"
    )
    text = f"Today{part} {percent(today.error_rate)} of {number(today.events)} events were invalid"
    evidence = (Evidence("error rate today", round(today.error_rate, 5), "ratio", now),)
    if usual is None or usual.error_rate is None:
        return Finding("history", "ok", f"{text}; there are too few other days to compare it with.", evidence)
    week = Evidence("error rate of the last 7 days", round(usual.error_rate, 5), "ratio")
    beside = (
        f"; by this time the last 7 days had {percent(usual.error_rate)} of {number(usual.events)} on average"
    )
    return Finding("history", "ok", f"{text}{beside}.", (*evidence, week))


def _row(name: str, span: Span | None) -> tuple[str, ...]:
    if span is None:
        return (name, _NO_HISTORY, "", "", "")
    rates = ("unknown" if rate is None else percent(rate) for rate in (span.error_rate, span.completeness))
    return (name, number(span.events), *rates, duration(span.measured_s))


def _sum(parts: Iterable[tuple[Hour, float]]) -> Span | None:
    counts: dict[str, float] = {}
    measured_s = 0.0
    for hour, share in parts:
        measured_s += hour.measured_s * share
        for name, value in hour.counts.items():
            counts[name] = counts.get(name, 0.0) + value * share
    return Span(counts=counts, measured_s=measured_s) if measured_s else None
