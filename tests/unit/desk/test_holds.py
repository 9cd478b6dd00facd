"""Alerts of a pipeline on which the bot runs an operation wait for it, and page when it fails or takes too long."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core.alert_model import Alert, Kind, Severity
from bot.core.correlation import PipelineClaims
from bot.core.incident import Incident
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.desk import holds
from bot.desk.house import House
from bot.desk.ports import Run
from bot.desk.receive import let_go, receive
from bot.store.database import Database

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
CLAIM = PipelineClaims(name="orders", project="p", resources=frozenset({("job", "orders")}))
HOUSE = House(
    roster=Roster(
        people={"alice": Person(name="alice", slack="U1")}, first=FirstLevel(primary=Always("alice"))
    ),
    policy=Policy(),
    runbooks=(),
    pipelines=(),
    operations={},
    claims=(CLAIM,),
)


@dataclass
class Desk:
    clock: ManualClock
    database: Database
    file: Path

    def alert(self, key: str = "a", state: str = "open", kind: Kind = Kind.HEALTH) -> None:
        one = Alert(
            source="s",
            key=key,
            state="open" if state == "open" else "closed",
            title=f"alert {key}",
            severity=Severity.CRITICAL,
            kind=kind,
            project="p",
            resource_labels={"job": "orders"},
            proves_recovery=state != "open",
        )
        self.database.write(lambda tx: receive(tx, HOUSE, one, tx.now()))

    def ends(self, state: str) -> None:
        assert self.database.write(lambda tx: tx.move_run("r1", ["running"], state))

    def after(self, minutes: float) -> None:
        self.clock.advance(timedelta(minutes=minutes))
        self.database.write(lambda tx: holds.turn(tx, HOUSE, let_go))

    def incidents(self) -> list[Incident]:
        return list(self.database.read(lambda tx: tx.incidents()))

    def said(self) -> list[str]:
        with closing(sqlite3.connect(self.file)) as raw:
            rows = raw.execute("SELECT data FROM outbox WHERE kind = 'announce' ORDER BY id").fetchall()
        return [json.loads(data)["text"] for (data,) in rows if "text" in json.loads(data)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An operation runs on the pipeline since this moment."""
    clock = ManualClock(NIGHT)
    run = Run(
        id="r1",
        operation="pipeline.restart",
        pipeline="orders",
        params={},
        state="confirmed",
        requested_by="alice",
        created_at=NIGHT,
        risk="change",
    )
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        database.write(lambda tx: tx.put_run(run))
        database.write(lambda tx: tx.claim_run("confirmed", "running"))
        yield Desk(clock, database, tmp_path / "bot.db")


def test_an_alert_waits_while_the_operation_runs_and_is_let_go_when_it_fails(desk: Desk) -> None:
    desk.alert()
    desk.after(5)
    assert desk.incidents() == []
    desk.ends("failed")
    desk.after(0)
    (incident,) = desk.incidents()
    assert [page.person for page in incident.pages.values()] == ["alice"]
    assert any("pipeline.restart ran; it failed." in text for text in desk.said())


def test_it_pages_when_the_operation_takes_longer_than_the_policy_gives_it(desk: Desk) -> None:
    desk.alert()
    desk.after(14)
    assert desk.incidents() == []
    desk.after(1)
    assert len(desk.incidents()) == 1
    desk.alert("b")
    assert len(desk.incidents()[0].alerts) == 2


def test_one_that_closes_after_a_good_operation_pages_nobody(desk: Desk) -> None:
    desk.alert()
    desk.ends("done")
    desk.after(5)
    desk.alert(state="closed")
    desk.after(20)
    assert desk.incidents() == []
    told, over = desk.said()
    assert "1 alert of orders came while pipeline.restart runs on it" in told
    assert "1 alert came in 2 notifications; all of them closed again." in over


def test_one_that_stays_open_after_a_good_operation_pages_in_the_end(desk: Desk) -> None:
    desk.alert()
    desk.ends("done")
    desk.after(14)
    assert desk.incidents() == []
    desk.after(2)
    assert len(desk.incidents()) == 1


def test_security_and_an_incident_that_is_open_already_are_not_held(desk: Desk) -> None:
    desk.alert("s", kind=Kind.SECURITY)
    assert len(desk.incidents()) == 1
    desk.ends("failed")
    desk.alert("a")
    assert len(desk.incidents()) == 2
    desk.database.write(lambda tx: tx.move_run("r1", ["failed"], "running"))
    desk.alert("b")
    stream = next(i for i in desk.incidents() if i.family == "stream")
    assert len(stream.alerts) == 2
