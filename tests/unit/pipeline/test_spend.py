"""Days out of running totals: nothing is made up where a day is missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.history_budgets import BudgetReport
from pipeline.spend import Outlook, billing_day, day_ends, exported_outlook, outlook

BEGIN = "2026-11-01T07:00:00Z"
NOW = datetime(2026, 11, 20, 20, tzinfo=UTC)


def reports(days: dict[int, float], *, period: str = BEGIN, amount: float = 200.0) -> list[BudgetReport]:
    """One report at noon Pacific of each day of November with that running total."""
    return [
        BudgetReport(
            budget="orders-monthly",
            period=period,
            cost=total,
            amount=amount,
            currency="USD",
            threshold=None,
            forecast=None,
            at=datetime(2026, 11, day, 20, tzinfo=UTC),
        )
        for day, total in days.items()
    ]


def test_billing_days_are_pacific() -> None:
    assert billing_day(datetime(2026, 11, 20, 7, 59, tzinfo=UTC)) == date(2026, 11, 19)
    assert billing_day(datetime(2026, 11, 20, 8, 1, tzinfo=UTC)) == date(2026, 11, 20)
    assert billing_day(datetime(2026, 7, 1, 7, 1, tzinfo=UTC)) == date(2026, 7, 1)


def test_a_steady_month_is_forecast_from_complete_days() -> None:
    found = outlook(reports({day: 5.0 * day for day in range(1, 21)}), NOW)
    assert found is not None
    assert found.normal == pytest.approx(5.0)
    assert [day.day.day for day in found.days] == [12, 13, 14, 15, 16, 17, 18], "not yesterday, not today"
    assert found.forecast == pytest.approx(150.0)
    assert found.ends == date(2026, 11, 30)
    assert found.spike is False


def test_order_and_repeats_change_nothing() -> None:
    steady = reports({day: 5.0 * day for day in range(1, 21)})
    late = reports({18: 12.0})
    assert outlook([*reversed(steady), *steady[:4], *late], NOW) == outlook(steady, NOW)


def test_a_missing_day_is_unknown_and_not_spread() -> None:
    found = outlook(reports({1: 5, 2: 10, 4: 90, 5: 95, 6: 100}), NOW)
    assert found is not None
    assert {day.day.day: day.amount for day in found.days} == {1: 5, 2: 5, 5: 5, 6: 5}


def test_a_partial_day_proves_a_spike_and_never_disproves_it() -> None:
    month = {day: 5.0 * day for day in range(1, 19)}
    above = outlook(reports({**month, 19: 95.0, 20: 103.0}), NOW)
    assert above is not None
    assert above.spike is True
    # yesterday is missing, today is low: nothing is known
    quiet = outlook(reports({**month, 20: 91.0}), NOW)
    assert quiet is not None
    assert quiet.spike is None


def test_few_days_give_a_rough_line_or_nothing() -> None:
    rough = outlook(reports({20: 60.0}), NOW)
    assert rough is not None
    assert rough.normal is None
    assert rough.forecast == pytest.approx(90.0)
    assert "rough" in rough.basis
    young = outlook(reports({2: 6.0}), datetime(2026, 11, 2, 20, tzinfo=UTC))
    assert young is not None
    assert young.forecast is None
    assert "2 days old" in young.basis


def test_a_period_that_is_no_month_has_no_forecast() -> None:
    old = outlook(reports({20: 60.0}, period="2026-07-01T07:00:00Z"), NOW)
    assert old is not None
    assert old.forecast is None
    assert outlook(reports({20: 60.0}, period="soon"), NOW).forecast is None  # type: ignore[union-attr]
    assert outlook([], NOW) is None


def test_a_new_month_keeps_the_days_of_the_last() -> None:
    october = [
        BudgetReport(
            budget="orders-monthly",
            period="2026-10-01T07:00:00Z",
            cost=5.0 * day,
            amount=200.0,
            currency="USD",
            threshold=None,
            forecast=None,
            at=datetime(2026, 10, day, 20, tzinfo=UTC),
        )
        for day in range(20, 32)
    ]
    now = datetime(2026, 11, 2, 20, tzinfo=UTC)
    found = outlook([*october, *reports({1: 5.0, 2: 6.0})], now)
    assert found is not None
    assert found.so_far == 6.0
    assert found.normal == pytest.approx(5.0)
    assert found.forecast == pytest.approx(6.0 + 28 * 5.0)
    assert found.as_of == now - timedelta(0)


def exported(days: dict[int, float], as_of: datetime = NOW) -> Outlook:
    """The outlook of an export with these days of November."""
    return exported_outlook(
        "p", "USD", {date(2026, 11, day): amount for day, amount in days.items()}, as_of, NOW
    )


def test_an_export_is_forecast_from_seven_complete_days() -> None:
    found = exported({day: float(day) for day in range(1, 21)})
    assert [day.day.day for day in found.days] == [12, 13, 14, 15, 16, 17, 18]
    assert found.normal == pytest.approx(15.0)
    assert found.so_far == pytest.approx(210.0)
    assert found.forecast == pytest.approx(210.0 + 10 * 15.0)


def test_days_that_an_export_has_not_passed_are_not_complete() -> None:
    late = exported(dict.fromkeys(range(1, 19), 5.0), as_of=datetime(2026, 11, 17, 20, tzinfo=UTC))
    assert [day.day.day for day in late.days] == [12, 13, 14, 15, 16]
    assert late.spike is None
    stalled = exported(dict.fromkeys(range(1, 14), 5.0), as_of=datetime(2026, 11, 14, 20, tzinfo=UTC))
    assert stalled.normal is None
    assert stalled.forecast is None
    assert "holds 2 of the 3 complete days" in stalled.basis


def test_a_partial_day_of_an_export_proves_a_spike_and_never_disproves_one() -> None:
    steady = dict.fromkeys(range(1, 20), 5.0)
    early = datetime(2026, 11, 20, 9, tzinfo=UTC)  # an hour after yesterday's end: not all of it is there
    assert exported(steady, early).spike is None
    assert exported({**steady, 20: 7.6}, early).spike is True
    assert exported({**steady, 19: 7.6}, early).spike is True
    assert exported({**steady, 20: 7.5}, early).spike is None, "exactly 50 % above is not more"
    assert exported(steady, NOW).spike is False


def test_a_billing_day_ends_at_pacific_midnight_in_both_halves_of_the_year() -> None:
    assert day_ends(date(2026, 11, 19)).astimezone(UTC) == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert day_ends(date(2026, 6, 30)).astimezone(UTC) == datetime(2026, 7, 1, 7, tzinfo=UTC)
