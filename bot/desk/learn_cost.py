"""What a look at the costs means (rules: "Facts", normal cost): a day far above normal is an incident by itself.

An episode lasts until a complete day is within normal again. It opens one incident; once people closed that, only
a cost that is as much again above normal opens another: the figures of a day that is over do not change any more.
"""

from __future__ import annotations

from datetime import timedelta

from bot.core import lifecycle, signals
from bot.core.alert_model import Kind, Severity
from bot.core.correlation import correlation_key
from bot.core.facts import Measured
from bot.core.incident import Incident
from bot.desk import holds
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.learn import WATCH, open_from_probe, reopen_from_probe
from bot.desk.ports import Tx
from pipeline.catalogue import Pipeline
from pipeline.report import Report

FACT = "cost"
# A spike is of today or of yesterday: whoever resolved it within that time has seen it.
_SEEN = timedelta(days=2)


def learn(tx: Tx, house: House, pipeline: Pipeline, report: Report) -> None:
    """What one look means: for the incident that is open on the pipeline's cost, or for the one that it opens."""
    found, ratio = _measured(report)
    key = correlation_key(pipeline.project, pipeline.name, FACT)
    standing = tx.open_incident(key)
    mark = f"cost_told:{pipeline.name}"
    told = tx.get_value(mark)
    if found.on is False and told is not None:
        tx.put_value(mark, None)
    if standing is not None:
        if found.on:
            tx.put_value(mark, max(ratio, told or 0.0))
        _probed(tx, house, standing, report, found)
        return
    if not found.on or holds.holds_now(tx, house, pipeline.name):
        return
    last = tx.last_incident(key)
    if told is None and last is not None and _decided(tx, last):
        tx.put_value(mark, ratio)
        return
    if told is not None and ratio < told + house.policy.thresholds.cost_spike:
        return
    tx.put_value(mark, ratio)
    if last is not None and lifecycle.may_reopen_by_alert(last, tx.now()):
        reopen_from_probe(tx, house, last, found.text, (found,))
        return
    open_from_probe(
        tx,
        house,
        pipeline,
        kind=Kind.COST,
        severity=Severity.WARNING,
        title=f"{pipeline.name} costs more than {house.policy.thresholds.cost_spike * 100:g} % above normal",
        reason=f"{found.text} No alert and no budget told of it.",
        facts=(found,),
        last=last,
    )


def _measured(report: Report) -> tuple[Measured, float]:
    """The fact and the highest ratio of a day to a normal one: one outlook proves a spike, all disprove it."""
    facts = [fact for fact in report.facts if fact.id == FACT]
    ratio = max((fact.value or 0.0 for fact in facts), default=0.0)
    if any(fact.on for fact in facts):
        told = [f.text for f in report.findings if f.id == "cost_spike"]
        text = told[0] if told else next(fact.text for fact in facts if fact.on)
        return Measured(id=FACT, on=True, text=text), ratio
    if facts and all(fact.on is False for fact in facts):
        return Measured(id=FACT, on=False, text=facts[0].text), ratio
    why = next((f.text for f in report.findings if f.id == "normal"), report.verdict)
    return Measured(id=FACT, on=None, text=why.rstrip(".")), ratio


def _probed(tx: Tx, house: House, standing: Incident, report: Report, found: Measured) -> None:
    events = signals.probed(
        standing,
        healthy=None if found.on is None else not found.on,
        verdict=found.text,
        severity="warning" if found.on else "unknown" if found.on is None else "ok",
        measured=(found,),
        deletion_at=None,
        now=tx.now(),
    )
    if events:
        change(tx, house, standing, standing.id, events)


def _decided(tx: Tx, last: Incident) -> bool:
    """Whether people closed an incident that told of this cost already."""
    by_hand = last.resolved_at is not None and last.resolved_by not in (lifecycle.BOT, WATCH)
    return by_hand and FACT in last.facts and tx.now() - (last.resolved_at or tx.now()) < _SEEN
