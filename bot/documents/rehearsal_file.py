"""Reads a rehearsal: the story that `rehearse` plays on a clock of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from bot.core.alert_model import Unusable
from bot.core.alerts import parse_monitoring
from bot.core.policy import FACTS, Level, Policy
from bot.core.rehearsal import AlertArrives, FactChanges, Happening, Maintained, Outage, PersonActs, Rehearsal
from bot.core.roster import Roster, group_refs
from bot.core.runbook import KINDS
from bot.documents import reader
from bot.documents.mistakes import Notes, shown, suggest
from bot.documents.policy_file import read_policy
from bot.documents.roster_file import PERSON_NAME, read_roster
from bot.documents.tree import Scalar, Tree

_DEEDS = ("ack", "resolve", "snooze", "escalate")
_WHAT = ("alert", "fact", *_DEEDS, "down", "maintenance")
_ALERT_WORDS = {"severity": ("critical", "warning", "info"), "kind": KINDS, "state": ("open", "closed")}
_AS_SENT = frozenset({"incident_id", "policy_name", "condition_name", "resource", "policy_user_labels"})
_OFFSET = re.compile(r"\+\s*(.+)")


def read_rehearsal(name: str, tree: Tree, standing: Roster | None, notes: Notes) -> Rehearsal:
    """The rehearsal that the file describes; every mistake is noted.

    `standing` is the roster that stands, None when it is not known; the file's own wins.
    """
    top = reader.entries(tree, notes, "the rehearsal", ["start", "policy", "roster", "groups", "events"])
    given = {key: value for key, value in top.items() if not reader.absent(value)}
    start = reader.instant(given["start"], notes, "start") if "start" in given else None
    if "start" not in given:
        notes.add(tree.line, "the rehearsal has no start", "Add `start: 2026-01-31T03:10:00Z`.")
    policy: Policy | None = read_policy(given["policy"], notes) if "policy" in given else None
    roster: Roster | None = read_roster(given["roster"], notes) if "roster" in given else None
    on_duty = roster or standing
    groups = _groups(given["groups"], on_duty, notes) if "groups" in given else {}
    named = {name for names in groups.values() for name in names}
    known = {*on_duty.people, *named} if on_duty is not None else None
    if "events" not in given:
        notes.add(tree.line, "the rehearsal has no events", "Add `events:` with at least one.")
    listed = reader.items(given["events"], notes, "events") if "events" in given else ()
    begin = start or datetime.min.replace(tzinfo=UTC)
    happenings = [found for item in listed for found in _event(item, begin, known, notes)]
    return Rehearsal(
        name=name,
        start=begin,
        happenings=tuple(sorted(happenings, key=lambda happening: happening.at)),
        policy=policy,
        roster=roster,
        groups=groups,
    )


def _groups(tree: Tree, roster: Roster | None, notes: Notes) -> dict[str, tuple[str, ...]]:
    """`{"@data-leads": [carol, frank]}`: user groups of the roster, and who is in them, by name."""
    refs = group_refs(roster) if roster is not None else None
    found: dict[str, tuple[str, ...]] = {}
    for ref, value in reader.entries(tree, notes, "groups").items():
        if refs is not None and ref not in refs:
            remedy = suggest(ref, refs) if refs else "Remove it: the roster names no user group."
            notes.add(value.line, f"groups: the roster names no user group {shown(ref)}", remedy)
            continue
        names = [
            reader.text(item, notes, f"groups, {ref}")
            for item in reader.items(value, notes, f"groups, {ref}")
        ]
        for name in (each for each in names if each is not None and not PERSON_NAME.fullmatch(each)):
            notes.add(value.line, f"groups, {ref}: {shown(name)} is not a name", "Write it like carol.")
        found[ref] = tuple(dict.fromkeys(name for name in names if name and PERSON_NAME.fullmatch(name)))
    return found


def _event(tree: Tree, start: datetime, people: Collection[str] | None, notes: Notes) -> Iterator[Happening]:
    found = reader.entries(tree, notes, "an event", ["at", *_WHAT, "for", "to"])
    kinds = [key for key in _WHAT if key in found]
    if len(kinds) != 1:
        words = "several things" if kinds else "nothing"
        notes.add(tree.line, f"{words} happen in this event", f"Give it exactly one of {', '.join(_WHAT)}.")
        return
    if "at" not in found:
        notes.add(tree.line, "the event has no time", "Add `at: +3m`.")
        return
    at = _at(found["at"], start, notes)
    length = reader.duration(found["for"], notes, "for") if "for" in found else None
    kind, value = kinds[0], found[kinds[0]]
    if kind == "down":
        yield from _outage(value, at, length, "for" in found, notes)
    elif kind == "maintenance":
        yield from _maintenance(value, at, length, "for" in found, notes)
    elif kind == "alert":
        yield from _alert(value, at, length, notes)
    elif kind == "fact":
        yield from _fact(value, at, length, notes)
    else:
        if "for" in found and kind != "snooze":
            notes.add(found["for"].line, f"`for` has no meaning with {kind}", "Remove it.")
        if kind == "snooze" and "for" not in found:
            notes.add(tree.line, "the snooze has no length", "Add `for: 2h`.")
        level = reader.choice(found["to"], notes, "to", ("L2", "L3", "L4")) if "to" in found else None
        for act in _act(kind, value, at, people, notes):
            yield replace(act, length=length, level=Level(level) if level else None)
    if "to" in found and kind != "escalate":
        notes.add(found["to"].line, f"`to` has no meaning with {kind}", "Remove it.")


def _at(tree: Tree, start: datetime, notes: Notes) -> datetime:
    written = reader.text(tree, notes, "at")
    if written is None:
        return start
    offset = _OFFSET.fullmatch(written)
    if offset is None and not written[:1].isdigit():
        notes.add(
            tree.line, f"at: {shown(written)} is not a time", "Write it as +3m, counted from the start."
        )
        return start
    if offset is None and "T" in written:
        return reader.instant(tree, notes, "at") or start
    bare = Scalar(text=offset[1] if offset else written, tag="str", line=tree.line)
    return _later(start, reader.duration(bare, notes, "at", zero=True) or timedelta(0), tree, notes)


def _later(start: datetime, by: timedelta, tree: Tree, notes: Notes) -> datetime:
    try:
        return start + by
    except OverflowError:
        notes.add(tree.line, "the time lies beyond all calendars", "Choose an earlier one.")
        return start


def _outage(
    tree: Tree, at: datetime, length: timedelta | None, given: bool, notes: Notes
) -> Iterator[Happening]:
    what = reader.choice(tree, notes, "down", ("bot", "slack"))
    if not given:
        notes.add(tree.line, "the outage has no length", "Add `for: 20m`.")
    if what is not None and length is not None:
        yield Outage(at, cast(Literal["bot", "slack"], what), length)


def _maintenance(
    tree: Tree, at: datetime, length: timedelta | None, given: bool, notes: Notes
) -> Iterator[Happening]:
    pipeline = reader.text(tree, notes, "maintenance")
    if not given:
        notes.add(tree.line, "the maintenance has no length", "Add `for: 2h`.")
    if pipeline is not None and length is not None:
        yield Maintained(at, length, pipeline)


def _alert(tree: Tree, at: datetime, length: timedelta | None, notes: Notes) -> Iterator[Happening]:
    found = reader.entries(tree, notes, "alert")
    plain = {key: reader.plain(value) for key, value in found.items()}
    if not plain:
        notes.add(tree.line, "the alert is empty", "Add at least `severity:` and `kind:`.")
    as_sent = "incident" in plain or not _AS_SENT.isdisjoint(plain)
    alert = _as_sent(plain, at, tree, notes) if as_sent else plain | _words(found, notes)
    yield AlertArrives(at, alert)
    if length is not None:
        closed: dict[str, object] = {"state": "closed"}
        if as_sent:
            closed = {"incident": {**cast(dict[str, object], alert["incident"]), "state": "closed"}}
        yield AlertArrives(_later(at, length, tree, notes), {**alert, **closed})


def _words(found: Mapping[str, Tree], notes: Notes) -> dict[str, object]:
    """The known words of an alert, in small letters however they were written."""
    words = {
        key: reader.choice(found[key], notes, f"alert, {key}", options)
        for key, options in _ALERT_WORDS.items()
        if key in found
    }
    return {key: word for key, word in words.items() if word is not None}


def _as_sent(plain: dict[str, object], at: datetime, tree: Tree, notes: Notes) -> dict[str, object]:
    """An alert written as Cloud Monitoring sends it: the incident object, with or without its envelope."""
    inner = plain["incident"] if isinstance(plain.get("incident"), dict) else plain
    incident = {"state": "open", **cast(dict[str, object], inner)}
    incident.setdefault("incident_id", str(incident.get("policy_name") or "rehearsed"))
    try:
        parse_monitoring({"version": "1.2", "incident": incident}, at)
    except Unusable as unusable:
        notes.add(tree.line, f"the alert is no notification: {unusable.reason}", "Write it as it is sent.")
    return {"incident": incident}


def _fact(tree: Tree, at: datetime, length: timedelta | None, notes: Notes) -> Iterator[Happening]:
    found = reader.entries(tree, notes, "fact", ["name", "on", "pipeline"])
    if "name" not in found:
        notes.add(tree.line, "the fact has no name", f"Add `name:` and one of {', '.join(FACTS)}.")
    name = reader.choice(found["name"], notes, "fact, name", FACTS) if "name" in found else None
    on = reader.truth(found["on"], notes, "fact, on") if "on" in found else True
    pipeline = reader.text(found["pipeline"], notes, "fact, pipeline") if "pipeline" in found else None
    if name is None or on is None:
        return
    yield FactChanges(at=at, name=name, on=on, pipeline=pipeline)
    if length is not None:
        yield FactChanges(at=_later(at, length, tree, notes), name=name, on=not on, pipeline=pipeline)


def _act(
    kind: str, tree: Tree, at: datetime, people: Collection[str] | None, notes: Notes
) -> Iterator[PersonActs]:
    person = reader.text(tree, notes, kind)
    if person is None:
        return
    if people is not None and person not in people:
        notes.add(tree.line, f"{kind}: there is no person {shown(person)}", suggest(person, people))
        return
    yield PersonActs(at, person, cast(Literal["ack", "resolve", "snooze", "escalate"], kind))
