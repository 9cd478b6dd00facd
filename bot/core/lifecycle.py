"""What happens to an incident (rules: "From alert to incident"): every change as a pure decision.

Each function takes the incident, what was asked, and the instant, and returns the events to store; it
raises Refused for what cannot be. Applying the events is ``folding.evolve``; what alerts and probes mean
for an incident stands in ``signals``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core.alert_model import Kind, Severity
from bot.core.folding import evolve
from bot.core.incident import Event, Incident, Status, stamp
from bot.core.policy import Level, Policy, format_duration
from bot.core.refusal import Refused
from bot.core.text import counted

BOT = "streamwatch"
DATA_LOSS = "data_loss"


def event(name: str, now: datetime, actor: str, /, **data: Any) -> Event:
    """An event of this type with these data."""
    return Event(type=name, at=now, actor=actor, data=data)


def apply(incident: Incident, events: Iterable[Event]) -> Incident:
    """The state after these events (their sequence numbers need not be set yet)."""
    for item in events:
        incident = evolve(incident, item)
    return incident


# --- opening ----------------------------------------------------------------------------------------------


def opened(
    *,
    project: str,
    pipeline: str,
    family: str,
    title: str,
    kind: Kind,
    severity: Severity,
    policy: Policy,
    now: datetime,
    actor: str,
    reason: str,
    claimed: bool = False,
    declared: bool = False,
    recovering: bool = False,
    linked: Sequence[int] = (),
    runbook: str = "",
) -> Event:
    """The first event. Info opens no channel; a security incident is private."""
    return event(
        "opened",
        now,
        actor,
        project=project,
        pipeline=pipeline,
        family=family,
        title=title,
        kind=str(kind),
        severity=str(severity),
        status=str(Status.RECOVERING if recovering else Status.OPEN),
        policy=policy.to_dict(),
        reason=reason,
        claimed=claimed,
        declared=declared,
        private=kind is Kind.SECURITY,
        wants_channel=declared or severity is not Severity.INFO,
        linked=list(linked),
        runbook=runbook,
    )


# --- what people do ---------------------------------------------------------------------------------------


def _need_active(incident: Incident) -> None:
    if not incident.active:
        raise Refused(
            f"{incident.name} is {incident.status}; there is nothing left to do on it.",
            f"`/incident reopen {incident.name}` opens it again."
            if incident.status is Status.RESOLVED
            else "A new problem gets a new incident: `/incident declare`.",
        )


def acknowledge(incident: Incident, person: str, now: datetime, page: str = "") -> list[Event]:
    """Any page's acknowledgement acknowledges the incident; each page is acknowledged by its own person. After
    a hand-over the acknowledgement stays until the incoming person takes it over in this way."""
    _need_active(incident)
    theirs = [
        p.id
        for p in incident.pages.values()
        if p.person == person
        and p.acked_at is None
        and (not page or p.id == page or p.epoch == incident.epoch)
    ]
    events = []
    if theirs:
        newest = page if page in theirs else theirs[-1]
        theirs += _for_their_group(incident, theirs)
        events.append(event("page_acknowledged", now, person, page=newest, pages=theirs, person=person))
    if not incident.acked_by:
        events.insert(0, event("acknowledged", now, person, person=person, page=page))
    elif incident.succeeds(person):
        data = {"person": person, "page": page, "from": incident.acked_by}
        events.insert(0, event("acknowledged", now, person, **data))
    elif not events and incident.acked_by == person:
        events.append(event("still_here", now, person))
    elif not events:
        raise Refused(f"{incident.name} is acknowledged by {incident.acked_by} already.")
    return events


def _for_their_group(incident: Incident, pages: Sequence[str]) -> list[str]:
    """The pages of the others whom the same call of a contact went to: its first member answers for the group."""
    calls = {incident.pages[page].step for page in pages if incident.pages[page].of_contact}
    return [
        p.id for p in incident.pages.values() if p.step in calls and p.acked_at is None and p.id not in pages
    ]


def take_over(incident: Incident, person: str, now: datetime, actor: str) -> list[Event]:
    """Assign the incident to somebody on the roster."""
    _need_active(incident)
    if incident.assignee == person:
        raise Refused(f"{incident.name} is assigned to {person} already.")
    return [event("assigned", now, actor, person=person)]


def set_severity(incident: Incident, to: Severity, reason: str, now: datetime, actor: str) -> list[Event]:
    """Only people lower a severity."""
    _need_active(incident)
    if to is incident.severity:
        raise Refused(f"{incident.name} is {to} already.")
    return [
        event(
            "severity_changed",
            now,
            actor,
            **{"from": str(incident.severity), "to": str(to), "reason": reason},
        )
    ]


def lost_data(incident: Incident, what: str, now: datetime, actor: str) -> list[Event]:
    """A person says that data is lost or corrupted (rules: Facts): critical, and its rule pages at once."""
    _need_active(incident)
    known = incident.facts.get(DATA_LOSS)
    holds = known is not None and known.ended_at is None
    if holds and known is not None and known.stated:
        raise Refused(f"{incident.name} says so already: {known.text}.", "`/incident note` adds to it.")
    begin = known.begin if holds and known is not None else now
    told = event(
        "fact_began",
        now,
        actor,
        fact=DATA_LOSS,
        begin=stamp(begin),
        text=f"{what}, says {actor}",
        stated=True,
    )
    if incident.severity is Severity.CRITICAL:
        return [told]
    return [told, *set_severity(incident, Severity.CRITICAL, "data is lost", now, actor)]


def data_found(incident: Incident, why: str, now: datetime, actor: str) -> list[Event]:
    """The loss that a person told of is over."""
    _need_active(incident)
    known = incident.facts.get(DATA_LOSS)
    if known is None or known.ended_at is not None or not known.stated:
        raise Refused(f"Nobody said that {incident.name} loses data.", "`/incident loss WHAT` says so.")
    text = f"says {actor}" + (f": {why}" if why else "")
    return [event("fact_ended", now, actor, fact=DATA_LOSS, text=text)]


def resolve(incident: Incident, now: datetime, actor: str, reason: str, *, confirmed: bool) -> list[Event]:
    """Resolve; open alerts are asked about first and then muted. Raises Refused when they were not confirmed."""
    _need_active(incident)
    open_alerts = [f"{a.source}:{a.key}" for a in incident.open_alerts]
    if open_alerts and not confirmed:
        raise Refused(
            f"{incident.name} still has {counted(len(open_alerts), 'open alert')}.",
            "Confirm to resolve and mute them.",
        )
    events = []
    if open_alerts:
        events.append(event("alerts_muted", now, actor, alerts=open_alerts))
    events += [
        event("fact_ended", now, actor, fact=f.id, text=f"resolved: {reason}" if reason else "resolved")
        for f in incident.holding
    ]
    events.append(event("resolved", now, actor, reason=reason, auto=actor == BOT))
    return events


def reopen(incident: Incident, now: datetime, actor: str, reason: str, *, flaps: bool = False) -> list[Event]:
    """Within the window the same epoch goes on; later, by a person, a new epoch with the ladder from zero.

    ``flaps``: it is one more flap (``damped``).
    """
    if incident.status is Status.REVIEWED:
        raise Refused(
            f"{incident.name} was reviewed; it stays closed.", "Declare a new incident: `/incident declare`."
        )
    if incident.active:
        raise Refused(f"{incident.name} is not resolved.")
    gap = now - (incident.resolved_at or now)
    late = gap > incident.policy.reopen
    return [
        event(
            "reopened",
            now,
            actor,
            reason=reason,
            new_epoch=late,
            gap_s=gap.total_seconds(),
            epoch=incident.epoch + (1 if late else 0),
            damped=flaps and not late,
        )
    ]


def may_reopen_by_alert(incident: Incident, now: datetime) -> bool:
    """Whether an alert that opens now reopens this incident instead of making a new one."""
    return (
        incident.status is Status.RESOLVED
        and incident.resolved_at is not None
        and now - incident.resolved_at <= incident.policy.reopen
    )


def snooze(incident: Incident, length: timedelta, reason: str, now: datetime, actor: str) -> list[Event]:
    """At most 8 h, cost 7 days; a reason is needed."""
    _need_active(incident)
    longest = incident.policy.snooze_max_cost if incident.kind is Kind.COST else incident.policy.snooze_max
    if length > longest:
        raise Refused(
            f"A snooze of {format_duration(length)} is too long; at most {format_duration(longest)}."
        )
    if not reason.strip():
        raise Refused("A snooze needs a reason.", "Write `/incident snooze 2h waiting for the vendor`.")
    return [event("snoozed", now, actor, until=stamp(now + length), reason=reason)]


def escalate(incident: Incident, level: Level, reason: str, now: datetime, actor: str) -> list[Event]:
    """A person escalates: the level is paged at once (by ``paging.page_level``), rules to it are off."""
    _need_active(incident)
    return [event("escalated", now, actor, level=str(level), reason=reason)]
