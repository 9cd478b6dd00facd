"""What happens to an incident (rules: "From alert to incident"): every change as a pure decision.

Each function takes the incident, what was asked or learned, and the instant, and returns the events
to store; it raises Refused for what cannot be. Applying the events is ``folding.evolve``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core.alert_model import Alert, Kind, Severity
from bot.core.facts import (
    Measured,
    began_by_alert,
    ended_by_close,
    established_by,
    from_measurements,
    unknown_by_close,
)
from bot.core.folding import evolve
from bot.core.incident import AlertState, Event, Incident, Status, stamp
from bot.core.matching import by_alerts
from bot.core.policy import Level, Policy, Thresholds, format_duration
from bot.core.refusal import Refused
from bot.core.text import counted

BOT = "streamwatch"
PROBED = ("down", "error_rate", "degraded", "data_loss")


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


def alert_line(
    alert: Alert,
    began_at: datetime,
    note: str | None,
    limits: Thresholds | None = None,
    *,
    runbook: str = "",
) -> dict[str, Any]:
    """What an ``alert_opened`` event keeps of the alert; `limits` None: the shipped thresholds. `runbook`: the one
    that its policy names, "" where it names none."""
    return {
        "source": alert.source,
        "key": alert.key,
        "title": alert.title,
        "summary": alert.summary,
        "severity": str(alert.severity),
        "kind": str(alert.kind),
        "url": alert.url,
        "policy_name": alert.policy_name,
        "metric_type": alert.metric_type,
        "observed": alert.observed_text,
        "threshold": alert.threshold,
        "began_at": stamp(began_at),
        "note": note or "",
        "facts": list(established_by(alert, limits)),
        "runbook": runbook,
    }


# --- alerts -----------------------------------------------------------------------------------------------


def alert_opens(
    incident: Incident,
    alert: Alert,
    *,
    began_at: datetime,
    note: str | None,
    now: datetime,
    runbooks: Mapping[str, str],
    named: str = "",
) -> list[Event]:
    """An open alert joins. A copy, or an open that follows its own close, changes nothing.

    `runbooks`: kind -> the runbook of incidents of that kind; `named`: the one that the alert's policy names.
    """
    known = incident.alerts.get(f"{alert.source}:{alert.key}")
    if known is not None and (not known.open or alert.severity <= known.severity):
        return []
    actor = alert.source
    limits = incident.policy.thresholds
    data = alert_line(alert, began_at, note, limits, runbook=named)
    events = [Event(type="alert_opened", at=now, actor=actor, data=data)]
    holding = [f.id for f in incident.holding]
    events += began_by_alert(holding, alert, began_at, now, actor, limits)
    if alert.severity > incident.severity:
        events.append(
            event(
                "severity_changed",
                now,
                actor,
                **{"from": str(incident.severity), "to": str(alert.severity), "reason": "its alerts say so"},
            )
        )
    if incident.status is Status.RECOVERING:
        events.append(event("relapsed", now, actor, reason="another alert opened"))
    after = apply(incident, events)
    if after.flaps.since == now and after.flaps != incident.flaps:
        events.append(_flapping(after, now))
    events += by_alerts(incident, after, runbooks, now, actor)
    return events


def _flapping(after: Incident, now: datetime) -> Event:
    flaps = after.flaps
    opened = sum(1 for a in after.alerts.values() if a.cause == flaps.title)
    return event(
        "flapping",
        now,
        BOT,
        title=flaps.title,
        opened=opened,
        score=round(flaps.score, 1),
        quiet_s=after.policy.flap_quiet.total_seconds(),
    )


def damped(incident: Incident, alert: Alert, now: datetime) -> bool:
    """Whether an alert that reopens this incident is one more flap, so that nobody is paged anew.

    After a quiet time as long as a flapping incident waits for, it is news again.
    """
    data = alert_line(alert, now, None, incident.policy.thresholds)
    after = evolve(incident, Event(type="alert_opened", at=now, actor=alert.source, data=data))
    if after.flaps.count == incident.flaps.count or not after.flapping(now):
        return False
    closed = [a.closed_at for a in incident.alerts.values() if a.cause == after.flaps.title and a.closed_at]
    return bool(closed) and now - max(closed) < incident.policy.flap_quiet


def alert_closes(incident: Incident, alert: Alert, now: datetime) -> list[Event]:
    """An alert closes; when it was the last, the incident recovers. The ladder runs on.

    Of several closes of one alert, one that proves recovery counts, whichever came first.
    """
    name = f"{alert.source}:{alert.key}"
    known = incident.alerts.get(name)
    proves = alert.proves_recovery
    if known is None or not (known.open or (proves and not known.proved and not known.muted)):
        return []
    events = [
        event(
            "alert_closed",
            now,
            alert.source,
            source=alert.source,
            key=alert.key,
            title=known.title,
            summary=alert.summary,
            observed=alert.observed_text,
            proves=proves,
        )
    ]
    if proves:
        events += ended_by_close(incident, name, now, alert.source)
    else:
        events += unknown_by_close(incident, name, now, alert.source)
    after = apply(incident, events)
    if proves:
        events += _recovers(after, now, "all its alerts are closed")
    return events


def _recovers(incident: Incident, now: datetime, reason: str) -> list[Event]:
    """Open or acknowledged -> recovering, once every alert closed and no probe says bad."""
    if incident.declared or incident.status not in (Status.OPEN, Status.ACKNOWLEDGED) or incident.open_alerts:
        return []
    unproved = [a for a in incident.alerts.values() if not a.open and not a.proved and not a.muted]
    bad = incident.measurable and incident.good_since is None
    if bad or (unproved and incident.good_since is None):
        return []
    return [event("recovering", now, BOT, reason=reason, good_since=stamp(incident.good_since))]


# --- probes -----------------------------------------------------------------------------------------------


def probed(
    incident: Incident,
    *,
    healthy: bool | None,
    verdict: str,
    severity: str,
    measured: Sequence[Measured],
    deletion_at: datetime | None,
    now: datetime,
) -> list[Event]:
    """What a probe of the pipeline means for the incident. Only what changed becomes an event."""
    actor = "watch"
    seen = {m.id for m in measured}
    unseen = [Measured(id=f.id, on=None) for f in incident.holding if f.id in PROBED and f.id not in seen]
    events = from_measurements(incident, [*measured, *unseen], now, actor)
    good = (incident.good_since or now) if healthy else None
    measurable = healthy is not None
    moved = _moved(incident.deletion_at, deletion_at)
    changed = (measurable, good is None) != (incident.measurable, incident.good_since is None)
    if changed or moved or incident.probe_at is None:
        events.append(
            event(
                "probed",
                now,
                actor,
                verdict=verdict,
                severity=severity,
                healthy=healthy,
                measurable=measurable,
                good_since=stamp(good),
                deletion_at=stamp(deletion_at),
            )
        )
    after = apply(incident, events)
    if after.status is Status.RECOVERING and not healthy and (measurable or incident.claimed):
        if healthy is False or after.recovering_since == after.opened_at:
            events.append(event("relapsed", now, actor, reason=verdict))
    elif healthy:
        events += _recovers(after, now, verdict)
    return events


def _moved(old: datetime | None, new: datetime | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(old - new) > timedelta(minutes=5)


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


def known_alert(incident: Incident, alert: Alert) -> AlertState | None:
    """The incident's memory of this alert."""
    return incident.alerts.get(f"{alert.source}:{alert.key}")
