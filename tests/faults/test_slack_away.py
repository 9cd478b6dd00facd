"""Slack is away for two hours; and an operation whose process died in the middle."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.desk.change import decide
from bot.desk.kit import Kit
from bot.desk.operator import Operator
from bot.desk.ports import Run
from bot.store.database import Database
from pipeline.operations import registry
from tests.e2e.alerts import alert
from tests.faults.engine import Engine
from tests.faults.slack import Workspace, beside
from tests.faults.test_state_machine import HOUSE, START


@pytest.fixture
def clock() -> ManualClock:
    """Stands until it is moved."""
    return ManualClock(START)


def post(database: Database, key: str, pipeline: str) -> None:
    """One alert."""
    body = json.dumps(alert(key, pipeline=pipeline)).encode()
    database.put_many([("cloud-monitoring", key, body, "{}", "")])


def state_of(database: Database) -> str:
    """Of the run."""
    run = database.read(lambda tx: tx.run("r1"))
    assert run is not None
    return run.state


async def test_after_two_hours_without_slack_pages_arrive_oldest_first_and_resolved_ones_never(
    tmp_path: Path, clock: ManualClock
) -> None:
    slack = Workspace(random.Random(0))
    with Database(f"sqlite:///{tmp_path / 'a.db'}", clock, create=True) as database:
        engine = Engine(database, HOUSE, beside(slack), clock)
        slack.down = True
        for turn in range(30):
            if turn < 3:
                post(database, f"0.{turn}", f"line-{turn}")
            if turn == 15:
                database.write(
                    lambda tx: decide(
                        tx, HOUSE, 2, lambda i, now: lifecycle.resolve(i, now, "alice", "", confirmed=True)
                    )
                )
            await engine.tick()
            clock.advance(240)
        assert slack.messages == []
        slack.down = False
        for _ in range(3):
            await engine.tick()
            clock.advance(61)
        incidents = {i.id: i for i in database.read(lambda tx: tx.incidents())}
        assert {n: i.active for n, i in incidents.items()} == {1: True, 2: False, 3: True}
        due: dict[str, list[datetime]] = {}
        for key, kind, lane in slack.messages:
            if kind == "page_dm":
                page = key.removeprefix("page:").removesuffix(":dm")
                found = [i.pages[page] for i in incidents.values() if page in i.pages]
                assert incidents[2].pages.get(page) is None, "nobody is woken for what is over"
                due.setdefault(lane, []).extend(p.due_at for p in found)
        assert set(due) == {f"person:{who}" for who in ("alice", "bob", "carol", "dave", "erin")}
        assert all(times == sorted(times) and len(times) == 2 for times in due.values())
        assert slack.twice() == []
        late = [
            e.data["late_s"]
            for e in database.read(lambda tx: tx.events(1))
            if e.type == "page_delivered" and e.data["place"] == "direct message"
        ]
        assert min(late) > 3600, "the timeline says how late each was"


@pytest.mark.parametrize(
    ("name", "ends"), [("pipeline.loadtest", "unknown"), ("pipeline.restart", "confirmed")]
)
async def test_an_interrupted_operation_is_asked_about_unless_it_may_be_repeated(
    tmp_path: Path, clock: ManualClock, name: str, ends: str
) -> None:
    with Database(f"sqlite:///{tmp_path / 'a.db'}", clock, create=True) as database:
        post(database, "0.1", "orders")
        await Engine(database, HOUSE, beside(Workspace(random.Random(0))), clock).tick()
        run = Run(
            id="r1",
            operation=name,
            pipeline="orders",
            params={},
            state="confirmed",
            requested_by="alice",
            created_at=clock.now(),
            incident=1,
            risk="change",
            plan={"summary": "as it was confirmed", "made_at": clock.now().isoformat()},
            reply={"incident": 1, "in_incident": True},
        )

        def begin(tx: Any) -> None:
            tx.put_run(run)
            assert tx.claim_run("confirmed", "running").id == "r1"

        database.write(begin)
        clock.advance(timedelta(seconds=30))
        kit = Kit(
            store=database,
            house=lambda: HOUSE,
            registry=registry(),
            clients=None,
            history=None,
            now=clock.now,
        )
        operator = Operator(kit)
        await operator.recover()
        assert state_of(database) == "running", "its lease still holds"
        clock.advance(timedelta(seconds=31))
        await asyncio.gather(operator.recover(), operator.recover())
        assert state_of(database) == ends
        told = [e for e in database.read(lambda tx: tx.events(1)) if e.type == "operation_unknown"]
        assert len(told) == (1 if ends == "unknown" else 0)
        assert all("plan again" in e.data["remedy"] for e in told)
