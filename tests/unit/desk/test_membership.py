"""Who is in the roster's user groups: asked of Slack when it is time, and at once when it tells of a change."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core.asks import GroupChanged
from bot.core.groups import EVERY, Group, Member
from bot.core.policy import Level, Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.desk.house import House
from bot.desk.membership import AGAIN, Membership
from bot.store.database import Database

BEGIN = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
ROSTER = Roster(
    people={"alice": Person(name="alice", slack="U01ALICE")},
    first=FirstLevel(primary=Always("alice")),
    groups={Level.L2: ("@leads",), Level.L3: ("S01HEADS",)},
)
HOUSE = House(roster=ROSTER, policy=Policy(), runbooks=(), pipelines=(), operations={})


@dataclass
class Slack:
    """What is asked of it; ``meanwhile`` happens between its answer and what is made of it."""

    leads: tuple[str, ...] = ("carol",)
    asked: int = 0
    error: str = ""
    meanwhile: list[GroupChanged] = field(default_factory=list)
    heard: Membership | None = None

    async def read(
        self, refs: Collection[str], now: datetime, seconds: float
    ) -> tuple[dict[str, Group], str]:
        self.asked += 1
        if self.error:
            return {}, self.error
        people = tuple(Member(id=f"U{name.upper()}", name=name) for name in self.leads)
        answer = {
            "@leads": Group(id="S01LEADS", handle="leads", members=people, read_at=now),
            "S01HEADS": Group(id="S01HEADS", handle="heads", read_at=now),
        }
        assert set(refs) == set(answer)
        while self.meanwhile and self.heard is not None:
            self.leads = ()
            await self.heard.changed(self.meanwhile.pop())
        return answer, ""


@dataclass
class Watched:
    """A membership, its Slack and its clock; ``woken`` counts."""

    clock: ManualClock
    slack: Slack
    database: Database
    woken: int = 0

    def __post_init__(self) -> None:
        self.membership = self.another()
        self.slack.heard = self.membership

    def another(self) -> Membership:
        """One more replica."""
        return Membership(
            store=self.database, house=lambda: HOUSE, reader=self.slack, now=self.clock.now, wake=self._wake
        )

    def _wake(self) -> None:
        self.woken += 1

    async def turns(self) -> int:
        """How often Slack is asked until there is nothing more to do."""
        for count in range(10):
            if not await self.membership.turn():
                return count
        raise AssertionError("it asks without end")

    def leads(self) -> list[str]:
        return [p.name for p in self.membership.house().roster.people.values() if p.name != "alice"]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    clock = ManualClock(BEGIN)
    with Database(f"sqlite:///{tmp_path / 'groups.db'}", clock, create=True) as database:
        yield Watched(clock, Slack(), database)


def told(group: str = "S01LEADS", handle: str = "", event: str = "Ev1") -> GroupChanged:
    return GroupChanged(id=event, group=group, handle=handle)


async def test_groups_are_read_at_the_start_and_hourly(watched: Watched) -> None:
    assert (await watched.turns(), watched.leads()) == (1, ["carol"])
    watched.clock.advance(EVERY - timedelta(seconds=1))
    assert await watched.turns() == 0
    watched.clock.advance(timedelta(seconds=1))
    assert await watched.turns() == 1


@pytest.mark.parametrize(
    "event",
    [
        told(),
        told(handle="leads"),
        told("S01HEADS"),
        told("S02NEW", "leads"),
        told("S02NEW", "Leads"),
        told("S01LEADS", "renamed"),
    ],
    ids=[
        "members",
        "updated",
        "named by id",
        "another group takes the handle",
        "in capitals",
        "loses the handle",
    ],
)
async def test_a_change_that_slack_tells_of_is_read_at_once_and_once(
    watched: Watched, event: GroupChanged
) -> None:
    await watched.turns()
    watched.slack.leads = ()
    await watched.membership.changed(event)
    assert watched.woken == 1
    assert (await watched.turns(), watched.leads()) == (1, [])


@pytest.mark.parametrize("event", [told("S09OTHER"), told("S09OTHER", "others"), told("")])
async def test_a_group_that_the_roster_does_not_name_asks_nothing_of_slack(
    watched: Watched, event: GroupChanged
) -> None:
    await watched.turns()
    await watched.membership.changed(event)
    assert (watched.woken, await watched.turns()) == (0, 0)


async def test_a_change_in_the_middle_of_a_reading_is_read_once_more(watched: Watched) -> None:
    watched.slack.meanwhile = [told()]
    await watched.turns()
    watched.slack.leads = ("carol",)
    await watched.membership.changed(told(event="Ev2"))
    watched.slack.meanwhile = [told(event="Ev3")]
    assert (await watched.turns(), watched.leads()) == (2, [])


async def test_the_reading_before_a_click_is_enough_for_what_slack_told_before(watched: Watched) -> None:
    await watched.turns()
    await watched.membership.changed(told())
    await watched.membership.before_a_click()
    assert await watched.turns() == 0


async def test_another_replica_reads_what_was_told_to_this_one(watched: Watched) -> None:
    await watched.turns()
    watched.slack.leads = ("dave",)
    await watched.membership.changed(told())
    assert await watched.another().turn() == 1
    assert (await watched.turns(), watched.leads()) == (0, ["dave"])


async def test_a_change_that_could_not_be_read_is_not_forgotten_and_not_asked_for_without_end(
    watched: Watched,
) -> None:
    await watched.turns()
    watched.slack.leads, watched.slack.error = (), "ratelimited"
    await watched.membership.changed(told())
    assert (await watched.turns(), watched.leads()) == (1, ["carol"])
    watched.slack.error = ""
    watched.clock.advance(AGAIN)
    assert (await watched.turns(), watched.leads()) == (1, [])
