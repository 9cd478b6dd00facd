"""The roster: who holds which level, and when.

A place on the roster is given to a `Holder`, and every question takes an instant (an aware UTC datetime), so
that what changes over time can take a person's place without a change for those who ask. Nothing here is
frozen into an incident: who is paged is looked up when the page falls due ("Rules: Escalation", Who).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Literal

from bot.core.overrides import Overridden
from bot.core.policy import Level
from bot.core.rotation import Always as Always
from bot.core.rotation import FollowTheSun as FollowTheSun
from bot.core.rotation import Holder as Holder
from bot.core.rotation import Rotation as Rotation

CONTACTS: tuple[str, ...] = ("infrastructure", "network", "data", "business", "security", "compliance")
"""The emergency contacts of the operations document, in its order."""

Place = Holder | Overridden
"""A place of a level: as the roster gives it, or with the overrides that touch it (`bot.core.oncall`)."""

_MENTION = re.compile(r"<@([A-Za-z0-9]+)(?:\|[^>]*)?>")


class Way(StrEnum):
    """Where a page can reach somebody. The channel and the telephone are of no person's choosing."""

    DM = "direct message"
    HOOK = "hook"
    MAIL = "e-mail"
    CHANNEL = "channel"
    PHONE = "telephone"


# These ring or vibrate by themselves; a direct message in Slack may lie there until the morning.
WAKING: tuple[Way, ...] = (Way.HOOK, Way.MAIL)


@dataclass(frozen=True, slots=True)
class Reach:
    """What this installation can send by besides Slack: e-mail, and one hook for people without their own."""

    mail: bool = False
    hook: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person and every way to reach them. `tz` is an IANA name, `tz_given` whether somebody wrote it; an
    absent way is None. A `guest` is known only as a member of a contact's Slack user group (`bot.core.groups`)."""

    name: str
    slack: str | None = None
    email: str | None = None
    phone: str | None = None
    hook: str | None = None
    tz: str = "UTC"
    tz_given: bool = field(default=True, compare=False)
    guest: bool = False


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that a person dials, as it was written (it may hold letters: +1-555-DATA-ENG)."""

    number: str


ContactKind = Literal["person", "group", "mailbox", "link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to call about one subject: a person's name, a Slack user group, a mailbox, or a page to open."""

    subject: str
    kind: ContactKind
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLevel:
    """L1: who is paged first, who stands in, and the last resort."""

    primary: Place | None = None
    backup: Place | None = None
    emergency: Place | PhoneNumber | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyTest:
    """The weekly test page to whoever is on call: from `at` o'clock of `weekday` (Monday is 0) in their own zone.

    answer_within: after so long without an acknowledgement it is reported. `weekday` None: there is none.
    """

    weekday: int | None = 0
    at: time = time(10)
    answer_within: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """A Slack user group as it was last read (None: never): its id, its people by name, or that it is gone.

    error: why Slack could not be asked since then.
    """

    id: str = ""
    names: tuple[str, ...] = ()
    read_at: datetime | None = None
    gone: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """People by name, L1, the levels above it, the contacts by subject, and the weekly test page.

    `addresses` are those of teams, in small letters: what is addressed to one is for whoever holds its level.
    groups: the Slack user groups, as they are written, whose members hold a level beside its places.
    members: what is known of each group, of levels and of contacts; a group that was never read has nobody.
    """

    people: Mapping[str, Person]
    first: FirstLevel
    upper: Mapping[Level, tuple[Place, ...]] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    addresses: Mapping[str, Level] = field(default_factory=dict)
    test_page: WeeklyTest = field(default_factory=WeeklyTest)
    reach: Reach = Reach()
    groups: Mapping[Level, tuple[str, ...]] = field(default_factory=dict)
    members: Mapping[str, Members] = field(default_factory=dict)


def _person(roster: Roster, holder: Place | None, at: datetime) -> Person | None:
    return roster.people.get(holder.on_duty(at)) if holder is not None else None


def primary(roster: Roster, at: datetime) -> Person | None:
    """The on-call engineer at this instant, or None when nobody is."""
    return _person(roster, roster.first.primary, at)


def backup(roster: Roster, at: datetime) -> Person | None:
    """L1's stand-in at this instant. It may be the primary: then the emergency step comes at once."""
    return _person(roster, roster.first.backup, at)


def emergency(roster: Roster, at: datetime) -> Person | PhoneNumber | None:
    """L1's last resort: a person to page, or a number that somebody dials."""
    last = roster.first.emergency
    return last if isinstance(last, PhoneNumber) else _person(roster, last, at)


def holders(roster: Roster, level: Level, at: datetime) -> tuple[Person, ...]:
    """Everybody who holds the level at this instant, each once, first to be paged first; empty without any.

    L1 is the primary, the backup and, where it is a person, the emergency place. After them the members of the
    level's user groups.
    """
    if level is Level.L1:
        found: list[Person | None] = list(first_line(roster, at))
    else:
        found = [_person(roster, place, at) for place in roster.upper.get(level, ())]
    found += [person for ref in roster.groups.get(level, ()) for person in members(roster, ref)]
    return tuple(dict.fromkeys(person for person in found if person is not None))


def first_line(roster: Roster, at: datetime) -> tuple[Person, ...]:
    """Whom L1's own steps page at this instant: primary, backup, and an emergency place that is a person."""
    last = emergency(roster, at)
    found = (primary(roster, at), backup(roster, at), last if isinstance(last, Person) else None)
    return tuple(dict.fromkeys(person for person in found if person is not None))


def members(roster: Roster, ref: str) -> tuple[Person, ...]:
    """The people of a user group, as it is written in the roster; empty for one that was never read."""
    found = roster.members.get(ref, Members())
    return tuple(roster.people[name] for name in found.names if name in roster.people)


def group_refs(roster: Roster) -> tuple[str, ...]:
    """Every user group that the roster names, each once: those of levels first."""
    levels = [ref for refs in roster.groups.values() for ref in refs]
    contacts = [contact.value for contact in roster.contacts.values() if contact.kind == "group"]
    return tuple(dict.fromkeys([*levels, *contacts]))


def contact_people(roster: Roster, contact: Contact | None) -> tuple[Person, ...]:
    """The people whom a contact stands for: one, the members of a group, or nobody who is known by name."""
    if contact is None or contact.kind not in ("person", "group"):
        return ()
    if contact.kind == "group":
        return members(roster, contact.value)
    return tuple(p for p in (roster.people.get(contact.value),) if p is not None)


def filled_level(roster: Roster, level: Level, at: datetime) -> Level | None:
    """The level itself, or the next one up that somebody holds at this instant; None when there is none."""
    for candidate in _from(level):
        if holders(roster, candidate, at):
            return candidate
    return None


def next_up(
    roster: Roster, level: Level, at: datetime, without: Collection[str]
) -> tuple[Level, Person] | None:
    """The first person at this level or above who is not in `without` ("the next distinct person up")."""
    for candidate in _from(level):
        for person in holders(roster, candidate, at):
            if person.name not in without:
                return candidate, person
    return None


def _from(level: Level) -> Iterator[Level]:
    candidate: Level | None = level
    while candidate is not None:
        yield candidate
        candidate = candidate.up


def next_hand_over(roster: Roster, at: datetime) -> datetime | None:
    """The first instant after `at` at which any place of any level changes hands; None when none ever does."""
    first = (roster.first.primary, roster.first.backup, roster.first.emergency)
    places = [*first, *(place for level in roster.upper.values() for place in level)]
    held = [place for place in places if place is not None and not isinstance(place, PhoneNumber)]
    return min((due for place in held if (due := place.next_hand_over(at)) is not None), default=None)


def level_of(roster: Roster, name: str, at: datetime) -> Level | None:
    """The highest level that the person of this name holds at this instant, or None."""
    held = [level for level in Level if any(person.name == name for person in holders(roster, level, at))]
    return max(held, default=None)


def owners(roster: Roster) -> frozenset[str]:
    """Whatever may stand as somebody's name in a document, in small letters: people by name, handle or e-mail,
    levels, team addresses, contacts by subject or mailbox."""
    people = (way for p in roster.people.values() for way in (p.name, f"@{p.name}", p.slack, p.email) if way)
    contacts = (name for contact in roster.contacts.values() for name in (contact.subject, contact.value))
    return frozenset(name.casefold() for name in (*people, *Level, *roster.addresses, *contacts))


def owner(roster: Roster, name: str, at: datetime) -> Person | None:
    """The person behind one of `owners` at this instant; None where it is a mailbox, or nobody's name."""
    wanted = name.strip().casefold()
    for person in roster.people.values():
        if wanted in {
            way.casefold() for way in (person.name, f"@{person.name}", person.slack, person.email) if way
        }:
            return person
    level = roster.addresses.get(wanted) or next((lv for lv in Level if lv.casefold() == wanted), None)
    if level is not None:
        return next(iter(holders(roster, level, at)), None)
    contact = next((c for c in roster.contacts.values() if wanted in (c.subject, c.value.casefold())), None)
    return roster.people.get(contact.value) if contact is not None and contact.kind == "person" else None


def everyone(roster: Roster) -> tuple[Person, ...]:
    """All people of the roster, in the order of the file: whom to tell when no level is held by anybody."""
    return tuple(roster.people.values())


def reached_by(roster: Roster, person: Person, *, urgent: bool = True) -> tuple[Way, ...]:
    """Where a page to this person goes: everywhere at once when it is urgent, else to the first place alone
    (Slack, where there is one). Rules: "A page wakes".
    """
    found = [
        Way.DM if person.slack else None,
        Way.HOOK if person.hook or roster.reach.hook else None,
        Way.MAIL if person.email and roster.reach.mail else None,
    ]
    known = tuple(place for place in found if place is not None)
    return known if urgent else known[:1]


def numbers(roster: Roster) -> tuple[tuple[str, str], ...]:
    """Every number there is to dial, as (who, number): the emergency number first, then people's own."""
    last = roster.first.emergency
    lines = [("Emergency", last.number)] if isinstance(last, PhoneNumber) else []
    lines += [(person.name, person.phone) for person in roster.people.values() if person.phone is not None]
    return tuple(lines)


def by_slack(roster: Roster, who: str) -> Person | None:
    """The person behind a Slack id (`U01ALICE`), a mention (`<@U01ALICE>`, `<@U01ALICE|alice>`) or a handle
    (`@alice`, `alice`); None when the roster has no such person. Handles are the roster's names.
    """
    text = who.strip()
    mention = _MENTION.fullmatch(text)
    wanted = mention.group(1) if mention else text
    for person in roster.people.values():
        if person.slack is not None and person.slack == wanted:
            return person
    handle = wanted.removeprefix("@").casefold()
    return next((person for person in roster.people.values() if person.name.casefold() == handle), None)
