"""What the events of acknowledgements, pages and their places, and timers fold to (``folding``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.core.incident import (
    Event,
    Incident,
    Page,
    Status,
    instant,
)
from bot.core.policy import Level


def acknowledged(s: Incident, e: Event) -> Incident:
    status = Status.ACKNOWLEDGED if s.status is Status.OPEN else s.status
    return replace(
        s,
        status=status,
        acked_by=e.data["person"],
        acked_at=e.at,
        touched_at=e.at,
        asked_at=None,
        assignee=e.data["person"] if s.assignee in ("", e.data.get("from")) else s.assignee,
    )


def unacknowledged(s: Incident, e: Event) -> Incident:
    status = Status.OPEN if s.status is Status.ACKNOWLEDGED else s.status
    return replace(
        s,
        status=status,
        acked_by="",
        acked_at=None,
        touched_at=None,
        asked_at=None,
        cycle_from=e.at,
        cycle=s.cycle + 1,
    )


def paged(s: Incident, e: Event) -> Incident:
    d = e.data
    page = Page(
        id=d["page"],
        epoch=d["epoch"],
        step=d["step"],
        level=Level(d["level"]),
        person=d["person"],
        due_at=instant(d["due_at"]) or e.at,
        made_at=e.at,
        slack=d.get("slack"),
        urgent=bool(d.get("urgent", True)),
        reasons=tuple(d.get("reasons", ())),
        places=dict.fromkeys(d.get("places", ()), "waiting"),
    )
    return replace(s, pages={**s.pages, page.id: page})


def _with_page(s: Incident, e: Event, change: Callable[[Page], Page]) -> Incident:
    page = s.pages.get(e.data["page"])
    return s if page is None else replace(s, pages={**s.pages, page.id: change(page)})


def _placed(page: Page, e: Event, state: str) -> Page:
    place = str(e.data.get("place") or "direct message")
    return replace(page, places={**page.places, place: state})


def page_delivered(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: replace(_placed(p, e, "sent"), sent_at=p.sent_at or e.at, failed=""))


def page_failed(s: Incident, e: Event) -> Incident:
    """It failed as a whole when it failed at the last place that it could go to."""

    def failed(page: Page) -> Page:
        there = _placed(page, e, "failed")
        lost = there.hopeless and there.sent_at is None
        return replace(there, failed=str(e.data.get("error", "failed"))) if lost else there

    return _with_page(s, e, failed)


def page_doubtful(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: _placed(p, e, "doubtful"))


def page_late(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: _placed(p, e, "late"))


def page_rerouted(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: replace(_placed(p, e, "waiting"), failed=""))


def dial(s: Incident, e: Event) -> Incident:
    return _with_page(s, e, lambda p: replace(p, places={**p.places, "telephone": "printed"}))


def emergency(s: Incident, e: Event) -> Incident:
    return replace(s, calls=(*s.calls, *(call["key"] for call in e.data.get("calls", ()))))


def page_acknowledged(s: Incident, e: Event) -> Incident:
    """``pages`` are all that the person answers with it; ``page`` is the newest of them."""
    named = {e.data["page"], *e.data.get("pages", ())}
    pages = {
        name: replace(p, acked_at=p.acked_at or e.at) if name in named else p for name, p in s.pages.items()
    }
    return replace(s, pages=pages)


def timer_fired(s: Incident, e: Event) -> Incident:
    due = instant(e.data.get("due_at")) or e.at
    return replace(s, fired={**s.fired, **dict.fromkeys(e.data["steps"], due)})
