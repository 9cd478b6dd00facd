"""What is done once a day, with injected time: once for all replicas, and once after a downtime."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.delivery import Sent, settle
from bot.core.folding import fold
from bot.core.incident import Action, stamp
from bot.core.periods import USUAL, Calendar, working_days
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.core.runbook import Runbook
from bot.desk import chores, round_notes, rounds
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Tx
from bot.store.database import Database

FRIDAY = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MORNING = frozenset({"review-reminders", "runbook-reviews", "private-reviews", "actions"})
BOOK = Runbook(
    name="health", title="Health", kind="health", steps=(), last_reviewed=FRIDAY.date() - 30 * DAY,
    next_review=FRIDAY.date() + 2 * DAY,
)  # fmt: skip


def house(**more: Any) -> House:
    people = {"alice": Person(name="alice", slack="UALICE")}
    roster = Roster(people=people, first=FirstLevel(primary=Always("alice")))
    return House(roster=roster, policy=Policy(), runbooks=(BOOK,), pipelines=(), operations={}, **more)


HOUSE = house()


@pytest.fixture
def clock() -> ManualClock:
    """Stands on a Friday, at the calendar's hour."""
    return ManualClock(FRIDAY)


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    """A bot that has run since the day before."""
    with Database(f"sqlite:///{tmp_path / 'c.db'}", clock, create=True) as made:
        made.write(lambda tx: tx.put_value(rounds.SINCE, stamp(FRIDAY - DAY)))
        yield made


def turn(database: Database, known: House = HOUSE) -> set[str]:
    """One turn of the loop, as app.py makes it."""
    if not database.read(lambda tx: chores.due(tx, known)):
        return set()
    return set(database.write(lambda tx: chores.turn(tx, known)))


def sent(database: Database, part: str) -> list[str]:
    """What waits in the outbox is sent; the texts of the rows whose key has this part."""
    texts = []
    while rows := database.write(lambda tx: tx.claim(50)):
        for row in rows:
            database.write(lambda tx, r=row: tx.finish(r, settle(r, Sent())))  # type: ignore[misc]
        texts += [str(row.outbound.data.get("text")) for row in rows if part in row.outbound.key]
    return texts


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
    incident = fold(number, stored)
    assert incident is not None
    tx.save(replace(incident, channel_id="C1"), next_due_at=None)


def test_working_days_leave_the_weekend_out() -> None:
    """From a Friday to the next Friday there are five working days."""
    assert working_days(USUAL, FRIDAY, FRIDAY + timedelta(days=7)) == 5
    assert working_days(USUAL, FRIDAY, FRIDAY + timedelta(days=2)) == 0


def test_a_review_is_reminded_of_after_five_working_days_and_once_a_day(
    database: Database, clock: ManualClock
) -> None:
    """Not before, then once, and again the next working day."""
    database.write(_resolved_critical)
    for days, told in ((6, 0), (1, 1), (1, 0), (1, 0), (1, 1)):  # Thursday, Friday, a weekend, Monday
        clock.advance(days * DAY)
        turn(database)
        turn(database)
        assert len(sent(database, "reminder:")) == told, clock.now()


def test_two_replicas_do_each_chore_once(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path / 'c.db'}", clock, create=False) as other:
        for _ in range(3):
            clock.advance(DAY * (3 if clock.now().weekday() == 4 else 1))
            with ThreadPoolExecutor(2) as pool:
                done = list(pool.map(turn, (database, other)))
            assert sorted([*done[0], *done[1]]) == sorted({"tidy", *MORNING})


def test_a_bot_that_was_down_at_the_hour_does_it_once_afterwards(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    """Down from Friday noon to Wednesday 11:20: three mornings and five nights were missed, one of each is made up."""
    assert turn(database) == {"tidy", *MORNING}
    database.close()
    clock.advance(5 * DAY + timedelta(hours=2, minutes=20))
    with Database(f"sqlite:///{tmp_path / 'c.db'}", clock, create=False) as again:
        assert turn(again) == {"tidy", *MORNING}
        assert turn(again) == set()
        (asked,) = again.read(lambda tx: tx.rounds("review"))
        assert asked.id == "review:2026-03-11"
        assert "its review was due on 2026-03-08" in asked.items[0].title
        clock.advance(timedelta(hours=17))  # 04:20 of the next day
        assert turn(again) == {"tidy"}


def test_what_was_due_before_the_bot_first_ran_is_nobodys_and_the_calendar_may_be_off(
    database: Database, clock: ManualClock
) -> None:
    database.write(lambda tx: tx.put_value(rounds.SINCE, stamp(clock.now() + timedelta(minutes=5))))
    assert turn(database) == {"tidy"}
    clock.advance(10 * DAY)
    assert turn(database, house(calendar=Calendar(days=frozenset()))) == {"tidy"}
    assert turn(database) == MORNING


def test_an_action_is_reminded_of_on_its_day_and_by_the_week_though_its_day_fell_into_a_downtime(
    database: Database, clock: ManualClock
) -> None:
    def acting(tx: Tx) -> None:
        _resolved_critical(tx)
        known = tx.incident(1)
        assert known is not None
        tx.save(
            replace(known, actions=(Action(id=1, text="add a test", owner="alice", due="2026-03-10"),)),
            next_due_at=None,
        )

    database.write(acting)
    told: list[list[str]] = []
    for hours in (0, 24 * 5, 24, 24 * 6):  # Friday, then Wednesday, Thursday, the next Wednesday
        clock.advance(timedelta(hours=hours))
        turn(database)
        told.append(sent(database, "action:"))
    assert [len(texts) for texts in told] == [0, 1, 0, 1]
    assert "INC-1 action 1, add a test (owner alice, due 2026-03-10, 1 d overdue)" in told[1][0]
    (todo,) = database.read(lambda tx: round_notes.open_actions(tx, HOUSE))
    assert todo.late == 8


def test_an_action_that_was_reminded_of_on_its_day_is_not_on_the_next(
    database: Database, clock: ManualClock
) -> None:
    due = {"id": 1, "text": "add a test", "owner": "alice", "due": "2026-03-09"}

    def acting(tx: Tx) -> None:
        _resolved_critical(tx)
        change(tx, HOUSE, tx.incident(1), 1, [lifecycle.event("action_added", tx.now(), "alice", **due)])

    database.write(acting)
    told: list[int] = []
    for days in (3, 1, 1, 5):  # Monday, Tuesday, Wednesday, the next Monday
        clock.advance(days * DAY)
        turn(database)
        told.append(len(sent(database, "action:")))
    assert told == [1, 0, 0, 1]


def test_processed_notifications_are_forgotten_after_thirty_days(
    database: Database, clock: ManualClock
) -> None:
    """A waiting one and a dead one stay."""
    for name in ("done", "dead", "waiting"):
        database.write(lambda tx, n=name: tx.inbox_put("cloud-monitoring", n, b"{}", {}))  # type: ignore[misc]
    rows = {row.delivery_key: row.id for row in database.read(lambda tx: tx.inbox_batch(9))}
    database.write(lambda tx: tx.inbox_done([rows["done"]]))
    database.write(lambda tx: tx.inbox_dead(rows["dead"], "no"))
    clock.advance(31 * DAY)
    assert database.write(lambda tx: chores.tidy(tx, HOUSE)) == 1
    assert database.read(lambda tx: tx.inbox_counts()) == {"waiting": 1, "dead": 1}
