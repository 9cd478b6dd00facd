"""What a probe of the watch opens by itself: a loss that the next job hides, and a source that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.incident import Incident, Status
from bot.core.policy import Level, Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.desk import learn as learning
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Tx
from bot.store.database import Database
from pipeline.catalogue import Pipeline
from pipeline.report import Fact, Finding, Report

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
ORDERS = Pipeline(name="orders", project="p")
HOUSE = House(
    roster=Roster(
        people={name: Person(name=name, slack=f"U-{name}") for name in ("alice", "carol")},
        first=FirstLevel(primary=Always("alice")),
        upper={Level.L2: (Always("carol"),)},
    ),
    policy=Policy(),
    runbooks=(),
    pipelines=(),
    operations={},
    claims=(),
)
Look = Callable[[Report], list[Incident]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NIGHT)


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        yield database


@pytest.fixture
def look(database: Database, clock: ManualClock) -> Look:
    """A probe a minute later, and the incidents after it."""

    def learn(report: Report) -> list[Incident]:
        clock.advance(timedelta(minutes=1))
        database.write(lambda tx: learning.learn(tx, HOUSE, ORDERS, report))
        return list(database.read(lambda tx: tx.incidents()))

    return learn


def report(verdict: str, severity: str, *findings: Finding, loss: Fact | None = None) -> Report:
    facts = (Fact("down", False, ""), loss or Fact("data_loss", False, ""), Fact("healthy", True, ""))
    return Report(
        operation="pipeline.health", pipeline="orders", title="Health of orders", verdict=verdict,
        severity=severity, as_of=NIGHT, findings=findings, facts=facts,  # type: ignore[arg-type]
    )  # fmt: skip


CANCELLED = Fact(
    "data_loss", True, "job orders was cancelled at 03:09 UTC", since=NIGHT - timedelta(minutes=1)
)
LOST = report("orders is in serious trouble: data loss.", "critical", loss=CANCELLED)
WELL = report("orders is running.", "ok")
SILENT = report(
    "orders is in trouble (data issue): the source of clicks is silent.", "warning",
    Finding("source_silent", "warning", "The source of clicks is silent."),
)  # fmt: skip


def test_a_cancelled_job_pages_l2_at_once_though_another_runs_and_once_only(
    look: Look, database: Database
) -> None:
    (incident,) = look(LOST)
    assert {fact.id for fact in incident.holding} == {"data_loss"}
    assert {page.person for page in incident.pages.values()} == {"alice", "carol"}

    def resolve(tx: Tx) -> None:
        events = lifecycle.resolve(incident, tx.now(), "alice", "it is known", confirmed=True)
        change(tx, HOUSE, incident, incident.id, events)

    database.write(resolve)
    after = look(LOST)
    assert [str(one.status) for one in after] == ["resolved"], "what it was resolved with opens nothing again"


def test_a_silent_source_opens_a_quality_incident_after_two_minutes_and_does_not_recover_by_itself(
    look: Look,
) -> None:
    assert look(WELL) == []
    assert look(SILENT) == []
    look(SILENT)
    (incident,) = look(SILENT)
    assert incident.kind is Kind.QUALITY
    assert "the source of clicks is silent" in incident.title
    for _ in range(12):
        (incident,) = look(SILENT)
    assert incident.status is Status.OPEN
    for _ in range(2):
        (incident,) = look(WELL)
    assert incident.status is Status.RECOVERING


def test_trouble_of_long_ago_does_not_count_for_the_trouble_of_now(look: Look, database: Database) -> None:
    """An incident stood meanwhile: after it, as before, one bad look alone opens nothing."""
    look(SILENT)
    first = lifecycle.opened(
        project="p", pipeline="orders", family="stream", title="An alert", kind=Kind.QUALITY,
        severity=Severity.WARNING, policy=HOUSE.policy, now=NIGHT, actor="cloud-monitoring", reason="it says so",
    )  # fmt: skip
    made = database.write(lambda tx: change(tx, HOUSE, None, tx.next_number(), [first]))
    look(SILENT)

    def resolve(tx: Tx) -> None:
        known = tx.incident(made.id)
        assert known is not None
        change(
            tx, HOUSE, known, made.id, lifecycle.resolve(known, tx.now(), "alice", "mended", confirmed=True)
        )

    database.write(resolve)
    assert [str(one.status) for one in look(SILENT)] == ["resolved"]
    look(SILENT)
    assert [str(one.status) for one in look(SILENT)] == ["open"], "two minutes of it do"
