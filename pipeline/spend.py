"""Spend by day, out of running totals of budget notifications or a billing export; normal cost and forecast.  Pure.

A notification says what a period has cost so far.  What a day cost is the difference of two days'
last totals, so it is known only where both days have one.  Billing days and months are Pacific.
Rules: Facts (normal cost).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.report import number
from pipeline.thresholds import SHIPPED, Thresholds

if TYPE_CHECKING:
    from pipeline.history_budgets import BudgetReport

LAG_DAYS: Final = 2  # costs arrive late: the day before yesterday is the newest complete one
_MONTH_DAYS: Final = 31
# Google promises no time for its export; most of a day's rows are there within half a day.
_EXPORT_SETTLES: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Day:
    """What one billing day cost, as far as it was reported."""

    day: date
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One budget's period so far and where it leads; None is what cannot be known."""

    budget: str
    currency: str
    amount: float
    so_far: float
    as_of: datetime
    days: tuple[Day, ...]  # of complete days
    today: float | None
    yesterday: float | None
    normal: float | None  # of a day
    forecast: float | None
    basis: str  # what the forecast rests on, or why there is none
    ends: date | None
    settled: bool = True  # yesterday is complete
    above: float = SHIPPED.cost_spike  # so much more than normal is a spike

    @property
    def spike(self) -> bool | None:
        """Far above normal; a partial day can prove it, a complete one alone disproves it."""
        if not self.normal:
            return None
        limit = (1 + self.above) * self.normal
        if any(day is not None and day > limit for day in (self.today, self.yesterday)):
            return True
        return False if self.yesterday is not None and self.settled else None


def billing_day(at: datetime) -> date:
    """The Pacific day of a moment."""
    return at.astimezone(_pacific()).date()


def outlook(reports: Sequence[BudgetReport], now: datetime, limits: Thresholds = SHIPPED) -> Outlook | None:
    """Where one budget stands, from its notifications in any order; None without any."""
    if not reports:
        return None
    newest = max(reports, key=lambda one: (_begin(one), one.cost, one.at))
    begin = _begin(newest)
    today = billing_day(now)
    totals = _totals([one for one in reports if _begin(one) == begin])
    earlier = daily(reports)
    complete = tuple(
        Day(day, amount) for day, amount in sorted(earlier.items()) if day <= today - timedelta(days=LAG_DAYS)
    )[-int(limits.cost_days) :]
    normal = _normal(complete, limits)
    so_far = max(totals.values())
    forecast, basis, ends = _forecast(begin, so_far, normal, len(complete), today, limits)
    return Outlook(
        budget=newest.budget,
        currency=newest.currency,
        amount=newest.amount,
        so_far=so_far,
        as_of=max(one.at for one in reports if _begin(one) == begin),
        days=complete,
        today=earlier.get(today),
        yesterday=earlier.get(today - timedelta(days=1)),
        normal=normal,
        forecast=forecast,
        basis=basis,
        ends=ends,
        above=limits.cost_spike,
    )


def daily(reports: Sequence[BudgetReport]) -> dict[date, float]:
    """What each day cost by one budget's notifications, where that is known; in any order."""
    periods: dict[date, list[BudgetReport]] = {}
    for one in reports:
        periods.setdefault(_begin(one), []).append(one)
    return {
        day: amount
        for period, of_it in periods.items()
        for day, amount in _by_day(_totals(of_it), period).items()
    }


def exported_outlook(
    name: str,
    currency: str,
    days: Mapping[date, float],
    as_of: datetime,
    now: datetime,
    limits: Thresholds = SHIPPED,
) -> Outlook:
    """The same from what a billing export holds of each day, as of its newest row.

    A day that the export has not passed yet is not complete; one that is not in it is unknown, not free.
    """
    today = billing_day(now)
    newest = today - timedelta(days=LAG_DAYS)
    oldest = newest - timedelta(days=limits.cost_days - 1)
    complete = tuple(
        Day(day, amount)
        for day, amount in sorted(days.items())
        if oldest <= day <= newest and day_ends(day) <= as_of
    )
    normal = _normal(complete, limits)
    begin = today.replace(day=1)
    so_far = sum(amount for day, amount in days.items() if day >= begin)
    forecast, basis, ends = _forecast(begin, so_far, normal, len(complete), today, limits)
    if normal is None:
        forecast, basis = (
            None,
            f"the export holds {len(complete)} of the {number(limits.cost_days_needed)} complete days it takes",
        )
    yesterday = today - timedelta(days=1)
    return Outlook(
        budget=name,
        currency=currency,
        amount=0.0,
        so_far=so_far,
        as_of=as_of,
        days=complete,
        today=days.get(today),
        yesterday=days.get(yesterday),
        normal=normal,
        forecast=forecast,
        basis=basis,
        ends=ends,
        settled=day_ends(yesterday) + _EXPORT_SETTLES <= as_of,
        above=limits.cost_spike,
    )


def _normal(complete: Sequence[Day], limits: Thresholds) -> float | None:
    """The mean of complete days; None where they are too few to say what is normal."""
    if not complete or len(complete) < limits.cost_days_needed:
        return None
    return sum(day.amount for day in complete) / len(complete)


def day_ends(day: date) -> datetime:
    """When a billing day is over."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=_pacific())


def _forecast(
    begin: date, so_far: float, normal: float | None, known: int, today: date, limits: Thresholds
) -> tuple[float | None, str, date | None]:
    """(cost at the month's end, what it rests on, the last day)."""
    after = (begin.replace(day=1) + timedelta(days=_MONTH_DAYS + 1)).replace(day=1)
    if begin.day != 1 or today >= after:
        return None, "its period is not the current month", None
    ends = after - timedelta(days=1)
    left = (ends - today).days
    if normal is not None:
        return so_far + normal * left, f"the mean of {known} complete days", ends
    passed = (today - begin).days + 1
    if passed <= limits.cost_days_needed:
        return (
            None,
            f"the period is {passed} days old; more than {number(limits.cost_days_needed)} are needed",
            ends,
        )
    return so_far + so_far / passed * left, f"a straight line through {passed} days, a rough one", ends


def _totals(reports: Sequence[BudgetReport]) -> dict[date, float]:
    """Of each day the highest running total, which is its newest."""
    out: dict[date, float] = {}
    for one in reports:
        day = billing_day(one.at)
        out[day] = max(out.get(day, 0.0), one.cost)
    return out


def _by_day(totals: dict[date, float], begin: date) -> dict[date, float]:
    """What each day cost, where the day before has a total too or is not of the period."""
    out = {}
    for day, total in totals.items():
        before = 0.0 if day == begin else totals.get(day - timedelta(days=1))
        if before is not None:
            out[day] = max(0.0, total - before)
    return out


def _begin(report: BudgetReport) -> date:
    """The period's first billing day; one that cannot be read is a period of its own, long ago."""
    try:
        at = datetime.fromisoformat(report.period)
    except ValueError:
        return date.min
    return billing_day(at if at.tzinfo else at.replace(tzinfo=_pacific()))


@cache
def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        # A machine without time zones: winter time all year is an hour off at most.
        return timezone(timedelta(hours=-8))
