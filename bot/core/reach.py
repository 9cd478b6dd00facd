"""What follows when a page cannot reach its person: the next place, and at last the number to dial. Pure.

Rules: "A page wakes". Every decision is an event, so the timeline tells each place's outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.core import roster as rosters
from bot.core.incident import Event, Incident, Page
from bot.core.lifecycle import BOT, event
from bot.core.roster import WAKING, Roster, Way

HOPEFUL = ("waiting", "sent", "doubtful")


def unreachable(i: Incident, made: Sequence[Event], roster: Roster, now: datetime) -> list[Event]:
    """For each new page that has no place to go to: the number to dial, at once."""
    return [
        _dial(i, e.data["page"], e.data["person"], ["no way to reach them is set up"], roster, now)
        for e in made
        if e.type == "paged" and not e.data.get("places")
    ]


def after_failure(
    i: Incident, page_id: str, errors: Sequence[str], roster: Roster, now: datetime
) -> list[Event]:
    """What to do after a place of this page failed, or was not reached in time; ``i`` knows it already.

    Another place of the person that was not asked yet, else, once nothing that wakes can be hoped for, the
    numbers. Nothing for a page that somebody answered. ``errors`` say what went wrong, for people.
    """
    page = i.pages.get(page_id)
    if page is None or not i.active or page.acked_at is not None or _in_hand(i, page):
        return []
    person = roster.people.get(page.person)
    left = (
        [p for p in rosters.reached_by(roster, person) if p not in page.places] if person is not None else []
    )
    if left:
        place = str(left[0])
        return [event("page_rerouted", now, BOT, page=page.id, person=page.person, place=place)]
    asked = [place for place in page.places if place in (Way.DM, *WAKING)]
    waking = [place for place in asked if place in WAKING] if page.urgent else []
    hoped = any(page.places[place] in HOPEFUL for place in waking or asked)
    if hoped or Way.PHONE in page.places:
        return []
    return [_dial(i, page.id, page.person, errors, roster, now)]


def _in_hand(i: Incident, page: Page) -> bool:
    """L1 need not be woken any more once somebody acknowledged; the levels above are timed all the same."""
    return bool(i.acked_by) and page.of_first_level


def _dial(i: Incident, page: str, person: str, errors: Sequence[str], roster: Roster, now: datetime) -> Event:
    known = roster.people.get(person)
    own = [f"{person}: {known.phone}"] if known is not None and known.phone else []
    numbers = own or [f"{who}: {number}" for who, number in rosters.numbers(roster)]
    return event("dial", now, BOT, page=page, person=person, numbers=numbers, errors=list(errors))
