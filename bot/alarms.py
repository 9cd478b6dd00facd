"""APScheduler as the alarm clock: at each moment of the calendar it has a loop look at once for rows that are missing.

Its jobs are in memory and keep nothing: what a downtime slept through is found by the loops' own tick, and so is what
it does not ring for (it stops when the wall clock is set back). So it is never the only clock (design, "One clock").
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from bot.clock import Clock
from bot.core import periods
from bot.core.roster import next_hand_over
from bot.desk import chores
from bot.desk.house import House

OPERATIONS, CHORES, HAND_OVERS = "operations", "chores", "hand-overs"


class Moments(BaseTrigger):  # type: ignore[misc]
    """Rings at the moments that a function names: it takes an instant of the incidents' time and returns the next one
    after it, or None when there is none."""

    def __init__(self, following: Callable[[datetime], datetime | None], clock: Clock) -> None:
        self._following = following
        self._clock = clock

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next moment in real time. Both arguments and the answer are aware."""
        wall = max(now, previous_fire_time or now).astimezone(UTC)
        domain = self._clock.domain_of(wall)
        due = self._following(domain)
        # A moment in which it has just rung is not rung for again because a division was rounded.
        return (
            None if due is None else wall + max(timedelta(milliseconds=1), (due - domain) / self._clock.speed)
        )


def build(house: Callable[[], House], clock: Clock, ring: Callable[[str], None]) -> AsyncIOScheduler:
    """The scheduler, not started. ``ring`` is called on the event loop with what the time has come for."""

    async def rung(what: str) -> None:
        ring(what)

    moments: dict[str, Callable[[datetime], datetime | None]] = {
        OPERATIONS: lambda now: periods.following(house().calendar, now),
        CHORES: chores.following,
        HAND_OVERS: lambda now: next_hand_over(house().roster, now),
    }
    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    for what, following in moments.items():
        scheduler.add_job(rung, Moments(following, clock), args=[what], id=what)
    return scheduler
