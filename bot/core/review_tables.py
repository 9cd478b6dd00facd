"""The review's tables: impact, alerts, dead letters, pages and action items, each row citing its events.

Pure; the events are the timeline in order. Everything that others wrote goes through `markdown.inline`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.core.incident import Action, Event, Incident, Page, instant
from bot.core.markdown import inline, table
from bot.core.policy import fact_words, format_duration
from bot.core.sentences import sentence

LATE = timedelta(seconds=2)
_SORTS = (
    ("immediate", "Immediate fixes"),
    ("long-term", "Long-term improvements"),
    ("process", "Process changes"),
)
_SORTED = re.compile(r"\s*(immediate|long[- ]term|process)\s*:\s*", re.IGNORECASE)


def time_of(at: datetime | None, otherwise: str = "–") -> str:
    """An instant to the second, with its zone."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else otherwise


def cite(*events: Event | None) -> str:
    """The events as citations: ``[e3] [e12]``."""
    return " ".join(f"[e{e.seq}]" for e in events if e is not None)


def impact(i: Incident, events: Sequence[Event]) -> list[str]:
    """The affected interval, the measured facts, the alerts, the dead letters: Markdown blocks."""
    spans = [
        (e, instant(e.data.get("begin")) or e.at, _end(e, events)) for e in events if e.type == "fact_began"
    ]
    blocks = [f"Affected interval: {_interval(spans)}", "#### Measured facts"]
    rows = [
        (inline(fact_words(began.data["fact"])), time_of(start), *_ended(start, end),
         inline(began.data.get("text", "")), cite(began, end))
        for began, start, end in spans
    ]  # fmt: skip
    head = ("Fact", "Began", "Ended", "Held for", "What was measured", "Events")
    blocks.append(table(head, rows) if rows else "No fact was measured.")
    blocks += ["#### Alerts", _alerts(events), "#### Dead letters and replays"]
    letters = [
        e for e in events if str(e.data.get("operation", "")).startswith("dlq.") and e.data.get("verdict")
    ]
    lines = [f"- {time_of(e.at)}: {inline(sentence(i, e))}{_counted(e)} {cite(e)}" for e in letters]
    return [*blocks, "\n".join(lines) or "No operation on the dead-letter queue is on the timeline."]


def _end(began: Event, events: Sequence[Event]) -> Event | None:
    later = (e for e in events if e.type == "fact_ended" and e.seq > began.seq)
    return next((e for e in later if e.data.get("fact") == began.data["fact"]), None)


def _ended(start: datetime, end: Event | None) -> tuple[str, str]:
    if end is None:
        return "not ended", "–"
    by_people = str(end.data.get("text", "")).startswith("resolved")
    how = " (with the resolve, not by a measurement)" if by_people else ""
    return f"{time_of(end.at)}{how}", format_duration(end.at - start)


def _interval(spans: Sequence[tuple[Event, datetime, Event | None]]) -> str:
    if not spans:
        return "not measured"
    first, start = min(((began, start) for began, start, _ in spans), key=lambda pair: pair[1])
    ends = [end for _, _, end in spans if end is not None]
    if len(ends) < len(spans):
        return f"{time_of(start)} until now: not every fact ended {cite(first)}"
    last = max(ends, key=lambda e: e.at)
    return f"{time_of(start)} to {time_of(last.at)}, {format_duration(last.at - start)} {cite(first, last)}"


def _alerts(events: Sequence[Event]) -> str:
    rows = []
    for e in (e for e in events if e.type == "alert_opened"):
        d = e.data
        pairs = (c for c in events if c.type == "alert_closed" and c.seq > e.seq)
        closed = next(
            (c for c in pairs if (c.data["source"], c.data["key"]) == (d["source"], d["key"])), None
        )
        value = inline(d.get("observed") or "not given", 100)
        limit = f" (threshold {inline(d['threshold'], 50)})" if d.get("threshold") not in (None, "") else ""
        at = time_of(closed.at) if closed else "not closed"
        rows.append(
            (
                inline(d["title"], 200),
                inline(d["severity"]),
                value + limit,
                time_of(e.at),
                at,
                cite(e, closed),
            )
        )
    head = ("Alert", "Severity", "Observed", "Opened", "Closed", "Events")
    return table(head, rows) if rows else "No alert belongs to this incident."


def _counted(event: Event) -> str:
    data = event.data.get("data")
    items = data.items() if isinstance(data, Mapping) else ()
    counts = [f"{inline(k.replace('_', ' '), 40)} {v}" for k, v in items if type(v) is int]
    return f" ({', '.join(counts)})" if counts else ""


def paged(i: Incident, events: Sequence[Event]) -> str:
    """Who was paged, of every epoch, in the order of the due times."""
    made = {e.data["page"]: e for e in events if e.type == "paged"}
    head = ("Level", "Person", "Reason", "Due", "Sent", "Late", "Acknowledged", "Event")
    pages = sorted(i.pages.values(), key=lambda page: (page.due_at, page.level))
    rows = [
        (f"{p.level}", inline(p.person, 100), inline("; ".join(p.reasons)), time_of(p.due_at), _sent(p), _late(p),
         time_of(p.acked_at, "no"), cite(made.get(p.id)))
        for p in pages
    ]  # fmt: skip
    return table(head, rows) if rows else "Nobody was paged."


def _sent(page: Page) -> str:
    return time_of(page.sent_at, f"failed: {inline(page.failed, 200)}" if page.failed else "not sent")


def _late(page: Page) -> str:
    if page.sent_at is None:
        return "–"
    late = page.sent_at - page.due_at
    return format_duration(late) if late >= LATE else "in time"


def actions(i: Incident, events: Sequence[Event]) -> list[str]:
    """The document's three sorts; an action says its own by how its text begins (``process: ...``)."""
    blocks = []
    for sort, title in _SORTS:
        blocks += [f"### {title}", _action_table([a for a in i.actions if _sort(a) == sort], events)]
    if others := [a for a in i.actions if not _sort(a)]:
        hint = "A text that begins with `immediate:`, `long-term:` or `process:` is listed there."
        blocks += ["### Not sorted", hint, _action_table(others, events)]
    return blocks


def _sort(action: Action) -> str:
    found = _SORTED.match(action.text)
    return found[1].lower().replace(" ", "-") if found else ""


def _action_table(items: Sequence[Action], events: Sequence[Event]) -> str:
    rows = []
    for a in items:
        mine = [e for e in events if e.type.startswith("action_") and e.data.get("id") == a.id]
        done = (
            f"by {inline(a.done_by, 100)}, {time_of(mine[-1].at)}"
            if a.done_by and mine
            else a.done_by and "yes"
        )
        text = inline(_SORTED.sub("", a.text, count=1) if _sort(a) else a.text)
        owner, due = inline(a.owner or "nobody yet", 100), inline(a.due or "not set", 40)
        rows.append((f"{a.id}", text, owner, due, done or "no", cite(*mine[:1], *mine[1:][-1:])))
    return table(("Id", "Action", "Owner", "Due", "Done", "Events"), rows) if rows else "None."
