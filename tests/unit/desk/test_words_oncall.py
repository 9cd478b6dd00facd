"""/oncall: who is on call, overrides and swaps, told to those whom they are about."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core import roster as rosters
from bot.core.asks import Asker, Command
from bot.core.delivery import Sent, settle
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Level, Person, PhoneNumber, Roster, Rotation
from bot.desk.front import FrontDesk
from bot.desk.house import House
from bot.desk.live import live
from bot.store.database import Database

NOW = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)  # a Monday, 04:10 in Berlin
HOUR = timedelta(hours=1)
NAMES = ("alice", "bob", "carol", "dave", "erin")
PEOPLE = {name: Person(name=name, slack=f"U{name.upper()}", tz="Europe/Berlin") for name in NAMES}
TURNS = Rotation(people=("alice", "bob"), every=timedelta(days=7), start=date(2026, 11, 2), hand_over=time(9))
HOUSE = House(
    roster=Roster(
        people=PEOPLE,
        first=FirstLevel(primary=TURNS, backup=Always("bob"), emergency=PhoneNumber("+1-555-DATA-ENG")),
        upper={Level.L2: (Always("carol"),), Level.L3: (Always("dave"), Always("erin"))},
    ),
    policy=Policy(),
    runbooks=(),
    pipelines=(),
    operations={},
)


class Desk:
    """The front desk over a database of its own; what it says is read from the outbox."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self._desk = FrontDesk(store=database, house=lambda: HOUSE, registry={}, wake=lambda: None)
        self._ids = itertools.count(1)

    async def says(self, who: str, text: str) -> list[dict[str, Any]]:
        """Type `/oncall TEXT`; the data of every row that this puts into the outbox."""
        asker = Asker(user=f"U{who.upper()}", channel="C1", request_id=f"r{next(self._ids)}")
        await self._desk.command(Command(asker=asker, name="/oncall", text=text))
        said: list[dict[str, Any]] = []
        while rows := self.database.write(lambda tx: tx.claim(50)):
            for row in rows:
                said.append({**row.outbound.data, "key": row.outbound.key})
                self.database.write(lambda tx, r=row: tx.finish(r, settle(r, Sent())))
        return said

    def primary(self, after: timedelta = timedelta(0)) -> str:
        """Who would be paged first at that time."""
        at = self.clock.now() + after
        roster = self.database.read(lambda tx: live(tx, HOUSE)).roster
        found = rosters.primary(roster, at)
        return found.name if found else ""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock(NOW)
    with Database(f"sqlite:///{tmp_path / 'oncall.db'}", clock, create=True) as database:
        yield Desk(database, clock)


def answer(rows: list[dict[str, Any]]) -> str:
    (found,) = [row for row in rows if row["key"].startswith("answer:")]
    return " ".join([str(found["text"]), *found.get("lines", ())])


async def test_an_override_changes_who_is_paged_and_both_are_told(desk: Desk) -> None:
    rows = await desk.says("alice", "override L1 @bob for 2h dentist")
    assert "Override 1: bob takes L1 primary from alice" in answer(rows)
    told = {row["to"]: row["text"] for row in rows if "to" in row}
    assert set(told) == {"UALICE", "UBOB"}
    assert all("04:10 Europe/Berlin" in words and "dentist" in words for words in told.values())
    assert (desk.primary(), desk.primary(2 * HOUR)) == ("bob", "alice")


async def test_now_marks_the_override_and_shows_two_weeks(desk: Desk) -> None:
    await desk.says("alice", "override L1 @bob for 2h dentist")
    (row,) = await desk.says("dave", "")
    lines = row["lines"]
    assert any(line.startswith("L1 primary: bob until Mon 2026-11-23 06:10") for line in lines)
    assert any("(override 1, by alice)" in line and "reached by Slack" in line for line in lines)
    assert "L4: NOBODY" in lines
    assert row["table"]["columns"] == ["Day", "L1 primary"]
    assert row["table"]["rows"][0] == ["Mon 2026-11-23", "alice, 04:10 bob, 06:10 alice, 10:00 bob"]
    assert len(row["table"]["rows"]) == 14
    assert any("without a change: L1 backup bob, L2 carol" in line for line in lines)


async def test_a_swap_begins_and_ends_by_itself_and_can_be_cancelled(desk: Desk) -> None:
    rows = await desk.says("alice", "swap @bob from 06:00 until 08:00")
    assert "Override 1: alice and bob swap" in answer(rows)
    assert [desk.primary(n * HOUR) for n in (0, 2, 4)] == ["alice", "bob", "alice"]
    desk.clock.advance(2 * HOUR)
    assert "Cancelled" in answer(await desk.says("bob", "cancel 1"))
    assert [desk.primary(n * HOUR) for n in (0, 1)] == ["alice", "alice"]
    assert "no such override" in answer(await desk.says("bob", "cancel 1"))


async def test_a_swap_that_is_typed_twice_does_not_undo_itself(desk: Desk) -> None:
    assert "alice and bob swap" in answer(await desk.says("alice", "swap @alice @bob for 8h"))
    for again in ("swap @alice @bob for 8h", "swap @bob @alice for 1h"):
        assert "Override 1 swaps them then already." in answer(await desk.says("bob", again))
    assert "alice and bob swap" in answer(
        await desk.says("alice", "swap @alice @bob from tomorrow 09:00 for 8h")
    )
    assert len(desk.database.read(lambda tx: tx.overrides(NOW))) == 2


async def test_nobody_makes_themselves_a_technical_lead(desk: Desk) -> None:
    """Else anybody could approve what they asked for."""
    for who, text in (
        ("bob", "override L2 @bob for 1h"),
        ("bob", "swap @bob @carol for 1h"),
        ("stranger", "override L1 @bob for 1h"),
        ("alice", "override L3 @dave @bob for 1h"),
    ):
        assert "You may not" in answer(await desk.says(who, text)), (who, text)
    assert "Override 1" in answer(await desk.says("carol", "override L2 @bob for 1h"))
    assert "Override 2" in answer(await desk.says("dave", "override L1 backup @erin for 1h"))
    assert "You may not" in answer(await desk.says("alice", "cancel 1"))


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("override", "Which level"),
        ("override L9 @bob for 1h", "Which level"),
        ("override L1 for 1h", "Who takes it"),
        ("override L1 @zoe for 1h", "not on the roster"),
        ("override L1 @bob", "From when until when"),
        ("override L1 @alice for 1h", "holds L1 then already"),
        ("override L1 emergency @bob for 1h", "number to dial"),
        ("override L3 @bob for 1h", "several holders"),
        ("override L3 backup @bob for 1h", "L3 has no backup"),
        ("override L3 @bob @carol for 1h", "bob does not hold L3"),
        ("swap @alice @alice for 1h", "Which two"),
        ("swap @alice @bob", "From when until when"),
        ("cancel", "no such override"),
        ("cancel 7", "no such override"),
        ("swop", "Did you mean `/oncall swap`"),
    ],
)
async def test_what_is_wrong_is_told_and_changes_nothing(desk: Desk, text: str, expect: str) -> None:
    assert expect in answer(await desk.says("alice", text))
    assert desk.database.read(lambda tx: tx.overrides(NOW)) == []


async def test_a_level_with_several_holders_is_told_whom(desk: Desk) -> None:
    assert "alice takes L3 from erin" in answer(await desk.says("dave", "override L3 @erin @alice for 1h"))
    roster = desk.database.read(lambda tx: live(tx, HOUSE)).roster
    assert [p.name for p in rosters.holders(roster, Level.L3, NOW)] == ["dave", "alice"]
