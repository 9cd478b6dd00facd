"""A budget that people had decided to live with, and that goes further: its incident is open until people close it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.correlation import PipelineClaims
from bot.core.incident import Incident
from bot.desk import learn_cost
from bot.desk.change import change, fire_due
from bot.desk.ports import InboxRow
from bot.desk.receive import budget_state, process, put_budget_state
from bot.store.database import Database
from pipeline.report import Fact, Report
from tests.unit.desk.test_hand_overs import HOUSE, SUNDAY
from tests.unit.desk.test_runbook_in_incident import orders

ORDERS = orders()
MINE = replace(
    HOUSE,
    pipelines=(ORDERS,),
    claims=(PipelineClaims(name=ORDERS.name, project=ORDERS.project, budgets=frozenset({"b-1"})),),
)


class Month:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self._ids = itertools.count(1)

    def spent(self, cost: float) -> Incident:
        said = {
            "budgetDisplayName": "orders", "costAmount": cost, "budgetAmount": 200.0, "currencyCode": "EUR",
            "costIntervalStart": "2026-11-01T00:00:00Z", "alertThresholdExceeded": 1.0,
        }  # fmt: skip
        number = next(self._ids)
        row = InboxRow(
            id=number, source="budget", delivery_key=str(number), body=json.dumps(said).encode(),
            meta={"attributes": {"budgetId": "b-1"}}, received_at=self.clock.now(),
        )  # fmt: skip
        self.database.write(lambda tx: process(tx, MINE, row))
        return self.incident()

    def incident(self) -> Incident:
        found = self.database.read(lambda tx: tx.incident(1))
        assert found is not None
        return found

    def resolved(self) -> None:
        """As `/incident resolve --yes` does it."""

        def do(tx: Any) -> None:
            incident = tx.incident(1)
            events = lifecycle.resolve(incident, tx.now(), "alice", "we live with it", confirmed=True)
            for alert in incident.alerts.values():
                put_budget_state(tx, budget_state(tx, alert.key), decided=True)
            change(tx, MINE, incident, 1, events)

        self.database.write(do)

    def looked(self, minutes: float) -> Incident:
        """The watch finds the day's costs as ever, and time goes on."""
        self.clock.advance(timedelta(minutes=minutes))
        report = Report(
            operation="cost.forecast", pipeline=ORDERS.name, verdict="As ever.", severity="ok", as_of=self.clock.now(),
            facts=(Fact("cost", False, "as ever", value=1.0),),
        )  # fmt: skip
        self.database.write(lambda tx: learn_cost.learn(tx, MINE, ORDERS, report))
        self.database.write(lambda tx: fire_due(tx, MINE, 1))
        return self.incident()


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    clock = ManualClock(SUNDAY)
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        yield Month(database, clock)


def test_twenty_points_more_reopen_it_and_a_day_that_costs_as_ever_does_not_close_it(month: Month) -> None:
    assert month.spent(200.0).severity == "warning"
    month.resolved()
    assert month.spent(230.0).status == "resolved", "fifteen points more"
    month.clock.advance(timedelta(minutes=10))
    again = month.spent(240.0)
    assert (again.status, [a.muted for a in again.alerts.values()]) == ("open", [False])
    for _ in range(3):
        assert month.looked(20).status == "open"


def test_a_cost_beyond_every_bound_does_the_same(month: Month) -> None:
    month.spent(250.0)
    month.resolved()
    assert month.spent(295.0).status == "open", "more than twenty points on, and as grave as before"
    for _ in range(3):
        assert month.looked(20).status == "open"
