"""On call in words: the same in Slack, on the page and in the terminal. Plain text; whoever shows it escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from bot.core import groups
from bot.core.oncall import clock, hand_overs, paged, standing
from bot.core.oncall import plan as days_of
from bot.core.overrides import Override
from bot.core.policy import Level
from bot.core.receipts import METHODS, WAYS, Receipt
from bot.core.roster import Person, PhoneNumber, Roster, members, reached_by

UNREACHABLE = "NOT REACHABLE by a message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One place in words; "" where there is nothing to say. `note` tells of an override."""

    place: str
    person: str
    until: str = ""
    note: str = ""
    ways: str = ""
    number: str = ""

    def line(self) -> str:
        """The whole row as one line."""
        until = f" until {self.until}" if self.until else ""
        note = f" ({self.note})" if self.note else ""
        reached = self.ways if self.ways == UNREACHABLE else f"reached by {self.ways}"
        found = f", {reached}" if self.ways else ""
        dial = f"; dial {self.number}" if self.number and self.ways else ""
        return f"{self.place}: {self.person}{until}{note}{found}{dial}"


def standing_rows(roster: Roster, at: datetime, zone: ZoneInfo) -> list[Held]:
    """Each place as it stands: who, until when, by which override, reached how; empty levels say NOBODY."""
    rows, held = [], set()
    for each in standing(roster, at):
        held.add(each.place.level)
        person, by = each.person, each.override
        rows.append(
            Held(
                place=each.place.title,
                person=person.name if person else "NOBODY",
                until=clock(each.until, zone) if each.until else "",
                note=f"override {by.id}, by {by.made_by}" if by else "",
                ways=ways(roster, person),
                number=(person.phone or "") if person else "",
            )
        )
    if roster.first.primary is None:
        rows.insert(0, Held(place="L1 primary", person="NOBODY"))
        held.add(Level.L1)
    last = roster.first.emergency
    if isinstance(last, PhoneNumber):
        place = sum(row.place.startswith("L1") for row in rows)
        rows.insert(place, Held(place="L1 emergency", person=last.number, number=last.number))
    for level, refs in roster.groups.items():
        for ref in refs:
            names = ", ".join(person.name for person in members(roster, ref))
            rows.append(Held(place=f"{level} group {ref}", person=names or "NOBODY"))
            held.add(level)
    return [*rows, *(Held(place=str(level), person="NOBODY") for level in Level if level not in held)]


def standing_lines(roster: Roster, at: datetime, zone: ZoneInfo) -> list[str]:
    """One line for each place: who, until when, by which override, reached how."""
    return [row.line() for row in standing_rows(roster, at, zone)]


def ways(roster: Roster, person: Person | None) -> str:
    """By which ways a page finds the person."""
    if person is None:
        return ""
    found = [WAYS[METHODS[way]] for way in reached_by(roster, person)]
    return ", ".join(found) if found else UNREACHABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Days on end with the same holder. `label` names them: "Mon 23 Nov to Sun 29 Nov"."""

    text: str
    days: int
    label: str


def calendar(
    roster: Roster, at: datetime, zone: ZoneInfo, days: int = 14
) -> tuple[list[datetime], list[tuple[str, list[Stretch]]]]:
    """(the days, for each place its title and its stretches): a row a place, a column a day. Empty levels too."""
    ahead = days_of(roster, at, zone, days)
    titles = list(ahead[0].cells)
    rows = [(title, _stretches([(d.day, d.cells[title]) for d in ahead])) for title in titles]
    empty = [
        str(level)
        for level in Level
        if level not in roster.groups and not any(title.startswith(str(level)) for title in titles)
    ]
    rows += [(level, _stretches([(d.day, "NOBODY") for d in ahead])) for level in empty]
    return [d.day for d in ahead], sorted(rows, key=lambda row: row[0][:2])


def _stretches(cells: Sequence[tuple[datetime, str]]) -> list[Stretch]:
    made = []
    for text, group in groupby(cells, key=lambda cell: cell[1]):
        days = [day for day, _ in group]
        first, last = (
            f"{days[0]:%a} {days[0].day} {days[0]:%b}",
            f"{days[-1]:%a} {days[-1].day} {days[-1]:%b}",
        )
        label = first if len(days) == 1 else f"{first} to {last}"
        made.append(Stretch(text=text, days=len(days), label=label))
    return made


def plan_table(
    roster: Roster, at: datetime, zone: ZoneInfo, days: int = 14
) -> tuple[list[str], list[list[str]], str]:
    """(columns, rows, a line): the coming days of the places that change hands, and who holds the others."""
    days_ahead = days_of(roster, at, zone, days)
    titles = list(days_ahead[0].cells)
    moving = [title for title in titles if len({day.cells[title] for day in days_ahead}) > 1]
    still = [f"{title} {days_ahead[0].cells[title]}" for title in titles if title not in moving]
    rows = [[f"{day.day:%a %Y-%m-%d}", *(day.cells[title] for title in moving)] for day in days_ahead]
    fixed = f"The next {days} days without a change: {', '.join(still)}" if still else ""
    return ["Day", *moving], rows if moving else [], fixed


def receipt_lines(roster: Roster, receipts: Sequence[Receipt], at: datetime) -> list[str]:
    """The newest test page by each method to each person whom a page may go to now; `receipts` newest first."""
    newest = {(r.person, r.method): r for r in reversed(receipts)}
    return [
        f"Test page to {name} by {WAYS.get(r.method, r.method)}: {r.words}"
        for name in paged(roster, at)
        for (person, _), r in newest.items()
        if person == name
    ]


def override_words(o: Override, zone: ZoneInfo) -> str:
    """One override in a sentence, with its id."""
    what = f"{o.person} and {o.other} swap" if o.kind == "swap" else f"{o.person} takes {place_words(o)}"
    if o.kind == "override" and o.other:
        what += f" from {o.other}"
    why = f": {o.reason}" if o.reason else ""
    return f"Override {o.id}: {what}, {clock(o.begin, zone)} to {clock(o.end, zone)}, by {o.made_by}{why}"


def place_words(o: Override) -> str:
    """The place of an override in words."""
    return f"L1 {o.place}" if o.level is Level.L1 else str(o.level)


def as_json(
    roster: Roster, overrides: Sequence[Override], receipts: Sequence[Receipt], now: datetime, days: int = 14
) -> dict[str, Any]:
    """Who is on call, for scripts; instants are RFC 3339 in UTC. `roster` has the overrides."""
    return {
        "as_of": _at(now),
        "now": [
            {
                "place": each.place.title,
                "level": str(each.place.level),
                "person": each.person.name if each.person else None,
                "until": _at(each.until),
                "override": each.override.id if each.override else None,
                "reached_by": [METHODS[w] for w in reached_by(roster, each.person)] if each.person else [],
                "phone": each.person.phone if each.person else None,
            }
            for each in standing(roster, now)
        ],
        "hand_overs": [
            {"at": _at(h.at), "place": h.place.title, "from": h.outgoing or None, "to": h.incoming or None}
            for h in hand_overs(roster, now, now + timedelta(days=days))
        ],
        "overrides": [
            {
                "id": o.id,
                "kind": o.kind,
                "place": place_words(o) if o.kind == "override" else None,
                "person": o.person,
                "other": o.other or None,
                "begin": _at(o.begin),
                "end": _at(o.end),
                "reason": o.reason,
                "made_by": o.made_by,
            }
            for o in overrides
        ],
        "test_pages": [
            {
                "person": r.person,
                "level": r.level,
                "method": r.method,
                "made_at": _at(r.made_at),
                "sent_at": _at(r.sent_at),
                "seen_at": _at(r.seen_at),
                "acknowledged_at": _at(r.acked_at),
                "failed": r.failed or None,
            }
            for r in receipts
        ],
        "groups": groups.lines(roster, now),
        "contacts": {subject: contact.value for subject, contact in roster.contacts.items()},
    }


def _at(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
