"""What two replicas do with one thing in one moment, on PostgreSQL: as if one had come after the other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.clock import Clock
from bot.core import lifecycle
from bot.core.alert_model import Alert, Kind, Severity
from bot.core.budget import SOURCE as BUDGET
from bot.core.errors import KeyTaken
from bot.core.incident import Incident
from bot.desk.change import change
from bot.desk.ports import InboxRow
from bot.desk.receive import budget_state, process, receive
from bot.store.database import Database
from tests.faults.engine import furnished
from tests.faults.test_lock_order import PATIENCE_S, somebody_waits

HOUSE = furnished()
OPEN = Alert(
    source="cloud-monitoring", key="0.a", state="open", title="Orders stopped", severity=Severity.CRITICAL,
    kind=Kind.HEALTH, project="demo-project", resource_labels={"job_name": "ecommerce-streaming"},
)  # fmt: skip
CLOSED = replace(OPEN, state="closed", proves_recovery=True)
Work = Callable[[Any], object]

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


def comes(alert: Alert) -> Work:
    return lambda tx: receive(tx, HOUSE, alert, tx.now())


def in_one_moment(url: str, first: Work, second: Work, before: Work | None = None) -> Incident:
    """The second replica begins when the first has done its work and has not committed it yet."""
    with Database(url, Clock(), create=True) as one, Database(url, Clock(), create=False) as two:
        if before is not None:
            one.write(before)
        begun, over = threading.Event(), threading.Event()

        def late() -> None:
            assert begun.wait(PATIENCE_S)
            try:
                two.write(second)
            except KeyTaken:
                two.write(second)  # as the processor does: now the other's incident is there
            over.set()

        def early(tx: Any) -> None:
            first(tx)
            begun.set()
            end = time.monotonic() + PATIENCE_S
            while not over.is_set() and not somebody_waits(url):
                assert time.monotonic() < end, "the other transaction does not come so far"

        other = threading.Thread(target=late, daemon=True)
        other.start()
        one.write(early)
        other.join(PATIENCE_S)
        assert over.is_set()
        incidents = one.read(lambda tx: tx.incidents())
        stored = one.read(lambda tx: tx.alert(OPEN.source, OPEN.key))
        state = one.read(lambda tx: budget_state(tx, "b-1@2026-11-01T00:00:00.000000Z"))
        assert len(incidents) == 1, "one problem, one incident"
        assert stored is None or stored.incident == 1
        assert state is None or state.cost == 250.0
        return incidents[0]


@pytest.mark.parametrize("pair", [(OPEN, CLOSED), (CLOSED, OPEN)], ids=["open first", "close first"])
def test_an_alert_that_opens_and_closes_in_one_moment_is_closed(url: str, pair: tuple[Alert, Alert]) -> None:
    incident = in_one_moment(url, comes(pair[0]), comes(pair[1]))
    assert [a.open for a in incident.alerts.values()] == [False]
    assert incident.status == "recovering"


def test_two_alerts_that_reopen_an_incident_in_one_moment_are_both_its_own(url: str) -> None:
    def resolved(tx: Any) -> None:
        receive(tx, HOUSE, replace(OPEN, key="0.z"), tx.now())
        incident = tx.incident(1)
        change(tx, HOUSE, incident, 1, lifecycle.resolve(incident, tx.now(), "alice", "done", confirmed=True))

    incident = in_one_moment(url, comes(OPEN), comes(replace(OPEN, key="0.b")), resolved)
    assert {a.key for a in incident.alerts.values() if not a.muted} == {"0.a", "0.b"}
    assert incident.status == "open"


@pytest.mark.parametrize("costs", [(200.0, 250.0), (250.0, 200.0)], ids=str)
def test_of_two_budget_notifications_in_one_moment_the_higher_cost_counts(
    url: str, costs: tuple[float, float]
) -> None:
    def spent(cost: float) -> Work:
        said = {
            "budgetDisplayName": "orders", "costAmount": cost, "budgetAmount": 200.0, "currencyCode": "EUR",
            "costIntervalStart": "2026-11-01T00:00:00Z", "alertThresholdExceeded": 1.0,
        }  # fmt: skip
        return lambda tx: process(
            tx,
            HOUSE,
            InboxRow(
                id=1, source="budget", delivery_key=str(cost), body=json.dumps(said).encode(),
                meta={"attributes": {"budgetId": "b-1"}}, received_at=tx.now(),
            ),
        )  # fmt: skip

    incident = in_one_moment(url, spent(costs[0]), spent(costs[1]))
    (alert,) = incident.alerts.values()
    assert (alert.source, incident.severity) == (BUDGET, "critical")
