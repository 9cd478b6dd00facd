"""Alerts held back: kept while a maintenance or an operation holds, and let go when it is over.

Rules: "From alert to incident", Maintenance. Its decisions are ``bot.core.holding``. An alert that
waits is a stored row, and when it is let go follows from stored instants: a restart forgets nothing,
and an alert that was held in the very moment of the end is found by the next turn.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bot.core import holding
from bot.core.alert_model import Alert, closed_as
from bot.core.correlation import Correlation
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.holding import Hold, Tally, Why
from bot.desk.house import House
from bot.desk.ports import Run, StoredAlert, Tx

RUN = "run:"
LetGo = Callable[[Tx, House, Alert, datetime, str], None]


def run_hold(house: House, run: Run) -> Hold:
    """The hold of an operation that runs, until it takes too long."""
    begin = run.updated_at or run.created_at
    return Hold(
        name=f"{RUN}{run.id}",
        why=Why.OPERATION,
        pipeline=run.pipeline,
        reason=run.operation,
        by=run.confirmed_by or run.requested_by,
        begin=begin,
        until=begin + house.policy.operation_overrun,
    )


def holds_now(tx: Tx, house: House, pipeline: str) -> list[Hold]:
    """What holds alerts of this pipeline at this moment; a maintenance before an operation."""
    now = tx.now()
    standing = [hold for hold in house.maintenances if hold.holds(pipeline, now)]
    run = None if standing else tx.running_change(pipeline)
    if run is not None and run_hold(house, run).holds(pipeline, now):
        standing.append(run_hold(house, run))
    return standing


def hold_for(tx: Tx, house: House, alert: Alert, where: Correlation) -> Hold | None:
    """The hold that keeps this alert back, if any.

    An operation that runs while an incident is open leaves the incident's own alerts to it.
    """
    standing = holds_now(tx, house, where.pipeline)
    found = holding.holding(standing, where.pipeline, alert, tx.now(), house.policy.thresholds)
    if found is None or found.why is Why.MAINTENANCE:
        return found
    return found if tx.open_incident(where.key) is None else None


def keep(tx: Tx, hold: Hold | None, name: str, alert: Alert, stored: StoredAlert | None) -> None:
    """Store and count one notification of a held alert; any order of them ends in the same state."""
    merged = alert if stored is None else _merged(alert, stored.alert)
    if stored is None or merged != stored.alert:
        tx.put_alert(merged, incident=None)
    tx.hold_alert(name, alert.source, alert.key)
    if hold is not None and hold.why is Why.OPERATION:
        tx.enqueue([_line(hold, holding.attached(hold, _tally(tx, name)))])


def _merged(new: Alert, known: Alert) -> Alert:
    if known.is_open and new.is_open:
        return new if new.severity > known.severity else known
    if known.is_open:
        return closed_as(known, new)
    if new.is_open:
        return closed_as(new, known)
    return closed_as(known, new) if new.proves_recovery and not known.proves_recovery else known


def turn(tx: Tx, house: House, let_go: LetGo) -> list[str]:
    """Begin, end and let go what is due; returns the names of the maintenances that are over and told."""
    now = tx.now()
    over: list[str] = []
    waiting = list(tx.waiting_holds())
    known = {hold.name: hold for hold in house.maintenances}
    for hold in known.values():
        if tx.once("maintenance_begun", hold.name):
            tx.enqueue([_line(hold, holding.begun(hold), "begun")])
        if hold.until <= now:
            _end(tx, house, hold, let_go, hold.until)
            over.append(hold.name)
    for name in waiting:
        if name.startswith(RUN):
            _end_of_run(tx, house, name, let_go)
        elif name not in known:
            # Held in the moment in which its maintenance ended elsewhere: let go late rather than never.
            _release(tx, house, name, let_go, now, "it came at the end of a maintenance")
    return over


def _end_of_run(tx: Tx, house: House, name: str, let_go: LetGo) -> None:
    run = tx.run(name.removeprefix(RUN))
    now = tx.now()
    if run is None:
        _release(tx, house, name, let_go, now, "it came while an operation ran")
        return
    hold = run_hold(house, run)
    held = [item for item in tx.held(name) if item.waits]
    quiet = run.state == "done" and not any(item.alert.is_open for item in held)
    why = holding.operation_over(run.state, hold.begin, now, house.policy.operation_overrun)
    if quiet or why:
        _end(tx, house, hold, let_go, now, why)


def _end(tx: Tx, house: House, hold: Hold, let_go: LetGo, ended: datetime, because: str = "") -> None:
    """Once for each end, however often it is looked at: an alert that came late is let go all the same."""
    tx.put_value(f"held_until:{hold.pipeline}", ended.isoformat())
    _release(tx, house, hold.name, let_go, ended, f"it came during {hold.words}")
    if tx.once("hold_over", hold.name):
        tx.enqueue([_line(hold, holding.summary(hold, _tally(tx, hold.name), ended, because), "over")])


def _release(tx: Tx, house: House, name: str, let_go: LetGo, ended: datetime, why: str) -> None:
    waiting = [item for item in tx.held(name) if item.waits]
    tx.release(name)
    for item in waiting:
        if item.alert.is_open and item.incident is None:
            let_go(tx, house, item.alert, ended, why)


def _tally(tx: Tx, name: str) -> Tally:
    held = tx.held(name)
    return Tally(
        alerts=len(held),
        notifications=sum(item.notifications for item in held),
        closed=sum(1 for item in held if not item.alert.is_open),
        opened=tuple(dict.fromkeys(f"INC-{item.incident}" for item in held if item.incident is not None)),
    )


def over_at(tx: Tx, pipeline: str) -> datetime | None:
    """When the last hold of a pipeline was over; facts of its time begin then."""
    raw = tx.get_value(f"held_until:{pipeline}")
    return datetime.fromisoformat(raw) if raw else None


def _line(hold: Hold, text: str, moment: str = "held") -> Outbound:
    """One line in the announcement channel; the one about held alerts is edited as they come."""
    return Outbound(
        key=f"line:{hold.name}:{moment}",
        kind=Kind.ANNOUNCE,
        lane=f"announce:{hold.name}",
        priority=Priority.NEWS,
        replaces=moment == "held",
        data={"text": text},
    )
