"""A round: one carrying-out of a checklist of the operations calendar, or of reviews of runbooks. Pure.

It is measured first (the bot's readings), then open until people have ticked off what is theirs; the next round of its
kind closes one that is still open. All instants are aware UTC datetimes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.core.periods import Calendar, Slot
from bot.core.policy import format_duration
from bot.core.refusal import Refused
from bot.core.runbook import ELSE, SOMETHING_ELSE, Runbook, Step, choose_next, label_of
from bot.core.step_words import filled
from bot.core.text import clean, counted, cut

MEASURING, OPEN, DONE, LAPSED = "measuring", "open", "done", "lapsed"
REVIEW = "review"
LATE = timedelta(minutes=10)
REMIND_AFTER = timedelta(days=1)
REMINDERS = 3
_GRAVE = ("critical", "warning", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A step that the bot measures, for one pipeline; `run` is the run of its operation. `before` is the severity
    that the round before this one found."""

    run: str
    title: str
    operation: str
    pipeline: str
    params: Mapping[str, Any] = field(default_factory=dict)
    severity: str = ""
    verdict: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A step for a person. `leads` maps an answer (or `else`) to the item that comes next, "" ends the round.

    `contact` is whom they write to, with the address, and `draft` what they may write.
    """

    id: str
    title: str
    words: str = ""
    owner: str = ""
    contact: str = ""
    draft: str = ""
    leads: Mapping[str, str] = field(default_factory=dict)
    remind_s: float = REMIND_AFTER.total_seconds()
    reminded: int = 0
    done_by: str = ""
    done_at: datetime | None = None
    answer: str = ""
    note: str = ""
    dropped: bool = False

    @property
    def over(self) -> bool:
        return bool(self.done_by) or self.dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """`id` is `daily:2026-11-23`; `missed` how many periods before it were never begun; `notes` what else is told.

    `posted_at` is when the digest was written, `over_at` when the last item was ticked off or the next round came.
    """

    id: str
    kind: str
    title: str
    due_at: datetime
    began_at: datetime
    state: str = MEASURING
    runbook: str = ""
    missed: int = 0
    readings: tuple[Reading, ...] = ()
    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()
    posted_at: datetime | None = None
    over_at: datetime | None = None
    began_wall: datetime | None = None

    @property
    def waiting(self) -> tuple[Item, ...]:
        """What people can tick off now: what follows a question waits for its answer."""
        if self.state not in (MEASURING, OPEN):
            return ()
        found: list[Item] = []
        for item in self.items:
            if item.over:
                continue
            found.append(item)
            if item.leads:
                break
        return tuple(found)


def from_runbook(
    book: Runbook,
    slot: Slot,
    now: datetime,
    *,
    pipelines: Sequence[str],
    owner: str,
    missed: int,
    contacts: Mapping[str, str] | None = None,
) -> Round:
    """The round of a period: what only reads is a reading for each pipeline, everything else a person's.

    `contacts` maps the contacts of the roster to where they are reached.
    """
    round_id = slot.id
    readings = [
        Reading(
            run=f"round:{round_id}:{pipeline}:{step.id}",
            title=step.title,
            operation=step.run or "",
            pipeline=pipeline,
            params=dict(step.params),
        )
        for pipeline in pipelines
        for step in book.steps
        if step.automatic
    ]
    return Round(
        id=round_id,
        kind=slot.kind,
        title=book.title,
        due_at=slot.due_at,
        began_at=now,
        runbook=book.name,
        missed=missed,
        readings=tuple(readings),
        items=tuple(
            _item(step, owner, contacts or {}, ", ".join(pipelines))
            for step in book.steps
            if not step.automatic
        ),
    )


def _item(step: Step, owner: str, contacts: Mapping[str, str], pipelines: str) -> Item:
    answers = (*step.answers, "else") if step.answers else ()
    wait = step.remind.total_seconds() if step.remind is not None else REMIND_AFTER.total_seconds()
    return Item(
        id=step.id,
        title=step.title,
        words=step.prose if step.run is None else f"Asks for {step.run}.",
        owner=owner,
        contact=f"{step.contact} ({contacts.get(step.contact, 'nobody is named')})" if step.contact else "",
        draft=" ".join(filled(step.draft, {"pipeline": pipelines}).split()),
        leads={word: choose_next(step, [word], "unknown") or "" for word in answers},
        remind_s=wait,
    )


def tick(this: Round, item_id: str, person: str, now: datetime, *, answer: str = "", note: str = "") -> Round:
    """The round after a person ticked an item off. Raises Refused when it is not there to be ticked off."""
    item = next((each for each in this.items if each.id == item_id), None)
    if item is None:
        raise Refused(f"{this.title} has no item {item_id}.")
    if item.done_by:
        raise Refused(f"“{item.title}” was ticked off already, by {item.done_by}.")
    if item not in this.waiting:
        raise Refused(f"“{item.title}” of {this.title} is not open any more, or not yet.")
    ways = [way for way in item.leads if way != ELSE]
    if ways and not answer:
        raise Refused(
            f"“{item.title}” has several ways on; choose one: {', '.join([*ways, SOMETHING_ELSE])}."
        )
    goto = item.leads.get(answer or ELSE, item.leads.get(ELSE)) if item.leads else None
    after = [each.id for each in this.items].index(item_id) + 1
    items = list(this.items)
    items[after - 1] = replace(item, done_by=person, done_at=now, answer=answer, note=note[:500])
    for place in range(after, len(items)):
        if goto is None or items[place].id == goto:
            break
        items[place] = replace(items[place], dropped=True)
    return settled(replace(this, items=tuple(items)), now)


def settled(this: Round, now: datetime) -> Round:
    """Done, once it was posted and every item is over."""
    if this.state == OPEN and all(item.over for item in this.items):
        return replace(this, state=DONE, over_at=now)
    return this


def lapsed(this: Round, now: datetime) -> Round:
    """The next round of its kind has come; what was not ticked off stays so."""
    return replace(this, state=LAPSED, over_at=now) if this.state in (MEASURING, OPEN) else this


# --- reminders --------------------------------------------------------------------------------------------


def remind_at(this: Round, item: Item) -> datetime | None:
    """When its owner is reminded the next time; None when nobody is any more."""
    if this.state != OPEN or this.posted_at is None or item.over or item.reminded >= REMINDERS:
        return None
    return this.posted_at + timedelta(seconds=item.remind_s * (item.reminded + 1))


def overdue(this: Round, now: datetime) -> tuple[Item, ...]:
    """Items whose owner is to be reminded now."""
    return tuple(item for item in this.waiting if (at := remind_at(this, item)) is not None and at <= now)


def reminded(this: Round, items: Sequence[Item], now: datetime) -> Round:
    """The round after a reminder; those that were slept through are not made up for."""

    def counted_up(item: Item) -> Item:
        if item not in items or this.posted_at is None:
            return item
        due = int((now - this.posted_at).total_seconds() // item.remind_s)
        return replace(item, reminded=max(item.reminded + 1, min(due, REMINDERS)))

    return replace(this, items=tuple(counted_up(item) for item in this.items))


# --- in words ---------------------------------------------------------------------------------------------


def lateness(this: Round) -> str:
    """ ", 3 h 5 min late; 2 earlier ones were missed", or "" for what was begun in time."""
    late = this.began_at - this.due_at
    parts = [f", {format_duration(late)} late"] if late > LATE else []
    if this.missed:
        parts.append(
            f"; {counted(this.missed, 'earlier one')} {'was' if this.missed == 1 else 'were'} missed"
        )
    return "".join(parts)


def digest(this: Round, calendar: Calendar, shown: Callable[[str], str]) -> list[str]:
    """The lines of the digest; `shown` turns an owner's name into words."""
    due = this.due_at.astimezone(calendar.zone)
    lines = [f"{this.title}, {this.id.partition(':')[2]}: due {due:%a %Y-%m-%d %H:%M %Z}{lateness(this)}."]
    worst = [r for r in this.readings if r.severity in _GRAVE]
    if this.readings:
        fine = len(this.readings) - len(worst)
        head = f"Measured: {counted(len(this.readings), 'reading')}, {fine} of them fine."
        lines += [head, *(_reading(reading) for reading in this.readings)]
    lines += this.notes
    mine = [item for item in this.items if not item.dropped]
    if mine:
        lines.append("For a person:")
        lines += [_line(this, item, calendar, shown) for item in mine]
    return [*lines, *_ending(this)]


def _reading(reading: Reading) -> str:
    before = "" if reading.before in ("", reading.severity) else f" (last time: {reading.before})"
    said = cut(clean(reading.verdict or "not measured yet"), 220)
    return f"- {reading.severity or 'unknown'}: {reading.pipeline}, {reading.title}: {said}{before}"


def _line(this: Round, item: Item, calendar: Calendar, shown: Callable[[str], str]) -> str:
    if item.done_by:
        answer = f", {item.answer.replace('_', ' ')}" if item.answer else ""
        note = f": {item.note}" if item.note else ""
        return f"- done: {item.title} ({item.done_by}{answer}){note}"
    owner = shown(item.owner) if item.owner else "nobody yet"
    if item not in this.waiting:
        state = "not ticked off" if this.state == LAPSED else "later"
        return f"- {state}: {item.title} (owner {owner})"
    by = (this.posted_at or this.began_at) + timedelta(seconds=item.remind_s)
    contact = f" Write to {item.contact}" if item.contact else ""
    contact += (f": “{cut(clean(item.draft), 300)}”" if item.draft else ".") if contact else ""
    return f"- open: {item.title} (owner {owner}, by {by.astimezone(calendar.zone):%a %H:%M %Z}).{contact}"


def _ending(this: Round) -> list[str]:
    if this.state == DONE:
        return ["Everything is ticked off."]
    return ["Closed: the next round has begun."] if this.state == LAPSED else []


def buttons(this: Round) -> list[dict[str, Any]]:
    """A button for each way to tick off what waits, and one for a note."""
    found = []
    for item in this.waiting:
        value = {"round": this.id, "item": item.id}
        ways = [way for way in item.leads if way != "else"]
        found += [
            _button("round_tick", f"{label_of(way)}: {item.title}", {**value, "answer": way}) for way in ways
        ]
        label = f"Reviewed: {item.title}" if this.kind == REVIEW else f"Done: {item.title}"
        if ways:
            found.append(_button("round_tick", "Something else", {**value, "answer": SOMETHING_ELSE}))
        else:
            found.append(_button("round_tick", label, value))
        found.append(_button("round_note", f"With a note: {item.title}", value))
    return found


def _button(action: str, label: str, value: Mapping[str, str]) -> dict[str, Any]:
    return {"action": action, "label": label[:75], "value": json.dumps(value, separators=(",", ":"))}


def summary(this: Round) -> str:
    """One line for a list of rounds."""
    items = [item for item in this.items if not item.dropped]
    done = sum(bool(item.done_by) for item in items)
    by = ", ".join(dict.fromkeys(item.done_by for item in items if item.done_by))
    found = [r.severity for r in this.readings]
    worst = next((grave for grave in _GRAVE if grave in found), "ok") if found else ""
    parts = [f"{done} of {len(items)} ticked off" + (f" by {by}" if by else "")]
    if worst:
        parts.insert(0, f"worst reading {worst}")
    return f"{this.id}, {this.state}{lateness(this)}: {'; '.join(parts)}"
