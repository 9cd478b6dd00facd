"""Action items of all reviews: which are open, and which are due. Pure; dates are those of the calendar's zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from bot.core.incident import Action, Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """One open action of one incident. `late` is the days since its date, below zero before it; None without one."""

    incident: str
    private: bool
    action: Action
    late: int | None

    @property
    def due(self) -> bool:
        """Its day has come, or is over."""
        return self.late is not None and self.late >= 0

    @property
    def words(self) -> str:
        """ "INC-7 action 2, add a test (owner bob, due 2026-12-01, 3 d overdue)"."""
        when = f"due {self.action.due}" if self.action.due else "no date"
        if self.late is not None and self.late > 0:
            when += f", {self.late} d overdue"
        elif self.late == 0:
            when += ", today"
        owner = self.action.owner or "nobody yet"
        return f"{self.incident} action {self.action.id}, {self.action.text} (owner {owner}, {when})"

    def reminder(self, today: date) -> str | None:
        """The key of the reminder that is due: from its day on, once in each week; None before."""
        if not self.due:
            return None
        year, week, _ = today.isocalendar()
        return f"action:{self.incident}:{self.action.id}:{year}-W{week:02d}"


def todos(incidents: Iterable[Incident], today: date) -> list[Todo]:
    """Every open action, those that are longest overdue first, those without a date last."""
    found = [
        Todo(incident=i.name, private=i.private, action=action, late=_late(action.due, today))
        for i in incidents
        for action in i.actions
        if not action.done_by
    ]
    return sorted(found, key=lambda todo: (todo.late is None, -(todo.late or 0), todo.incident))


def _late(due: str, today: date) -> int | None:
    try:
        return (today - date.fromisoformat(due)).days
    except ValueError:
        return None
