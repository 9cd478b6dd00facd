"""Which kind an incident is of, and which runbook it follows, as its alerts and probes come in. Pure.

Neither the order in which alerts came nor which of them closed first may decide it. A runbook that no person has
begun to carry out gives way to one that fits better; one that somebody works by stays, and the other is offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.core.alert_model import Kind, Severity
from bot.core.incident import AlertState, Event, Incident

KIND_CHANGED, MATCHED = "kind_changed", "runbook_matched"


def by_alerts(
    before: Incident, after: Incident, runbooks: Mapping[str, str], now: datetime, actor: str
) -> list[Event]:
    """What follows from an alert that joined. `runbooks`: kind -> the runbook of incidents of that kind."""
    kind = after.kind if after.declared else kind_of(after)
    named = _named(after, kind)
    if kind is not after.kind:
        runbook = named.runbook if named is not None else runbooks.get(kind, "")
        return becomes(after, kind, runbook, now, actor)
    known = _named(before, kind)
    if named is None or named.runbook == after.runbook:
        return []
    if known is not None and known.runbook == named.runbook:
        return []  # it was offered when it came
    switched = named.kind is kind and not _worked(after)
    return [_match(after, named.runbook, switched, f"the alert {named.title} names it", now, actor)]


def becomes(incident: Incident, kind: Kind, runbook: str, now: datetime, actor: str) -> list[Event]:
    """Another kind, and with it another runbook, unless somebody works by the one that stands."""
    worked = _worked(incident) and incident.runbook != runbook
    data = {"from": str(incident.kind), "to": str(kind), "runbook": incident.runbook if worked else runbook}
    events = [Event(type=KIND_CHANGED, at=now, actor=actor, data={**data, "kept": True} if worked else data)]
    if worked and runbook:
        events.append(_match(incident, runbook, False, f"it is a {kind} incident now", now, actor))
    return events


def kind_of(incident: Incident) -> Kind:
    """The kind of the most severe alert, open or closed; among equals the first in the order of kinds."""
    alerts = [a for a in incident.alerts.values() if not a.muted]
    gravest = Severity.highest(a.severity for a in alerts)
    kinds = {a.kind for a in alerts if a.severity == gravest}
    return next((kind for kind in Kind if kind in kinds), incident.kind)


def _named(incident: Incident, kind: Kind) -> AlertState | None:
    """The gravest of the alerts whose policy names a runbook for this kind (declared: for any)."""
    alerts = [
        a
        for a in incident.alerts.values()
        if a.runbook and not a.muted and (incident.declared or a.kind is kind)
    ]
    gravest = Severity.highest(a.severity for a in alerts)
    found = [a for a in alerts if a.severity == gravest]
    return min(found, key=lambda a: (a.kind is not kind, a.runbook, a.key), default=None)


def _worked(incident: Incident) -> bool:
    return incident.walk is not None and incident.walk.epoch == incident.epoch and incident.walk.worked


def _match(i: Incident, runbook: str, switched: bool, reason: str, now: datetime, actor: str) -> Event:
    data = {"from": i.runbook, "to": runbook, "switched": switched, "reason": reason}
    return Event(type=MATCHED, at=now, actor=actor, data=data)
