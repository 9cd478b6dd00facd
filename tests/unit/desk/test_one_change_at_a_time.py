"""One change of a pipeline runs at a time, and a run of a dead process is taken up once, however many look for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from bot.clock import ManualClock
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Roster
from bot.desk.house import House
from bot.desk.kit import Kit
from bot.desk.operator import Operator, claim
from bot.desk.ports import Run, Store
from bot.store.database import Database
from pipeline.operations import registry

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)


HOUSE = House(
    roster=Roster(people={}, first=FirstLevel(primary=Always("alice"))),
    policy=Policy(),
    runbooks=(),
    pipelines=(),
    operations={},
)


def confirmed(name: str, operation: str, pipeline: str) -> Run:
    return Run(
        id=name,
        operation=operation,
        pipeline=pipeline,
        params={},
        state="confirmed",
        requested_by="alice",
        created_at=NIGHT,
        risk="change",
        reply={"channel": "C01GENERAL"},
    )


def test_a_change_does_not_begin_while_another_of_its_pipeline_runs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(NIGHT), create=True)
    runs = [
        ("r1", "dlq.replay", "orders"),
        ("r2", "pipeline.restart", "orders"),
        ("r3", "dlq.replay", "other"),
    ]
    for each in runs:
        database.write(lambda tx, each=each: tx.put_run(confirmed(*each)))  # type: ignore[misc]
    begun = [database.write(lambda tx: claim(tx, HOUSE, "confirmed", "running")) for _ in runs]
    assert [(run.id, free) for run, free in begun if run is not None] == [
        ("r1", True),
        ("r2", False),
        ("r3", True),
    ]
    ended = database.read(lambda tx: tx.run("r2"))
    assert ended is not None
    assert (ended.state, ended.error) == (
        "failed",
        "dlq.replay is running on orders already. Plan again after it.",
    )
    database.close()


class Slow:
    """The store of a replica that looks for runs of the dead, and comes to write when another was there before."""

    def __init__(self, database: Database, another: Callable[[], None]) -> None:
        self._database, self._another = database, another

    async def aread(self, work: Callable[[Any], Any]) -> Any:
        return await self._database.aread(work)

    async def awrite(self, work: Callable[[Any], Any]) -> Any:
        self._another()
        return await self._database.awrite(work)


@pytest.mark.parametrize(("state", "before"), [("running", "confirmed"), ("working", "asked")])
async def test_a_run_that_another_replica_took_up_meanwhile_is_left_to_it(
    tmp_path: Path, state: str, before: str
) -> None:
    clock = ManualClock(NIGHT)
    database = Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True)
    database.write(lambda tx: tx.put_run(replace(confirmed("r1", "dlq.replay", "orders"), state=before)))
    assert database.write(lambda tx: claim(tx, HOUSE, before, state))[1]
    clock.advance(61)

    def another() -> None:
        if database.write(lambda tx: bool(tx.stale_runs(state)) and tx.move_run("r1", [state], before)):
            assert database.write(lambda tx: claim(tx, HOUSE, before, state))[1]

    kit = Kit(
        store=cast(Store, Slow(database, another)), house=lambda: HOUSE, registry=registry(), clients=None,
        history=None, now=clock.now,
    )  # fmt: skip
    await Operator(kit).recover()
    run = database.read(lambda tx: tx.run("r1"))
    assert run is not None
    assert (run.state, run.attempts) == (state, 2)
    database.close()
