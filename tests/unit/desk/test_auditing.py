"""The auditor on duty, and what withholds the heartbeat (rules: "Escalation", lateness)."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.policy import Policy
from bot.desk.auditing import ROUND_S, STANDS_S, Auditor
from bot.desk.change import change, fire_due
from bot.store.database import Database
from bot.vitals import AUDIT_S, Vitals
from tests.unit.core.incident_case import START
from tests.unit.core.test_incident_properties import HOUSE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'audited.db'}", clock, create=True) as opened:
        yield opened


def opens(database: Database, number: int = 1, kind: Kind = Kind.HEALTH) -> None:
    """A critical incident whose L1 was paged, and whose page went out."""

    def do(tx: object) -> None:
        first = lifecycle.opened(
            project="p", pipeline=f"orders-{number}", family="stream", title="t", kind=kind,
            severity=Severity.CRITICAL, policy=Policy(), now=tx.now(), actor="x", reason="r", claimed=True,  # type: ignore[attr-defined]
        )  # fmt: skip
        assert tx.next_number() == number  # type: ignore[attr-defined]
        after = change(tx, HOUSE, None, number, [first])  # type: ignore[arg-type]
        _deliver(tx, after.pages.values())

    database.write(do)


def _deliver(tx: object, pages: object) -> None:
    for page in pages:  # type: ignore[attr-defined]
        number = int(page.id.split(":")[0].removeprefix("INC-"))
        incident = tx.incident(number)  # type: ignore[attr-defined]
        data = {"page": page.id, "person": page.person, "level": str(page.level), "place": "direct message"}
        told = lifecycle.event("page_delivered", tx.now(), "streamwatch", **data)  # type: ignore[attr-defined]
        change(tx, HOUSE, incident, number, [told])  # type: ignore[arg-type]


def rounds(auditor: Auditor, clock: ManualClock, *gaps: float) -> None:
    """A round now, and one after each gap of seconds."""

    async def go() -> None:
        await auditor.turn()
        for gap in gaps:
            clock.advance(max(gap, ROUND_S))
            await auditor.turn()

    asyncio.run(go())


def said(database: Database) -> list[str]:
    rows = database.write(lambda tx: tx.claim(100))
    return [
        str(row.outbound.data.get("text", ""))
        for row in rows
        if "ALARM" in str(row.outbound.data.get("text"))
    ]


def test_a_page_that_nobody_makes_is_told_once_however_many_audit(
    database: Database, clock: ManualClock
) -> None:
    opens(database)
    one = Auditor(store=database, monotonic=clock.monotonic)
    two = Auditor(store=database, monotonic=clock.monotonic)
    clock.advance(timedelta(minutes=5, seconds=10))  # the backup is due, and no loop ticks
    rounds(one, clock)
    rounds(two, clock)
    assert one.last.count("missing") == 1
    assert said(database) == [], "what has just fallen due is no disagreement yet"
    rounds(one, clock, STANDS_S)
    rounds(two, clock, STANDS_S)
    (text,) = said(database)
    assert "disagree. INC-1: L1 should have been paged at 2026-03-02 03:15:00 UTC (backup)" in text
    assert "/incident escalate INC-1" in text


def test_what_is_done_in_time_is_never_told(database: Database, clock: ManualClock) -> None:
    opens(database)
    auditor = Auditor(store=database, monotonic=clock.monotonic)
    for _ in range(3):
        clock.advance(timedelta(minutes=5))
        database.write(lambda tx: fire_due(tx, HOUSE, 1))
        rounds(auditor, clock, STANDS_S)
    assert auditor.last.count("missing") == 0
    assert auditor.last.pages > 1
    assert said(database) == []


def test_a_round_is_all_that_are_open_a_few_a_turn(database: Database, clock: ManualClock) -> None:
    for number in range(1, 31):
        opens(database, number)
    auditor = Auditor(store=database, monotonic=clock.monotonic)
    rounds(auditor, clock)
    assert auditor.last.incidents == 0, "the first turn is not the whole round"
    asyncio.run(auditor.turn())
    assert auditor.last.incidents == 30


def test_a_private_incident_is_told_of_in_its_own_channel(database: Database, clock: ManualClock) -> None:
    opens(database, kind=Kind.SECURITY)
    auditor = Auditor(store=database, monotonic=clock.monotonic)
    clock.advance(timedelta(minutes=6))
    rounds(auditor, clock, STANDS_S + 1)
    assert said(database) == [], "it waits for the private channel, and is in no announcement"
    assert database.read(lambda tx: tx.outbox_counts())["pending"] > 0


# --- the heartbeat ---


def trouble(database: Database, clock: ManualClock, auditor: Auditor) -> str:
    return asyncio.run(Vitals(database, clock, auditor, "http://127.0.0.1:9/").trouble())


def test_the_heartbeat_is_withheld_while_a_page_is_more_than_a_minute_late(
    database: Database, clock: ManualClock
) -> None:
    opens(database)
    auditor = Auditor(store=database, monotonic=clock.monotonic)
    rounds(auditor, clock)
    assert trouble(database, clock, auditor) == ""
    clock.advance(timedelta(minutes=4) - timedelta(seconds=1))
    database.write(lambda tx: fire_due(tx, HOUSE, 1))
    assert trouble(database, clock, auditor) == ""
    clock.advance(timedelta(minutes=2, seconds=31))
    assert trouble(database, clock, auditor).startswith("a page is 1 min 30 s late")


def test_a_page_that_slack_does_not_take_withholds_it_too(database: Database, clock: ManualClock) -> None:
    opens(database)
    auditor = Auditor(store=database, monotonic=clock.monotonic)
    clock.advance(timedelta(minutes=5))
    database.write(lambda tx: fire_due(tx, HOUSE, 1))  # bob's page is made, and nobody delivers it
    clock.advance(timedelta(seconds=90))
    rounds(auditor, clock)
    assert auditor.last.count("unsent") == 1
    assert trouble(database, clock, auditor) == "a page is 1 min 30 s late"
    database.write(lambda tx: _deliver(tx, [p for p in tx.incident(1).pages.values() if p.person == "bob"]))  # type: ignore[union-attr]
    rounds(auditor, clock, ROUND_S)
    assert trouble(database, clock, auditor) == ""


def test_an_auditor_that_does_not_come_round_withholds_it(database: Database, clock: ManualClock) -> None:
    auditor = Auditor(store=database, monotonic=clock.monotonic)
    clock.advance(AUDIT_S + 1)
    assert trouble(database, clock, auditor) == "the auditor does not come round"
    rounds(auditor, clock)
    assert trouble(database, clock, auditor) == ""
