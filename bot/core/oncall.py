"""On call as people see it: every place of every level, who holds it until when, and what is to come. Pure.

Instants are aware UTC; days and hours are those of the reader's zone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.core.overrides import Overridden, Override, touching
from bot.core.policy import Level
from bot.core.roster import Person, PhoneNumber, Place, Roster, contact_people, holders
from bot.core.rotation import DAY, instant_of

FIRST = ("primary", "backup", "emergency")
_UPPER = (Level.L2, Level.L3, Level.L4)
MOST_HAND_OVERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One place of the roster. `place` is its key ("primary", "1"); `title` its name for people ("L1 primary")."""

    level: Level
    place: str
    title: str
    holder: Place

    @property
    def key(self) -> str:
        """Its name for ever: "L1:primary"."""
        return f"{self.level}:{self.place}"


def places(roster: Roster) -> tuple[Named, ...]:
    """Every place that is held by people, L1 first. A number to dial is no place."""
    found = []
    for name in FIRST:
        holder = getattr(roster.first, name)
        if holder is not None and not isinstance(holder, PhoneNumber):
            found.append(Named(level=Level.L1, place=name, title=f"L1 {name}", holder=holder))
    for level in _UPPER:
        held = roster.upper.get(level, ())
        for number, holder in enumerate(held, 1):
            title = str(level) if len(held) == 1 else f"{level} ({number})"
            found.append(Named(level=level, place=str(number), title=title, holder=holder))
    return tuple(found)


def with_overrides(roster: Roster, overrides: Collection[Override]) -> Roster:
    """The roster as it stands with these overrides: what everybody who asks who is on call must use.

    One that gives a place to somebody whom the roster does not know any more is none.
    """
    overrides = [o for o in overrides if all(name in roster.people for name in takers(o))]
    if not overrides:
        return roster
    first = roster.first
    changed: dict[str, Place] = {}
    for name in FIRST:
        holder = getattr(first, name)
        if isinstance(holder, PhoneNumber):
            continue
        place = _over(holder, overrides, Level.L1, name)
        if place is not None:
            changed[name] = place
    upper: dict[Level, tuple[Place, ...]] = {}
    for level in _UPPER:
        # An empty level can be held by an override alone.
        held: Sequence[Place | None] = roster.upper.get(level) or (None,)
        found = (_over(holder, overrides, level, str(n)) for n, holder in enumerate(held, 1))
        upper[level] = tuple(place for place in found if place is not None)
    return replace(roster, first=replace(first, **changed), upper={k: v for k, v in upper.items() if v})


def takers(o: Override) -> tuple[str, ...]:
    """Who holds a place by it."""
    return (o.person, o.other) if o.kind == "swap" else (o.person,)


def _over(holder: Place | None, overrides: Collection[Override], level: Level, place: str) -> Place | None:
    base = holder.base if isinstance(holder, Overridden) else holder
    touched = touching(overrides, level, place, base)
    return Overridden(base, touched) if touched else holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who holds a place now: the person (None: nobody), until when (None: for good), and by which override."""

    place: Named
    person: Person | None
    until: datetime | None
    override: Override | None


def standing(roster: Roster, at: datetime) -> tuple[Standing, ...]:
    """Every place as it stands at this instant."""
    return tuple(
        Standing(
            place=each,
            person=roster.people.get(each.holder.on_duty(at)),
            until=each.holder.next_hand_over(at),
            override=each.holder.by(at) if isinstance(each.holder, Overridden) else None,
        )
        for each in places(roster)
    )


def paged(roster: Roster, at: datetime) -> dict[str, str]:
    """Whom a page may go to at this instant, by name, and as what: the highest level that they hold, else the
    subject that they are a contact for. Of user groups those who were last read to be in them."""
    found = {person.name: str(level) for level in Level for person in holders(roster, level, at)}
    for contact in roster.contacts.values():
        for person in contact_people(roster, contact):
            found.setdefault(person.name, contact.subject)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """At `at` the place goes from one to the other; "" where nobody held, or will hold, it."""

    at: datetime
    place: Named
    outgoing: str
    incoming: str


def hand_overs(roster: Roster, after: datetime, until: datetime) -> list[HandOver]:
    """Every change of hands after `after` up to `until`, in order."""
    found = [change for each in places(roster) for change in _of(each, after, until)]
    return sorted(found, key=lambda change: (change.at, change.place.key))


def _of(place: Named, after: datetime, until: datetime) -> Iterator[HandOver]:
    name, at = place.holder.on_duty(after), place.holder.next_hand_over(after)
    while at is not None and at <= until:
        incoming = place.holder.on_duty(at)
        yield HandOver(at=at, place=place, outgoing=name, incoming=incoming)
        name, at = incoming, place.holder.next_hand_over(at)


def since(place: Named, known: datetime, now: datetime) -> datetime | None:
    """When the one who holds the place at `now` took it over, looking back to `known`; None when that was
    before, or no hand-over says so (the roster itself was changed)."""
    last = None
    for number, change in enumerate(_of(place, known, now)):
        last = change.at
        if number >= MOST_HAND_OVERS:
            return None
    return last


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the plan: for each place by its title, who holds it, with the hours of hand-overs."""

    day: datetime
    cells: Mapping[str, str]


def plan(roster: Roster, now: datetime, zone: ZoneInfo, days: int = 14) -> list[Day]:
    """The days from today on in a zone: "alice", or "alice, 09:00 bob" where the place changes hands that day.

    `Day.day` is midnight in the zone.
    """
    today = now.astimezone(zone).date()
    found = []
    for number in range(days):
        midnight = datetime.combine(today + number * DAY, time(0))
        begin, end = instant_of(midnight, zone), instant_of(midnight + DAY, zone)
        cells = {each.title: _cell(each, begin, end, zone) for each in places(roster)}
        found.append(Day(day=midnight.replace(tzinfo=zone), cells=cells))
    return found


def _cell(place: Named, begin: datetime, end: datetime, zone: ZoneInfo) -> str:
    words = [place.holder.on_duty(begin) or "nobody"]
    for change in _of(place, begin, end - timedelta(microseconds=1)):
        words.append(f"{change.at.astimezone(zone):%H:%M} {change.incoming or 'nobody'}")
    return ", ".join(words)


def slot(weekday: int, at: time, now: datetime, zone: ZoneInfo) -> datetime:
    """The last `at` o'clock of that weekday (Monday is 0) in the zone that is not after `now`."""
    local = now.astimezone(zone)
    day = local.date() - ((local.weekday() - weekday) % 7) * DAY
    found = instant_of(datetime.combine(day, at), zone)
    return found if found <= now else instant_of(datetime.combine(day - 7 * DAY, at), zone)


def zone_of(person: Person | None) -> ZoneInfo:
    """The person's zone; UTC for somebody who is not on the roster."""
    return ZoneInfo(person.tz if person is not None else "UTC")


def clock(at: datetime, zone: ZoneInfo) -> str:
    """An instant in a zone, with the zone's name: "Tue 2026-11-24 09:00 Europe/Berlin"."""
    return f"{at.astimezone(UTC).astimezone(zone):%a %Y-%m-%d %H:%M} {zone.key}"
