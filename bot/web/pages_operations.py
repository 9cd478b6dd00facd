"""What /operations shows: statistics, the calendar, actions; the chart has its figures as a table too. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.core import statistics_words
from bot.core.action_items import Todo
from bot.core.rounds import Round, summary
from bot.core.statistics import Statistics
from bot.core.text import counted

_BAR = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """What is read for the page; actions of private incidents are left out by whoever reads."""

    found: Statistics
    rounds: Sequence[Round]
    todos: Sequence[Todo]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of the chart, in pixels, with its words."""

    name: str
    words: str
    width: int
    y: int


def values(read: Operations) -> dict[str, Any]:
    """What the template needs."""
    most = max((count for _, count in read.found.weeks), default=0) or 1
    bars = [
        Bar(name=monday, words=counted(count, "incident"), width=_BAR * count // most, y=24 * place)
        for place, (monday, count) in enumerate(read.found.weeks)
    ]
    return {
        "lines": statistics_words.lines(read.found),
        "bars": bars,
        "height": 24 * len(bars),
        "rounds": [summary(each) for each in read.rounds],
        "todos": [todo.words for todo in read.todos],
    }


def as_json(read: Operations) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "statistics": statistics_words.as_json(read.found),
        "rounds": [
            {"id": r.id, "state": r.state, "due_at": r.due_at.isoformat(), "words": summary(r)} for r in read.rounds
        ],
        "actions": [
            {"incident": t.incident, "id": t.action.id, "text": t.action.text, "owner": t.action.owner,
             "due": t.action.due, "late_days": t.late}
            for t in read.todos
        ],
    }  # fmt: skip
