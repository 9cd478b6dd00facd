"""The tick: what is due is done, and one incident that cannot be worked out keeps nobody else waiting."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.delivery import Priority, Sent, settle
from bot.core.policy import Level, Policy
from bot.core.roster import Rotation
from bot.desk.change import change
from bot.desk.ports import Tx
from bot.desk.timers import STUCK, Timers
from bot.store.database import Database
from tests.unit.core.incident_case import START
from tests.unit.core.test_incident_properties import HOUSE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'due.db'}", clock, create=True) as opened:
        yield opened


@pytest.fixture
def ticking(database: Database, clock: ManualClock) -> Timers:
    return Timers(store=database, house=lambda: HOUSE, monotonic=clock.monotonic, wake=lambda: None)


def open_three(database: Database) -> None:
    def do(tx: Tx) -> None:
        for number in (1, 2, 3):
            first = lifecycle.opened(
                project="p", pipeline=f"orders-{number}", family="stream", title="t", kind=Kind.HEALTH,
                severity=Severity.WARNING, policy=Policy(), now=tx.now(), actor="x", reason="r", claimed=True,
            )  # fmt: skip
            change(tx, HOUSE, None, tx.next_number(), [first])

    database.write(do)


def run(ticking: Timers) -> int:
    """Turns, until nothing is due."""

    async def go() -> int:
        turns = 0
        while await ticking.turn():
            turns += 1
            assert turns < 20, "something is due for ever"
        return turns

    return asyncio.run(go())


def levels(database: Database, number: int) -> set[Level]:
    incident = database.read(lambda tx: tx.incident(number))
    assert incident is not None
    return {page.level for page in incident.pages.values()}


def kept(path: Path, text: str | None = None) -> str:
    """The first incident's row, and another put in its place."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        found: str = connection.execute(sa.text("SELECT data FROM incidents WHERE id = 1")).scalar_one()
        if text is not None:
            connection.execute(sa.text("UPDATE incidents SET data = :text WHERE id = 1"), {"text": text})
    engine.dispose()
    return found


def told(database: Database) -> list[str]:
    """What leaves now about what is stuck; everything that may leave is sent."""
    rows = database.write(lambda tx: tx.claim(1_000))
    database.write(lambda tx: [tx.finish(row, settle(row, Sent())) for row in rows])
    return [
        row.outbound.data["text"]
        for row in rows
        if row.outbound.key.startswith("line:stuck:") and row.outbound.priority is Priority.PAGE
    ]


def test_an_incident_that_cannot_be_worked_out_keeps_no_page_of_another_waiting(
    database: Database, clock: ManualClock, ticking: Timers, tmp_path: Path
) -> None:
    open_three(database)
    good = kept(tmp_path / "due.db", '{"id": "no number"}')
    clock.advance(timedelta(hours=3))
    assert run(ticking) >= 1
    assert all(Level.L2 in levels(database, number) for number in (2, 3))
    (text,) = told(database)
    assert text == (
        "INC-1: its timers cannot be worked out, so they page nobody. Look after it yourselves; "
        "the log says why. It is tried again every 1 min."
    )

    clock.advance(STUCK)
    assert run(ticking) == 1
    assert told(database) == []

    kept(tmp_path / "due.db", good)
    clock.advance(STUCK)
    run(ticking)
    assert Level.L2 in levels(database, 1)


def test_of_a_private_incident_that_cannot_be_worked_out_its_own_channel_alone_is_told(
    database: Database, clock: ManualClock
) -> None:
    nobody = Rotation(people=(), every=timedelta(days=1), start=START.date())
    broken = replace(HOUSE, roster=replace(HOUSE.roster, upper={Level.L2: (nobody,)}))
    first = lifecycle.opened(
        project="p", pipeline="orders", family="security", title="t", kind=Kind.SECURITY, severity=Severity.CRITICAL,
        policy=Policy(), now=START, actor="x", reason="r", declared=True,
    )  # fmt: skip
    database.write(lambda tx: change(tx, HOUSE, None, tx.next_number(), [first]))
    told(database)
    clock.advance(timedelta(hours=3))
    run(Timers(store=database, house=lambda: broken, monotonic=clock.monotonic, wake=lambda: None))
    assert told(database) == []
    room = lifecycle.event("channel_created", clock.now(), "streamwatch", channel="C1", name="inc")
    database.write(lambda tx: change(tx, HOUSE, tx.incident(1), 1, [room]))
    assert any("its timers cannot be worked out" in text for _ in range(20) for text in told(database))
