"""The gates are asked again when a run is carried out; unmasked data is not for everybody who may read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core.book import Barred
from bot.core.groups import Group, Known, Member
from bot.core.policy import Level, Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.desk import confirming, runs
from bot.desk.gates import may_repeat_restart, seal, still_right
from bot.desk.house import House
from bot.desk.live import GROUPS
from bot.desk.ports import Run
from bot.store.database import Database
from pipeline.catalogue import load
from pipeline.operations import registry
from pipeline.operations.base import Plan, Risk

ROOT = Path(__file__).resolve().parents[3]
NIGHT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
PEOPLE = {name: Person(name=name, slack=f"U{name.upper()}") for name in ("alice", "bob", "carol")}
HOUSE = House(
    roster=Roster(
        people=PEOPLE, first=FirstLevel(primary=Always("alice")), upper={Level.L2: (Always("carol"),)}
    ),
    policy=Policy(),
    runbooks=(),
    pipelines=(),
    operations={},
)
WITHOUT_CAROL = replace(HOUSE, roster=replace(HOUSE.roster, upper={Level.L2: (Always("bob"),)}))


class Desk:
    """A plan that alice confirmed and carol approved, about to be run."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock
        run = Run(
            id="r1", operation="pipeline.cancel", pipeline="orders", params={}, state="asked", requested_by="alice",
            created_at=NIGHT, risk="destructive", reply={"channel": "C01GENERAL"},
        )  # fmt: skip
        self.plan = Plan(
            id="p1", operation="pipeline.cancel", pipeline="orders", params={}, summary="cancel job 1", effects=(),
            warnings=(), refusal=None, risk=Risk.DESTRUCTIVE, made_at=NIGHT, data={"job": "1"},
        )  # fmt: skip
        database.write(lambda tx: runs.ask(tx, run))
        database.write(lambda tx: runs.planned(tx, HOUSE, run, self.plan))
        assert database.write(lambda tx: confirming.confirm(tx, HOUSE, "r1", "alice", {}, "orders")) == ""
        assert database.write(lambda tx: confirming.approve(tx, HOUSE, "r1", "carol", {})) == ""
        assert database.write(lambda tx: tx.claim_run("confirmed", "running")) is not None

    def run(self) -> Run:
        found = self.database.read(lambda tx: tx.run("r1"))
        assert found is not None
        return found

    def begins(self, house: House = HOUSE) -> bool:
        """Whether the operation may begin now."""
        run = self.run()
        return self.database.write(lambda tx: runs.started(tx, house, run))

    def ended(self) -> tuple[str, str, str]:
        """How it ended: the state, why, and what the book says last."""
        entry = self.database.read(lambda tx: tx.book())[0]
        return self.run().state, self.run().error, entry.what


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock(NIGHT)
    database = Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True)
    yield Desk(database, clock)
    database.close()


def test_what_was_confirmed_and_approved_begins_and_the_book_tells_it_all(desk: Desk) -> None:
    assert desk.begins()
    told = [(e.what, e.actor) for e in reversed(desk.database.read(lambda tx: tx.book()))]
    assert told == [
        ("planned", "alice"),
        ("plan_confirmed", "alice"),
        ("plan_approved", "carol"),
        ("operation_started", "alice"),
    ]


@pytest.mark.parametrize("recomputed", [False, True], ids=["plan", "plan_and_digests"])
@pytest.mark.parametrize(
    "change",
    [{"data": {"job": "2"}}, {"made_at": NIGHT + timedelta(hours=1)}, {"summary": "look at job 1"}, {"id": "p2"}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_plan_that_was_changed_after_the_approval_does_not_begin(
    desk: Desk, change: dict[str, Any], recomputed: bool
) -> None:
    other = replace(desk.plan, **change)
    raw = other.to_json() if recomputed else {**other.to_json(), "digest": desk.plan.digest}
    digest = seal(HOUSE, desk.run(), other) if recomputed else desk.run().digest
    desk.database.write(lambda tx: tx.move_run("r1", ["running"], "running", plan=raw, digest=digest))
    assert not desk.begins()
    state, error, last = desk.ended()
    assert (state, last) == ("failed", "refused")
    assert "not the one that was shown" in error


def test_a_risk_that_was_lowered_in_the_database_does_not_pass_without_a_second_person(desk: Desk) -> None:
    desk.database.write(lambda tx: tx.move_run("r1", ["running"], "running", risk="change", approved_by=""))
    assert not desk.begins()
    assert "not the one that was shown" in desk.ended()[1]


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"break_glass": "because"}}, {"requested_by": "bob"}, {"incident": 7}, {"pipeline": "other"},
        {"operation": "dlq.ack"}, {"created_at": NIGHT - timedelta(hours=1)}, {"step": "x"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_was_asked_cannot_be_changed_in_the_database_either(desk: Desk, change: dict[str, Any]) -> None:
    """Not even with every digest beside it computed anew: the audit book knows the one that was shown."""
    changed = replace(desk.run(), **change)
    digest = seal(HOUSE, changed, desk.plan)
    desk.database.write(lambda tx: tx.move_run("r1", ["running"], "running", **change, digest=digest))
    assert not desk.begins()
    assert "not the one that was shown" in desk.run().error


def test_a_pipeline_that_became_production_since_needs_another_plan(desk: Desk) -> None:
    """The environment decides the gates, so a plan holds only for the one that it was made in."""
    ours = replace(load(ROOT / "runbooks" / "pipelines.yaml", "", "").pipelines[0], name="orders")
    assert not desk.begins(replace(HOUSE, pipelines=(replace(ours, environment="staging"),)))
    assert "not the one that was shown" in desk.run().error


def test_a_confirmation_that_nobody_gave_does_not_count(desk: Desk) -> None:
    desk.database.write(lambda tx: tx.move_run("r1", ["running"], "running", confirmed_by="carol"))
    assert not desk.begins()
    assert "knows of no such confirmation" in desk.ended()[1]


def test_a_run_that_the_book_never_saw_planned_is_not_run(desk: Desk) -> None:
    forged = replace(desk.run(), id="r2")
    forged = replace(forged, digest=seal(HOUSE, forged, desk.plan))
    desk.database.write(lambda tx: tx.put_run(forged))
    assert not desk.database.write(lambda tx: runs.started(tx, HOUSE, forged))


def test_an_approval_that_nobody_gave_does_not_count(desk: Desk) -> None:
    """The name in the row is not enough: the book must know of it."""
    desk.database.write(lambda tx: tx.move_run("r1", ["running"], "running", approved_by="bob"))
    assert not desk.begins(WITHOUT_CAROL)
    assert "knows of no such approval" in desk.ended()[1]


def test_who_lost_the_right_since_does_not_count(desk: Desk) -> None:
    assert not desk.begins(WITHOUT_CAROL)
    assert "this needs a technical lead or above" in desk.ended()[1]


def test_who_left_the_group_that_gave_the_right_does_not_count(desk: Desk) -> None:
    """The members are those that are known when it is carried out, not those of the approval."""
    leads = replace(HOUSE, roster=replace(HOUSE.roster, upper={}, groups={Level.L2: ("@leads",)}))
    carol, dave = (Member(id=f"U{name.upper()}", name=name) for name in ("carol", "dave"))
    _read(desk, dave)
    with pytest.raises(Barred, match="this needs a technical lead or above"):
        desk.database.read(lambda tx: still_right(tx, leads, desk.run()))
    _read(desk, carol, dave)
    desk.database.read(lambda tx: still_right(tx, leads, desk.run()))
    assert desk.begins(leads)


def _read(desk: Desk, *people: Member) -> None:
    """Slack tells who is in @leads."""
    known = Known(groups={"@leads": Group(id="S01", members=people, read_at=NIGHT)})
    desk.database.write(lambda tx: tx.put_value(GROUPS, known.as_json()))


def test_what_had_begun_goes_on_after_its_process_died_though_people_went_off_shift(desk: Desk) -> None:
    assert desk.begins()
    desk.clock.advance(timedelta(hours=1))
    assert desk.begins(WITHOUT_CAROL)


def test_an_approval_is_used_once(desk: Desk) -> None:
    with pytest.raises(Barred, match="already"):
        desk.database.write(lambda tx: confirming.approve(tx, HOUSE, "r1", "carol", {}))


def test_an_export_of_unmasked_data_needs_the_right_to_change() -> None:
    """Nothing changes in the pipeline; customers' data lands on a disk all the same."""
    operations = registry()
    assert operations["dlq.export"].risk == "read"
    assert operations["dlq.export"].gate == "change"
    assert operations["dlq.peek"].gate == "read"
    assert operations["dlq.ack"].gate == "destructive"


def test_the_cool_down_counts_from_when_a_restart_ended_and_not_from_when_it_was_asked_for(
    tmp_path: Path,
) -> None:
    """Asked for at 03:10, confirmed a quarter of an hour later, done at 03:30: at 03:55 it is 25 minutes ago."""
    clock = ManualClock(NIGHT)
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:

        def restart(name: str) -> Run:
            return Run(
                id=name, operation="pipeline.restart", pipeline="orders", params={}, state="confirmed",
                requested_by="alice", created_at=clock.now(), risk="change",
            )  # fmt: skip

        database.write(lambda tx: tx.put_run(restart("r1")))
        clock.advance(timedelta(minutes=15))
        assert database.write(lambda tx: tx.claim_run("confirmed", "running")) is not None
        clock.advance(timedelta(minutes=5))
        assert database.write(lambda tx: tx.move_run("r1", ["running"], "done"))
        for minutes, barred in ((25, True), (6, False)):
            clock.advance(timedelta(minutes=minutes))
            with pytest.raises(Barred, match="needs an L2") if barred else contextlib.nullcontext():
                database.write(lambda tx: may_repeat_restart(tx, HOUSE, restart("r2"), "alice"))
