"""Slack user groups on the roster: what Slack said of them, and the roster with their members. Pure.

A group can only give what it was read to hold: one that was never read gives nobody anything, one of which Slack
says that it is gone has nobody any more, and while Slack cannot be asked the members last read stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.core import roster as rosters
from bot.core.incident import instant, stamp
from bot.core.policy import format_duration
from bot.core.roster import Members, Person, Roster

EVERY = timedelta(hours=1)
_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_UNUSUAL = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody of a group, as Slack knows them."""

    id: str
    name: str
    email: str = ""
    tz: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group as Slack answered; `gone`: it has none of this id or handle, or the group is disabled."""

    id: str = ""
    handle: str = ""
    members: tuple[Member, ...] = ()
    read_at: datetime
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All groups by how the roster writes them, when Slack was last asked, and why it did not answer then.

    told: the last change that Slack had told of when these were asked for; "" for none.
    """

    groups: Mapping[str, Group]
    tried_at: datetime | None = None
    error: str = ""
    told: str = ""

    def as_json(self) -> dict[str, Any]:
        """What is kept in the database."""
        return {
            "tried_at": stamp(self.tried_at),
            "error": self.error,
            "told": self.told,
            "groups": {ref: _group_json(group) for ref, group in self.groups.items()},
        }


NOTHING = Known(groups={})


def from_json(raw: Any) -> Known:
    """What ``as_json`` made; nothing for None."""
    if not isinstance(raw, Mapping):
        return NOTHING
    groups = {str(ref): _group(group) for ref, group in raw["groups"].items()}
    tried_at, told = instant(raw["tried_at"]), str(raw.get("told", ""))
    return Known(groups=groups, tried_at=tried_at, error=str(raw["error"]), told=told)


def _group_json(group: Group) -> dict[str, Any]:
    people = [{"id": m.id, "name": m.name, "email": m.email, "tz": m.tz} for m in group.members]
    return {
        "id": group.id,
        "handle": group.handle,
        "members": people,
        "read_at": stamp(group.read_at),
        "gone": group.gone,
    }


def _group(raw: Mapping[str, Any]) -> Group:
    people = tuple(Member(id=m["id"], name=m["name"], email=m["email"], tz=m["tz"]) for m in raw["members"])
    return Group(
        id=raw["id"],
        handle=raw["handle"],
        members=people,
        read_at=datetime.fromisoformat(raw["read_at"]),
        gone=bool(raw["gone"]),
    )


def after(known: Known, read: Mapping[str, Group], error: str, now: datetime, told: str = "") -> Known:
    """What is known after Slack was asked: what it answered, and of the others what was known before. ``told``: of
    which change Slack had told last before it was asked.

    Of two replicas that read at once the later reading holds, whichever is kept first.
    """
    newer = {
        ref: group
        for ref, group in read.items()
        # (A reading from a clock that was set back since is no later one.)
        if (before := known.groups.get(ref)) is None or not group.read_at < before.read_at <= now
    }
    told = known.told if error else told
    return Known(groups={**known.groups, **newer}, tried_at=now, error=error, told=told)


def concerned(refs: Collection[str], known: Known, group: str, handle: str) -> bool:
    """Whether the group of this id, and of this handle where it is told, is one of those that the roster names."""
    named = {group.casefold(), f"@{handle}".casefold()}
    return any(
        ref.casefold() in named or ((g := known.groups.get(ref)) is not None and g.id == group)
        for ref in refs
    )


# --- the roster -------------------------------------------------------------------------------------------


def with_groups(roster: Roster, known: Known) -> Roster:
    """The roster with the members of its groups; who is on it already stays who they are, others join it."""
    refs = rosters.group_refs(roster)
    if not refs:
        return roster
    levels = {ref for held in roster.groups.values() for ref in held}
    people = dict(roster.people)
    found: dict[str, Members] = {}
    for ref in refs:
        group = known.groups.get(ref)
        if group is None:
            found[ref] = Members(error=known.error)
            continue
        names = [_known_as(people, m, guest=ref not in levels) for m in (() if group.gone else group.members)]
        found[ref] = Members(
            id=group.id,
            names=tuple(dict.fromkeys(names)),
            read_at=group.read_at,
            gone=group.gone,
            error=known.error,
        )
    return replace(roster, people=people, members=found)


def _known_as(people: dict[str, Person], member: Member, *, guest: bool) -> str:
    """The name of this member on the roster, on which they stand afterwards."""
    for person in people.values():
        if _same(person, member):
            people[person.name] = replace(person, slack=member.id)
            return person.name
    name = _UNUSUAL.sub("-", member.name)[:60] or member.id
    if name.casefold() in {each.casefold() for each in people}:
        # Somebody else of that name: they must not pass for each other.
        name = f"{name}-{member.id}"
    zone = _zone(member.tz)
    people[name] = Person(
        name=name,
        slack=member.id,
        email=member.email or None,
        tz=zone or "UTC",
        tz_given=bool(zone),
        guest=guest,
    )
    return name


def _same(person: Person, member: Member) -> bool:
    """By the id; by address or handle only while Slack has not said yet whose these are."""
    if person.slack is None:
        return bool(member.email) and (person.email or "").casefold() == member.email.casefold()
    if _ID.fullmatch(person.slack):
        return person.slack == member.id
    ref = person.slack.removeprefix("@").casefold()
    return ref in {member.name.casefold(), member.email.casefold()} - {""}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ""
    return name


# --- words ------------------------------------------------------------------------------------------------


def lines(roster: Roster, now: datetime) -> list[str]:
    """One line for each group of the roster: what it is for, who is in it, and how old that is."""
    return [
        f"{ref} ({meant_for(roster, ref)}): {_told(roster, ref, now)}" for ref in rosters.group_refs(roster)
    ]


def meant_for(roster: Roster, ref: str) -> str:
    """What the roster names a group for: "L2, contact data"."""
    levels = [str(level) for level, refs in roster.groups.items() if ref in refs]
    contacts = [c.subject for c in roster.contacts.values() if c.kind == "group" and c.value == ref]
    return ", ".join([*levels, *(f"contact {subject}" for subject in contacts)])


def _told(roster: Roster, ref: str, now: datetime) -> str:
    group = roster.members.get(ref, Members())
    why = f"; Slack cannot be asked since: {group.error}" if group.error else ""
    if group.read_at is None:
        return f"never read from Slack, so nobody has its rights{why}"
    age = timedelta(seconds=round((now - group.read_at).total_seconds()))
    old = f"read {format_duration(age)} ago" if age > timedelta(0) else "read just now"
    if group.gone:
        return f"Slack has no such group, so nobody has its rights ({old}{why})"
    names = ", ".join(person.name for person in rosters.members(roster, ref))
    return f"{names or 'nobody is in it'} ({old}{why})"


def health(roster: Roster, now: datetime) -> dict[str, Any]:
    """The same for /healthz, without names; empty where the roster names no group."""
    found: dict[str, Any] = {}
    for ref in rosters.group_refs(roster):
        group = roster.members.get(ref, Members())
        age = round((now - group.read_at).total_seconds()) if group.read_at is not None else None
        found[ref] = {
            "members": len(group.names),
            "read_s_ago": age,
            "gone": group.gone,
            "error": group.error,
        }
    return found
