"""The alarm clock rings at the moments of the calendar, in the incidents' time, and nothing else depends on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from apscheduler.triggers.base import BaseTrigger

from bot import alarms
from bot.clock import Clock
from bot.core.periods import Calendar, following, latest
from bot.core.roster import FirstLevel, Rotation, next_hand_over
from bot.desk.house import House
from tests.faults.engine import furnished

FRIDAY = datetime(2026, 3, 27, 8, 30, tzinfo=UTC)  # Berlin changes to summer time on the Sunday
BERLIN = Calendar(tz="Europe/Berlin", at=time(9, 30))


@pytest.fixture(scope="module")
def house() -> House:
    turns = Rotation(
        people=("alice", "bob"), every=timedelta(days=7), start=FRIDAY.date(), tz="Europe/Berlin"
    )
    known = furnished()
    roster = replace(known.roster, first=FirstLevel(primary=turns))
    return replace(known, calendar=BERLIN, roster=roster)


def _trigger(house: House, clock: Clock, what: str) -> BaseTrigger:
    job = alarms.build(lambda: house, clock, lambda _: None).get_job(what)
    assert job is not None
    return job.trigger


def _rings(trigger: BaseTrigger, since: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    for _ in range(count):
        at = trigger.get_next_fire_time(found[-1] if found else None, found[-1] if found else since)
        assert at is not None
        found.append(at)
    return found


def test_operations_ring_at_their_hour_of_working_days_across_the_change_of_the_clocks(house: House) -> None:
    rings = _rings(_trigger(house, Clock(), alarms.OPERATIONS), FRIDAY, 3)
    assert [f"{at:%a %H:%M}" for at in rings] == ["Mon 07:30", "Tue 07:30", "Wed 07:30"]
    for at in rings:
        slot = latest(BERLIN, "daily", at)
        assert slot is not None
        assert slot.due_at == at, "it rings when a round is due, not before"
    assert following(replace(BERLIN, days=frozenset()), FRIDAY) is None, "a calendar that is off rings never"


def test_hand_overs_ring_when_the_roster_changes_hands(house: House) -> None:
    rings = _rings(_trigger(house, Clock(), alarms.HAND_OVERS), FRIDAY, 3)
    assert [f"{at:%a %H:%M}" for at in rings] == ["Fri 07:00"] * 3, "09:00 in Berlin, in summer"
    assert all(next_hand_over(house.roster, before) == after for before, after in pairwise(rings))


def test_a_fast_clock_moves_the_moments(house: House) -> None:
    fast = Clock(wall0=FRIDAY.timestamp(), domain0=FRIDAY.timestamp(), speed=3600.0)
    rings = _rings(_trigger(house, fast, alarms.CHORES), FRIDAY, 2)
    day = timedelta(days=1) / 3600
    assert rings[1] - rings[0] == pytest.approx(day, abs=timedelta(milliseconds=2))
    assert fast.domain_of(rings[0]).strftime("%H:%M") == "03:40"


def test_the_scheduler_rings_the_loop(house: House) -> None:
    """A minute of this clock is a millisecond, so a night's chores are half a second away at most."""
    clock = Clock(wall0=datetime.now(UTC).timestamp(), domain0=FRIDAY.timestamp(), speed=200_000.0)

    async def run() -> str:
        rung: asyncio.Queue[str] = asyncio.Queue()
        scheduler = alarms.build(lambda: house, clock, rung.put_nowait)
        scheduler.start()
        try:
            return await asyncio.wait_for(rung.get(), 30)
        finally:
            scheduler.shutdown(wait=False)

    assert asyncio.run(run()) in (alarms.CHORES, alarms.OPERATIONS, alarms.HAND_OVERS)
