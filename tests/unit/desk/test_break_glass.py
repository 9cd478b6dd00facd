"""Breaking the glass: whoever is on call, in a critical incident, waits for nobody, and L2 is told at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.book import Barred
from bot.core.paging import page_by_hand
from bot.core.policy import Level
from bot.desk import confirming, runs
from bot.desk.change import change, load
from bot.desk.ports import Run, Tx
from bot.store.database import Database
from pipeline.operations.base import Plan, Risk
from tests.unit.desk.test_gates import HOUSE, NIGHT


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(NIGHT), create=True) as opened:
        yield opened


BEFORE = NIGHT - timedelta(minutes=5)


def planned(database: Database, severity: Severity = Severity.CRITICAL) -> None:
    """An incident that is assigned to bob, who holds no level, and the plan of a cancel in it."""
    first = lifecycle.opened(
        project="p", pipeline="orders", family="stream", title="Orders stopped", kind=Kind.HEALTH, severity=severity,
        policy=HOUSE.policy, now=NIGHT, actor="watch", reason="it stopped",
    )  # fmt: skip
    given = lifecycle.event("assigned", NIGHT, "alice", person="bob", slack="UBOB")
    run = Run(
        id="r1", operation="pipeline.cancel", pipeline="orders", params={"break_glass": "nobody answers"},
        state="asked", requested_by="alice", created_at=NIGHT, incident=1, risk="destructive",
        reply={"in_incident": True},
    )  # fmt: skip
    plan = Plan(
        id="p1", operation="pipeline.cancel", pipeline="orders", params=run.params, summary="cancel job 1", effects=(),
        warnings=(), refusal=None, risk=Risk.DESTRUCTIVE, made_at=NIGHT,
    )  # fmt: skip
    database.write(lambda tx: change(tx, HOUSE, None, tx.next_number(), [first, given]))
    database.write(lambda tx: runs.ask(tx, run))
    database.write(lambda tx: runs.planned(tx, HOUSE, run, plan))


def confirmed(database: Database, person: str) -> str:
    database.write(lambda tx: confirming.confirm(tx, HOUSE, "r1", person, {}, "orders"))
    found = database.read(lambda tx: tx.run("r1"))
    assert found is not None
    return found.state


def test_whoever_is_on_call_waits_for_nobody_and_l2_is_paged(database: Database) -> None:
    planned(database)
    assert confirmed(database, "alice") == "confirmed"
    incident = database.read(lambda tx: load(tx, 1))
    assert [p.person for p in incident.pages.values() if p.level == "L2"] == ["carol"]
    assert [e.what for e in database.read(lambda tx: tx.book_of("r1"))][-2:] == [
        "break_glass",
        "plan_confirmed",
    ]


def test_l2_is_paged_also_where_it_was_before(database: Database) -> None:
    planned(database)

    def escalated(tx: Tx) -> None:
        incident = load(tx, 1)
        change(
            tx, HOUSE, incident, 1, page_by_hand(incident, Level.L2, HOUSE.roster, BEFORE, "alice", "help")
        )

    database.write(escalated)
    assert confirmed(database, "alice") == "confirmed"
    pages = database.read(lambda tx: load(tx, 1)).pages.values()
    assert [p.person for p in pages if p.level == "L2"] == ["carol", "carol"]
    assert not [p for p in pages if p.level == "L3"]


def test_whoever_holds_no_level_needs_a_second_person(database: Database) -> None:
    planned(database)
    with pytest.raises(Barred, match="whoever is on call") as refused:
        confirmed(database, "bob")
    assert "alice" in refused.value.remedy
    assert not [p for p in database.read(lambda tx: load(tx, 1)).pages.values() if p.level == "L2"]


def test_it_needs_a_critical_incident(database: Database) -> None:
    planned(database, Severity.WARNING)
    with pytest.raises(Barred, match="a critical incident"):
        confirmed(database, "alice")
