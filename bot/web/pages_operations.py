"""What /operations shows: statistics as charts, the calendar's rounds with who ticked what, actions. Pure.

Every chart has its figures as a table beside it, and as words in its alternative text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.core import rounds, statistics_words
from bot.core.action_items import Todo
from bot.core.periods import USUAL, Calendar
from bot.core.policy import format_duration
from bot.core.rounds import Item, Round, summary
from bot.core.statistics import Count, Statistics
from bot.core.text import counted, cut
from bot.web.pages_view import rfc3339, safe

_LEFT, _BAR, _ROW, _WIDTH = 165, 140, 24, 470
Row = tuple[str, float, str]  # name, value, value in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A notification that could not be used, or a message that could not be sent, and why; nobody waits for it."""

    at: datetime
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """What is read for the page; actions of private incidents are left out by whoever reads."""

    found: Statistics
    rounds: Sequence[Round]
    todos: Sequence[Todo]
    calendar: Calendar = USUAL
    aside: Sequence[Aside] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a chart, in the drawing's units; `label` and `short` are name and words as short as it needs them."""

    name: str
    label: str
    words: str
    short: str
    width: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`columns` head the table that says the same; no bars: there was nothing of it."""

    title: str
    columns: tuple[str, str]
    bars: tuple[Bar, ...]

    @property
    def height(self) -> int:
        return _ROW * len(self.bars)

    @property
    def words(self) -> str:
        """All that the drawing shows."""
        return f"{self.title}. " + "; ".join(f"{bar.name}: {bar.words}" for bar in self.bars)


def values(read: Operations) -> dict[str, Any]:
    """What the template needs."""
    return {
        "lines": statistics_words.lines(read.found),
        "charts": charts(read.found) if read.found.incidents else [],
        "left": _LEFT,
        "width": _WIDTH,
        "row": _ROW,
        "rounds": [(summary(each), rounds.digest(each, read.calendar, str)) for each in read.rounds],
        "todos": [todo.words for todo in read.todos],
        "aside": [(each.at, safe(each.what), safe(each.reason)) for each in read.aside],
    }


def charts(found: Statistics) -> list[Chart]:
    """What was counted, one chart for each question that people ask of a month."""
    weeks = [(f"week of {monday}", float(count), counted(count, "incident")) for monday, count in found.weeks]
    noisy = _counts(found.policies, lambda c: f"{counted(c.count, 'alert')} in {counted(c.part, 'incident')}")
    again = _counts(found.causes, lambda c: f"{c.count} times: {', '.join(c.where)}")
    idle = [
        (rule.name, float(rule.part), f"{rule.part} of {rule.count}: {', '.join(rule.where)}")
        for rule in found.rules
        if rule.part
    ]
    failed = _counts(found.failed_steps, lambda c: f"{c.count} times: {', '.join(c.where)}")
    never = [
        (name, float(len(ids)), f"{counted(len(ids), 'step')}: {', '.join(ids)}")
        for name, ids in found.never_run.items()
    ]
    kinds = [(name, float(count), str(count)) for name, count in found.kinds.items()]
    return [
        _chart("Incidents by week", ("Week", "Incidents"), weeks),
        _chart("Mean time to acknowledge (MTTA) by week", ("Week", "MTTA"), _times(found, 1)),
        _chart("Mean time to resolve (MTTR) by week", ("Week", "MTTR"), _times(found, 2)),
        _chart("Incidents by kind", ("Kind", "Incidents"), kinds),
        _chart("Causes that came again", ("Cause", "Where"), again),
        _chart("Noisiest alert policies", ("Policy", "Fired"), noisy),
        _chart("Rules that fired without effect", ("Rule", "Without effect"), idle),
        _chart("Runbook steps that failed", ("Step", "Failed"), failed),
        _chart("Runbook steps that were never reached", ("Runbook", "Steps"), never),
    ]


def _counts(found: Iterable[Count], words: Any) -> list[Row]:
    return [(each.name, float(each.count), words(each)) for each in found]


def _times(found: Statistics, place: int) -> list[Row]:
    """Of the weeks in which there was something to measure."""
    return [
        (f"week of {each[0]}", float(seconds), format_duration(timedelta(seconds=round(seconds))))
        for each in found.times
        if isinstance(seconds := each[place], (int, float))
    ]


def _chart(title: str, columns: tuple[str, str], rows: Sequence[Row]) -> Chart:
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    bars = tuple(
        Bar(
            name=name, label=cut(name, 26), words=words, short=words.partition(":")[0],
            width=max(round(_BAR * value / most), 1 if value else 0), y=_ROW * place,
        )
        for place, (name, value, words) in enumerate(rows)
    )  # fmt: skip
    return Chart(title=title, columns=columns, bars=bars)


def as_json(read: Operations) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "statistics": statistics_words.as_json(read.found),
        "rounds": [
            {"id": r.id, "state": r.state, "due_at": r.due_at.isoformat(), "words": summary(r),
             "readings": [{"pipeline": m.pipeline, "title": m.title, "operation": m.operation, "severity": m.severity,
                           "verdict": m.verdict} for m in r.readings],
             "items": [_item(item) for item in r.items if not item.dropped]}
            for r in read.rounds
        ],
        "actions": [
            {"incident": t.incident, "id": t.action.id, "text": t.action.text, "owner": t.action.owner,
             "due": t.action.due, "late_days": t.late}
            for t in read.todos
        ],
        "aside": [{"at": rfc3339(a.at), "what": safe(a.what), "reason": safe(a.reason)} for a in read.aside],
    }  # fmt: skip


def _item(item: Item) -> dict[str, Any]:
    done_at = item.done_at.isoformat() if item.done_at is not None else None
    return {
        "id": item.id,
        "title": item.title,
        "owner": item.owner,
        "done_by": item.done_by,
        "done_at": done_at,
        "answer": item.answer,
        "note": item.note,
        "reminded": item.reminded,
    }
