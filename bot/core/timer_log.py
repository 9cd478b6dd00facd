"""Every timer of an incident: armed, late, fired or cancelled, when it was due, and why (rules: "Escalation").

The timeline is folded again, event by event: a timer that stood before an event and stands no more after it, without
having fired, was cancelled by that event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bot.core.escalation import Timer, TimerKind, timers
from bot.core.folding import begin, evolve
from bot.core.incident import Event, Incident, Page
from bot.core.lifecycle import BOT
from bot.core.policy import fact_words, format_duration

LATE = timedelta(seconds=2)
# These begin anew with whatever somebody does: their going is nothing that anybody needs to read.
_RESTLESS = frozenset({TimerKind.ASK, TimerKind.UNACKNOWLEDGE, TimerKind.RESOLVE})


class State(StrEnum):
    """Where a timer is in its life."""

    ARMED = "armed"
    LATE = "late"
    FIRED = "fired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One timer. ``at`` is when it fired or was cancelled; ``late`` how long after ``due_at`` it fired or waits."""

    state: State
    step: str
    what: str
    due_at: datetime
    why: str
    at: datetime | None = None
    late: timedelta = timedelta(0)
    cause: str = ""
    pages: tuple[str, ...] = ()

    def words(self, now: datetime) -> str:
        """All but the due time, which its reader is shown in their own zone."""
        match self.state:
            case State.ARMED:
                said = f"in {format_duration(self.due_at - now)}"
            case State.LATE:
                said = f"{format_duration(self.late)} late, not fired"
            case State.FIRED:
                said = "in time" if self.late < LATE else f"{format_duration(self.late)} late"
            case State.CANCELLED:
                said = self.cause
        pages = f" -> {', '.join(self.pages)}" if self.pages else ""
        return f"({said}): {self.why}{pages}"


def entries(events: Sequence[Event], now: datetime) -> list[Entry]:
    """Every timer that the timeline ever armed, by state (armed and late first), then by due time."""
    if not events:
        return []
    state = begin(0, events[0])
    standing = {timer.step: timer for timer in timers(state)}
    gone: dict[str, Entry] = {}
    for event in events[1:]:
        before, state = standing, evolve(state, event)
        standing = {timer.step: timer for timer in timers(state)}
        fired = set(event.data["steps"]) if event.type == "timer_fired" else set[str]()
        for step in fired:
            gone[step] = _fired(step, before.get(step), event)
        for step, timer in before.items():
            if step not in standing and step not in fired and not _goes_on(timer, standing):
                gone[step] = _cancelled(timer, event)
        for step in standing:
            gone.pop(step, None)  # it stands again
    over = [replace(entry, pages=_pages(state, entry.step)) for entry in gone.values()]
    live = [_live(timer, now) for timer in standing.values()]
    return [*sorted(live, key=lambda e: e.due_at), *sorted(over, key=lambda e: (e.due_at, e.step))]


def _goes_on(timer: Timer, standing: Mapping[str, Timer]) -> bool:
    return timer.kind in _RESTLESS and any(other.kind in _RESTLESS for other in standing.values())


def _what(timer: Timer) -> str:
    return f"{timer.level or ''} {timer.kind.replace('_', ' ')}".strip().replace("L1 l1 again", "L1 again")


def _live(timer: Timer, now: datetime) -> Entry:
    late = now - timer.due_at
    return Entry(
        state=State.LATE if late >= LATE else State.ARMED, step=timer.step, what=_what(timer), due_at=timer.due_at,
        why=timer.reason, late=max(late, timedelta(0)),
    )  # fmt: skip


def _fired(step: str, timer: Timer | None, event: Event) -> Entry:
    said = event.data.get("due_at")
    due = timer.due_at if timer is not None else datetime.fromisoformat(said) if said else event.at
    what = _what(timer) if timer is not None else step.split(":", 1)[-1]
    why = timer.reason if timer is not None else "was part of another timer's page"
    if not said:  # spent by another timer, which did its work
        cause = "another page did its work"
        return Entry(
            state=State.CANCELLED, step=step, what=what, due_at=due, why=why, at=event.at, cause=cause
        )
    late = max(event.at - due, timedelta(0))
    return Entry(state=State.FIRED, step=step, what=what, due_at=due, why=why, at=event.at, late=late)


def _cancelled(timer: Timer, event: Event) -> Entry:
    return Entry(
        state=State.CANCELLED, step=timer.step, what=_what(timer), due_at=timer.due_at, why=timer.reason, at=event.at,
        cause=_cause(event),
    )  # fmt: skip


def _cause(e: Event) -> str:
    """Why a timer is gone, in the fewest words."""
    who = str(e.data.get("person") or e.actor)
    match e.type:
        case "acknowledged" | "page_acknowledged":
            return f"{who} acknowledged"
        case "resolved":
            return "resolved by itself" if e.data.get("auto") else f"{e.actor} resolved it"
        case "fact_ended" if str(e.data.get("text", "")).startswith("resolved"):
            return "resolved by itself" if e.actor == BOT else f"{e.actor} resolved it"
        case "fact_ended":
            return f"{fact_words(str(e.data['fact']))} ended"
        case "escalated":
            return f"{e.actor} escalated to {e.data['level']}"
        case "severity_changed":
            return f"severity is {e.data['to']}"
        case "unacknowledged" | "reopened":
            return "a new round began"
        case "paged":
            return f"{e.data['level']} was paged"
        case _:
            return e.type.replace("_", " ")


def _pages(incident: Incident, step: str) -> tuple[str, ...]:
    return tuple(_page(page) for page in incident.pages.values() if page.step == step)


def _page(page: Page) -> str:
    if page.sent_at is None:
        sent = f"failed: {page.failed}" if page.failed else "not sent"
    else:
        late = page.sent_at - page.due_at
        sent = "sent" if late < LATE else f"sent {format_duration(late)} late"
    return f"{page.person} {sent}, {'answered' if page.acked_at else 'no answer'}"
