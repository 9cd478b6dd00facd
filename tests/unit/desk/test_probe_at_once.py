"""An alert that closed before it was seen to open: whether that is so is looked at, at once and not in a minute."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from bot.clock import ManualClock
from bot.core.correlation import PipelineClaims
from bot.core.incident import Status
from bot.desk.house import House
from bot.desk.kit import Kit
from bot.desk.processor import Processor
from bot.desk.watch import Watch
from bot.store.database import Database
from pipeline.operations import Context
from pipeline.operations.health import Health
from pipeline.report import Fact, Report, Severity
from tests.e2e.alerts import alert
from tests.unit.desk.test_hand_overs import HOUSE, SUNDAY
from tests.unit.desk.test_runbook_in_incident import orders

ORDERS = orders()
MINE = House(
    roster=HOUSE.roster,
    policy=HOUSE.policy,
    runbooks=(),
    pipelines=(ORDERS,),
    operations={},
    claims=(PipelineClaims(name=ORDERS.name, project=ORDERS.project, resources=ORDERS.resources()),),
)


class Looked(Health):
    """What a look finds, and how often somebody looked."""

    def __init__(self, healthy: bool) -> None:
        self.looks, self._healthy = 0, healthy

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        self.looks += 1
        facts = (Fact("healthy", self._healthy, ""), Fact("degraded", not self._healthy, "late"))
        severity: Severity = "ok" if self._healthy else "warning"
        return Report(
            operation=self.name, pipeline=ORDERS.name, verdict="As it is.", severity=severity, as_of=SUNDAY,
            facts=facts,
        )  # fmt: skip


class Forgetful:
    """A history that keeps nothing."""

    def record_probe(self, report: Report) -> None:
        assert report.operation == "pipeline.health"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(SUNDAY), create=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("healthy", "status", "paged"), [(True, Status.RECOVERING, []), (False, Status.OPEN, ["alice"])]
)
async def test_its_pipeline_is_probed_at_once_and_only_what_is_bad_pages(
    database: Database, healthy: bool, status: Status, paged: list[str]
) -> None:
    clock, health = cast(ManualClock, database.clock), Looked(healthy)
    done = asyncio.Event()
    kit = Kit(
        store=database, house=lambda: MINE, registry={health.name: health}, clients=None, history=Forgetful(),
        now=clock.now, wake=done.set,
    )  # fmt: skip
    watch = Watch(kit, monotonic=clock.monotonic)
    processor = Processor(
        store=database, house=lambda: MINE, record_budget=lambda *_: None, wake=lambda: None, look=watch.soon
    )
    clock.advance(1)
    await watch.turn()
    await asyncio.wait_for(done.wait(), 30)
    await watch.turn()
    assert health.looks == 1, "the next look is due in a minute"
    done.clear()
    for number, state in enumerate(("closed", "open")):
        body = json.dumps(alert("0.early", state=state)).encode()
        database.write(lambda tx, n=number, b=body: tx.inbox_put("cloud-monitoring", f"n{n}", b, {}))  # type: ignore[misc]
        while await processor.turn():
            pass
    await watch.turn()
    await asyncio.wait_for(done.wait(), 30)
    incident = database.read(lambda tx: tx.incident(1))
    assert incident is not None
    assert (health.looks, incident.status) == (2, status)
    assert [page.person for page in incident.pages.values()] == paged
