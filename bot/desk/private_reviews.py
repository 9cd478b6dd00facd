"""The review of the runbook of a private incident: asked for in its channel alone ("Update Procedures").

The digest leaves private incidents out, so that nobody learns of one there; theirs is a line on their own timeline.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.core import lifecycle, upkeep
from bot.core import roster as rosters
from bot.core.access import is_member
from bot.core.incident import Incident
from bot.core.policy import Level
from bot.core.refusal import Refused
from bot.core.roster import Person
from bot.core.rounds import REMINDERS
from bot.core.runbook import Runbook, by_name
from bot.desk import round_notes
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Tx

REMEMBERED = timedelta(days=30)


def ask(tx: Tx, house: House) -> None:
    """A private critical incident that is over asks in its own channel for the review of its runbook, three times.

    The public digest leaves it out, so that nobody learns of it there.
    """
    now = tx.now()
    for known in round_notes.recent(tx):
        # Locked, and as it stands by then: the list is not.
        incident = tx.incident(known.id) if known.private else None
        over = incident.resolved_at if incident is not None else None
        if incident is None or not incident.runbook or over is None or now - over > REMEMBERED:
            continue
        events = tx.events(incident.id)
        asked = [e.at for e in events if e.type == upkeep.ASKED and e.at >= over]
        done = any(e.type == upkeep.REVIEWED and e.at >= over for e in events)
        if done or len(asked) >= REMINDERS or (asked and now - asked[-1] < round_notes.REVIEW_WITHIN):
            continue
        book = by_name(house.runbooks, incident.runbook)
        person = _mine(house, incident, book, now)
        data = {
            "runbook": incident.runbook, "person": person.name if person is not None else "", "nth": len(asked) + 1,
            "mentions": [person.slack] if person is not None and person.slack else [],
        }  # fmt: skip
        change(tx, house, incident, incident.id, [lifecycle.event(upkeep.ASKED, now, lifecycle.BOT, **data)])


def done(tx: Tx, house: House, incident: Incident, by: str) -> None:
    """Somebody of a private incident has reviewed its runbook. Raises Refused when that was said before."""
    over = incident.resolved_at
    if any(e.type == upkeep.REVIEWED and (over is None or e.at >= over) for e in tx.events(incident.id)):
        raise Refused(f"The runbook {incident.runbook} was reviewed already for {incident.name}.")
    told = lifecycle.event(upkeep.REVIEWED, tx.now(), by, runbook=incident.runbook)
    change(tx, house, incident, incident.id, [told])
    round_notes.reviewed(tx, house, incident.runbook)


def _mine(house: House, incident: Incident, book: Runbook | None, now: datetime) -> Person | None:
    """Who is asked to review a private incident's runbook: its owner if they know of the incident, else whoever had
    it, else the technical lead. Nobody else may learn of it."""
    roster = house.roster
    asked = [rosters.owner(roster, (book.owner if book is not None else None) or "", now)]
    asked += [roster.people.get(name) for name in (incident.assignee, incident.acked_by)]
    asked += rosters.holders(roster, Level.L2, now)
    known = (p for p in asked if p is not None and is_member(roster, p.name, now, incident))
    return next(known, None)
