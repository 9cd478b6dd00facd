"""Who may do what (design, "Operations"; rules: "Escalation", acknowledgement, Who). Default: no.

A right follows from the roster at this instant, the environment of the pipeline and the risk of what
is asked; a click is judged by who clicks, never by whom the message was for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.core import roster as rosters
from bot.core.incident import Incident
from bot.core.policy import Level
from bot.core.roster import Roster

Action = Literal[
    "read",
    "tell",
    "acknowledge",
    "respond",
    "change",
    "destructive",
    "approve",
    "repeat_restart",
    "review_done",
]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Yes."""


@dataclass(frozen=True, slots=True)
class Denied:
    """No, and why, and who may."""

    reason: str
    who_may: tuple[str, ...]


def decide(
    roster: Roster,
    person: str | None,
    at: datetime,
    action: Action,
    *,
    environment: str = "production",
    incident: Incident | None = None,
    requester: str = "",
) -> Allowed | Denied:
    """Whether the person of this roster name may do it now; None or an unknown name: not on the roster."""
    # An incident without an assignee must not be the incident of somebody without a name.
    person = person if person in roster.people else None
    if incident is not None and incident.private and not is_member(roster, person, at, incident):
        return Denied("this incident is private", _names(roster, at, Level.L1, Level.L2))
    if action in ("read", "tell"):
        return Allowed()
    if person is None:
        return Denied("only people on the roster may do this", _names(roster, at, *Level))
    if roster.people[person].guest and not _called(incident, person, action):
        reason = "members of a contact's group act only in incidents that they were called to"
        return Denied(reason, _names(roster, at, *Level))
    if action == "respond" or (action == "acknowledge" and _is_role_holder(roster, person, at, incident)):
        return Allowed()
    if action == "acknowledge":
        return Denied("only holders of a level and the assignee can acknowledge", _names(roster, at, *Level))
    return _operate(roster, person, at, action, environment, incident, requester)


def _operate(
    roster: Roster,
    person: str,
    at: datetime,
    action: Action,
    environment: str,
    incident: Incident | None,
    requester: str,
) -> Allowed | Denied:
    level = rosters.level_of(roster, person, at)
    upper = level is not None and level >= Level.L2
    if action in ("approve", "review_done", "repeat_restart"):
        if action == "approve" and person == requester:
            return Denied("the second person must be somebody else", _upper(roster, at, without=person))
        if upper:
            return Allowed()
        return Denied("this needs a technical lead or above (L2 to L4)", _upper(roster, at))
    if environment != "production" or _is_role_holder(roster, person, at, incident):
        return Allowed()
    return Denied(
        "changing a production pipeline needs somebody who is on call, the assignee, or L2 and above",
        _names(roster, at, *Level),
    )


def is_member(roster: Roster, person: str | None, at: datetime, incident: Incident) -> bool:
    """Whether a private incident is this person's: L1, L2, the contacts, the assignee, whoever was paged."""
    if person not in roster.people:
        return False
    held = {p.name for level in (Level.L1, Level.L2) for p in rosters.holders(roster, level, at)}
    found = (roster.contacts.get(subject) for subject in ("security", "compliance"))
    contacts = {p.name for contact in found for p in rosters.contact_people(roster, contact)}
    paged = {p.person for p in incident.pages.values()}
    return person in held | contacts | paged | {incident.assignee}


def _called(incident: Incident | None, person: str, action: Action) -> bool:
    """A guest may answer, and help, where a page of this incident went to them, or it was given to them."""
    if incident is None or action not in ("acknowledge", "respond"):
        return False
    return person == incident.assignee or any(p.person == person for p in incident.pages.values())


def _is_role_holder(roster: Roster, person: str, at: datetime, incident: Incident | None) -> bool:
    if rosters.level_of(roster, person, at) is not None:
        return True
    return incident is not None and (
        person == incident.assignee or any(p.person == person for p in incident.pages.values())
    )


def _names(roster: Roster, at: datetime, *levels: Level) -> tuple[str, ...]:
    found = (p.name for level in levels for p in rosters.holders(roster, level, at))
    return tuple(dict.fromkeys(found))


def _upper(roster: Roster, at: datetime, without: str = "") -> tuple[str, ...]:
    return tuple(n for n in _names(roster, at, Level.L2, Level.L3, Level.L4) if n != without)
