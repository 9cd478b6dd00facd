"""The post-incident review, drafted from the timeline (document: "Post-Incident Review"; rules: "Review").

Pure: the same incident and events give the same text, and every line that states something cites the event
it comes from (``[e12]``). Cause, impact and lessons come from people; what nobody stated reads
"not stated" and is never invented. Times are UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest

from bot.core.incident import Event, Incident, Status
from bot.core.markdown import inline, quote, table
from bot.core.policy import format_duration
from bot.core.review_lead import chart, in_short, open_questions
from bot.core.review_tables import LATE, actions, cite, impact, paged, time_of
from bot.core.sentences import sentence
from bot.core.text import channel_name

NOT_STATED = "_not stated_"
# The store's own bookkeeping and what other sections show in full; a run of them is one remark on the timeline.
_ROUTINE = {
    "timer_fired": "timer fired",
    "page_delivered": "page delivered",
    "page_doubtful": "page in doubt",
    "headline_posted": "headline posted",
    "announced": "announcement",
    "fact_known": "fact measured again",
    "fact_false": "fact measured false",
    "still_here": "sign of life",
    "probed": "probe",
    "review_drafted": "review drafted",
    "review_stated": "entry in the review",
}


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
    """The whole review as Markdown. ``events`` is the timeline in order; ``head`` the hash of its last event
    (default: what that event carries)."""
    blocks = [
        f"# Review of {incident.name}: {inline(incident.title, 200)}",
        "## In short",
        in_short(incident, events),
        chart(incident, events),
        table(("What", "Value"), _summary(incident, events)),
        "## Incident Summary",
        "### Timeline of events",
        "\n".join(_timeline(incident, events)) or "No events.",
        "### Root cause analysis",
        _said(incident, events, "cause"),
        "### Impact assessment",
        _said(incident, events, "impact"),
        *impact(incident, events),
        "## Who was paged",
        paged(incident, events),
        "## Open questions",
        open_questions(incident, events),
        "## Lessons Learned",
        "### What went well",
        _said(incident, events, "went_well"),
        "### What could be improved",
        _said(incident, events, "could_improve"),
        "### Preventive measures",
        _said(incident, events, "preventive"),
        "## Action Items",
        *actions(incident, events),
        "## Follow-up",
        "\n".join(_follow_up(incident, events)),
        "## Evidence",
        "\n".join(_evidence(incident, events, head or (events[-1].hash if events else ""))),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _first(events: Iterable[Event], *types: str) -> Event | None:
    return next((e for e in events if e.type in types), None)


def _last(events: Sequence[Event], *types: str) -> Event | None:
    return _first(reversed(events), *types)


# --- the summary -----------------------------------------------------------------------------------------


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
        ("Opened", f"{time_of(i.opened_at)} {cite(opened)}"),
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
    return f"{time_of(event.at)} by {inline(event.actor, 100)} {cite(event)}" if event else otherwise


def _between(start: datetime, end: Event | None) -> str:
    return f"{format_duration(end.at - start)} {cite(end)}" if end else "–"


def _unresolved(events: Sequence[Event]) -> timedelta | None:
    """Unresolved time: gaps between a resolve and a reopen do not count. None while it is not resolved."""
    total, since = timedelta(0), events[0].at if events else None
    for event in events:
        if event.type == "resolved" and since is not None:
            total, since = total + (event.at - since), None
        elif event.type == "reopened":
            since = event.at
    return total if since is None and events else None


# --- the timeline ----------------------------------------------------------------------------------------


def _routine(event: Event) -> bool:
    late = float(event.data.get("late_s") or 0)
    told = late >= LATE.total_seconds() or bool(event.data.get("dnd"))
    return event.type in _ROUTINE and not told


def said_again(report: Event, step: Event) -> bool:
    """Whether this report of an operation is said again, word for word, by the runbook's step after it."""
    same = report.data.get("verdict") == step.data.get("verdict")
    return report.type == "reported" and step.type == "step" and same


def _timeline(i: Incident, events: Sequence[Event]) -> list[str]:
    """One line an event; a run of routine events is a remark at the end of the line before it."""
    lines: list[str] = []
    run: list[Event] = []
    report: Event | None = None
    for event, after in zip_longest(events, events[1:]):
        if after is not None and said_again(event, after):
            report = event
            continue
        if _routine(event) and lines:
            run.append(event)
            continue
        if run:
            lines[-1] += _remark(run)
            run = []
        lines.append(f"- {time_of(event.at)}: {inline(sentence(i, event))} {cite(report, event)}")
        report = None
    if run:
        lines[-1] += _remark(run)
    return lines


def _remark(run: Sequence[Event]) -> str:
    kinds = Counter(_ROUTINE[e.type] for e in run)
    words = ", ".join(f"{kind} ({count} times)" if count > 1 else kind for kind, count in kinds.items())
    cited = cite(run[0]) if len(run) == 1 else f"{cite(run[0])} to {cite(run[-1])}"
    return f"; then routine: {words} {cited}"


# --- what people stated ----------------------------------------------------------------------------------


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
        f"\n\nStated by {inline(said[-1].actor, 100)}, {time_of(said[-1].at)} {cite(said[-1])}"
        if said
        else ""
    )
    return quote(text) + by


# --- follow-up, evidence ---------------------------------------------------------------------------------


def _follow_up(i: Incident, events: Sequence[Event]) -> list[str]:
    done, reviewed = sum(1 for a in i.actions if a.done_by), _last(events, "reviewed")
    of = f"{done} of {len(i.actions)} done" if i.actions else "no action items"
    book = f" The runbook was {inline(i.runbook, 100)}." if i.runbook else ""
    closed = _event_by(reviewed, "") if i.status is Status.REVIEWED else ""
    return [
        f"- Track action item completion: {of}",
        f"- Update procedures: {_short(i, 'procedures')}{book}",
        f"- Share learnings with team: {_short(i, 'learnings')}",
        f"- Review closed: {closed or 'not yet; missing: ' + ('; '.join(may_close(i)) or 'nothing')}",
    ]


def _short(i: Incident, field: str) -> str:
    text = _stated(i, field)
    return inline(text) if text else NOT_STATED


def _evidence(i: Incident, events: Sequence[Event], head: str) -> list[str]:
    span = f"{len(events)} events, {cite(events[0])} to {cite(events[-1])}" if events else "no events"
    return [
        f"- Timeline of {i.name}: {span}; each event carries the hash of the one before.",
        f"- Hash of the last event: {f'`{inline(head, 80)}`' if head else 'not given'}",
        f"- The channel: {'#' + inline(i.channel_name) if i.channel_name else 'none'}",
        "- To check the chain: `python -m bot audit verify`",
    ]
