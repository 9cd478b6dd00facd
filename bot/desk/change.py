"""The one way in for change: events, the folded row, the next due time and the outbox, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bot.core import book, brief, lifecycle, review
from bot.core.effects import cancelled, effects
from bot.core.errors import StorageBusy
from bot.core.escalation import next_due
from bot.core.folding import begin, evolve
from bot.core.incident import Event, Incident
from bot.core.paging import fire
from bot.core.refusal import Refused
from bot.desk import walking
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Tx
from bot.desk.reviews import file_row


def change(tx: Tx, house: House, before: Incident | None, number: int, events: Sequence[Event]) -> Incident:
    """Store these events, then whatever they make due, and what follows from all of it.

    A page that an event makes due at once (L1 at opening, an immediate rule) is in the same
    transaction as the event. Raises KeyTaken when another open incident holds the correlation key, and StorageBusy
    when ``before`` was read without its lock and is not how the incident stands.
    """
    house = live(tx, house)
    if house.tally is not None:
        house.tally.note(number, opened=before is None)
    stored = list(tx.append(number, events))
    if before is not None and stored and stored[0].seq != before.seq + 1:
        # To fold these events onto what it was would undo what somebody else did meanwhile.
        raise StorageBusy(f"{before.name} was changed since it was read")
    after = _fold(before, number, stored)
    for following in (_due, walking.follow):
        more = following(tx, house, after, stored)
        if more:
            more = list(tx.append(number, more))
            after = _fold(after, number, more)
            stored += more
    if review.required(after) and any(e.type == "resolved" for e in stored):
        drafted = lifecycle.event("review_drafted", tx.now(), lifecycle.BOT, filename=review.filename(after))
        told = tx.append(number, [drafted])
        after = _fold(after, number, told)
        stored += told
        tx.enqueue([file_row(after, tx.events(number))])
    tx.save(after, next_due_at=_next_due(after))
    for entry in (book.of_event(after, e) for e in stored):
        if entry is not None:
            tx.write_down(entry)
    rows = effects(before, after, stored)
    if brief.wanted(rows):
        rows = brief.given(after, rows, stored, brief.brief(after, tx.events(number), tx.now()))
    tx.enqueue(rows)
    walking.act(tx, house, before, after, stored)
    gone = cancelled(before, after, stored)
    if gone:
        tx.cancel(gone)
    return after


def _due(tx: Tx, house: House, incident: Incident, _: Sequence[Event]) -> list[Event]:
    """What has fallen due: pages, warnings, questions, reminders."""
    return [*fire(incident, house.roster, tx.now()), *walking.reminders(house, incident, tx.now())]


def _next_due(incident: Incident) -> datetime | None:
    times = (next_due(incident), walking.next_reminder(incident))
    return min((at for at in times if at is not None), default=None)


def _fold(state: Incident | None, number: int, events: Sequence[Event]) -> Incident:
    for item in events:
        state = begin(number, item) if state is None else evolve(state, item)
    if state is None:
        raise ValueError("an incident begins with its first event")
    return state


def load(tx: Tx, number: int) -> Incident:
    """The incident, locked. Raises Refused when there is none of this number."""
    incident = tx.incident(number)
    if incident is None:
        raise Refused(f"There is no INC-{number}.", "`/incident list` shows the ones there are.")
    return incident


Decision = Callable[[Incident, datetime], Sequence[Event]]


def decide(tx: Tx, house: House, number: int, decision: Decision) -> Incident:
    """Load, decide, store. Nothing is stored when the decision makes no event."""
    incident = load(tx, number)
    events = decision(incident, tx.now())
    return change(tx, house, incident, number, events) if events else incident


def fire_due(tx: Tx, house: House, number: int) -> int:
    """Do what is due on one incident; returns the number of events made."""
    incident = tx.incident(number)
    if incident is None:
        return 0
    house = live(tx, house)
    events = _due(tx, house, incident, ())
    if events:
        change(tx, house, incident, number, events)
    else:
        tx.save(incident, next_due_at=_next_due(incident))
    return len(events)
