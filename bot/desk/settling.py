"""What became of a send: the row's next state, and what that means for its incident, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog

from bot.core import lifecycle, reach, roster
from bot.core.delivery import Ambiguous, Kind, Leased, NotSent, Outcome, Refused, Sent, settle
from bot.core.incident import Event, Incident
from bot.core.policy import Level
from bot.desk import test_pages
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Tx

log = structlog.get_logger()
# Not the place's fault: nobody is told of these.
PACED, HANDED_BACK = "paced", "the lease is nearly over"
PAGES = (Kind.PAGE_DM, Kind.PAGE_MENTION, Kind.PAGE_MAIL, Kind.PAGE_HOOK)
PLACES = {
    Kind.PAGE_DM: "direct message",
    Kind.PAGE_MENTION: "channel",
    Kind.PAGE_MAIL: "e-mail",
    Kind.PAGE_HOOK: "hook",
}


def settled(tx: Tx, house: House, row: Leased, outcome: Outcome) -> None:
    """The row's next state, and what its outcome means for the incident, in one transaction."""
    number = row.outbound.incident
    tells = number is not None and _tells(tx, row, outcome)
    # The incident before its row, as everything that changes an incident locks them: the other way round, two
    # replicas wait for each other until PostgreSQL gives one of them up, a second later.
    incident = tx.incident(number) if tells and number is not None else None
    if not tx.finish(row, settle(row, outcome)):
        log.info("lost_lease", action="lost_lease", key=row.outbound.key)
        return
    if row.outbound.data.get("receipt"):
        test_pages.settled(tx, row, outcome)
    if incident is None:
        return
    match outcome:
        case Sent():
            events = _sent(tx, house, incident, row, outcome)
        case Refused():
            events = _refused(tx, house, incident, row, outcome)
        case _:
            events = _waiting(tx, house, incident, row, outcome)
    if events:
        change(tx, house, incident, incident.id, events)


def _is_page(row: Leased) -> bool:
    data = row.outbound.data
    return row.outbound.kind in PAGES and not data.get("refresh") and not data.get("emergency")


def _tells(tx: Tx, row: Leased, outcome: Outcome) -> bool:
    """Whether an outcome may be worth a line: that it is out or refused, the first doubt, a page kept waiting."""
    if isinstance(outcome, Sent | Refused):
        return True
    if not _is_page(row) or outcome.reason == PACED:
        return False
    return (isinstance(outcome, Ambiguous) and not row.ambiguous) or _kept_waiting(tx, row) > 0


def _kept_waiting(tx: Tx, row: Leased) -> float:
    """Seconds of real time since the first attempt."""
    return tx.wall().timestamp() - row.first_try_at


def _waiting(
    tx: Tx, house: House, incident: Incident, row: Leased, outcome: Ambiguous | NotSent
) -> list[Event]:
    """A page that is not out yet: its doubt is told once, and so is that its place took too long."""
    now, data, place = tx.now(), row.outbound.data, PLACES[row.outbound.kind]
    page = incident.pages.get(data["page"])
    known = page.places.get(place, "") if page is not None else ""
    told: dict[str, Any] = {
        "page": data["page"],
        "person": data["person"],
        "place": place,
        "error": outcome.reason,
    }
    waited = _kept_waiting(tx, row)
    if page is not None and waited >= incident.policy.patience.total_seconds():
        if known in ("late", "failed", "sent") or row.outbound.kind is Kind.PAGE_MENTION:
            return []
        late = lifecycle.event("page_late", now, lifecycle.BOT, **told, after_s=round(waited, 3))
        return [late, *_next_place(live(tx, house), incident, late, now)]
    if isinstance(outcome, Ambiguous) and not row.ambiguous:
        return [lifecycle.event("page_doubtful", now, lifecycle.BOT, **told)]
    return []


def _next_place(house: House, incident: Incident, failed: Event, now: datetime) -> list[Event]:
    after = lifecycle.apply(incident, [failed])
    errors = [f"{failed.data['place']}: {failed.data['error']}"]
    return reach.after_failure(after, failed.data["page"], errors, house.roster, now)


def _sent(tx: Tx, house: House, incident: Incident, row: Leased, outcome: Sent) -> list[Event]:
    now, data, kind = tx.now(), row.outbound.data, row.outbound.kind
    if kind is Kind.PAGE_HOOK and data.get("emergency"):
        return [lifecycle.event("hook_called", now, lifecycle.BOT, outbox=row.outbound.key)]
    if _is_page(row):
        due = datetime.fromisoformat(data["due_at"])
        return [
            lifecycle.event(
                "page_delivered",
                now,
                lifecycle.BOT,
                page=data["page"],
                person=data["person"],
                level=data["level"],
                place=PLACES[kind],
                outbox=row.outbound.key,
                late_s=round(max(0.0, (now - due).total_seconds()), 3),
                dnd=bool(outcome.result.get("dnd")),
                repeat=bool(data.get("repeat")),
                ts=outcome.result.get("ts", ""),
                stale=kind is Kind.PAGE_DM and bool(incident.channel_id) and not data.get("channel"),
                **({"letter": True} if data.get("written") else {}),
            )
        ]
    if kind is Kind.CREATE_CHANNEL and not incident.channel_id:
        return [_channel_created(tx, house, incident, outcome)]
    if kind is Kind.HEADLINE and not incident.headline_ts:
        return [lifecycle.event("headline_posted", now, lifecycle.BOT, ts=outcome.result.get("ts", ""))]
    if kind is Kind.ANNOUNCE and not incident.announcement_ts:
        return [lifecycle.event("announced", now, lifecycle.BOT, ts=outcome.result.get("ts", ""))]
    return []


def _channel_created(tx: Tx, house: House, incident: Incident, outcome: Sent) -> Event:
    now, house = tx.now(), live(tx, house)
    on_call = roster.first_line(house.roster, now)
    if incident.private:
        on_call = (*on_call, *roster.holders(house.roster, Level.L2, now), *_contacts(house))
    links = []
    if house.base_url and not incident.private:
        links.append(
            {"title": f"{incident.name} page", "link": f"{house.base_url}/incidents/{incident.name}"}
        )
    return lifecycle.event(
        "channel_created",
        now,
        lifecycle.BOT,
        channel=outcome.result["channel"],
        name=outcome.result["name"],
        invite=[p.slack for p in on_call if p.slack],
        paged=[p.slack for p in incident.pages.values() if p.slack],
        links=links,
    )


def _contacts(house: House) -> tuple[roster.Person, ...]:
    """The people of the security and compliance contacts."""
    found = (house.roster.contacts.get(subject) for subject in ("security", "compliance"))
    return tuple(person for contact in found for person in roster.contact_people(house.roster, contact))


def _refused(tx: Tx, house: House, incident: Incident, row: Leased, outcome: Refused) -> list[Event]:
    now, data, kind = tx.now(), row.outbound.data, row.outbound.kind
    if kind is Kind.PAGE_HOOK and data.get("emergency"):
        return [lifecycle.event("hook_failed", now, lifecycle.BOT, error=outcome.reason)]
    if _is_page(row):
        failed = lifecycle.event(
            "page_failed", now, lifecycle.BOT, page=data["page"], person=data["person"], place=PLACES[kind],
            error=outcome.reason,
        )  # fmt: skip
        if kind is Kind.PAGE_MENTION:
            return [failed]
        return [failed, *_next_place(live(tx, house), incident, failed, now)]
    if kind is Kind.CREATE_CHANNEL:
        return [lifecycle.event("channel_failed", now, lifecycle.BOT, error=outcome.reason)]
    return []
