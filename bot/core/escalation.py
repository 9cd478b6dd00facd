"""When who is paged: the timers that an incident's stored facts imply (rules: "Escalation").

``timers`` is a pure function of the incident, so nothing about time is ever held in memory: after a
restart the same facts give the same due times. A timer that fired is in ``incident.fired``; its step
name carries the cycle or the fact's begin, so that a new cycle has timers of its own.

A due time is never earlier than the moment at which the bot could have known of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.core.alert_model import Severity
from bot.core.incident import Incident, Page, Status
from bot.core.policy import Level, Rule, format_duration


class TimerKind(StrEnum):
    """What a timer does when it is due."""

    LADDER = "ladder"
    BACKUP = "backup"
    EMERGENCY = "emergency"
    L1_AGAIN = "l1_again"
    L2_CRITICAL = "l2_critical"
    RULE = "rule"
    WARNING = "warning"
    REPEAT = "repeat"
    CLIMB = "climb"
    ASK = "ask"
    UNACKNOWLEDGE = "unacknowledge"
    RESOLVE = "resolve"
    CONTACT = "contact"


# Two of these for one level within five minutes make one page with both reasons.
MERGING = frozenset({TimerKind.LADDER, TimerKind.RULE, TimerKind.L2_CRITICAL, TimerKind.CLIMB})


# "Escalate within 4 hours" in the document: Slack only, without repeats, whatever times a policy gives them.
LOW_URGENCY = frozenset({"persistent_minor", "resource_constraint", "degradation_trend"})


# While one of these holds, the watermark has not caught up.
BEHIND = frozenset({"down", "degraded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One armed timer. ``level`` is the level that it pages, where it pages one."""

    step: str
    kind: TimerKind
    due_at: datetime
    reason: str
    level: Level | None = None
    rule: str = ""
    urgent: bool = True
    of_page: str = ""
    count: int = 1


def timers(incident: Incident) -> tuple[Timer, ...]:
    """Every armed timer, earliest first. Resolved and reviewed incidents have none."""
    if not incident.active:
        return ()
    armed = [
        *_ladder(incident),
        *_first_level(incident),
        *_rules(incident),
        *_unanswered(incident),
        *_idle(incident),
        *_recovery(incident),
        *_contacts(incident),
    ]
    live = [timer for timer in armed if timer.step not in incident.fired]
    live = [_hasten(incident, timer, live) for timer in live]
    live = [_not_before(incident, timer) for timer in live]
    live = [_snooze(incident, timer) for timer in live]
    return tuple(sorted(live, key=lambda timer: (timer.due_at, timer.level or "", timer.step)))


def next_due(incident: Incident) -> datetime | None:
    """The earliest due time, for the column that the tick compares; None when nothing is armed."""
    return min((timer.due_at for timer in timers(incident)), default=None)


def _ladder(i: Incident) -> Iterable[Timer]:
    """L1 at once, then the ladder on unresolved time. Info has no ladder; critical again goes on."""
    if i.ladder_from is None or i.severity is Severity.INFO:
        return
    if i.cycle_from is not None:
        again = "" if i.cycle == 1 else f" again ({i.cycle})"
        yield Timer(
            step=f"e{i.epoch}:c{i.cycle}:L1",
            kind=TimerKind.LADDER,
            due_at=i.cycle_from,
            level=Level.L1,
            reason=f"{i.severity} incident{again}: L1 at once",
        )
    for level, after in sorted(i.policy.ladder.items()):
        yield Timer(
            step=f"e{i.epoch}:ladder:{level}",
            kind=TimerKind.LADDER,
            due_at=i.ladder_from + after,
            level=Level(level),
            reason=f"unresolved for {format_duration(after)}",
        )


def _first_level(i: Incident) -> Iterable[Timer]:
    """L1's own steps: an acknowledgement cancels those not sent yet, and the repeats."""
    if i.cycle_from is None or i.acked_by or i.severity is Severity.INFO or i.status is Status.RECOVERING:
        return
    prefix = f"e{i.epoch}:c{i.cycle}"
    p = i.policy
    yield Timer(
        step=f"{prefix}:backup",
        kind=TimerKind.BACKUP,
        due_at=i.cycle_from + p.backup,
        level=Level.L1,
        reason=f"not acknowledged for {format_duration(p.backup)}: backup",
    )
    yield Timer(
        step=f"{prefix}:emergency",
        kind=TimerKind.EMERGENCY,
        due_at=i.cycle_from + p.emergency,
        level=Level.L1,
        reason=f"not acknowledged for {format_duration(p.emergency)}: emergency",
    )
    if i.severity is Severity.CRITICAL:
        yield Timer(
            step=f"{prefix}:L2",
            kind=TimerKind.L2_CRITICAL,
            due_at=_once_critical(i, i.cycle_from + p.l2_if_critical),
            level=Level.L2,
            reason=f"critical and not acknowledged for {format_duration(p.l2_if_critical)}",
        )
    done = sum(1 for step in i.fired if step.startswith(f"{prefix}:again:"))
    yield Timer(
        step=f"{prefix}:again:{done + 1}",
        kind=TimerKind.L1_AGAIN,
        due_at=i.cycle_from + (done + 1) * p.repeat,
        level=Level.L1,
        reason=f"still not acknowledged, page {done + 2} to L1",
        count=done + 1,
    )


def _rules(i: Incident) -> Iterable[Timer]:
    """The document's "When to Escalate": holds_at = begin + for; due_at = holds_at + within."""
    for rule in i.policy.rules:
        fact = i.facts.get(rule.fact)
        if fact is None or fact.ended_at is not None or _escalated_by_hand(i, rule):
            continue
        low = rule.fact in LOW_URGENCY
        if i.severity is Severity.INFO and not low:
            continue
        holds_at = fact.begin + rule.for_
        name = f"{rule.id}:{fact.begin.isoformat()}"
        why = _why(rule, fact.text)
        due = max(holds_at + rule.within, fact.known_at)
        half = max(holds_at + rule.within / 2, fact.known_at)
        step = f"e{i.epoch}:rule:{name}"
        yield Timer(
            step=step,
            kind=TimerKind.RULE,
            due_at=due,
            level=rule.to,
            reason=why,
            rule=rule.id,
            urgent=not low,
        )
        # A warning of what has happened already, or happens in the same instant, is no warning.
        if half < due and step not in i.fired:
            yield Timer(
                step=f"e{i.epoch}:warn:{name}",
                kind=TimerKind.WARNING,
                due_at=half,
                level=rule.to,
                reason=why,
                rule=rule.id,
                urgent=False,
            )


def _why(rule: Rule, text: str) -> str:
    held = f" for {format_duration(rule.for_)}" if rule.for_ else ""
    return f"{rule.id.replace('_', ' ')}{held}" + (f": {text}" if text else "")


def _escalated_by_hand(i: Incident, rule: Rule) -> bool:
    return i.manual_level is not None and i.manual_level >= rule.to


def _unanswered(i: Incident) -> Iterable[Timer]:
    """A page to L2..L4 unanswered for 15 min is repeated once; critical then goes one level up."""
    for step, pages in _by_step(i).items():
        first = pages[0]
        if not first.urgent or _of_first_level(step) or any(page.acked_at for page in pages):
            continue
        if step.endswith(":repeat"):
            above = _above(i, first.level)
            if i.severity is Severity.CRITICAL and above is not None:
                yield Timer(
                    step=f"{step}:up",
                    kind=TimerKind.CLIMB,
                    due_at=_once_critical(i, first.made_at + i.policy.unanswered),
                    level=above,
                    reason=f"{first.level} did not answer twice",
                )
        else:
            yield Timer(
                step=f"{step}:repeat",
                kind=TimerKind.REPEAT,
                due_at=first.made_at + i.policy.unanswered,
                level=first.level,
                reason=f"{first.level} has not answered for {format_duration(i.policy.unanswered)}",
                of_page=step,
            )


def _once_critical(i: Incident, due: datetime) -> datetime:
    """What is due for a critical incident alone is not late because the incident became one later."""
    return due if i.critical_since is None else max(due, i.critical_since)


def _of_first_level(step: str) -> bool:
    """L1's own steps page a higher level where L1 is empty; they have their own repeats. A contact has none."""
    part = step.split(":")[1:]
    return (part[0].startswith("c") and part[1] != "L2") or ":contact:" in step


def _by_step(i: Incident) -> dict[str, list[Page]]:
    steps: dict[str, list[Page]] = {}
    for page in i.pages.values():
        # L1 has repeats of its own; after days of them they would be most of the work.
        if page.level is not Level.L1 and page.epoch == i.epoch:
            steps.setdefault(page.step, []).append(page)
    # An answer to the repeat answers the first page too, and the other way round.
    for step, pages in list(steps.items()):
        twin = steps.get(step.removesuffix(":repeat") if step.endswith(":repeat") else f"{step}:repeat", [])
        if any(page.acked_at for page in twin):
            steps[step] = [replace(page, acked_at=page.acked_at or page.made_at) for page in pages]
    return steps


def _above(i: Incident, level: Level) -> Level | None:
    """The next level up, unless it was paged already: then it has this incident in hand or its own repeats."""
    above = level.up
    return None if above is None or above in i.paged_levels() else above


def _idle(i: Incident) -> Iterable[Timer]:
    """A critical incident, acknowledged and then untouched: ask; then un-acknowledge."""
    if i.severity is not Severity.CRITICAL or i.status is not Status.ACKNOWLEDGED or i.touched_at is None:
        return
    mark = f"e{i.epoch}:c{i.cycle}:{i.touched_at.isoformat()}"
    if i.asked_at is None or i.asked_at < i.touched_at:
        yield Timer(
            step=f"{mark}:ask",
            kind=TimerKind.ASK,
            due_at=_once_critical(i, i.touched_at + i.policy.ack_idle),
            reason=f"nothing from {i.acked_by} for {format_duration(i.policy.ack_idle)}",
        )
    else:
        yield Timer(
            step=f"{mark}:unack",
            kind=TimerKind.UNACKNOWLEDGE,
            due_at=i.asked_at + i.policy.ack_grace,
            reason=f"{i.acked_by} did not answer for {format_duration(i.policy.ack_grace)}",
        )


def _recovery(i: Incident) -> Iterable[Timer]:
    """Probes good for ten minutes resolve; without a probe, ten quiet minutes. Never a declared one, nor what people
    said that nobody has taken back.

    Quiet is not enough where data was late and nobody can say that it caught up; and what flaps must be
    quiet for longer.
    """
    if i.status is not Status.RECOVERING or i.declared or i.recovering_since is None:
        return
    if any(fact.stated for fact in i.holding):
        return
    since = max(i.good_since, i.recovering_since) if i.good_since else i.recovering_since
    if i.good_since is None and (i.measurable or any(f.id in BEHIND for f in i.holding)):
        return
    quiet = max(i.policy.flap_quiet, i.policy.recover) if i.flapping(since) else i.policy.recover
    yield Timer(
        step=f"e{i.epoch}:resolve:{since.isoformat()}",
        kind=TimerKind.RESOLVE,
        due_at=since + quiet,
        reason=f"good for {format_duration(quiet)}",
    )


def _contacts(i: Incident) -> Iterable[Timer]:
    """Whoever wrote to a contact is reminded when nobody answered; it pages nobody."""
    for subject, message in sorted(i.written.items()):
        if message.remind_at is not None:
            yield Timer(
                step=f"contact:{subject}:{message.at.isoformat()}",
                kind=TimerKind.CONTACT,
                due_at=message.remind_at,
                reason=f"{message.by} wrote to the {subject} contact; no answer yet",
                rule=subject,
                urgent=False,
            )


def _hasten(i: Incident, timer: Timer, live: list[Timer]) -> Timer:
    """Data-loss clock: 60 min before data is deleted, the lowest level not paged yet; never later than due."""
    if i.deletion_at is None or timer.kind is not TimerKind.LADDER or timer.level in (None, Level.L1):
        return timer
    unpaged = [
        t.level
        for t in live
        if t.kind is TimerKind.LADDER
        and t.level
        and t.level not in i.paged_levels()
        and t.level is not Level.L1
    ]
    if not unpaged or timer.level is not min(unpaged):
        return timer
    moment = max(i.deletion_at - i.policy.deletion_margin, i.deletion_known_at or i.opened_at)
    paged = any(
        p.level > Level.L1 and p.made_at >= moment and p.epoch == i.epoch and not p.of_contact
        for p in i.pages.values()
    )
    # One level comes forward; the others keep their own times.
    if paged or moment >= timer.due_at:
        return timer
    return replace(timer, due_at=moment, reason=f"{timer.reason}; data will start to be deleted soon")


_SWITCHED = frozenset(
    {TimerKind.LADDER, TimerKind.BACKUP, TimerKind.EMERGENCY, TimerKind.L1_AGAIN, TimerKind.L2_CRITICAL}
)


def _not_before(i: Incident, timer: Timer) -> Timer:
    """What fell due while the ladder was switched off is due when it is switched on again."""
    on = i.resumed_at
    return (
        timer if on is None or timer.kind not in _SWITCHED else replace(timer, due_at=max(timer.due_at, on))
    )


_QUIET_WHEN_SNOOZED = frozenset(
    {
        TimerKind.BACKUP,
        TimerKind.EMERGENCY,
        TimerKind.L1_AGAIN,
        TimerKind.REPEAT,
        TimerKind.WARNING,
        TimerKind.CONTACT,
    }
)


def _snooze(i: Incident, timer: Timer) -> Timer:
    """Snooze stops repeats, L1's steps and half-time warnings; never the critical ladder nor immediate rules."""
    until = i.snoozed_until
    if until is None or timer.due_at >= until:
        return timer
    if timer.kind in _QUIET_WHEN_SNOOZED:
        return replace(timer, due_at=until)
    if timer.kind is TimerKind.LADDER and i.severity is not Severity.CRITICAL:
        # Data does not wait for the end of a snooze.
        dying = i.deletion_at - i.policy.deletion_margin if i.deletion_at else until
        return replace(timer, due_at=max(timer.due_at, min(until, dying)))
    return timer
