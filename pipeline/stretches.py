"""A stretch of time beside earlier ones: load, errors, lag, backlog and cost of a day, a week or a month.  Pure.

Hours and months are UTC, billing days Pacific.  A day and a week end with the last whole hour, a month is the last
whole one.  Costs come late, so a day's and a week's are taken as many days earlier as billing takes to complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.spend import LAG_DAYS, billing_day

if TYPE_CHECKING:
    from pipeline.history_quality import Hour
    from pipeline.history_speed import SpeedHour

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_MONTHS: Final = 12
ENOUGH: Final = 0.5  # of a stretch must have been looked at, or it says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From ``begin`` until ``until``; ``name`` in words, ``ago`` is 0 for the newest."""

    name: str
    begin: datetime
    until: datetime
    ago: int
    month: bool = False

    @property
    def days(self) -> float:
        return (self.until - self.begin) / _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a stretch saw; None is what nobody measured enough of.  ``costs`` are a day's mean, by what is billed."""

    stretch: Stretch
    measured_s: float = 0.0
    events: float | None = None  # a day
    error_rate: float | None = None
    lag_s: float | None = None  # the mean
    lag_most_s: float | None = None
    backlog: float | None = None  # the mean
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether its events were counted for long enough to be compared."""
        return self.events is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What each billing day cost; ``name`` and ``currency`` say of what."""

    name: str
    currency: str
    days: Mapping[date, float]


def stretches(by: str, now: datetime) -> list[Stretch]:
    """The newest stretch first: a day and the seven before, a week and the four before, a month and the twelve."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if by == "month":
        return [_month(now, ago) for ago in range(_MONTHS + 1)]
    length, count = (_DAY, 8) if by == "day" else (_WEEK, 5)
    out = []
    for ago in range(count):
        until = hour - ago * length
        name = (
            f"{until:%a %m-%d}, 24 h until {until:%H:%M}"
            if by == "day"
            else f"7 days until {until:%m-%d %H:%M}"
        )
        out.append(Stretch(name=name, begin=until - length, until=until, ago=ago))
    return out


def _month(now: datetime, ago: int) -> Stretch:
    """The last whole month, or one so many months before it."""
    until = _first(now)
    for _ in range(ago):
        until = _first(until - _DAY)
    begin = _first(until - _DAY)
    return Stretch(name=f"{begin:%Y-%m}", begin=begin, until=until, ago=ago, month=True)


def _first(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def figures(
    stretch: Stretch,
    hours: Sequence[Hour],
    speed: Sequence[SpeedHour],
    spent: Sequence[Spent],
    now: datetime,
) -> Figures:
    """What the history holds of one stretch."""
    mine = [hour for hour in hours if stretch.begin <= hour.begin < stretch.until]
    measured = sum(hour.measured_s for hour in mine)
    received = sum(hour.counts.get("received", 0.0) for hour in mine)
    invalid = sum(hour.counts.get("invalid", 0.0) for hour in mine)
    length = (stretch.until - stretch.begin).total_seconds()
    enough = measured >= ENOUGH * length
    lag, backlog = _gauge(stretch, speed, "system_lag_s"), _gauge(stretch, speed, "backlog")
    return Figures(
        stretch=stretch,
        measured_s=measured,
        events=received / measured * _DAY.total_seconds() if enough else None,
        error_rate=invalid / received if enough and received >= 1 else None,
        lag_s=lag[0] if lag else None,
        lag_most_s=lag[1] if lag else None,
        backlog=backlog[0] if backlog else None,
        costs={one.name: cost for one in spent if (cost := _cost(stretch, one.days, now)) is not None},
    )


def _gauge(stretch: Stretch, speed: Sequence[SpeedHour], name: str) -> tuple[float, float] | None:
    """(mean, worst); None where fewer than half of its hours were looked at."""
    found = [
        hour.gauges[name]
        for hour in speed
        if stretch.begin <= hour.begin < stretch.until and name in hour.gauges
    ]
    if len(found) < ENOUGH * stretch.days * 24:
        return None
    return sum(gauge.mean for gauge in found) / len(found), max(gauge.most for gauge in found)


def billed(stretch: Stretch, now: datetime) -> list[date]:
    """The billing days that stand for a stretch, those that are complete by now."""
    newest, length = billing_day(now) - timedelta(days=LAG_DAYS), round(stretch.days)
    last = (
        (stretch.until - _DAY).date()
        if stretch.month
        else billing_day(stretch.until) - timedelta(days=LAG_DAYS)
    )
    days = (last - timedelta(days=length - 1 - n) for n in range(length))
    return [day for day in days if day <= newest]


def _cost(stretch: Stretch, days: Mapping[date, float], now: datetime) -> float | None:
    known = [days[day] for day in billed(stretch, now) if day in days]
    return sum(known) / len(known) if known and len(known) >= ENOUGH * stretch.days else None


# --- beside each other -----------------------------------------------------------------------------------


def nearest(by: str, found: Sequence[Figures]) -> Figures:
    """What it is compared with first: the same weekday last week, the week or the month before."""
    return found[7] if by == "day" else found[1]


def mean(found: Sequence[float | None]) -> float | None:
    """The mean of what is known; None of fewer than two."""
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if len(known) >= 2 else None


def growth(months: Sequence[float | None]) -> float | None:
    """The mean growth from one month to the next, newest first; None of fewer than three months in a row."""
    known: list[float] = []
    for one in months:
        if one is None or one <= 0:
            break
        known.append(one)
    return (known[0] / known[-1]) ** (1 / (len(known) - 1)) - 1 if len(known) >= 3 else None
