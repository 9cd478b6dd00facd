"""What the pages show of an incident, as plain values: the ladder, the pages, the timeline, the JSON. Pure.

Instants go in as aware UTC datetimes and come out as RFC 3339 texts in JSON and as words on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.core.book import Entry, words
from bot.core.escalation import Timer, timers
from bot.core.incident import Event, FactState, Incident, Page, Status
from bot.core.policy import Level, format_duration
from bot.core.sentences import sentence
from bot.core.text import clean, redact
from bot.core.walk import progress

_KINDS = {
    "ladder": "ladder",
    "backup": "backup",
    "emergency": "emergency step",
    "l1_again": "L1 again",
    "l2_critical": "critical and not acknowledged",
    "rule": "rule",
    "warning": "half-time warning",
    "repeat": "repeat",
    "climb": "one level up",
    "ask": "still there?",
    "unacknowledge": "un-acknowledge",
    "resolve": "resolve",
    "contact": "a contact's answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One timer of the ladder, fired or armed. ``state`` is one of fired, due, armed."""

    step: str
    title: str
    state: str
    due_at: datetime
    said: str
    reason: str = ""
    level: str = ""
    pages: tuple[str, ...] = ()


def has_review(incident: Incident) -> bool:
    """A review exists once it was drafted, and of every resolved incident that had been critical."""
    over = incident.status in (Status.RESOLVED, Status.REVIEWED)
    return incident.review_drafted or (over and incident.critical_ever)


def rungs(incident: Incident, events: Sequence[Event], now: datetime) -> list[Rung]:
    """Every timer that fired and every one that is armed, in the order of their due times."""
    # A timer that another one spent with itself did nothing of its own and has no due time.
    fired = [_fired(incident, e) for e in events if e.type == "timer_fired" and e.data.get("due_at")]
    armed = [_armed(timer, now) for timer in timers(incident)]
    return [*sorted(fired, key=lambda r: r.due_at), *armed]


def _fired(i: Incident, e: Event) -> Rung:
    step = str(e.data["steps"][0])
    due = datetime.fromisoformat(e.data["due_at"])
    mine = [p for p in i.pages.values() if p.step == step]
    level = str(mine[0].level) if mine else _level_of(step)
    return Rung(
        step=step,
        title=_title(str(e.data.get("kind", "")), level),
        state="fired",
        due_at=due,
        said=f"fired {clock(e.at)}, {lateness((e.at - due).total_seconds())}",
        reason=safe("; ".join(mine[0].reasons)) if mine else "",
        level=level,
        pages=tuple(page_words(p) for p in mine),
    )


def _armed(timer: Timer, now: datetime) -> Rung:
    left = timer.due_at - now
    due = left.total_seconds() <= 0
    return Rung(
        step=timer.step,
        title=_title(timer.kind.value, str(timer.level or "")),
        state="due" if due else "armed",
        due_at=timer.due_at,
        said=f"due now, {lateness(-left.total_seconds())}"
        if due
        else f"armed, due in {format_duration(left)}",
        reason=safe(timer.reason),
        level=str(timer.level or ""),
    )


def _title(kind: str, level: str) -> str:
    words = _KINDS.get(kind, kind.replace("_", " ") or "timer")
    return words if not level or level in words else f"{level}, {words}"


def _level_of(step: str) -> str:
    return next((str(level) for level in Level if level in step.split(":")), "")


def clock(at: datetime) -> str:
    """An instant with its date and zone, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def lateness(seconds: float) -> str:
    """How late something was; below two seconds it counts as in time."""
    if seconds < 2:
        return "in time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{n} {unit}" for n, unit in parts if n) + " late"


def page_words(page: Page) -> str:
    """What became of a page, in one line."""
    if page.sent_at is not None:
        sent = f"sent {clock(page.sent_at)}, {lateness((page.sent_at - page.due_at).total_seconds())}"
    else:
        sent = f"failed: {safe(page.failed)}" if page.failed else "not sent yet"
    acked = f"acknowledged {clock(page.acked_at)}" if page.acked_at else "not acknowledged"
    ways = ", ".join(f"{place} {state}" for place, state in page.places.items())
    return f"{page.person}: {sent}; {acked}" + (f" ({ways})" if ways else "")


def fact_words(fact: FactState) -> str:
    """Whether a fact holds, and since when nobody measures it."""
    if fact.ended_at is not None:
        return f"ended {clock(fact.ended_at)}, after {format_duration(fact.ended_at - fact.begin)}"
    if fact.unknown_since is not None:
        last = f"last measured {clock(fact.last_true)}" if fact.last_true else "never measured again"
        return f"holds as far as is known; {last}"
    return "holds"


def runbook_words(incident: Incident, now: datetime) -> str:
    """Which runbook is carried out and how far it is; "" where none is, or the incident is over."""
    holder = incident.assignee or incident.acked_by
    where = progress(incident.walk, now, holder) if incident.active else ""
    return safe(f"{incident.walk.title}, {where}") if where and incident.walk is not None else ""


def safe(text: str) -> str:
    """Outside text with secrets masked and without unseen characters; HTML is the template's to escape."""
    return clean(redact(text))


# --- JSON -------------------------------------------------------------------------------------------------


def as_row(incident: Incident) -> dict[str, Any]:
    """An incident in the list."""
    return {
        "id": incident.name,
        "status": str(incident.status),
        "severity": str(incident.severity),
        "kind": str(incident.kind),
        "pipeline": incident.pipeline,
        "title": safe(incident.title),
        "channel": incident.channel_name or None,
        "channel_id": incident.channel_id or None,
        "epoch": incident.epoch,
        "opened_at": _at(incident.opened_at),
        "resolved_at": _at(incident.resolved_at),
        "acknowledged_by": incident.acked_by or None,
    }


def as_json(incident: Incident, events: Sequence[Event], now: datetime) -> dict[str, Any]:
    """The whole incident (interface: "Bot over HTTP"), with the list's fields and what follows as extras."""
    return {
        **as_row(incident),
        "events": [
            {"seq": e.seq, "at": _at(e.at), "type": e.type, "actor": e.actor, "data": _masked(e.data),
             "text": safe(sentence(incident, e))}
            for e in events
        ],
        "timers": [_timer(timer, now) for timer in timers(incident)],
        "pages": [_page(page) for page in incident.pages.values()],
        "project": incident.project,
        "assignee": incident.assignee or None,
        "acknowledged_at": _at(incident.acked_at),
        "snoozed_until": _at(incident.snoozed_until),
        "facts": [
            {"fact": f.id, "begin": _at(f.begin), "ended_at": _at(f.ended_at), "unknown_since": _at(f.unknown_since),
             "text": safe(f.text)}
            for f in incident.facts.values()
        ],
        "actions": [
            {"id": a.id, "text": safe(a.text), "owner": a.owner, "due": a.due, "done_by": a.done_by or None}
            for a in incident.actions
        ],
        "review": f"/incidents/{incident.name}/review" if has_review(incident) else None,
        "runbook": {"name": incident.runbook or None, "progress": runbook_words(incident, now) or None},
        "as_of": _at(now),
    }  # fmt: skip


def _timer(timer: Timer, now: datetime) -> dict[str, Any]:
    return {
        "step": timer.step,
        "kind": timer.kind.value,
        "level": str(timer.level) if timer.level else None,
        "due_at": _at(timer.due_at),
        "late_s": max(0.0, round((now - timer.due_at).total_seconds(), 3)),
        "reason": safe(timer.reason),
        "rule": timer.rule or None,
        "urgent": timer.urgent,
    }


def _page(page: Page) -> dict[str, Any]:
    late = None if page.sent_at is None else max(0.0, round((page.sent_at - page.due_at).total_seconds(), 3))
    return {
        "id": page.id,
        "epoch": page.epoch,
        "step": page.step,
        "level": str(page.level),
        "person": page.person,
        "reasons": [safe(reason) for reason in page.reasons],
        "urgent": page.urgent,
        "due_at": _at(page.due_at),
        "made_at": _at(page.made_at),
        "sent_at": _at(page.sent_at),
        "late_s": late,
        "acked_at": _at(page.acked_at),
        "failed": safe(page.failed) or None,
        "places": dict(page.places),
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """A line of the audit book."""
    return {
        "seq": entry.seq,
        "at": _at(entry.at),
        "actor": safe(entry.actor),
        "what": entry.what,
        "run": entry.subject or None,
        "incident": f"INC-{entry.incident}" if entry.incident is not None else None,
        "data": _masked(entry.data),
        "text": safe(words(entry)),
    }


def rfc3339(at: datetime) -> str:
    """The form of an instant in JSON."""
    return at.isoformat().replace("+00:00", "Z")


def _at(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value)


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return value
