"""What people do in a rehearsal, as the decisions that their buttons and commands would make; who is in its groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import groups, lifecycle
from bot.core.access import Action
from bot.core.incident import Event, Incident
from bot.core.paging import next_level, page_by_hand
from bot.core.rehearsal import PersonActs
from bot.core.roster import Members, Person, Roster, group_refs

REASON = "rehearsed"
NEEDED: Mapping[str, Action] = {
    "ack": "acknowledge", "resolve": "respond", "snooze": "respond", "escalate": "respond"
}  # fmt: skip
"""The right that each deed needs."""


def with_members(roster: Roster, told: Mapping[str, tuple[str, ...]], at: datetime) -> Roster:
    """The roster as `bot.core.groups` makes it, had Slack told at this instant who is in these groups."""
    levels = {ref for held in roster.groups.values() for ref in held}
    people, found = dict(roster.people), {}
    for ref in (ref for ref in group_refs(roster) if ref in told):
        for name in told[ref]:
            people.setdefault(
                name, Person(name=name, slack=f"@{name}", tz_given=False, guest=ref not in levels)
            )
        found[ref] = Members(id=ref, names=told[ref], read_at=at)
    return replace(roster, people=people, members=found)


def unknown(roster: Roster) -> list[str]:
    """A sentence for each user group whose members nobody told."""
    return [
        f"Who is in {ref} ({groups.meant_for(roster, ref)}) is not known, so nobody is paged by it, or may act: "
        f'a rehearsal does not ask Slack. Name its members in the file: groups: {{"{ref}": [NAME, NAME]}}.'
        for ref in group_refs(roster)
        if ref not in roster.members
    ]


def deed(item: PersonActs, roster: Roster) -> Callable[[Incident, datetime], list[Event]]:
    """The decision behind what this person does; it raises Refused for what cannot be."""
    who = item.person

    def snooze(i: Incident, now: datetime) -> list[Event]:
        return lifecycle.snooze(i, item.length or timedelta(0), REASON, now, who)

    def escalate(i: Incident, now: datetime) -> list[Event]:
        level = item.level or next_level(i)
        return [
            *lifecycle.escalate(i, level, REASON, now, who),
            *page_by_hand(i, level, roster, now, who, REASON),
        ]

    match item.act:
        case "ack":
            return lambda i, now: lifecycle.acknowledge(i, who, now)
        case "resolve":
            return lambda i, now: lifecycle.resolve(i, now, who, "", confirmed=True)
        case "snooze":
            return snooze
        case "escalate":
            return escalate
