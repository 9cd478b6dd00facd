"""What alerts and probes mean for an incident (rules: "From alert to incident", "Facts"). Pure, as ``lifecycle``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.core.alert_model import Alert
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
from bot.core.lifecycle import BOT, apply, event
from bot.core.matching import by_alerts
from bot.core.policy import Thresholds

PROBED = ("down", "error_rate", "degraded", "data_loss")


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


def known_alert(incident: Incident, alert: Alert) -> AlertState | None:
    """The incident's memory of this alert."""
    return incident.alerts.get(f"{alert.source}:{alert.key}")
