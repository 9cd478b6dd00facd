"""What people do in a rehearsal, as the decisions that their buttons and commands would make."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bot.core import lifecycle
from bot.core.incident import Event, Incident
from bot.core.paging import next_level, page_by_hand
from bot.core.rehearsal import PersonActs
from bot.core.roster import Roster

REASON = "rehearsed"


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
