"""Rounds of the operations calendar, on both databases, and what replicas make of one period."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from bot.clock import ManualClock
from bot.core.incident import stamp
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.core.rounds import DONE, LAPSED, OPEN, Item, Round
from bot.core.runbook import Runbook, Step
from bot.desk import chores, round_notes
from bot.desk import rounds as calendar
from bot.desk.house import House
from bot.store.database import Database

DAY = timedelta(days=1)
SIGN = Step(id="sign", title="Sign", prose="", line=1, remind=timedelta(hours=2))


def made(clock: ManualClock, key: str, days: int = 0) -> Round:
    item = Item(id="sign", title="Sign\0", owner="alice")
    due = clock.now() + days * DAY
    return Round(id=key, kind=key.split(":")[0], title="Daily", due_at=due, began_at=due, items=(item,))


def test_a_period_begins_once_and_is_changed_in_place(database: Database, clock: ManualClock) -> None:
    first = made(clock, "daily:1")
    assert database.write(lambda tx: tx.begin_round(first))
    assert not database.write(lambda tx: tx.begin_round(replace(first, title="another")))
    assert database.write(lambda tx: tx.round("daily:1")) == first
    done = replace(first, state=DONE, over_at=clock.now())
    database.write(lambda tx: tx.put_round(done))
    assert database.read(lambda tx: tx.open_rounds()) == []
    assert database.read(lambda tx: tx.round("daily:2")) is None


def test_history_is_newest_first_and_by_kind(database: Database, clock: ManualClock) -> None:
    for number in range(3):
        database.write(lambda tx, n=number: tx.begin_round(made(clock, f"daily:{n}", n)))  # type: ignore[misc]
    database.write(lambda tx: tx.begin_round(made(clock, "weekly:9", 9)))
    assert [r.id for r in database.read(lambda tx: tx.rounds())] == [
        "weekly:9",
        "daily:2",
        "daily:1",
        "daily:0",
    ]
    assert [r.id for r in database.read(lambda tx: tx.rounds("daily", 2))] == ["daily:2", "daily:1"]
    assert next(r.id for r in database.read(lambda tx: tx.open_rounds())) == "daily:0"


def house() -> House:
    book = Runbook(
        name="daily", title="Daily operations", kind="daily", steps=(SIGN,), owner="bob@example.com"
    )
    people = {
        name: Person(name=name, slack=f"U{name}", email=f"{name}@example.com") for name in ("alice", "bob")
    }
    roster = Roster(people=people, first=FirstLevel(primary=Always("alice")))
    return House(roster=roster, policy=Policy(), runbooks=(book,), pipelines=(), operations={})


def test_replicas_act_once_and_what_was_slept_through_comes_late_and_once(
    another: Callable[[], Database], clock: ManualClock
) -> None:
    """The store's clock stands on a Monday; the bot was down from then until Thursday noon."""
    one, two = another(), another()
    one.write(lambda tx: tx.put_value(calendar.SINCE, stamp(tx.now())))
    clock.advance(3 * DAY + timedelta(hours=8, minutes=50))
    known = house()
    for _ in range(4):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda db: db.write(lambda tx: calendar.turn(tx, known)), (one, two)))
    found = [r for r in one.read(lambda tx: tx.rounds()) if r.kind == "daily"]
    assert [(r.id, r.state, r.missed) for r in found] == [("daily:2026-11-26", OPEN, 3)]
    assert found[0].items[0].owner == "bob", "the document's owner, by e-mail"
    sent = one.write(lambda tx: tx.claim(50))
    digests = [row.outbound for row in sent if row.outbound.key == "round:daily:2026-11-26"]
    assert len(digests) == 1
    assert "3 h late; 3 earlier ones were missed." in digests[0].data["text"]


def test_reminders_and_the_next_day(database: Database, clock: ManualClock) -> None:
    known = house()
    database.write(lambda tx: calendar.turn(tx, known))
    clock.advance(timedelta(hours=6))
    for _ in range(2):
        database.write(lambda tx: calendar.turn(tx, known))
    assert not database.read(lambda tx: calendar.due(tx, known))
    clock.advance(timedelta(hours=2, minutes=1))
    assert database.read(lambda tx: calendar.due(tx, known))
    database.write(lambda tx: calendar.turn(tx, known))
    rows = [row.outbound for row in database.write(lambda tx: tx.claim(50))]
    (reminder,) = [row for row in rows if ":remind:" in row.key and "daily" in row.key]
    assert reminder.data["mentions"] == ["Ubob"]
    clock.advance(DAY)
    database.write(lambda tx: calendar.turn(tx, known))
    states = {r.id: r.state for r in database.read(lambda tx: tx.rounds("daily"))}
    assert states["daily:2026-11-23"] == LAPSED


def test_a_changed_runbook_is_to_be_reviewed_once_and_counts_from_the_tick(
    database: Database, clock: ManualClock
) -> None:
    known = house()
    database.write(lambda tx: calendar.turn(tx, known))
    book = replace(known.runbooks[0], intro="Now with more words.", last_reviewed=clock.now().date())
    changed = replace(known, runbooks=(book,))
    for _ in range(3):
        clock.advance(DAY)
        database.write(lambda tx: chores.turn(tx, changed))
    (asked,) = database.read(lambda tx: tx.rounds("review"))
    assert [(item.id, item.owner) for item in asked.items] == [("daily", "bob")]
    assert asked.items[0].title == "Daily operations (daily.md): its page has changed"
    assert asked.state == OPEN
    database.write(lambda tx: round_notes.reviewed(tx, changed, "daily"))
    assert database.read(lambda tx: tx.get_value(round_notes.REVIEWED)) == {"daily": "2026-11-26"}
