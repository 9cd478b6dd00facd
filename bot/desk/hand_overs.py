"""Hand-overs: who goes and who comes is told what is open, at the moment at which a place changes hands.

What is stored is who held each place when somebody last looked. So a hand-over that fell into an outage is
found afterwards, and told with how late; and a changed roster is a hand-over too, whatever its rotations say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.core import access, lifecycle, oncall
from bot.core.brief import brief
from bot.core.delivery import Outbound
from bot.core.escalation import timers
from bot.core.incident import Incident, instant, stamp
from bot.core.oncall import clock, zone_of
from bot.core.policy import Level, format_duration
from bot.core.roster import Person, Roster
from bot.core.text import counted
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Tx
from bot.desk.telling import announce, tell

HOLDERS = "oncall.holders"
MOST_OPEN, MOST_BRIEFED = 50, 3
LATE_FROM_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place that changed hands. `late_s` seconds passed until it was noticed; `by_roster`: the documents,
    or a person, changed it, and no rotation says when."""

    key: str
    title: str
    level: Level
    outgoing: str
    incoming: str
    at: datetime
    late_s: float
    by_roster: bool


def seen(tx: Tx) -> Mapping[str, Any] | None:
    """Who held what when somebody last looked, {"at", "holders"}; None when nobody ever did."""
    found: Mapping[str, Any] | None = tx.get_value(HOLDERS)
    return found


def changes(tx: Tx, house: House, known: Mapping[str, Any]) -> list[Change]:
    """What changed hands since then (``seen``), in the order of the roster."""
    now = tx.now()
    looked = instant(known["at"]) or now
    roster = oncall.with_overrides(house.roster, tx.overrides(looked))
    places = {place.key: place for place in oncall.places(roster)}
    found = []
    for key in dict.fromkeys([*places, *known["holders"]]):
        place = places.get(key)
        outgoing = str(known["holders"].get(key, ""))
        incoming = place.holder.on_duty(now) if place is not None else ""
        if outgoing == incoming:
            continue
        at = oncall.since(place, looked, now) if place is not None else None
        found.append(
            Change(
                key=key,
                title=place.title if place is not None else key.replace(":", " "),
                level=Level(key.split(":")[0]),
                outgoing=outgoing,
                incoming=incoming,
                at=at or now,
                late_s=(now - at).total_seconds() if at is not None else 0.0,
                by_roster=at is None,
            )
        )
    return found


def look(tx: Tx, house: House) -> int:
    """Tell what changed hands, and remember who holds what now. Returns how many changes were told."""
    known = seen(tx)  # read once: a second read could see what another replica stored meanwhile
    found = changes(tx, house, known) if known is not None else []
    roster = live(tx, house).roster
    holders = {place.key: place.holder.on_duty(tx.now()) for place in oncall.places(roster)}
    if known is None or found:
        tx.put_value(HOLDERS, {"at": stamp(tx.now()), "holders": holders})
    if known is None:
        return 0
    # Replicas look at the same stored state, so the one who comes second finds each of these taken.
    fresh = [c for c in found if tx.once("handover", f"{c.key}:{known['at']}:{c.incoming}")]
    if fresh:
        _tell(tx, live(tx, house), fresh, str(known["at"]))
    return len(fresh)


def _tell(tx: Tx, house: House, found: Sequence[Change], mark: str) -> None:
    for known in tx.incidents(active=True, limit=MOST_OPEN):
        # Locked, and as it stands by then: the list is not.
        incident = tx.incident(known.id)
        if incident is not None and incident.active:
            _on_timeline(tx, house, incident, found)
    now, roster = tx.now(), house.roster
    incidents = tx.incidents(active=True, limit=MOST_OPEN)
    key = f"handover:{mark}:{':'.join(change.key for change in found)}"
    public = [_open(i, now) for i in incidents if not i.private]
    lines = [*(_changed(each, zone_of(None)) for each in found), *(public or ["No incident is open."])]
    tx.enqueue([announce(key, "Hand-over of on-call", lines)])
    for name in dict.fromkeys(n for c in found for n in (c.incoming, c.outgoing) if n):
        person = roster.people.get(name)
        mine = [i for i in incidents if not i.private or access.is_member(roster, name, now, i)]
        comes = [each for each in found if each.incoming == name]
        goes = [each for each in found if each.outgoing == name]
        if person is not None and comes:
            tx.enqueue(_to_incoming(tx, roster, person, comes, goes, mine, f"{key}:{name}"))
        elif person is not None:
            tx.enqueue(_to_outgoing(person, goes, mine, now, f"{key}:{name}"))


def _on_timeline(tx: Tx, house: House, incident: Incident, found: Sequence[Change]) -> None:
    """The incoming person is invited and told; the acknowledgement stays until they take over."""
    roster, now, events = house.roster, tx.now(), []
    for each in found:
        incoming = roster.people.get(each.incoming)
        theirs = each.level is Level.L1 or each.level in incident.paged_levels()
        if incoming is None or not theirs:
            continue
        if incident.private and not access.is_member(roster, incoming.name, now, incident):
            continue
        data = {"place": each.title, "from": each.outgoing, "to": each.incoming, "slack": incoming.slack}
        events.append(lifecycle.event("handed_over", now, lifecycle.BOT, **data))
    if events:
        change(tx, house, incident, incident.id, events)


# --- the words --------------------------------------------------------------------------------------------


def _changed(c: Change, zone: ZoneInfo) -> str:
    """One change in a line, with its time and how late it is told."""
    late = f", told {format_duration(timedelta(seconds=c.late_s))} late" if c.late_s >= LATE_FROM_S else ""
    when = "because the roster was changed" if c.by_roster else f"at {clock(c.at, zone)}"
    return f"{c.title}: from {c.outgoing or 'nobody'} to {c.incoming or 'NOBODY'}, {when}{late}"


def _open(i: Incident, now: datetime) -> str:
    """An open incident in a line: where it stands and what is due next."""
    who = f"acknowledged by {i.acked_by}" if i.acked_by else "nobody has acknowledged it"
    due = next((t for t in timers(i) if t.level is not None), None)
    wait = format_duration(max(due.due_at - now, timedelta(0))) if due is not None else ""
    after = f"; next is {due.level} in {wait}, {due.reason}" if due is not None else ""
    last = f"; last status: {i.last_status[:200]}" if i.last_status else ""
    return f"{i.name} {i.severity}, {i.status}, {who}: {i.title[:120]}{after}{last}"


def _to_incoming(
    tx: Tx,
    roster: Roster,
    person: Person,
    comes: Sequence[Change],
    goes: Sequence[Change],
    mine: Sequence[Incident],
    key: str,
) -> list[Outbound]:
    """You are on call: as what, since when, until when, what you are relieved of, and each open incident with its
    brief."""
    now, zone = tx.now(), zone_of(person)
    untils = {s.place.key: s.until for s in oncall.standing(roster, now)}
    lines = []
    for each in comes:
        until = untils.get(each.key)
        lines.append(_changed(each, zone) + (f"; it is yours until {clock(until, zone)}" if until else ""))
    lines += [_changed(each, zone) for each in goes]
    lines += _held(person, mine, now) if goes else []
    for incident in mine[:MOST_BRIEFED]:
        lines.append(_open(incident, now))
        lines += brief(incident, tx.events(incident.id), now).lines()
    lines += [_open(incident, now) for incident in mine[MOST_BRIEFED:]]
    buttons = [
        {"action": "incident_ack", "label": f"Take over {i.name}", "value": str(i.id)}
        for i in mine[:MOST_BRIEFED]
        if not i.acked_by or i.succeeds(person.name)
    ]
    places = ", ".join(each.title for each in comes)
    head = f"You are on call now: {places}. {counted(len(mine), 'incident')} open."
    return tell(person, key, head, lines=lines, buttons=buttons)


def _to_outgoing(
    person: Person, goes: Sequence[Change], mine: Sequence[Incident], now: datetime, key: str
) -> list[Outbound]:
    """You are relieved, and what stays with you until somebody takes it."""
    lines = [_changed(each, zone_of(person)) for each in goes]
    return tell(person, key, "You handed over on-call. Thank you.", lines=[*lines, *_held(person, mine, now)])


def _held(person: Person, mine: Sequence[Incident], now: datetime) -> list[str]:
    return [f"Yours until it is taken over: {_open(i, now)}" for i in mine if i.acked_by == person.name]
