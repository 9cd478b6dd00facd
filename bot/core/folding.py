"""What an incident's events fold to: one small function for each event type.

``evolve`` is total: an event type it does not know changes nothing but the sequence number, so that an older
process can read what a newer one wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import folding_pages as pages
from bot.core.alert_model import Kind, Severity
from bot.core.flapping import Flaps, again
from bot.core.incident import (
    Action,
    AlertState,
    Event,
    FactState,
    Incident,
    Status,
    instant,
)
from bot.core.policy import Level, Policy
from bot.core.walk import EVENTS as WALKED
from bot.core.walk import fold as fold_walk
from bot.core.written import ANSWERED, REMINDED, WRITTEN
from bot.core.written import fold as fold_written


def begin(number: int, event: Event) -> Incident:
    """The state after an ``opened`` event, the first of every timeline."""
    d = event.data
    severity = Severity(d["severity"])
    paging = severity is not Severity.INFO
    recovering = d.get("status") == Status.RECOVERING
    return Incident(
        id=number,
        project=d["project"],
        pipeline=d["pipeline"],
        family=d["family"],
        title=d["title"],
        kind=Kind(d["kind"]),
        severity=severity,
        status=Status(d.get("status", Status.OPEN)),
        policy=Policy.from_dict(d["policy"]),
        opened_at=event.at,
        claimed=bool(d.get("claimed")),
        declared=bool(d.get("declared")),
        private=bool(d.get("private")),
        wants_channel=bool(d.get("wants_channel", True)),
        linked=tuple(d.get("linked", ())),
        ladder_from=event.at if paging and not recovering else None,
        cycle_from=event.at if paging and not recovering else None,
        recovering_since=event.at if recovering else None,
        critical_ever=severity is Severity.CRITICAL,
        critical_since=event.at if severity is Severity.CRITICAL else None,
        runbook=d.get("runbook", ""),
        updated_at=event.at,
        seq=event.seq,
    )


def evolve(state: Incident, event: Event) -> Incident:
    """Fold one event into the state."""
    fold = _FOLDS.get(event.type)
    changed = fold(state, event) if fold else state
    if event.type in WALKED:
        walk = fold_walk(changed.walk, event.type, event.at, event.actor, event.data)
        changed = replace(changed, walk=walk)
    if event.type in (WRITTEN, ANSWERED, REMINDED):
        told = fold_written(changed.written, event.type, event.at, event.actor, event.data)
        changed = replace(changed, written=told)
    touched = changed.touched_at
    if changed.acked_by and event.actor == changed.acked_by:
        touched = event.at
    return replace(changed, seq=event.seq, updated_at=event.at, touched_at=touched)


def fold(number: int, events: Iterable[Event]) -> Incident | None:
    """The state that a whole timeline folds to; None for no events."""
    state: Incident | None = None
    for event in events:
        state = begin(number, event) if state is None else evolve(state, event)
    return state


# --- the folds, one for each event type, in the order of an incident's life ------------------------------


def _alert_opened(s: Incident, e: Event) -> Incident:
    d = e.data
    before = s.alerts.get(f"{d['source']}:{d['key']}")
    # A graver copy may show another fact; the close ends what any of the copies began.
    facts = (*(before.facts if before else ()), *d.get("facts", ()))
    alert = AlertState(
        source=d["source"],
        key=d["key"],
        title=d["title"],
        summary=d.get("summary", ""),
        severity=Severity(d["severity"]),
        kind=Kind(d["kind"]),
        open=True,
        opened_at=instant(d.get("began_at")) or e.at,
        url=d.get("url", ""),
        policy_name=d.get("policy_name", ""),
        facts=tuple(dict.fromkeys(facts)),
        runbook=d.get("runbook", ""),
    )
    name = f"{alert.source}:{alert.key}"
    return replace(s, alerts={**s.alerts, name: alert}, flaps=_flaps(s, name, alert, e.at))


def _flaps(s: Incident, name: str, alert: AlertState, at: datetime) -> Flaps:
    """An opening counts as a flap where this alert policy's alerts had all closed."""
    known = [a for key, a in s.alerts.items() if key != name and a.cause == alert.cause]
    if not known or name in s.alerts or any(a.open for a in known):
        return s.flaps
    return again(s.flaps, at, alert.cause, s.policy.flap_half_life, s.policy.flap_score)


def _alert_closed(s: Incident, e: Event) -> Incident:
    name = f"{e.data['source']}:{e.data['key']}"
    alert = s.alerts.get(name)
    if alert is None:
        return s
    closed = replace(alert, open=False, closed_at=e.at, proved=bool(e.data.get("proves")))
    return replace(s, alerts={**s.alerts, name: closed})


def _alerts_muted(s: Incident, e: Event) -> Incident:
    muted = {k: replace(a, muted=True) if k in e.data["alerts"] else a for k, a in s.alerts.items()}
    return replace(s, alerts=muted)


def _severity_changed(s: Incident, e: Event) -> Incident:
    to = Severity(e.data["to"])
    start = s.ladder_from
    cycle = s.cycle_from
    if to is not Severity.INFO and start is None and s.status is not Status.RECOVERING:
        start = cycle = e.at
    # A snooze holds the ladder back until the incident is critical: that switches it on as well.
    snoozed = s.snoozed_until is not None and s.snoozed_until > e.at
    critical = to is Severity.CRITICAL and s.severity is not Severity.CRITICAL
    resumes = (s.severity is Severity.INFO and to is not Severity.INFO) or (critical and snoozed)
    return replace(
        s,
        severity=to,
        ladder_from=start,
        cycle_from=cycle,
        resumed_at=e.at if resumes else s.resumed_at,
        wants_channel=s.wants_channel or to is not Severity.INFO,
        critical_ever=s.critical_ever or to is Severity.CRITICAL,
        critical_since=e.at if critical else s.critical_since,
    )


def _kind_changed(s: Incident, e: Event) -> Incident:
    return replace(s, kind=Kind(e.data["to"]), runbook=e.data.get("runbook", s.runbook))


def _runbook_matched(s: Incident, e: Event) -> Incident:
    return replace(s, runbook=e.data["to"]) if e.data.get("switched") else s


def _fact_began(s: Incident, e: Event) -> Incident:
    fact = FactState(
        id=e.data["fact"],
        begin=instant(e.data["begin"]) or e.at,
        known_at=e.at,
        text=e.data.get("text", ""),
        last_true=e.at,
        by_probe=bool(e.data.get("by_probe")),
        stated=bool(e.data.get("stated")),
    )
    return replace(s, facts={**s.facts, fact.id: fact})


def _with_fact(s: Incident, e: Event, change: Callable[[FactState], FactState]) -> Incident:
    fact = s.facts.get(e.data["fact"])
    return s if fact is None else replace(s, facts={**s.facts, fact.id: change(fact)})


def _fact_ended(s: Incident, e: Event) -> Incident:
    return _with_fact(s, e, lambda f: replace(f, ended_at=e.at, unknown_since=None))


def _fact_unknown(s: Incident, e: Event) -> Incident:
    # Minutes that nobody measured do not count as minutes in which the fact was false.
    last = instant(e.data.get("last_measured"))
    return _with_fact(
        s, e, lambda f: replace(f, unknown_since=e.at, false_since=None, last_true=last or f.last_true)
    )


def _fact_known(s: Incident, e: Event) -> Incident:
    return _with_fact(s, e, lambda f: replace(f, unknown_since=None, false_since=None, last_true=e.at))


def _fact_false(s: Incident, e: Event) -> Incident:
    return _with_fact(s, e, lambda f: replace(f, unknown_since=None, false_since=e.at))


def _recovering(s: Incident, e: Event) -> Incident:
    return replace(
        s, status=Status.RECOVERING, recovering_since=e.at, good_since=instant(e.data.get("good_since"))
    )


def _relapsed(s: Incident, e: Event) -> Incident:
    start = s.ladder_from
    cycle = s.cycle_from
    if start is None and s.severity is not Severity.INFO:
        start = cycle = e.at
    status = Status.ACKNOWLEDGED if s.acked_by else Status.OPEN
    return replace(
        s,
        status=status,
        recovering_since=None,
        good_since=None,
        ladder_from=start,
        cycle_from=cycle,
        resumed_at=e.at,
    )


def _probed(s: Incident, e: Event) -> Incident:
    deletion = instant(e.data.get("deletion_at"))
    known = s.deletion_known_at if s.deletion_at and deletion else e.at if deletion else None
    return replace(
        s,
        probe_verdict=e.data.get("verdict", ""),
        probe_at=e.at,
        measurable=bool(e.data.get("measurable")),
        good_since=instant(e.data.get("good_since")),
        deletion_at=deletion,
        deletion_known_at=known,
    )


def _resolved(s: Incident, e: Event) -> Incident:
    return replace(s, status=Status.RESOLVED, resolved_at=e.at, resolved_by=e.actor, snoozed_until=None)


def _reopened(s: Incident, e: Event) -> Incident:
    gap = e.at - s.resolved_at if s.resolved_at else timedelta(0)
    if e.data.get("damped"):
        # It flaps: nobody is paged anew, and whoever had it in hand has it still.
        return replace(
            s,
            status=Status.ACKNOWLEDGED if s.acked_by else Status.OPEN,
            resolved_at=None,
            resolved_by="",
            recovering_since=None,
            good_since=None,
            resumed_at=e.at,
            ladder_from=s.ladder_from + gap if s.ladder_from else s.ladder_from,
        )
    common = replace(
        s,
        status=Status.OPEN,
        acked_by="",
        acked_at=None,
        resolved_at=None,
        resolved_by="",
        recovering_since=None,
        good_since=None,
        cycle_from=e.at,
        cycle=s.cycle + 1,
    )
    # Info has no ladder: it starts when warning is first reached.
    fresh = None if s.severity is Severity.INFO else e.at
    if e.data.get("new_epoch"):
        return replace(
            common, epoch=s.epoch + 1, ladder_from=fresh, cycle_from=fresh, fired={}, manual_level=None
        )
    if s.ladder_from is None:
        return replace(common, ladder_from=fresh, cycle_from=fresh)
    return replace(common, ladder_from=s.ladder_from + gap)


def _reviewed(s: Incident, _: Event) -> Incident:
    return replace(s, status=Status.REVIEWED)


def _escalated(s: Incident, e: Event) -> Incident:
    level = Level(e.data["level"])
    return replace(s, manual_level=level if s.manual_level is None else max(s.manual_level, level))


def _action_added(s: Incident, e: Event) -> Incident:
    d = e.data
    item = Action(id=d["id"], text=d["text"], owner=d.get("owner", ""), due=d.get("due", ""))
    return replace(s, actions=(*s.actions, item))


def _action_done(s: Incident, e: Event) -> Incident:
    done = tuple(replace(a, done_by=e.actor) if a.id == e.data["id"] else a for a in s.actions)
    return replace(s, actions=done)


def _action_undone(s: Incident, e: Event) -> Incident:
    undone = tuple(replace(a, done_by="") if a.id == e.data["id"] else a for a in s.actions)
    return replace(s, actions=undone)


def _step(s: Incident, e: Event) -> Incident:
    return replace(s, steps={**s.steps, e.data["step"]: e.data.get("state", "done")})


_FOLDS: dict[str, Callable[[Incident, Event], Incident]] = {
    "alert_opened": _alert_opened,
    "alert_closed": _alert_closed,
    "alerts_muted": _alerts_muted,
    "severity_changed": _severity_changed,
    "kind_changed": _kind_changed,
    "runbook_matched": _runbook_matched,
    "fact_began": _fact_began,
    "fact_ended": _fact_ended,
    "fact_unknown": _fact_unknown,
    "fact_known": _fact_known,
    "fact_false": _fact_false,
    "acknowledged": pages.acknowledged,
    "unacknowledged": pages.unacknowledged,
    "asked": lambda s, e: replace(s, asked_at=e.at),
    "handed_over": lambda s, e: replace(s, successors={**s.successors, e.data["from"]: e.data["to"]}),
    "assigned": lambda s, e: replace(s, assignee=e.data["person"]),
    "status_posted": lambda s, e: replace(s, last_status=e.data["text"]),
    "snoozed": lambda s, e: replace(s, snoozed_until=instant(e.data["until"])),
    "paged": pages.paged,
    "page_delivered": pages.page_delivered,
    "page_failed": pages.page_failed,
    "page_doubtful": pages.page_doubtful,
    "page_late": pages.page_late,
    "page_rerouted": pages.page_rerouted,
    "dial": pages.dial,
    "emergency": pages.emergency,
    "page_acknowledged": pages.page_acknowledged,
    "timer_fired": pages.timer_fired,
    "channel_wanted": lambda s, _: replace(s, wants_channel=True),
    "channel_created": lambda s, e: replace(s, channel_id=e.data["channel"], channel_name=e.data["name"]),
    "headline_posted": lambda s, e: replace(s, headline_ts=e.data["ts"]),
    "announced": lambda s, e: replace(s, announcement_ts=e.data["ts"]),
    "recovering": _recovering,
    "relapsed": _relapsed,
    "probed": _probed,
    "resolved": _resolved,
    "reopened": _reopened,
    "reviewed": _reviewed,
    "escalated": _escalated,
    "runbook_started": lambda s, e: replace(s, runbook=e.data["runbook"]),
    "step": _step,
    "review_drafted": lambda s, _: replace(s, review_drafted=True),
    "review_stated": lambda s, e: replace(s, stated={**s.stated, e.data["field"]: e.data["text"]}),
    "action_added": _action_added,
    "action_done": _action_done,
    "action_undone": _action_undone,
}
