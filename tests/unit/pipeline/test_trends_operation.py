"""A day, a week and a month beside earlier ones, on a history whose figures are known; and on none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue import Pipeline
from pipeline.history import History
from pipeline.operations import Context, get
from pipeline.report import Report
from pipeline.stretches import growth

NOW = datetime(2026, 12, 8, 9, 20, tzinfo=UTC)  # a Tuesday
HOUR = timedelta(hours=1)


def context(history: History | None, now: datetime = NOW) -> Context:
    pipeline = Pipeline(
        name="orders", environment="production", project="p", region="r", job_name="j", budgets=("b",)
    )
    return Context(pipeline=pipeline, clients=None, history=history, now=lambda: now, sleep=lambda _: None)  # type: ignore[arg-type]


def asked(history: History | None, by: str, now: datetime = NOW) -> Report:
    report = get("pipeline.trends").read(context(history, now), {"by": by})  # type: ignore[attr-defined]
    assert isinstance(report, Report)
    return report


class Told:
    """Probes once an hour: so many events, so many of them invalid, such a lag, from one time to another."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.received = self.invalid = 0.0

    def probe(self, at: datetime, lag: float) -> None:
        totals = {"received": self.received, "invalid": self.invalid, "valid": self.received - self.invalid}
        data = {
            "events": {"jobs": ["1"], "totals": totals},
            "lag": {"system_lag_s": lag},
            "backlog": 10 * lag,
        }
        self.history.record_probe(
            Report(
                operation="pipeline.health",
                pipeline="orders",
                verdict="v",
                severity="ok",
                as_of=at,
                data=data,
            )
        )

    def hours(
        self,
        begin: datetime,
        until: datetime,
        an_hour: float,
        *,
        rate: float = 0.0,
        lag: float = 5.0,
        step: int = 1,
    ) -> None:
        self.probe(begin, lag)
        while begin < until:
            begin += step * HOUR
            self.received += an_hour * step
            self.invalid += an_hour * step * rate
            self.probe(begin - timedelta(microseconds=1), lag)


@pytest.fixture
def history(tmp_path: Path) -> Any:
    with History.open(f"sqlite:///{tmp_path / 'h.db'}") as made:
        yield made


def texts(report: Report) -> dict[str, str]:
    return {finding.id: finding.text for finding in report.findings}


def test_a_day_stands_beside_the_same_weekday_and_the_mean_of_the_week(history: History) -> None:
    """100 events an hour a week ago, 200 on the six days between, 300 in the last 24 hours."""
    told, end = Told(history), NOW.replace(minute=0)
    day = timedelta(days=1)
    told.hours(end - 8 * day, end - 7 * day, 100, lag=10)
    told.hours(end - 7 * day, end - day, 200, rate=0.01, lag=10)
    told.hours(end - day, end, 300, rate=0.05, lag=100)
    for ago in range(9):  # 30 USD each day until the newest, which cost 40
        at = datetime(2026, 12, 6, 20, tzinfo=UTC) - ago * day
        cost = 1000.0 - 30 * ago - (10 if ago else 0)
        history.record_budget(
            budget="b", period="2026-11-01", cost=cost, amount=2000.0, currency="USD", at=at
        )
    report = asked(history, "day")
    said = texts(report)
    mean = (100 + 6 * 200) * 24 / 7
    assert said["load"] == (
        f"Events a day: 7,200; the same weekday last week 2,400 (+200 %); the mean of 7 days {mean:,.0f} "
        f"({7200 / mean * 100 - 100:+.0f} %)."
    )
    assert said["errors"].startswith(
        "Error rate: 5.0 %; the same weekday last week 0 %; the mean of 7 days 0.86 %"
    )
    assert said["lag"].startswith("Lag on average: 1 min 40 s; the same weekday last week 10 s (+900 %)")
    assert said["backlog"].startswith("Backlog on average: 1,000; the same weekday last week 100")
    # Of the newest complete billing day: the difference of two days' totals.
    assert said["cost"].startswith(
        "Cost of b a day (2026-12-06): 40.00 USD; the same weekday last week 30.00 USD"
    )
    assert {f.id: f.severity for f in report.findings} == {
        "load": "info", "errors": "info", "lag": "info", "backlog": "ok", "cost": "info",
    }  # fmt: skip
    assert report.verdict == (
        "orders: 7,200 events a day, 5.0 % errors; events +200 % against the same weekday last week, "
        f"{7200 / mean * 100 - 100:+.0f} % against the mean of 7 days."
    )
    assert len(report.data["stretches"]) == 8
    assert report.data["stretches"][7]["events_a_day"] == 2400


def test_a_week_stands_beside_four_weeks(history: History) -> None:
    told, end = Told(history), NOW.replace(minute=0)
    week = timedelta(days=7)
    for ago, an_hour in ((5, 100), (4, 110), (3, 120), (2, 130), (1, 115)):
        told.hours(end - ago * week, end - (ago - 1) * week, an_hour, step=24)
    said = texts(asked(history, "week"))
    mean = (100 + 110 + 120 + 130) / 4 * 24
    assert said["load"] == (
        f"Events a day: {115 * 24:,}; the week before {130 * 24:,} (-12 %); the mean of 4 weeks {mean:,.0f} (the same)."
    )


def test_a_month_stands_beside_the_months_that_are_kept_and_tells_where_it_leads(history: History) -> None:
    """August to November grow by a tenth each month."""
    told = Told(history)
    for month, an_hour in ((8, 1000.0), (9, 1100.0), (10, 1210.0), (11, 1331.0)):
        begin = datetime(2026, month, 1, tzinfo=UTC)
        told.hours(begin, datetime(2026, month + 1, 1, tzinfo=UTC), an_hour, step=24)
    report = asked(history, "month")
    said = texts(report)
    mean = (1000 + 1100 + 1210) / 3 * 24
    assert said["load"] == (
        f"Events a day: {1331 * 24:,}; the month before {1210 * 24:,} (+10 %); the mean of 3 months {mean:,.0f} "
        f"({1331 * 24 / mean * 100 - 100:+.0f} %)."
    )
    assert said["ahead"].startswith(
        f"If it goes on like this (+10.0 % a month), in 3 months about {1331 * 24 * 1.1**3:,.0f} events come a day"
    )
    assert [one["name"] for one in report.data["stretches"]][:4] == [
        "2026-11",
        "2026-10",
        "2026-09",
        "2026-08",
    ]


def test_a_history_that_is_too_short_is_told_and_compared_with_nothing(history: History) -> None:
    empty = asked(history, "week")
    assert empty.severity == "unknown"
    assert "were counted for 0 s of 7 d; half of it is needed" in texts(empty)["history"]
    assert empty.verdict == (
        "Trends of orders by week are not known: too little of the newest week was measured."
    )
    told, end = Told(history), NOW.replace(minute=0)
    told.hours(end - timedelta(hours=20), end, 100)
    young = asked(history, "day")
    assert young.severity == "info"
    assert texts(young)["history"] == (
        "The history is too short to compare a day with earlier ones; it begins at 2026-12-07 13:00 UTC."
    )
    assert texts(young)["load"] == "Events a day: 2,400; nothing to compare with yet."
    assert asked(None, "day").severity == "unknown"


def test_growth_needs_three_whole_months_in_a_row() -> None:
    assert growth([121.0, 110.0, 100.0]) == pytest.approx(0.1)
    assert growth([121.0, 110.0]) is None
    assert growth([121.0, None, 100.0, 90.0]) is None
