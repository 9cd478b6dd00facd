"""What the hours keep of the quality of events, and how days are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline import trends
from pipeline.history import History
from pipeline.history_quality import Hour
from pipeline.report import Report

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(f"sqlite:///{tmp_path / 'h.db'}") as opened:
        yield opened


def look(history: History, at: datetime, received: float, invalid: float = 0, job: str = "j-1") -> None:
    """One probe that saw these totals."""
    totals = {"received": received, "valid": received - invalid, "invalid": invalid, "dead_lettered": invalid}
    events = {"jobs": [job], "totals": {**totals, "duplicates": 0.0}}
    report = Report(
        operation="pipeline.health",
        pipeline="orders",
        verdict="v",
        severity="ok",
        as_of=at,
        data={"events": events},
    )
    history.record_probe(report)


def received(history: History) -> dict[int, float]:
    found = history.quality_since("orders", MIDNIGHT - timedelta(days=9))
    return {hour.begin.hour: round(hour.counts["received"], 3) for hour in found}


def at(minutes: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minutes)


def test_hours_grow_by_what_came_between_two_looks_however_often_one_looks(history: History) -> None:
    look(history, at(10), 1000)
    for minute in range(11, 50):
        look(history, at(minute), 1000 + (minute - 10) * 10)
    look(history, at(70), 1600)
    assert received(history) == {0: pytest.approx(390 + 210 * 11 / 21, abs=1e-3), 1: pytest.approx(100)}
    hour = history.quality_since("orders", MIDNIGHT)[0]
    assert hour.measured_s == pytest.approx(50 * 60)


def test_a_new_job_counts_from_zero_and_a_repeated_or_old_look_not_at_all(history: History) -> None:
    look(history, at(0), 5000)
    look(history, at(10), 5100)
    look(history, at(20), 40, job="j-2")
    look(history, at(20), 40, job="j-2")
    look(history, at(5), 9999)
    assert received(history) == {0: 140.0}


def test_counters_that_fall_began_again(history: History) -> None:
    look(history, at(0), 5000)
    look(history, at(10), 30)
    assert received(history) == {0: 30.0}


def test_a_pause_of_days_is_nobodys_hour(history: History) -> None:
    look(history, at(0) - timedelta(days=5), 100)
    look(history, at(0), 9100)
    look(history, at(10), 9110)
    assert received(history) == {0: 10.0}


def test_a_probe_without_counters_leaves_the_hours_alone(history: History) -> None:
    look(history, at(0), 10)
    history.record_probe(
        Report(operation="pipeline.health", pipeline="orders", verdict="v", severity="unknown", as_of=at(1))
    )
    look(history, at(2), 30)
    assert received(history) == {0: 20.0}


def day(days_ago: int, an_hour: float, invalid: float) -> list[Hour]:
    """A whole day of equal hours."""
    counts: Mapping[str, float] = {
        "received": an_hour,
        "invalid": invalid,
        "valid": an_hour - invalid,
        "dead_lettered": invalid,
    }
    begin = MIDNIGHT - timedelta(days=days_ago)
    hours = [begin + timedelta(hours=hour) for hour in range(24)]
    return [Hour(begin=one, counts=counts, measured_s=3600.0) for one in hours]


def so_far(an_hour: float, invalid: float) -> list[Hour]:
    return [hour for hour in day(0, an_hour, invalid) if hour.begin <= NOW - timedelta(hours=1)]


def test_other_days_are_taken_until_the_same_time() -> None:
    hours = [*day(7, 50, 1), *day(1, 100, 10), *so_far(120, 30)]
    rows = {row[0]: row[1:] for row in trends.compared(hours, NOW).rows}
    assert rows["today until 10:30"][:3] == ("1,200", "25.0 %", "100.0 %")
    assert rows["yesterday until 10:30"][:2] == ("1,050", "10.0 %")
    assert rows["same day last week until 10:30"][:2] == ("525", "2.0 %")
    assert rows["last 7 days until 10:30, mean"][0] == f"{(1050 + 525) / 2:,.0f}"
    assert all(len(row) == len(trends.COLUMNS) for row in trends.compared(hours, NOW).rows)


def test_what_has_no_history_says_so() -> None:
    rows = [row[1] for row in trends.compared(so_far(100, 1), NOW).rows]
    assert rows[1:] == ["no history yet"] * 3
    assert [row[1] for row in trends.by_day([], NOW, 3).rows] == ["no history yet"] * 3
    assert "No history" in trends.finding([], NOW).text
    assert "too few other days" in trends.finding(so_far(100, 1), NOW).text


def test_tables_of_other_days_are_there_only_where_there_was_another_day() -> None:
    alone, yesterday = so_far(100, 1), [*day(1, 100, 10), *so_far(100, 1)]
    assert not any(trends.told(t) for t in (trends.compared(alone, NOW), trends.by_day(alone, NOW, 3)))
    assert trends.told(trends.compared(yesterday, NOW))
    assert trends.told(trends.by_day(yesterday, NOW, 3))


def test_a_day_that_was_measured_in_part_says_how_long() -> None:
    short = Hour(begin=MIDNIGHT, counts={"received": 100, "invalid": 1, "valid": 99}, measured_s=240)
    assert "Today, in the 4 min measured, 1.0 % of 100 events" in trends.finding([short], NOW).text
    assert "Today 1.0 % of 1,000" in trends.finding(so_far(100, 1), NOW).text


def test_days_stand_one_by_one_and_whole() -> None:
    table = trends.by_day([*day(2, 10, 1), *day(1, 100, 10)], NOW, 3)
    assert [row[:2] for row in table.rows] == [
        ("Sat 2026-11-21", "2,400"),
        ("Fri 2026-11-20", "240"),
        ("Thu 2026-11-19", "no history yet"),
    ]


def test_events_that_are_in_no_account_make_a_day_incomplete() -> None:
    lost = Hour(begin=MIDNIGHT, counts={"received": 100, "valid": 70, "duplicates": 10}, measured_s=60)
    span = trends.day_until([lost], NOW, 0)
    assert span is not None
    assert span.completeness == pytest.approx(0.8)
    assert span.error_rate == 0.0


def test_the_finding_stands_beside_the_week() -> None:
    hours = [*day(2, 100, 1), *day(1, 100, 1), *so_far(100, 5)]
    found = trends.finding(hours, NOW)
    assert found.text == (
        "Today 5.0 % of 1,000 events were invalid; by this time the last 7 days had 1.0 % of 1,050 on average."
    )
