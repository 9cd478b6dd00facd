"""The operations calendar: when a daily, weekly or monthly checklist is due. Pure.

Days and hours are those of one time zone; what comes out are aware UTC instants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FAR = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """`days` are the working days (Monday is 0), none: the calendar is off. `at` is the hour in the zone `tz`."""

    tz: str = "UTC"
    days: frozenset[int] = frozenset(range(5))
    at: time = time(9)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)

    def today(self, now: datetime) -> date:
        """The calendar's date at an instant."""
        return now.astimezone(self.zone).date()


USUAL = Calendar()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One period of a kind (`daily`, `weekly`, `monthly`): `key` is its name, unique for ever."""

    kind: str
    key: str
    due_at: datetime

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.key}"


def parse_days(text: str) -> frozenset[int]:
    """ "mon-fri", "sun-thu", "mon,wed,fri"; "off" is none. Raises ValueError."""
    wanted = text.strip().lower()
    found: set[int] = set()
    for part in () if wanted == "off" else wanted.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        ends = [WEEKDAYS.index(name) if name in WEEKDAYS else -1 for name in (first, last if dash else first)]
        if -1 in ends:
            raise ValueError(f"must be days such as mon-fri or mon,wed,fri, or off; not {text!r}")
        begin, length = ends[0], (ends[1] - ends[0]) % 7
        found |= {(begin + n) % 7 for n in range(length + 1)}
    return frozenset(found)


def working_days(calendar: Calendar, since: datetime, until: datetime) -> int:
    """Whole working days between two instants, by the calendar's dates."""
    day, last = calendar.today(since), calendar.today(until)
    return sum((day + timedelta(days=n)).weekday() in calendar.days for n in range(1, (last - day).days + 1))


def latest(calendar: Calendar, kind: str, now: datetime) -> Slot | None:
    """The newest period of this kind that is due; None while the calendar is off."""
    return next(_back(calendar, kind, now), None)


def following(calendar: Calendar, now: datetime) -> datetime | None:
    """When the next working day's operations are due, after an instant; None while the calendar is off."""
    day = calendar.today(now)
    ahead = (
        day + timedelta(days=n) for n in range(9) if (day + timedelta(days=n)).weekday() in calendar.days
    )
    return next((due for each in ahead if (due := _due(calendar, each)) > now), None)


def missed(calendar: Calendar, kind: str, since: datetime, slot: Slot) -> int:
    """How many periods before this one fell due after an instant (and were never begun)."""
    count = 0
    at = slot.due_at - timedelta(seconds=1)
    while count < 400 and (earlier := latest(calendar, kind, at)) is not None and earlier.due_at > since:
        count += 1
        at = earlier.due_at - timedelta(seconds=1)
    return count


def _back(calendar: Calendar, kind: str, now: datetime) -> Iterator[Slot]:
    day = calendar.today(now)
    for back in range(_FAR):
        wanted = day - timedelta(days=back)
        worked = wanted.weekday() in calendar.days and _first(calendar, kind, wanted)
        if worked and (due := _due(calendar, wanted)) <= now:
            yield Slot(kind=kind, key=_key(kind, wanted), due_at=due)


def _due(calendar: Calendar, day: date) -> datetime:
    return datetime.combine(day, calendar.at, calendar.zone).astimezone(UTC)


def _first(calendar: Calendar, kind: str, day: date) -> bool:
    """Whether the working day is the first of its week or month; every one is a day's."""
    if kind == "daily":
        return True
    if kind == "weekly":
        return day.weekday() == _begins(calendar.days)
    return all((day - timedelta(days=n)).weekday() not in calendar.days for n in range(1, day.day))


def _begins(days: frozenset[int]) -> int:
    """The weekday on which the working week begins: after the longest rest; Monday where all rests are alike."""

    def rest(day: int) -> int:
        return next(n for n in range(7) if (day - 1 - n) % 7 in days or n == 6)

    return max(sorted(days), key=rest)


def _key(kind: str, day: date) -> str:
    if kind == "daily":
        return day.isoformat()
    # A week that begins on a Sunday is the one that most of it lies in.
    year, week, _ = (day + timedelta(days=3)).isocalendar()
    return f"{year}-W{week:02d}" if kind == "weekly" else f"{day:%Y-%m}"
