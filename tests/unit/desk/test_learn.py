"""What the watch makes of its looks: incidents of its own, each once, with a clear end (no Slack, no Google)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.holding import Hold, Why
from bot.core.incident import Incident, Status
from bot.desk import learn, learn_cost, receive
from bot.desk.change import change, fire_due
from bot.desk.house import claims_of
from bot.desk.ports import Tx
from bot.store.database import Database
from pipeline.report import Fact, Finding, Report
from tests.unit.core.incident_case import alert
from tests.unit.desk.test_runbook_in_incident import BOOK, HOUSE, orders

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
TEAM = replace(
    HOUSE,
    runbooks=tuple(
        replace(BOOK, name=name, kind=kind)
        for name, kind in (
            ("pipeline-health", "health"), ("data-quality", "quality"), ("performance", "performance"),
            ("cost-spike", "cost"),
        )
    ),
    claims=claims_of(HOUSE.pipelines),
)  # fmt: skip


class Night:
    """One database, and looks at one pipeline."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(NIGHT)
        self.database = Database(f"sqlite:///{folder / 'bot.db'}", self.clock, create=True)
        self.house = TEAM

    def cost(self, on: bool | None, ratio: float = 2.0) -> None:
        """One look at the costs."""
        told = Fact("cost", on, "a day", ratio, "ratio")
        spike = Finding("cost_spike", "warning", f"A day costs {ratio:g} times as much as normal.")
        self.looked(
            learn_cost.learn, "warning" if on else "ok", facts=(told,), findings=(spike,) if on else ()
        )

    def health(self, severity: Any, *findings: str, down: bool = False) -> None:
        """One probe of the health."""
        facts = (Fact("healthy", severity == "ok", ""), Fact("down", down, "it stands"))
        found = tuple(Finding(name, severity, name) for name in findings)
        self.looked(learn.learn, severity, facts=facts, findings=found)

    def looked(self, does: Callable[..., None], severity: Any, **more: Any) -> None:
        report = Report(
            operation="x", pipeline="orders", verdict="orders is in trouble: so it is.", severity=severity,
            as_of=self.clock.now(), **more,
        )  # fmt: skip
        self.database.write(lambda tx: does(tx, self.house, orders(), report))

    def do(self, work: Callable[[Tx], Any]) -> None:
        self.database.write(work)

    def resolve(self, number: int = 1) -> None:
        def resolved(tx: Tx) -> None:
            standing = tx.incident(number)
            assert standing is not None
            events = lifecycle.resolve(standing, tx.now(), "alice", "it is wanted", confirmed=True)
            change(tx, self.house, standing, number, events)

        self.do(resolved)

    def incidents(self) -> list[Incident]:
        return sorted(self.database.read(lambda tx: tx.incidents(limit=50)), key=lambda i: i.id)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


# --- costs ------------------------------------------------------------------------------------------------


def test_a_day_far_above_normal_opens_one_cost_incident(night: Night) -> None:
    for _ in range(5):
        night.cost(True)
        night.clock.advance(HOUR / 2)
    (incident,) = night.incidents()
    assert (incident.kind, incident.severity, incident.runbook) == (Kind.COST, Severity.WARNING, "cost-spike")
    assert incident.title == "orders costs more than 50 % above normal"
    assert [fact.id for fact in incident.holding] == ["cost"]
    first = night.database.read(lambda tx: tx.events(1))[0]
    assert first.data["reason"] == "A day costs 2 times as much as normal. No alert and no budget told of it."


def test_unknown_costs_open_and_end_nothing(night: Night) -> None:
    night.cost(None)
    assert night.incidents() == []
    night.cost(True)
    night.cost(None)
    (incident,) = night.incidents()
    assert (incident.status, [fact.id for fact in incident.holding]) == (Status.OPEN, ["cost"])


def test_a_complete_day_within_normal_ends_it(night: Night) -> None:
    night.cost(True)
    night.cost(False)
    assert night.incidents()[0].status is Status.RECOVERING
    night.clock.advance(HOUR / 2)
    night.cost(False)
    night.do(lambda tx: fire_due(tx, night.house, 1))
    (incident,) = night.incidents()
    assert (incident.status, incident.holding) == (Status.RESOLVED, ())
    night.clock.advance(24 * HOUR)
    night.cost(True)
    assert [i.linked for i in night.incidents()] == [(), (1,)], "another episode is another incident"


def test_what_people_decided_to_pay_is_no_news_until_it_grows_as_much_again(night: Night) -> None:
    night.cost(True, 2.0)
    night.resolve()
    for ratio in (2.0, 2.3, 2.49):
        night.clock.advance(HOUR)
        night.cost(True, ratio)
    assert [i.status for i in night.incidents()] == [Status.RESOLVED]
    night.clock.advance(HOUR)
    night.cost(True, 2.6)
    assert [i.status for i in night.incidents()] == [Status.RESOLVED, Status.OPEN]


def test_it_folds_into_the_incident_of_the_alert_and_the_alert_into_its_own(night: Night) -> None:
    spend = replace(alert("spend", severity="warning", kind="cost"), project="demo-project")
    night.do(lambda tx: receive.receive(tx, night.house, spend, tx.now()))
    night.cost(True)
    (incident,) = night.incidents()
    assert [fact.id for fact in incident.holding] == ["cost"]
    night.resolve()
    night.clock.advance(3 * HOUR)
    night.cost(True)
    assert len(night.incidents()) == 1, "people closed it, knowing"
    night.cost(True, 3.0)
    again = replace(alert("again", severity="warning", kind="cost"), project="demo-project")
    night.do(lambda tx: receive.receive(tx, night.house, again, tx.now()))
    assert [len(i.alerts) for i in night.incidents()] == [1, 1]


def test_an_alert_that_people_closed_before_any_look_is_not_told_again(night: Night) -> None:
    spend = replace(alert("spend", severity="warning", kind="cost"), project="demo-project")
    night.do(lambda tx: receive.receive(tx, night.house, spend, tx.now()))
    night.resolve()
    night.clock.advance(HOUR / 2)
    night.cost(True)
    assert [i.status for i in night.incidents()] == [Status.RESOLVED]


def test_a_maintenance_holds_it_back_until_its_end(night: Night) -> None:
    hold = Hold(
        name="m",
        why=Why.MAINTENANCE,
        pipeline="orders",
        reason="move",
        by="bob",
        begin=NIGHT,
        until=NIGHT + HOUR,
    )
    night.house = replace(TEAM, maintenances=(hold,))
    night.cost(True)
    assert night.incidents() == []
    night.clock.advance(2 * HOUR)
    night.cost(True)
    assert len(night.incidents()) == 1


# --- health, quality, performance ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "findings", "kind", "runbook"),
    [
        ("warning", ("error_rate_high",), Kind.QUALITY, "data-quality"),
        ("critical", ("error_rate_critical",), Kind.QUALITY, "data-quality"),
        ("warning", ("degraded", "backlog"), Kind.PERFORMANCE, "performance"),
        ("warning", ("degraded", "doubled_job"), Kind.HEALTH, "pipeline-health"),
        ("critical", ("data_loss", "degraded"), Kind.HEALTH, "pipeline-health"),
    ],
)
def test_what_is_measured_decides_the_kind(
    night: Night, severity: str, findings: tuple[str, ...], kind: Kind, runbook: str
) -> None:
    for _ in range(4):
        night.health(severity, *findings)
        night.clock.advance(timedelta(minutes=1))
    (incident,) = night.incidents()
    assert (incident.kind, incident.runbook) == (kind, runbook)
    assert incident.severity == severity
    said = " ".join(str(e.data.get("text")) for e in night.database.read(lambda tx: tx.events(1)))
    assert "Cloud Monitoring is silent: no alert came for this." in said


def test_what_was_slow_and_then_stands_still_is_a_matter_of_health(night: Night) -> None:
    for _ in range(4):
        night.health("warning", "degraded")
        night.clock.advance(timedelta(minutes=1))
    night.health("critical", "stuck", down=True)
    (incident,) = night.incidents()
    assert (incident.kind, incident.runbook) == (Kind.HEALTH, "pipeline-health")
    assert incident.severity is Severity.CRITICAL
    assert "down" in [fact.id for fact in incident.holding]
    night.health("warning", "degraded")
    assert night.incidents()[0].kind is Kind.HEALTH, "what it is over with decides nothing"
