"""Reads `roster.yaml`: people, levels, contacts. Numbers and ids stay the texts that they are."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from bot.core.policy import Level
from bot.core.roster import CONTACTS, Contact, FirstLevel, Holder, Person, PhoneNumber, Roster, WeeklyTest
from bot.documents import reader
from bot.documents.mistakes import Notes, shown, suggest
from bot.documents.rotation_file import WEEKDAYS, holder, time_of_day, zone
from bot.documents.tree import Entries, Scalar, Tree

PERSON_NAME = re.compile(r"[^\W_][\w.-]{0,79}")
# A member id, a handle (@alice, alice), or the e-mail address that Slack knows: the last two are looked up.
_SLACK_REF = re.compile(
    r"[UW][A-Z0-9]{2,20}|@?[a-z0-9][a-z0-9._-]{0,79}|[A-Za-z0-9._%+'-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}",
    re.ASCII,
)
_GROUP = re.compile(r"S[A-Z0-9]{7,20}|@[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", re.ASCII)
_PHONE = re.compile(r"\+?[0-9(][0-9A-Za-z ().\-/]{2,30}", re.ASCII)
_GROUP_REMEDY = 'Write its handle or its id: "@data-leads" or S012ABCDEF.'
_UPPER = (Level.L2, Level.L3, Level.L4)


def read_roster(tree: Tree, notes: Notes) -> Roster:
    """The roster that the file describes; every mistake is noted, and what is wrong is left out."""
    top = reader.entries(
        tree, notes, "the roster", ["people", "levels", "addresses", "contacts", "test_page"]
    )
    people = _people(top["people"], notes) if "people" in top else {}
    if not people:
        notes.add(tree.line, "the roster has no people", "Add `people:` with at least one person.")
    groups: dict[Level, tuple[str, ...]] = {}
    levels = reader.entries(top["levels"], notes, "levels", [*Level]) if "levels" in top else {}
    if "L1" in levels:
        first = _first(levels["L1"], people, notes)
        groups[Level.L1] = _groups_of_first(levels["L1"], notes)
    else:
        first = FirstLevel()
        line = top["levels"].line if "levels" in top else tree.line
        notes.add(line, "there is no level L1", "Add `L1: {primary: NAME, backup: NAME, emergency: NUMBER}`.")
    upper: dict[Level, tuple[Holder, ...]] = {}
    for level in (each for each in _UPPER if each in levels):
        upper[level], groups[level] = _holders(levels[level], level, people, notes)
    addresses = _addresses(top["addresses"], notes) if "addresses" in top else {}
    contacts = _contacts(top["contacts"], people, notes) if "contacts" in top else {}
    test = _test_page(top["test_page"], notes) if "test_page" in top else WeeklyTest()
    return Roster(
        people=people, first=first, upper=upper, contacts=contacts, addresses=addresses, test_page=test,
        groups={level: refs for level, refs in groups.items() if refs},
    )  # fmt: skip


def _test_page(tree: Tree, notes: Notes) -> WeeklyTest:
    """`{weekday: monday, at: "10:00", answer_within: 1d}`, or `off`."""
    usual = WeeklyTest()
    if isinstance(tree, Scalar) and tree.text.strip().lower() in ("off", "no", "false", "none"):
        return WeeklyTest(weekday=None)
    found = reader.entries(tree, notes, "test_page", ["weekday", "at", "answer_within"])
    day = (
        reader.choice(found["weekday"], notes, "test_page, weekday", WEEKDAYS) if "weekday" in found else None
    )
    at = time_of_day(found["at"], notes, "test_page, at") if "at" in found else None
    within = found.get("answer_within")
    length = reader.duration(within, notes, "test_page, answer_within") if within is not None else None
    return WeeklyTest(
        weekday=WEEKDAYS.index(day) if day is not None else usual.weekday,
        at=at if at is not None else usual.at,
        answer_within=length or usual.answer_within,
    )


def _people(tree: Tree, notes: Notes) -> dict[str, Person]:
    people: dict[str, Person] = {}
    owners: dict[str, str] = {}
    for name, value in reader.entries(tree, notes, "people").items():
        if not PERSON_NAME.fullmatch(name):
            notes.add(
                value.line, f"{shown(name)} is not a name", "Use letters, digits, dot and hyphen: alice."
            )
            continue
        person = _person(name, value, notes)
        if person.slack is not None and owners.setdefault(person.slack, name) != name:
            notes.add(
                value.line,
                f"{name} and {owners[person.slack]} have the same Slack id {person.slack}",
                "Give each person their own; Slack shows it under “Copy member ID”.",
            )
        people[name] = person
    return people


def _person(name: str, tree: Tree, notes: Notes) -> Person:
    found = reader.entries(tree, notes, f"person {name}", ["slack", "email", "phone", "hook", "tz"])
    ways = {key: value for key, value in found.items() if not reader.absent(value)}
    if not any(key in ways for key in ("slack", "email", "phone", "hook")):
        notes.add(tree.line, f"{name} cannot be reached", "Add `slack: U...`, an email, a phone or a hook.")
    slack = _matching(
        ways.get("slack"),
        notes,
        f"{name}, slack",
        _SLACK_REF,
        "Slack member id or handle",
        "U012ABCDEF or @alice",
    )
    email = _matching(ways.get("email"), notes, f"{name}, email", _EMAIL, "e-mail address", "a@example.com")
    return Person(
        name=name,
        # Whoever gives only an e-mail address is looked up in Slack by it: a page must not miss them.
        slack=slack if "slack" in ways else email,
        email=email,
        phone=_matching(ways.get("phone"), notes, f"{name}, phone", _PHONE, "phone number", "+1-555-0100"),
        hook=_url(ways["hook"], notes, f"{name}, hook") if "hook" in ways else None,
        tz=zone(ways.get("tz"), notes, f"{name}, tz"),
        tz_given="tz" in ways,
    )


def _matching(
    tree: Tree | None, notes: Notes, what: str, shape: re.Pattern[str], meant: str, example: str
) -> str | None:
    written = reader.text(tree, notes, what) if tree is not None else None
    if tree is None or written is None or shape.fullmatch(written):
        return written
    notes.add(tree.line, f"{what}: {shown(written)} is no {meant}", f"Write it like {example}.")
    return None


def _url(tree: Tree, notes: Notes, what: str) -> str | None:
    written = reader.text(tree, notes, what)
    if written is None:
        return None
    try:
        parts = urlsplit(written)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine or any(sign.isspace() for sign in written):
        notes.add(
            tree.line, f"{what}: {shown(written)} is not an address", "Write it like https://host/path."
        )
        return None
    return written


def _first(tree: Tree, people: Collection[str], notes: Notes) -> FirstLevel:
    found = reader.entries(tree, notes, "L1", ["primary", "backup", "emergency", "groups"])
    places = {key: value for key, value in found.items() if not reader.absent(value)}
    if "primary" not in places and isinstance(tree, Entries | Scalar):
        notes.add(tree.line, "L1 has no primary", "Add `primary: NAME`: somebody must be paged first.")
    last = places.get("emergency")
    return FirstLevel(
        primary=holder(places["primary"], "L1, primary", people, notes) if "primary" in places else None,
        backup=holder(places["backup"], "L1, backup", people, notes) if "backup" in places else None,
        emergency=_emergency(last, people, notes) if last is not None else None,
    )


def _emergency(tree: Tree, people: Collection[str], notes: Notes) -> Holder | PhoneNumber | None:
    number = tree.text.strip() if isinstance(tree, Scalar) else ""
    if number not in people and _PHONE.fullmatch(number):
        return PhoneNumber(number)
    return holder(tree, "L1, emergency", people, notes)


def _groups_of_first(tree: Tree, notes: Notes) -> tuple[str, ...]:
    """L1's places are for one person each; `groups` name who has its rights besides them."""
    listed = (
        next((value for key, value in tree.entries if key.text == "groups"), None)
        if isinstance(tree, Entries)
        else None
    )
    if listed is None or reader.absent(listed):
        return ()
    found: list[str] = []
    for item in reader.items(listed, notes, "L1, groups"):
        written = reader.text(item, notes, "L1, groups")
        if written is not None and not _GROUP.fullmatch(written):
            notes.add(item.line, f"L1, groups: {shown(written)} is no Slack user group", _GROUP_REMEDY)
        elif written is not None:
            found.append(written)
    return tuple(dict.fromkeys(found))


def _holders(
    tree: Tree, level: Level, people: Collection[str], notes: Notes
) -> tuple[tuple[Holder, ...], tuple[str, ...]]:
    """The places of a level, and its user groups: `@handle`, or an id that is no person's name."""
    listed = (tree,) if isinstance(tree, Entries) else reader.items(tree, notes, str(level))
    groups = [item for item in listed if _is_group(item, people)]
    found = [holder(item, str(level), people, notes) for item in listed if item not in groups]
    refs = tuple(dict.fromkeys(item.text.strip() for item in groups if isinstance(item, Scalar)))
    return tuple(dict.fromkeys(place for place in found if place is not None)), refs


def _is_group(item: Tree, people: Collection[str]) -> bool:
    return (
        isinstance(item, Scalar)
        and item.text.strip() not in people
        and bool(_GROUP.fullmatch(item.text.strip()))
    )


def _addresses(tree: Tree, notes: Notes) -> dict[str, Level]:
    """`{L2: lead@example.com, L1: [team@example.com, sre@example.com]}`: the team's address -> its level."""
    found: dict[str, Level] = {}
    for level, value in reader.entries(tree, notes, "addresses", [*Level]).items():
        for item in reader.items(value, notes, f"addresses, {level}"):
            written = _matching(
                item, notes, f"addresses, {level}", _EMAIL, "e-mail address", "team@example.com"
            )
            if written and found.setdefault(written.casefold(), Level(level)) is not Level(level):
                text = f"{written} is the address of {found[written.casefold()]} and of {level}"
                notes.add(item.line, text, "Give each address to one level.")
    return found


def _contacts(tree: Tree, people: Collection[str], notes: Notes) -> dict[str, Contact]:
    contacts: dict[str, Contact] = {}
    for subject, value in reader.entries(tree, notes, "contacts", CONTACTS).items():
        contact = _contact(subject, value, people, notes) if not reader.absent(value) else None
        if contact is not None:
            contacts[subject] = contact
    return contacts


def _contact(subject: str, tree: Tree, people: Collection[str], notes: Notes) -> Contact | None:
    what = f"contact {subject}"
    value = reader.text(tree, notes, what)
    if value is None:
        return None
    if value in people:
        return Contact(subject=subject, kind="person", value=value)
    if _EMAIL.fullmatch(value):
        return Contact(subject=subject, kind="mailbox", value=value)
    if _GROUP.fullmatch(value):
        return Contact(subject=subject, kind="group", value=value)
    if value.startswith(("http://", "https://")):
        address = _url(tree, notes, what)
        return Contact(subject=subject, kind="link", value=address) if address else None
    notes.add(
        tree.line,
        f"{what}: {shown(value)} is neither a person, a Slack user group, a mailbox nor a page",
        suggest(value, people)
        if not people
        else "Write a name of `people`, @group, a mailbox or an https page.",
    )
    return None
