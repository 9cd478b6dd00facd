"""Which facts an alert establishes, and how measurements begin and end them (rules: "Facts").

A fact begins once and ends once; while nobody can measure it, it keeps its begin and its timers:
unknown is never fine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.alert_model import Alert, Kind, Severity
from bot.core.alert_rules import error_rate
from bot.core.budget import SOURCE as BUDGET
from bot.core.incident import Event, FactState, Incident, stamp
from bot.core.policy import FACTS, Thresholds

_OF_EVENTS = ("error_rate", "_invalid", "invalid_", "dead_letter", "dead-letter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement of a fact: true, false, or None when nobody could measure it."""

    id: str
    on: bool | None
    text: str = ""
    since: datetime | None = None


def established_by(alert: Alert, limits: Thresholds | None = None) -> tuple[str, ...]:
    """The facts that an open alert is itself evidence of; `limits` None: the shipped thresholds."""
    found = list(alert.facts)
    names = (alert.condition_name, alert.policy_name)
    rate = error_rate(alert.metric_type, names, alert.observed, alert.threshold)
    above = (limits or Thresholds()).error_rate_escalate
    if alert.kind is Kind.SECURITY:
        found.append("security")
    elif alert.severity is Severity.INFO:
        found.append("persistent_minor")
    elif alert.kind is Kind.COST and not alert.facts and alert.source != BUDGET:
        found.append("cost")
    elif alert.kind is Kind.QUALITY and rate is not None and rate > above:
        found.append("error_rate")
    elif alert.kind is Kind.HEALTH and alert.severity is Severity.CRITICAL and not _of_events(alert):
        found.append("down")
    elif alert.kind in (Kind.HEALTH, Kind.PERFORMANCE):
        found.append("degraded")
    return tuple(dict.fromkeys(fact for fact in found if fact in FACTS))


def _of_events(alert: Alert) -> bool:
    """Whether it tells of events that were refused: whatever else it says, what refuses them runs."""
    words = f"{alert.metric_type} {alert.condition_name} {alert.policy_name}".lower().replace(" ", "_")
    return any(word in words for word in _OF_EVENTS)


def _ends_after(incident: Incident, fact: FactState) -> timedelta:
    limits = incident.policy.thresholds
    return limits.running if fact.id == "down" else limits.error_rate_ends


def from_measurements(
    incident: Incident, measured: Sequence[Measured], now: datetime, actor: str
) -> list[Event]:
    """The events that a probe's measurements make: begun, ended, unknown, known again.

    A fact that an alert began and a probe measures ends by the probe, so that a close alone never
    ends what can be measured.
    """
    events: list[Event] = []
    for m in measured:
        if m.id in FACTS:
            events += _one(incident, m, now, actor)
    return events


def _one(incident: Incident, m: Measured, now: datetime, actor: str) -> Iterable[Event]:
    fact = incident.facts.get(m.id)
    holds = fact is not None and fact.ended_at is None
    if not holds or fact is None:
        if m.on:
            begin = m.since if m.since and m.since <= now else now
            data = {"fact": m.id, "begin": stamp(begin), "text": m.text, "by_probe": True}
            yield Event(type="fact_began", at=now, actor=actor, data=data)
        return
    if fact.stated and not m.on:
        return  # what people saw no probe disproves
    if m.on is None:
        if fact.unknown_since is None:
            data = {"fact": m.id, "last_measured": stamp(fact.last_true), "text": m.text}
            yield Event(type="fact_unknown", at=now, actor=actor, data=data)
    elif m.on:
        if fact.unknown_since or fact.false_since:
            yield Event(type="fact_known", at=now, actor=actor, data={"fact": m.id, "text": m.text})
    elif fact.false_since is None:
        yield Event(type="fact_false", at=now, actor=actor, data={"fact": m.id, "text": m.text})
    elif now - fact.false_since >= _ends_after(incident, fact):
        yield Event(type="fact_ended", at=now, actor=actor, data={"fact": m.id, "text": m.text})


def began_by_alert(
    incident_facts: Sequence[str],
    alert: Alert,
    begin: datetime,
    now: datetime,
    actor: str,
    limits: Thresholds | None = None,
) -> list[Event]:
    """Facts that an opening alert begins and that do not hold yet; `limits` None: the shipped thresholds."""
    return [
        Event(
            type="fact_began",
            at=now,
            actor=actor,
            data={
                "fact": fact,
                "begin": stamp(begin),
                "text": alert.summary[:300].rstrip(" ."),
                "alert": alert.key,
            },
        )
        for fact in established_by(alert, limits)
        if fact not in incident_facts
    ]


def ended_by_close(incident: Incident, alert_name: str, now: datetime, actor: str) -> list[Event]:
    """Facts that end with a proving close: those of this alert that no other open alert and no probe holds."""
    closing = incident.alerts[alert_name]
    others = {
        f
        for name, a in incident.alerts.items()
        if name != alert_name and a.open and not a.muted
        for f in a.facts
    }
    ended = []
    for fact_id in closing.facts:
        fact = incident.facts.get(fact_id)
        if fact is None or fact.ended_at is not None or fact_id in others:
            continue
        if incident.measurable and (fact.by_probe or fact_id in ("down", "error_rate", "degraded")):
            continue
        ended.append(Event(type="fact_ended", at=now, actor=actor, data={"fact": fact_id}))
    return ended


def unknown_by_close(incident: Incident, alert_name: str, now: datetime, actor: str) -> list[Event]:
    """A close that proves nothing makes its facts unknown; they keep begin and timers."""
    return [
        Event(type="fact_unknown", at=now, actor=actor, data={"fact": f, "last_measured": stamp(now)})
        for f in incident.alerts[alert_name].facts
        if (fact := incident.facts.get(f)) and fact.ended_at is None and fact.unknown_since is None
    ]
