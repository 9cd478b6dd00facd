"""On call in words: the same in Slack, on the page and in the terminal. Plain text; whoever shows it escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.core.oncall import clock, hand_overs, standing
from bot.core.oncall import plan as days_of
from bot.core.overrides import Override
from bot.core.policy import Level
from bot.core.receipts import METHODS, WAYS, Receipt
from bot.core.roster import Person, PhoneNumber, Roster, reached_by


def standing_lines(roster: Roster, at: datetime, zone: ZoneInfo) -> list[str]:
    """One line for each place: who, until when, by which override, reached how."""
    lines, held = [], set()
    for each in standing(roster, at):
        held.add(each.place.level)
        who = each.person.name if each.person else "NOBODY"
        until = f" until {clock(each.until, zone)}" if each.until else ""
        by = f" (override {each.override.id}, by {each.override.made_by})" if each.override else ""
        lines.append(f"{each.place.title}: {who}{until}{by}{reached(roster, each.person)}")
    if roster.first.primary is None:
        lines.insert(0, "L1 primary: NOBODY")
        held.add(Level.L1)
    last = roster.first.emergency
    if isinstance(last, PhoneNumber):
        lines.insert(sum(line.startswith("L1") for line in lines), f"L1 emergency: {last.number}")
    lines += [f"{level}: NOBODY" for level in Level if level not in held]
    return lines


def reached(roster: Roster, person: Person | None) -> str:
    """By which ways a page finds the person, and the number to dial."""
    if person is None:
        return ""
    ways = [WAYS[METHODS[way]] for way in reached_by(roster, person)]
    dial = f"; dial {person.phone}" if person.phone else ""
    return f", reached by {', '.join(ways)}{dial}" if ways else f", NOT REACHABLE by a message{dial}"


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
    """The newest test page by each method to each person who is on call now; `receipts` newest first."""
    newest = {(r.person, r.method): r for r in reversed(receipts)}
    names = dict.fromkeys(s.person.name for s in standing(roster, at) if s.person)
    return [
        f"Test page to {name} by {WAYS.get(r.method, r.method)}: {r.words}"
        for name in names
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
        "contacts": {subject: contact.value for subject, contact in roster.contacts.items()},
    }


def _at(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
