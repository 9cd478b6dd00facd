"""Rules: Facts, budget."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.alerts import Kind, Severity, Unusable
from bot.core.budget import (
    BudgetNotification,
    is_budget,
    merge,
    parse_budget,
    reopens,
    severity_of,
    step,
    to_alert,
)
from bot.core.policy import Thresholds

NOW = datetime(2026, 9, 20, 3, 10, tzinfo=UTC)
SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "budget"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared")
ATTRIBUTES = {"billingAccountId": "A-1", "budgetId": "b-1", "schemaVersion": "1.0"}
DATA: dict[str, Any] = {
    "budgetDisplayName": "orders-monthly",
    "costAmount": 90,
    "costIntervalStart": "2026-09-01T07:00:00Z",
    "budgetAmount": 200.0,
    "budgetAmountType": "SPECIFIED_AMOUNT",
    "currencyCode": "USD",
}


def budget(
    cost: float, threshold: float | None = None, forecast: float | None = None, amount: float = 100.0
) -> BudgetNotification:
    keys = {"alertThresholdExceeded": threshold, "forecastThresholdExceeded": forecast}
    crossed = {name: value for name, value in keys.items() if value is not None}
    return parse_budget(ATTRIBUTES, DATA | {"costAmount": cost, "budgetAmount": amount} | crossed)


def test_a_notification_is_read() -> None:
    found = parse_budget(ATTRIBUTES, DATA)
    assert (found.budget_id, found.display_name, found.account) == ("b-1", "orders-monthly", "A-1")
    assert (found.cost, found.amount, found.currency, found.ratio) == (90.0, 200.0, "USD", 0.45)
    assert found.period_start == datetime(2026, 9, 1, 7, tzinfo=UTC)
    assert (found.threshold, found.forecast) == (None, None)
    assert is_budget(ATTRIBUTES, DATA)
    assert not is_budget({}, {"version": "1.2", "incident": {}})


@pytest.mark.parametrize(
    ("attributes", "data"),
    [
        (ATTRIBUTES | {"schemaVersion": "2.0"}, DATA),
        (ATTRIBUTES, []),
        (ATTRIBUTES, None),
        (ATTRIBUTES, DATA | {"costAmount": "much"}),
        (ATTRIBUTES, DATA | {"costAmount": True}),
        (ATTRIBUTES, DATA | {"budgetAmount": None}),
        (ATTRIBUTES, DATA | {"budgetAmount": -1}),
        (ATTRIBUTES, DATA | {"costIntervalStart": "September"}),
        (ATTRIBUTES, DATA | {"costIntervalStart": "2026-09-01T07:00:00"}),
        ({}, DATA | {"budgetDisplayName": ""}),
        ({"budgetId": "x" * 300}, DATA),
    ],
)
def test_what_cannot_be_used_is_refused(attributes: dict[str, str], data: object) -> None:
    with pytest.raises(Unusable):
        parse_budget(attributes, data)


def test_without_attributes_a_budget_goes_by_its_name() -> None:
    assert parse_budget({}, DATA).budget_id == "orders-monthly"


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (budget(45), None),
        (budget(45, forecast=1.0), Severity.INFO),
        (budget(50, threshold=0.5), Severity.INFO),
        (budget(99.9, threshold=0.9), Severity.INFO),
        (budget(100, threshold=1.0), Severity.WARNING),
        (budget(105, threshold=0.9), Severity.WARNING),  # no rule stands at 100 %
        (budget(120, threshold=1.0), Severity.WARNING),
        (budget(120.5, threshold=1.0), Severity.CRITICAL),
        (budget(120.5), Severity.CRITICAL),  # the document's overrun needs no configured rule
        (budget(5, threshold=1.0, amount=0), Severity.WARNING),
        (budget(5, amount=0), None),
        (budget(-5), None),
    ],
)
def test_the_severity_of_a_budget(found: BudgetNotification, severity: Severity | None) -> None:
    assert severity_of(found) is severity
    alert = to_alert(found, NOW)
    assert (alert.severity if alert else None) is severity
    if alert:
        assert alert.facts == (("budget_overrun",) if severity is Severity.CRITICAL else ())


def test_the_alert_says_the_figures_and_its_period() -> None:
    alert = to_alert(budget(130, threshold=1.0), NOW)
    assert alert is not None
    assert (alert.key, alert.kind, alert.started_at) == ("b-1@2026-09-01T07:00:00.000000Z", Kind.COST, NOW)
    assert alert.resource_labels["budget_name"] == "orders-monthly"
    assert alert.summary == (
        "130.00 of 100.00 USD (130 %) spent, threshold of 100 % crossed, in the period from 2026-09-01."
    )


def test_a_budget_of_zero_has_no_ratio() -> None:
    found = budget(5, threshold=1.0, amount=0)
    assert found.ratio is None
    assert not found.overrun()


def test_only_a_change_is_told_and_a_repeated_threshold_is_none() -> None:
    told: list[str | None] = []
    state: BudgetNotification | None = None
    for new in (
        budget(40),
        budget(45, forecast=1.0),
        budget(46, forecast=1.0),
        budget(50, threshold=0.5, forecast=1.0),
        budget(51, threshold=0.5, forecast=1.0),
        budget(49, forecast=1.0),  # late
        budget(101, threshold=0.5, forecast=1.0),
        budget(110, threshold=1.0, forecast=1.0),
        budget(121, threshold=1.0, forecast=1.0),
        budget(150, threshold=1.0, forecast=1.0),
    ):
        state, changed = step(state, new)
        told.append(changed)
    assert told == [
        None,
        "the forecast crosses 100 %",
        None,
        "the threshold of 50 % is crossed",
        None,
        None,
        "cost is 101 % of the budget",
        "the threshold of 100 % is crossed",
        "cost is 121 % of the budget, over 120 %",
        None,
    ]
    assert state is not None
    assert state.cost == 150


def test_a_decision_holds_until_a_higher_threshold_or_20_points_more() -> None:
    decided = budget(70, threshold=0.5)
    assert reopens(decided, budget(89.9, threshold=0.5)) is None
    assert reopens(decided, budget(90, threshold=0.5)) is not None
    assert reopens(decided, budget(75, threshold=0.75)) is not None


def test_periods_do_not_mix() -> None:
    october = replace(budget(1), period_start=datetime(2026, 10, 1, 7, tzinfo=UTC))
    with pytest.raises(ValueError):
        merge(budget(100), october)


NOTIFICATIONS = st.builds(
    budget,
    st.integers(0, 200),
    st.sampled_from([None, 0.5, 0.9, 1.0]),
    st.sampled_from([None, 1.0]),
    st.sampled_from([0.0, 100.0, 120.0]),
)


@given(st.lists(NOTIFICATIONS, min_size=1, max_size=6), st.randoms())
def test_any_order_and_any_copies_end_in_the_same_state(many: list[BudgetNotification], random: Any) -> None:
    mixed = many + many
    random.shuffle(mixed)
    assert reduce(merge, mixed) == reduce(merge, many)


@given(st.lists(NOTIFICATIONS, min_size=1, max_size=6))
def test_the_cost_of_a_period_never_falls(many: list[BudgetNotification]) -> None:
    states: list[BudgetNotification] = []
    for new in many:
        states.append(step(states[-1] if states else None, new)[0])
    assert all(before.cost <= after.cost for before, after in pairwise(states))
    assert states[-1].cost == max(new.cost for new in many)


@needs_samples
@pytest.mark.parametrize(
    ("name", "severity", "facts"),
    [
        ("01_real_pull_attributes_and_data_jpy", "critical", ("budget_overrun",)),
        ("03_forecast_only_inr", "info", ()),
        ("06_google_docs_example", "warning", ()),
    ],
)
def test_real_budget_notifications(name: str, severity: str, facts: tuple[str, ...]) -> None:
    obj = json.loads((SAMPLES / f"{name}.json").read_bytes())
    attributes, data = (obj["attributes"], obj["data"]) if "data" in obj else (ATTRIBUTES, obj)
    alert = to_alert(parse_budget(attributes, data), NOW)
    assert alert is not None
    assert (alert.severity.value, alert.facts) == (severity, facts)


def test_the_overrun_and_the_reopening_are_the_policys() -> None:
    """A team that calls 150 % an overrun, and 50 points a reason, gets just that."""
    limits = Thresholds(budget_overrun=1.5, budget_reopen=0.5)
    first, later = budget(130.0, 1.0), budget(170.0, 1.0)
    assert severity_of(first) is Severity.CRITICAL
    assert severity_of(first, limits) is Severity.WARNING
    assert reopens(first, later) is not None
    assert reopens(first, later, limits) is None
