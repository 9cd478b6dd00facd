"""From the inbox to incidents (rules: "From notification to alert", "From alert to incident").

One inbox row is one decision; any order of the same notifications ends in the same state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core import lifecycle, signals
from bot.core.alert_model import Alert, Kind, Severity, TestNotification, Unusable, closed_as
from bot.core.alerts import begins_at, parse_monitoring
from bot.core.budget import SOURCE as BUDGET
from bot.core.budget import BudgetNotification, parse_budget, reopens, step, to_alert
from bot.core.correlation import Correlation, correlate
from bot.core.facts import began_by_alert
from bot.core.folding import begin
from bot.core.incident import Event, Incident
from bot.core.rows import announce
from bot.desk import holds
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import InboxRow, StoredAlert, Tx


def process(tx: Tx, house: House, row: InboxRow) -> None:
    """Turn one inbox row into alert, events and outbox rows. Raises Unusable for what cannot be."""
    if row.source == "budget":
        _budget(tx, house, budget_of(row), row)
        return
    obj = _decode(row.body)
    found = parse_monitoring(obj, row.received_at, house.kinds(), house.policy.thresholds)
    if isinstance(found, TestNotification):
        text = f"Test notification received from {found.source}: {found.summary or 'no text'}. Nothing was opened."
        tx.enqueue([announce(f"test:{row.id}", text)])
        return
    receive(tx, house, found, row.received_at)


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"the stored body is not JSON: {error}") from error


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}


# --- alerts -----------------------------------------------------------------------------------------------


def receive(tx: Tx, house: House, alert: Alert, received_at: datetime) -> None:
    """One normalised alert, open or closed, into the state that stands."""
    stored = tx.alert(alert.source, alert.key)
    if (stored is None or stored.incident is None) and _held(tx, house, alert, stored):
        return
    if not alert.is_open:
        _close(tx, house, alert, stored)
    elif stored is None:
        _open(tx, house, alert, received_at)
    elif stored.alert.is_open:
        _repeat(tx, house, alert, stored, received_at)
    elif stored.incident is None:
        _open_after_close(tx, house, alert, stored.alert, received_at)
    elif alert.severity > stored.alert.severity:
        _graver_after_close(tx, house, alert, stored, received_at)


def _held(tx: Tx, house: House, alert: Alert, stored: StoredAlert | None) -> bool:
    """Keep it back during a maintenance or an operation; of one that was over by then, more says nothing."""
    before = tx.hold_of(alert.source, alert.key) if stored is not None else None
    if before is not None:
        name, waits = before
        if waits:
            holds.keep(tx, None, name, alert, stored)
        return True
    hold = holds.hold_for(tx, house, alert, correlate(alert, house.claims))
    if hold is not None:
        holds.keep(tx, hold, hold.name, alert, stored)
    return hold is not None


def let_go(tx: Tx, house: House, alert: Alert, ended: datetime, why: str) -> None:
    """A held alert that is still open at the hold's end: it counts from there, as its fact does."""
    hold = holds.hold_for(tx, house, alert, correlate(alert, house.claims))
    if hold is not None:
        holds.keep(tx, hold, hold.name, alert, tx.alert(alert.source, alert.key))
        return
    _open(tx, house, replace(alert, started_at=ended), ended)
    stored = tx.alert(alert.source, alert.key)
    incident = tx.incident(stored.incident) if stored and stored.incident is not None else None
    if incident is not None:
        text = f"{alert.title}: {why}, and is still open at its end. Counted from {ended:%Y-%m-%d %H:%M} UTC."
        change(
            tx, house, incident, incident.id, [lifecycle.event("noted", tx.now(), lifecycle.BOT, text=text)]
        )


def _close(tx: Tx, house: House, alert: Alert, stored: StoredAlert | None) -> None:
    if stored is None:
        tx.put_alert(alert, incident=None, announced=True)
        where = correlate(alert, house.claims)
        if where.family != "security":
            text = (
                f"An alert of {where.pipeline} closed before it was seen to open: {alert.title}. No incident."
            )
            tx.enqueue([announce(_digest(alert), text)])
        return
    if not stored.alert.is_open and (stored.alert.proves_recovery or not alert.proves_recovery):
        return
    tx.put_alert(closed_as(stored.alert, alert), incident=stored.incident)
    incident = tx.incident(stored.incident) if stored.incident is not None else None
    if incident is not None and incident.active:
        events = signals.alert_closes(incident, alert, tx.now())
        if events:
            change(tx, house, incident, incident.id, events)


def _digest(alert: Alert) -> str:
    return hashlib.sha256(f"{alert.source}:{alert.key}".encode()).hexdigest()[:24]


def _repeat(tx: Tx, house: House, alert: Alert, stored: StoredAlert, received_at: datetime) -> None:
    """A copy of an open alert: nothing, unless it is graver than what is known, or a budget says more."""
    incident = tx.incident(stored.incident) if stored.incident is not None else None
    if incident is None or alert.severity <= stored.alert.severity:
        return
    tx.put_alert(alert, incident=incident.id)
    if incident.active:
        events = _joins(tx, house, incident, alert, received_at)
        if events:
            change(tx, house, incident, incident.id, events)


def _joins(tx: Tx, house: House, incident: Incident, alert: Alert, received_at: datetime) -> list[Event]:
    began_at, note = begins_at(alert, received_at, house.policy.thresholds.sample_age)
    return signals.alert_opens(
        incident, alert, began_at=began_at, note=note, now=tx.now(), runbooks=house.runbook_names(),
        named=_named(house, alert),
    )  # fmt: skip


def _open(tx: Tx, house: House, alert: Alert, received_at: datetime) -> None:
    where = correlate(alert, house.claims)
    standing = None if alert.kind is Kind.SECURITY else tx.open_incident(where.key)
    if standing is not None:
        events = _joins(tx, house, standing, alert, received_at)
        tx.put_alert(alert, incident=standing.id)
        change(tx, house, standing, standing.id, events)
        return
    last = None if alert.kind is Kind.SECURITY else tx.last_incident(where.key)
    if last is not None and lifecycle.may_reopen_by_alert(last, tx.now()):
        flaps = signals.damped(last, alert, tx.now())
        events = lifecycle.reopen(last, tx.now(), alert.source, alert.title, flaps=flaps)
        opened = lifecycle.apply(last, events)
        events += _joins(tx, house, opened, alert, received_at)
        tx.put_alert(alert, incident=last.id)
        change(tx, house, last, last.id, events)
        return
    number = open_incident(tx, house, alert, where, received_at, last)
    tx.put_alert(alert, incident=number)


def _open_after_close(tx: Tx, house: House, alert: Alert, closed: Alert, received_at: datetime) -> None:
    """Its close came first: the incident opens recovering and nobody is paged; unproved closes prove nothing."""
    where = correlate(alert, house.claims)
    done = closed_as(alert, closed)
    standing = None if alert.kind is Kind.SECURITY else tx.open_incident(where.key)
    if standing is not None:
        tx.put_alert(done, incident=standing.id)
        _opens_and_closes(tx, house, standing, alert, done, received_at)
        return
    last = None if alert.kind is Kind.SECURITY else tx.last_incident(where.key)
    number = open_incident(
        tx, house, alert, where, received_at, last, recovering=done.proves_recovery, closed=done
    )
    tx.put_alert(done, incident=number)


def _graver_after_close(
    tx: Tx, house: House, alert: Alert, stored: StoredAlert, received_at: datetime
) -> None:
    """A graver copy that its close overtook: it counts as if it had come in time."""
    done = closed_as(alert, stored.alert)
    tx.put_alert(done, incident=stored.incident)
    incident = tx.incident(stored.incident) if stored.incident is not None else None
    if incident is not None and incident.active:
        _opens_and_closes(tx, house, incident, alert, done, received_at)


def _opens_and_closes(
    tx: Tx, house: House, incident: Incident, alert: Alert, done: Alert, received_at: datetime
) -> None:
    """An alert that is over already joins: what was recovering goes on recovering."""
    joins = _joins(tx, house, replace_alert(incident, alert), alert, received_at)
    keeps = incident.status == "recovering" and done.proves_recovery
    opened = [e for e in joins if e.type != "relapsed"] if keeps else joins
    state = lifecycle.apply(incident, opened)
    events = opened + signals.alert_closes(state, done, tx.now())
    if events:
        change(tx, house, incident, incident.id, events)


def _named(house: House, alert: Alert) -> str:
    """The runbook that the alert's policy names, where it is one for the alert's kind."""
    return house.runbook_named(alert.labels.get("runbook", ""), alert.kind)


def open_incident(
    tx: Tx,
    house: House,
    alert: Alert,
    where: Correlation,
    received_at: datetime,
    last: Incident | None,
    *,
    recovering: bool = False,
    closed: Alert | None = None,
) -> int:
    """A new incident for this alert; the ladder counts from the commit of the inbox row."""
    number = tx.next_number()
    named = _named(house, alert)
    began_at, note = begins_at(alert, received_at, house.policy.thresholds.sample_age)
    first = lifecycle.opened(
        project=where.project,
        pipeline=where.pipeline,
        family=str(where.family),
        title=alert.title,
        kind=alert.kind,
        severity=alert.severity,
        policy=house.policy,
        now=received_at,
        actor=alert.source,
        reason=alert.summary or alert.title,
        claimed=where.claimed,
        recovering=recovering,
        linked=[last.id] if last is not None else [],
        runbook=named or house.runbook_names().get(alert.kind, ""),
    )
    now = tx.now()
    limits = house.policy.thresholds
    data = signals.alert_line(alert, began_at, note, limits, runbook=named)
    events = [first, Event(type="alert_opened", at=received_at, actor=alert.source, data=data)]
    events += began_by_alert([], alert, began_at, now, alert.source, limits)
    if closed is not None:
        state = lifecycle.apply(begin(number, first), events[1:])
        events += signals.alert_closes(state, closed, now)
    change(tx, house, None, number, events)
    if recovering and house.tally is not None:
        house.tally.unseen.add(where.pipeline)
    return number


# --- budgets ----------------------------------------------------------------------------------------------


def budget_state(tx: Tx, key: str, *, decided: bool = False) -> BudgetNotification | None:
    """The fold of a budget's notifications in one period, as it stands or as it stood when decided on."""
    raw = tx.get_value(f"budget_decided:{key}" if decided else f"budget:{key}")
    return _budget_from(raw) if raw else None


def put_budget_state(tx: Tx, state: BudgetNotification, *, decided: bool = False) -> None:
    """Keep the fold."""
    raw = {name: getattr(state, name) for name in BudgetNotification.__dataclass_fields__}
    raw["period_start"] = state.period_start.isoformat()
    tx.put_value(f"budget_decided:{state.key}" if decided else f"budget:{state.key}", raw)


def _budget_from(raw: Mapping[str, Any]) -> BudgetNotification:
    return BudgetNotification(**{**raw, "period_start": datetime.fromisoformat(raw["period_start"])})


def _budget(tx: Tx, house: House, new: BudgetNotification, row: InboxRow) -> None:
    """The highest cost of the period counts; a repeated threshold is no new alert."""
    limits = house.policy.thresholds
    # First, because it locks: another notification of this budget is folded after this one, or before it.
    stored = tx.alert(BUDGET, new.key)
    state, changed = step(budget_state(tx, new.key), new, limits)
    put_budget_state(tx, state)
    alert = to_alert(state, row.received_at, limits)
    if alert is None:
        return
    incident = tx.incident(stored.incident) if stored and stored.incident else None
    # Once people decided to live with the cost of a period, only what goes beyond the decision counts.
    decided = budget_state(tx, state.key, decided=True) if incident and not incident.active else None
    why = reopens(decided, state, limits) if decided is not None else changed
    if not why:
        return
    if stored is None or incident is None:
        receive(tx, house, alert, row.received_at)
        return
    where = correlate(alert, house.claims)
    standing = incident if incident.active else tx.open_incident(where.key)
    if standing is not None:
        tx.put_alert(alert, incident=standing.id)
        _budget_grows(tx, house, standing, alert, why)
    elif incident.status == "resolved":
        tx.put_alert(alert, incident=incident.id)
        events = lifecycle.reopen(incident, tx.now(), alert.source, why)
        change(tx, house, incident, incident.id, events)
        _budget_grows(tx, house, tx.incident(incident.id) or incident, alert, why)
    else:
        number = open_incident(tx, house, alert, where, row.received_at, incident)
        tx.put_alert(alert, incident=number)


def _budget_grows(tx: Tx, house: House, incident: Incident, alert: Alert, why: str) -> None:
    now = tx.now()
    known = signals.known_alert(incident, alert)
    events: list[Event] = []
    # What a resolve had muted counts again: else the incident had no open alert, and would end by itself.
    if known is None or known.muted or alert.severity > known.severity:
        forgotten = replace_alert(incident, alert)
        events = signals.alert_opens(
            forgotten, alert, began_at=now, note=why, now=now, runbooks=house.runbook_names()
        )
    if not events:
        events = [lifecycle.event("noted", now, alert.source, text=f"{why}. {alert.summary}")]
    if alert.severity is Severity.CRITICAL:
        holding = [f.id for f in lifecycle.apply(incident, events).holding]
        events += began_by_alert(holding, alert, now, now, alert.source, house.policy.thresholds)
    change(tx, house, incident, incident.id, events)


def replace_alert(incident: Incident, alert: Alert) -> Incident:
    """The incident without its memory of this alert, so that a graver one is taken as new."""
    name = f"{alert.source}:{alert.key}"
    return replace(incident, alerts={k: v for k, v in incident.alerts.items() if k != name})


def budget_of(row: InboxRow) -> BudgetNotification:
    """The budget notification in an inbox row. Raises Unusable."""
    return parse_budget(_texts(row.meta.get("attributes")), _decode(row.body))
