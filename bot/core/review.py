"""The post-incident review, drafted from the timeline (document: "Post-Incident Review"; rules: "Review").

Pure: the same incident and events give the same text, and every line that states something cites the event
it comes from (``[e12]``). Cause, impact and lessons come from people; what nobody stated reads
"not stated" and is never invented. Times are UTC.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from bot.core.incident import Action, Event, Incident, Page, Status, instant
from bot.core.markdown import inline, quote, table
from bot.core.policy import format_duration
from bot.core.sentences import sentence
from bot.core.text import channel_name

NOT_STATED = "_not stated_"
# The store's own bookkeeping and what other sections show in full; a run of them is one remark on the timeline.
_ROUTINE = {
    "timer_fired": "timer fired",
    "page_delivered": "page delivered",
    "headline_posted": "headline posted",
    "announced": "announcement",
    "fact_known": "fact measured again",
    "fact_false": "fact measured false",
    "still_here": "sign of life",
    "probed": "probe",
    "review_drafted": "review drafted",
    "review_stated": "entry in the review",
}
_LATE = timedelta(seconds=2)
_SORTS = (
    ("immediate", "Immediate fixes"),
    ("long-term", "Long-term improvements"),
    ("process", "Process changes"),
)
_SORTED = re.compile(r"\s*(immediate|long[- ]term|process)\s*:\s*", re.IGNORECASE)


def required(incident: Incident) -> bool:
    """Whether the incident must be reviewed: it was critical at any time."""
    return incident.critical_ever


def filename(incident: Incident) -> str:
    """The name of the review's file: ``inc-0007-<slug>-review.md``."""
    return f"{channel_name(incident.id, incident.title)}-review.md"


def may_close(incident: Incident) -> list[str]:
    """What is missing before the review can be closed, in words; empty when nothing is."""
    missing = []
    if not _stated(incident, "cause"):
        missing.append("a root cause")
    if not any(a.owner.strip() and a.due.strip() for a in incident.actions):
        missing.append("an action item with an owner and a due date")
    return missing


def draft(incident: Incident, events: Sequence[Event], *, head: str = "") -> str:
    """The whole review as Markdown. ``events`` is the timeline in order; ``head`` the hash of its last event."""
    blocks = [
        f"# Review of {incident.name}: {inline(incident.title, 200)}",
        table(("What", "Value"), _summary(incident, events)),
        "## Incident Summary",
        "### Timeline of events",
        "\n".join(_timeline(incident, events)) or "No events.",
        "### Root cause analysis",
        _said(incident, events, "cause"),
        "### Impact assessment",
        _said(incident, events, "impact"),
        *_impact(incident, events),
        "## Who was paged",
        _paged(incident, events),
        "## Lessons Learned",
        "### What went well",
        _said(incident, events, "went_well"),
        "### What could be improved",
        _said(incident, events, "could_improve"),
        "### Preventive measures",
        _said(incident, events, "preventive"),
        "## Action Items",
        *_actions(incident, events),
        "## Follow-up",
        "\n".join(_follow_up(incident, events)),
        "## Evidence",
        "\n".join(_evidence(incident, events, head)),
    ]
    return "\n\n".join(blocks) + "\n"


# --- small words ------------------------------------------------------------------------------------------


def _time(at: datetime | None, otherwise: str = "–") -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else otherwise


def _cite(*events: Event | None) -> str:
    return " ".join(f"[e{e.seq}]" for e in events if e is not None)


def _first(events: Iterable[Event], *types: str) -> Event | None:
    return next((e for e in events if e.type in types), None)


def _last(events: Sequence[Event], *types: str) -> Event | None:
    return _first(reversed(events), *types)


# --- the summary ------------------------------------------------------------------------------------------


def _summary(i: Incident, events: Sequence[Event]) -> list[tuple[str, str]]:
    opened, acknowledged = _first(events, "opened"), _first(events, "acknowledged")
    resolved = _last(events, "resolved") if i.resolved_at else None
    need = "yes (it was critical)" if required(i) else "no (it was never critical)"
    lasted = _unresolved(events)
    rows = [
        ("Incident", i.name),
        ("Status", f"{i.status}"),
        (
            "Severity",
            f"{i.severity}"
            + (", critical at one time" if i.critical_ever and i.severity != "critical" else ""),
        ),
        ("Kind", f"{i.kind}"),
        ("Pipeline", f"{inline(i.pipeline, 100)} (project {inline(i.project, 100)})"),
        ("Opened", f"{_time(i.opened_at)} {_cite(opened)}"),
        ("Acknowledged", _event_by(acknowledged, "never")),
        ("Resolved", _event_by(resolved, "not resolved")),
        ("Time to acknowledge (MTTA)", _between(i.opened_at, acknowledged)),
        ("Time to resolve (MTTR)", _between(i.opened_at, resolved)),
        ("Unresolved time", format_duration(lasted) if lasted is not None else "not resolved"),
        ("Review required", need),
    ]
    if i.linked:
        rows.append(("Linked incidents", ", ".join(f"INC-{number}" for number in i.linked)))
    return rows  # fmt: skip


def _event_by(event: Event | None, otherwise: str) -> str:
    return f"{_time(event.at)} by {inline(event.actor, 100)} {_cite(event)}" if event else otherwise


def _between(start: datetime, end: Event | None) -> str:
    return f"{format_duration(end.at - start)} {_cite(end)}" if end else "–"


def _unresolved(events: Sequence[Event]) -> timedelta | None:
    """Unresolved time: gaps between a resolve and a reopen do not count. None while it is not resolved."""
    total, since = timedelta(0), events[0].at if events else None
    for event in events:
        if event.type == "resolved" and since is not None:
            total, since = total + (event.at - since), None
        elif event.type == "reopened":
            since = event.at
    return total if since is None and events else None


# --- the timeline -----------------------------------------------------------------------------------------


def _routine(event: Event) -> bool:
    late = float(event.data.get("late_s") or 0)
    return event.type in _ROUTINE and late < _LATE.total_seconds()


def _timeline(i: Incident, events: Sequence[Event]) -> list[str]:
    """One line an event; a run of routine events is a remark at the end of the line before it."""
    lines: list[str] = []
    run: list[Event] = []
    for event in events:
        if _routine(event) and lines:
            run.append(event)
            continue
        if run:
            lines[-1] += _remark(run)
            run = []
        lines.append(f"- {_time(event.at)}: {inline(sentence(i, event))} {_cite(event)}")
    if run:
        lines[-1] += _remark(run)
    return lines


def _remark(run: Sequence[Event]) -> str:
    kinds = Counter(_ROUTINE[e.type] for e in run)
    words = ", ".join(f"{kind} ({count} times)" if count > 1 else kind for kind, count in kinds.items())
    cited = _cite(run[0]) if len(run) == 1 else f"{_cite(run[0])} to {_cite(run[-1])}"
    return f"; then routine: {words} {cited}"


# --- what people stated -----------------------------------------------------------------------------------


def _names(field: str) -> tuple[str, ...]:
    return ("cause", "root_cause") if field == "cause" else (field,)


def _stated(i: Incident, field: str) -> str:
    return next((text for name in _names(field) if (text := i.stated.get(name, "").strip())), "")


def _said(i: Incident, events: Sequence[Event], field: str) -> str:
    text = _stated(i, field)
    if not text:
        return NOT_STATED
    said = [e for e in events if e.type == "review_stated" and e.data.get("field") in _names(field)]
    by = (
        f"\n\nStated by {inline(said[-1].actor, 100)}, {_time(said[-1].at)} {_cite(said[-1])}" if said else ""
    )
    return quote(text) + by


# --- the impact -------------------------------------------------------------------------------------------


def _impact(i: Incident, events: Sequence[Event]) -> list[str]:
    spans = [
        (e, instant(e.data.get("begin")) or e.at, _end(e, events)) for e in events if e.type == "fact_began"
    ]
    blocks = [f"Affected interval: {_interval(spans)}", "#### Measured facts"]
    rows = [
        (inline(began.data["fact"].replace("_", " ")), _time(start), *_ended(start, end),
         inline(began.data.get("text", "")), _cite(began, end))
        for began, start, end in spans
    ]  # fmt: skip
    head = ("Fact", "Began", "Ended", "Held for", "What was measured", "Events")
    blocks.append(table(head, rows) if rows else "No fact was measured.")
    blocks += ["#### Alerts", _alerts(events), "#### Dead letters and replays"]
    letters = [
        e for e in events if str(e.data.get("operation", "")).startswith("dlq.") and e.data.get("verdict")
    ]
    lines = [f"- {_time(e.at)}: {inline(sentence(i, e))}{_counted(e)} {_cite(e)}" for e in letters]
    return [*blocks, "\n".join(lines) or "No operation on the dead-letter queue is on the timeline."]


def _end(began: Event, events: Sequence[Event]) -> Event | None:
    later = (e for e in events if e.type == "fact_ended" and e.seq > began.seq)
    return next((e for e in later if e.data.get("fact") == began.data["fact"]), None)


def _ended(start: datetime, end: Event | None) -> tuple[str, str]:
    if end is None:
        return "not ended", "–"
    by_people = str(end.data.get("text", "")).startswith("resolved")
    how = " (with the resolve, not by a measurement)" if by_people else ""
    return f"{_time(end.at)}{how}", format_duration(end.at - start)


def _interval(spans: Sequence[tuple[Event, datetime, Event | None]]) -> str:
    if not spans:
        return "not measured"
    first, start = min(((began, start) for began, start, _ in spans), key=lambda pair: pair[1])
    ends = [end for _, _, end in spans if end is not None]
    if len(ends) < len(spans):
        return f"{_time(start)} until now: not every fact ended {_cite(first)}"
    last = max(ends, key=lambda e: e.at)
    return f"{_time(start)} to {_time(last.at)}, {format_duration(last.at - start)} {_cite(first, last)}"


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
        at = _time(closed.at) if closed else "not closed"
        rows.append(
            (inline(d["title"], 200), inline(d["severity"]), value + limit, _time(e.at), at, _cite(e, closed))
        )
    head = ("Alert", "Severity", "Observed", "Opened", "Closed", "Events")
    return table(head, rows) if rows else "No alert belongs to this incident."


def _counted(event: Event) -> str:
    data = event.data.get("data")
    items = data.items() if isinstance(data, Mapping) else ()
    counts = [f"{inline(k.replace('_', ' '), 40)} {v}" for k, v in items if type(v) is int]
    return f" ({', '.join(counts)})" if counts else ""


# --- who was paged ----------------------------------------------------------------------------------------


def _paged(i: Incident, events: Sequence[Event]) -> str:
    made = {e.data["page"]: e for e in events if e.type == "paged"}
    head = ("Level", "Person", "Reason", "Due", "Sent", "Late", "Acknowledged", "Event")
    pages = sorted(i.pages.values(), key=lambda page: (page.due_at, page.level))
    rows = [
        (f"{p.level}", inline(p.person, 100), inline("; ".join(p.reasons)), _time(p.due_at), _sent(p), _late(p),
         _time(p.acked_at, "no"), _cite(made.get(p.id)))
        for p in pages
    ]  # fmt: skip
    return table(head, rows) if rows else "Nobody was paged."


def _sent(page: Page) -> str:
    return _time(page.sent_at, f"failed: {inline(page.failed, 200)}" if page.failed else "not sent")


def _late(page: Page) -> str:
    if page.sent_at is None:
        return "–"
    late = page.sent_at - page.due_at
    return format_duration(late) if late >= _LATE else "in time"


# --- actions, follow-up, evidence -------------------------------------------------------------------------


def _actions(i: Incident, events: Sequence[Event]) -> list[str]:
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


def _action_table(actions: Sequence[Action], events: Sequence[Event]) -> str:
    rows = []
    for a in actions:
        mine = [e for e in events if e.type.startswith("action_") and e.data.get("id") == a.id]
        done = (
            f"by {inline(a.done_by, 100)}, {_time(mine[-1].at)}"
            if a.done_by and mine
            else a.done_by and "yes"
        )
        text = inline(_SORTED.sub("", a.text, count=1) if _sort(a) else a.text)
        owner, due = inline(a.owner or "nobody yet", 100), inline(a.due or "not set", 40)
        rows.append((f"{a.id}", text, owner, due, done or "no", _cite(*mine[:1], *mine[1:][-1:])))
    return table(("Id", "Action", "Owner", "Due", "Done", "Events"), rows) if rows else "None."


def _follow_up(i: Incident, events: Sequence[Event]) -> list[str]:
    done, reviewed = sum(1 for a in i.actions if a.done_by), _last(events, "reviewed")
    of = f"{done} of {len(i.actions)} done" if i.actions else "no action items"
    book = f" The runbook was {inline(i.runbook, 100)}." if i.runbook else ""
    closed = _event_by(reviewed, "") if i.status is Status.REVIEWED else ""
    return [
        f"- Track action item completion: {of}",
        f"- Update procedures: {_short(i, 'procedures')}{book}",
        f"- Share learnings with team: {_short(i, 'shared')}",
        f"- Review closed: {closed or 'not yet; missing: ' + ('; '.join(may_close(i)) or 'nothing')}",
    ]


def _short(i: Incident, field: str) -> str:
    text = _stated(i, field)
    return inline(text) if text else NOT_STATED


def _evidence(i: Incident, events: Sequence[Event], head: str) -> list[str]:
    span = f"{len(events)} events, {_cite(events[0])} to {_cite(events[-1])}" if events else "no events"
    return [
        f"- Timeline of {i.name}: {span}; each event carries the hash of the one before.",
        f"- Hash of the last event: {f'`{inline(head, 80)}`' if head else 'not given'}",
        f"- The channel: {'#' + inline(i.channel_name) if i.channel_name else 'none'}",
        "- To check the chain: `python -m bot audit verify`",
    ]
