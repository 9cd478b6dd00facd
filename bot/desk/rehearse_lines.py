"""From an incident's events to the lines of a rehearsal's story. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.core.incident import Event, Incident, instant
from bot.core.rehearsal import Line
from bot.core.sentences import sentence

_KINDS = {"paged": "page", "warned": "warning"}
_TOLD = frozenset(
    {
        "opened", "paged", "warned", "emergency", "rule_noted", "nobody_on_call", "level_empty", "same_person",
        "acknowledged", "page_acknowledged", "still_here", "unacknowledged", "asked", "severity_changed",
        "recovering", "relapsed", "resolved", "reopened", "fact_began", "fact_ended", "fact_unknown",
        "snoozed", "escalated",
    }
)  # fmt: skip
# What a timer does; what people and sources do is due at no particular time.
_TIMED = frozenset(
    {"paged", "warned", "emergency", "rule_noted", "nobody_on_call", "asked", "unacknowledged", "resolved"}
)
_BY_PERSON = frozenset(
    {"acknowledged", "page_acknowledged", "still_here", "resolved", "snoozed", "escalated"}
)


def lines_of(incident: Incident, events: Sequence[Event]) -> Iterator[tuple[Line, str]]:
    """The lines of these events and, for a page, its id; ``incident`` is the state after them."""
    last = None
    for place, item in enumerate(events):
        if item.type not in _TOLD:
            continue
        line = _line(incident, item, _due(events, place))
        if line != last:  # one press answers several pages of one level
            yield line, str(item.data.get("page", ""))
        last = line


def _due(events: Sequence[Event], place: int) -> datetime | None:
    """Events of a timer stand before its ``timer_fired``, which says when it was due."""
    item = events[place]
    if item.type not in _TIMED or (item.type == "resolved" and not item.data.get("auto")):
        return None
    if item.data.get("due_at"):
        return instant(item.data["due_at"])
    after = (e for e in events[place:] if e.type == "timer_fired" and e.data.get("due_at"))
    fired = next(after, None)
    return instant(fired.data["due_at"]) if fired else None


def _line(incident: Incident, e: Event, due: datetime | None) -> Line:
    d = e.data
    person = d.get("person") or (e.actor if e.type in _BY_PERSON and not d.get("auto") else None)
    page = incident.pages.get(str(d.get("page", "")))
    level = "L1" if e.type == "emergency" else d.get("level") or (page.level if page else None)
    return Line(
        at=e.at,
        due=due,
        kind=_KINDS.get(e.type, e.type),
        level=str(level) if level else None,
        person=person,
        rule=d.get("rule") or None,
        incident=incident.name,
        text=_words(incident, e),
    )


def _words(incident: Incident, e: Event) -> str:
    d = e.data
    if e.type != "paged":
        return sentence(incident, e)
    note = f"; {d['note']}" if d.get("note") else ""
    quiet = "" if d.get("urgent", True) else ", low urgency"
    return f"PAGE to {d['person']} ({d['level']}{quiet}): {'; '.join(d['reasons'])}{note}"
