"""The hand-over brief: what whoever comes next must know, composed from the timeline alone (rules: "Escalation").

State, tried, ruled out, next, risks; each at most a few short items, the newest first. Plain text: who shows
it escapes it. People steer it with notes that begin with ``tried:``, ``ruled out:``, ``next:`` or ``risk:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core.delivery import Outbound
from bot.core.escalation import TimerKind, timers
from bot.core.incident import Event, Incident, Status
from bot.core.policy import Level, fact_words, format_duration
from bot.core.rows import line
from bot.core.text import clean, counted, cut, redact
from bot.core.walk import progress

ITEM_MAX, ITEMS_MAX, LINE_MAX = 160, 4, 520
_NOTE = re.compile(r"\s*(tried|ruled[ -]out|next|risks?)\s*[:\-\u2013]\s*(.+)", re.IGNORECASE | re.DOTALL)
_STARTED = ("operation_started", "operation_finished", "operation_verified", "operation_unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Five short lists of sentences without a full stop. ``state`` is in order of weight, the others newest first."""

    incident: str
    title: str
    state: tuple[str, ...]
    tried: tuple[str, ...]
    ruled_out: tuple[str, ...]
    next: tuple[str, ...]
    risks: tuple[str, ...]

    def lines(self) -> list[str]:
        """One line for each list, at most ``LINE_MAX`` characters long; an empty list says that it is."""
        return [
            _line("State", self.state, "nothing is known", len(self.state)),
            _line("Tried", self.tried, "nothing that the timeline knows of"),
            _line("Ruled out", self.ruled_out, "nothing yet"),
            _line("Next", self.next, "nobody wrote down a next step"),
            _line("Risks", self.risks, "none known"),
        ]


def _line(name: str, items: Sequence[str], none: str, most: int = ITEMS_MAX) -> str:
    shown = [cut(item, ITEM_MAX) for item in items[:most]]
    more = f" (and {len(items) - most} more)" if len(items) > most else ""
    return cut(f"{name}: {'; '.join(shown) or none}{more}.", LINE_MAX)


def brief(incident: Incident, events: Sequence[Event], now: datetime) -> Brief:
    """The brief of an incident at ``now`` (aware UTC); ``events`` is its whole timeline in order."""
    newest = list(reversed(events))
    return Brief(
        incident=incident.name,
        title=_said(incident.title),
        state=tuple(_state(incident, newest, now)),
        tried=(*_noted(newest, "tried"), *_tried(newest, now)),
        ruled_out=(*_noted(newest, "ruled out"), *_ruled_out(incident, newest, now)),
        next=(*_noted(newest, "next"), *_next(incident, newest, now)),
        risks=(*_risks(incident, newest, now), *_noted(newest, "risk")),
    )


# --- state --------------------------------------------------------------------------------------------------


def _state(i: Incident, newest: Sequence[Event], now: datetime) -> Iterable[str]:
    who = f"acknowledged by {i.acked_by} at {clock(i.acked_at, now)}" if i.acked_by else "nobody acknowledged"
    if i.active:
        recovering = ", recovering" if i.status is Status.RECOVERING else ""
        since = i.ladder_from or i.opened_at
        yield f"{i.severity}{recovering}, unresolved for {format_duration(now - since)}, {who}"
    else:
        yield f"{i.severity}, {i.status} at {clock(i.resolved_at, now)}"
    for fact in i.holding[:3]:
        gone = f" (does not hold since {clock(fact.false_since, now)})" if fact.false_since else ""
        yield f"{fact_words(fact.id)} since {clock(fact.begin, now)}{gone}" + _because(fact.text)
    if i.last_status:
        yield f"last status: {_said(i.last_status)}"
    for e in list(_latest_reports(newest).values()):
        if e.data.get("severity") in ("warning", "critical"):
            yield f"{e.data['operation']} at {clock(e.at, now)}: {_said(e.data.get('verdict'))}"
            break
    still = sum(1 for alert in i.alerts.values() if alert.open)
    if i.alerts:
        yield f"{still} of {counted(len(i.alerts), 'alert')} open"
    if paged := _paged(i):
        yield f"paged: {paged}"


def _paged(i: Incident) -> str:
    """Each person paged in this epoch, once, and whether they answered."""
    people: dict[tuple[Level, str], bool] = {}
    for page in i.pages.values():
        if page.epoch == i.epoch:
            key = (page.level, page.person)
            people[key] = people.get(key, False) or page.acked_at is not None
    silent = "has not answered yet" if i.active else "did not answer"
    return ", ".join(
        f"{level} {person} {'answered' if answered else silent}"
        for (level, person), answered in people.items()
    )


def _latest_reports(newest: Sequence[Event]) -> Mapping[str, Event]:
    """What each reading operation said last."""
    found: dict[str, Event] = {}
    for e in newest:
        if e.type == "reported":
            found.setdefault(str(e.data.get("operation", "")), e)
    return found


# --- tried, ruled out ---------------------------------------------------------------------------------------


def _tried(newest: Sequence[Event], now: datetime) -> Iterable[str]:
    """Every operation that was started, by its last phase, and every step that a person ticked off."""
    seen: set[str] = set()
    for e in newest:
        if e.type in _STARTED:
            run = str(e.data.get("run", ""))
            if run not in seen:
                seen.add(run)
                yield f"{e.data['operation']} at {clock(e.at, now)}{_because(_phase(e))}"
        elif e.type == "step" and str(e.data.get("state", "")).startswith("done by"):
            yield f"{_said(e.data.get('title'))} ({e.data['state']} at {clock(e.at, now)})"


def _phase(e: Event) -> str:
    if e.type == "operation_started":
        return "under way"
    if e.type == "operation_unknown":
        return "interrupted, its outcome is unknown"
    return str(e.data.get("verdict", ""))


def _ruled_out(i: Incident, newest: Sequence[Event], now: datetime) -> Iterable[str]:
    """What was measured fine last, and facts that are over."""
    for name, e in _latest_reports(newest).items():
        if e.data.get("severity") == "ok":
            yield f"{name} at {clock(e.at, now)}{_because(e.data.get('verdict'))}"
    for fact in i.facts.values():
        if fact.ended_at is not None and i.active:
            yield f"{fact_words(fact.id)}, over since {clock(fact.ended_at, now)}"


# --- next, risks --------------------------------------------------------------------------------------------

_CLIMBING = (TimerKind.LADDER, TimerKind.RULE, TimerKind.L2_CRITICAL, TimerKind.CLIMB)


def _next(i: Incident, newest: Sequence[Event], now: datetime) -> Iterable[str]:
    decided = {
        e.data.get("run")
        for e in newest
        if e.type in (*_STARTED, "plan_cancelled", "plan_confirmed", "plan_approved")
    }
    for e in newest:
        if e.type == "planned" and e.data.get("run") not in decided:
            yield f"the plan for {e.data['operation']} waits for a decision{_because(e.data.get('summary'))}"
    if i.active and (where := progress(i.walk, now, i.assignee or i.acked_by)):
        yield f"runbook {i.runbook}, {where}"
    armed = [t for t in timers(i) if t.kind in _CLIMBING and t.level is not None and t.level > Level.L1]
    if armed:
        again = "told again" if armed[0].level in i.paged_levels() else "paged"
        yield f"{armed[0].level} is {again} at {clock(armed[0].due_at, now)} ({_said(armed[0].reason)})"
    if i.active and i.assignee and i.assignee != i.acked_by:
        yield f"{i.assignee} has it assigned"


def _risks(i: Incident, newest: Sequence[Event], now: datetime) -> Iterable[str]:
    if loss := data_loss_words(i, now):
        yield loss
    for fact in i.holding:
        if fact.unknown_since is not None:
            yield f"nobody can measure {fact_words(fact.id)} since {clock(fact.unknown_since, now)}"
    unknown = {e.data.get("run") for e in newest if e.type == "operation_unknown"}
    if unknown:
        yield f"{counted(len(unknown), 'operation')} ended with an unknown outcome"
    failed = {p.person: p for p in i.pages.values() if p.failed and not p.sent_at and p.epoch == i.epoch}
    for page in failed.values():
        yield f"the page to {page.person} ({page.level}) failed{_because(page.failed)}"
    for e in newest:
        if e.type == "break_glass":
            yield f"{e.actor} broke the glass for {e.data.get('operation')} at {clock(e.at, now)}"
    if i.active and i.snoozed_until is not None and i.snoozed_until > now:
        yield f"snoozed until {clock(i.snoozed_until, now)}: repeats are silent"


SOON = timedelta(hours=48)


def data_loss_words(i: Incident, now: datetime) -> str:
    """The data-loss clock in words; "" where no deletion is in sight: what moves again deletes nothing in days."""
    if i.deletion_at is None or not i.active:
        return ""
    left = i.deletion_at - now
    if left > SOON and all(fact.false_since for fact in i.holding):
        return ""
    if left.total_seconds() <= 0:
        return f"data is being deleted since {clock(i.deletion_at, now)}"
    return f"data will start to be deleted at {clock(i.deletion_at, now)}, in {format_duration(left)}"


# --- words --------------------------------------------------------------------------------------------------


def _noted(newest: Sequence[Event], what: str) -> Iterable[str]:
    """Notes, status lines and pinned messages in which a person said so in as many words."""
    for e in newest:
        found = (
            _NOTE.match(str(e.data.get("text", "")))
            if e.type in ("noted", "status_posted", "pinned")
            else None
        )
        if found and found[1].lower().replace("-", " ").rstrip("s") == what:
            yield f"{_said(found[2])} ({e.data.get('who') or e.actor.replace('slack:', 'Slack member ')})"


def clock(at: datetime | None, now: datetime) -> str:
    """An instant in words: ``03:10 UTC``, with its date unless that is today's."""
    if at is None:
        return "an unknown time"
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def _said(text: object) -> str:
    """Text of others on one line, without secrets and without a full stop of its own."""
    return cut(" ".join(redact(clean(str(text or ""))).split()), ITEM_MAX).rstrip(" .")


def _because(text: object) -> str:
    words = _said(text)
    return f": {words}" if words else ""


# --- where it goes ------------------------------------------------------------------------------------------


def wanted(rows: Iterable[Outbound]) -> bool:
    """Whether any of these rows is a page to L2 or above: that is when a brief is worth composing."""
    return any(_climbs(row) for row in rows)


def _climbs(row: Outbound) -> bool:
    return bool(row.data.get("page")) and str(row.data.get("level")) in ("L2", "L3", "L4")


def given(incident: Incident, rows: Sequence[Outbound], made: Sequence[Event], told: Brief) -> list[Outbound]:
    """The rows, with the brief in every page to L2 or above, and once in the channel for the pages just made.

    A repeat brings the brief to its person; the channel has read it already.
    """
    lines = told.lines()
    out = [replace(row, data={**row.data, "brief": lines}) if _climbs(row) else row for row in rows]
    fresh = [e for e in made if e.type == "paged" and e.data["level"] != Level.L1 and not _repeats(e)]
    if fresh and (incident.channel_id or incident.wants_channel):
        levels = ", ".join(sorted({str(e.data["level"]) for e in fresh}))
        text = f"Hand-over brief of {incident.name} for {levels}"
        key = f"brief:{incident.name}:{fresh[0].data['step']}"
        out.append(line(incident, key, text, form="list", lines=lines))
    return out


def _repeats(e: Event) -> bool:
    return str(e.data["step"]).endswith(":repeat")
