"""Two plans of one pipeline, confirmed within one moment: the second is ended, and says why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bot.clock import ManualClock
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Roster
from bot.desk.house import House
from bot.desk.operator import claim
from bot.desk.ports import Run
from bot.store.database import Database

NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)


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
    house = House(
        roster=Roster(people={}, first=FirstLevel(primary=Always("alice"))),
        policy=Policy(),
        runbooks=(),
        pipelines=(),
        operations={},
    )
    database = Database(f"sqlite:///{tmp_path / 'bot.db'}", ManualClock(NIGHT), create=True)
    runs = [
        ("r1", "dlq.replay", "orders"),
        ("r2", "pipeline.restart", "orders"),
        ("r3", "dlq.replay", "other"),
    ]
    for each in runs:
        database.write(lambda tx, each=each: tx.put_run(confirmed(*each)))  # type: ignore[misc]
    begun = [database.write(lambda tx: claim(tx, house, "confirmed", "running")) for _ in runs]
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
