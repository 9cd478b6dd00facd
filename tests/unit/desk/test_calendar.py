"""The calendar inserts a row that is unique for its period, and only reminds of what is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot import calendar
from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.periods import USUAL, working_days
from bot.core.policy import Policy
from bot.desk.ports import Tx
from bot.store.database import Database
from pipeline.history import History
from pipeline.report import Report

FRIDAY = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


def _resolved_critical(tx: Tx) -> None:
    number = tx.next_number()
    first = lifecycle.opened(
        project="p",
        pipeline="orders",
        family="stream",
        title="stopped",
        kind=Kind.HEALTH,
        severity=Severity.CRITICAL,
        policy=Policy(),
        now=tx.now(),
        actor="watch",
        reason="it stopped",
    )
    done = lifecycle.event("resolved", tx.now(), "alice", reason="")
    stored = tx.append(number, [first, done])
    from bot.core.folding import fold

    incident = fold(number, stored)
    assert incident is not None
    tx.save(incident, next_due_at=None)


def test_working_days_leave_the_weekend_out() -> None:
    """From a Friday to the next Friday there are five working days."""
    assert working_days(USUAL, FRIDAY, FRIDAY + timedelta(days=7)) == 5
    assert working_days(USUAL, FRIDAY, FRIDAY + timedelta(days=2)) == 0


def test_a_review_is_reminded_of_after_five_working_days_and_once_a_day(tmp_path: Path) -> None:
    """Not before, then once, however many replicas ring, and again the next day."""
    clock = ManualClock(FRIDAY)
    with Database(f"sqlite:///{tmp_path / 'c.db'}", clock, create=True) as database:
        database.write(_resolved_critical)
        clock.advance(timedelta(days=6))
        assert database.write(calendar.remind_reviews) == 0
        clock.advance(timedelta(days=1))
        assert database.write(calendar.remind_reviews) == 1
        assert database.write(calendar.remind_reviews) == 0
        clock.advance(timedelta(days=1))
        assert database.write(calendar.remind_reviews) == 1


def test_processed_notifications_are_forgotten_after_thirty_days(tmp_path: Path) -> None:
    """A waiting one and a dead one stay."""
    clock = ManualClock(FRIDAY)
    with Database(f"sqlite:///{tmp_path / 'c.db'}", clock, create=True) as database:
        for name in ("done", "dead", "waiting"):
            database.write(lambda tx, n=name: tx.inbox_put("cloud-monitoring", n, b"{}", {}))
        rows = {row.delivery_key: row.id for row in database.read(lambda tx: tx.inbox_batch(9))}
        database.write(lambda tx: tx.inbox_done([rows["done"]]))
        database.write(lambda tx: tx.inbox_dead(rows["dead"], "no"))
        clock.advance(timedelta(days=31))
        assert database.write(calendar.tidy) == 1
        assert database.read(lambda tx: tx.inbox_counts()) == {"waiting": 1, "dead": 1}


def test_stored_probes_older_than_five_weeks_are_forgotten_and_the_others_kept(tmp_path: Path) -> None:
    with History.open(f"sqlite:///{tmp_path / 'h.db'}") as history:
        for age in (36, 34, 0):
            at = FRIDAY - timedelta(days=age)
            history.record_probe(
                Report(operation="pipeline.health", pipeline="orders", verdict="v", severity="ok", as_of=at)
            )
        rung = calendar.build(lambda _: None, USUAL, lambda age: history.forget_probes_before(FRIDAY - age))
        job = rung.get_job("tidy-probes")
        assert job is not None
        assert job.func() == 1
        left = history.probes_since("orders", FRIDAY - timedelta(days=100))
    assert [(FRIDAY - probe.as_of).days for probe in left] == [34, 0]
