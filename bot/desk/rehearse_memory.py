"""What a rehearsal has in place of the database: the part of a transaction that incidents need, in memory.

Nothing is written anywhere and nothing leaves; the incidents are the real ones all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core.alert_model import Alert, Family
from bot.core.book import Entry
from bot.core.delivery import Kind, Outbound
from bot.core.errors import KeyTaken
from bot.core.incident import Event, Incident
from bot.core.overrides import Override
from bot.desk.ports import HeldAlert, Run, StoredAlert


class Memory:
    """One standing transaction on a clock that its owner moves (``at``). Meanings are those of `Tx`."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.fresh: list[tuple[int, Event]] = []
        self.said: list[str] = []
        self.gone: set[str] = set()
        self._events: dict[int, list[Event]] = {}
        self._incidents: dict[int, Incident] = {}
        self._newest: dict[str, int] = {}
        self._due: dict[int, datetime] = {}
        self._active: dict[int, None] = {}
        self._alerts: dict[tuple[str, str], StoredAlert] = {}
        self._values: dict[str, Any] = {}
        self._holds: dict[str, dict[tuple[str, str], HeldAlert]] = {}

    def now(self) -> datetime:
        """Where the clock stands."""
        return self.at

    def wall(self) -> datetime:
        """The same: a rehearsal has no other time."""
        return self.at

    def incident(self, number: int, *, lock: bool = True) -> Incident | None:
        """The incident of this number."""
        return self._incidents.get(number)

    def active(self) -> list[Incident]:
        """Every incident that is not resolved, oldest first."""
        return [self._incidents[number] for number in self._active]

    def open_incident(self, key: str) -> Incident | None:
        """The one that is not resolved with this key; private ones have none."""
        return next((i for i in self.active() if i.key == key and _merges(i)), None)

    def last_incident(self, key: str) -> Incident | None:
        """The newest with this key."""
        number = self._newest.get(key)
        return None if number is None else self._incidents[number]

    def next_number(self) -> int:
        """The next incident's number."""
        return len(self._incidents) + 1

    def append(self, number: int, events: Sequence[Event]) -> Sequence[Event]:
        """Number the events and keep them for the story."""
        seq = len(self._events.get(number, ()))
        stored = [replace(event, seq=seq + place) for place, event in enumerate(events, 1)]
        self.fresh += [(number, event) for event in stored]
        self._events.setdefault(number, []).extend(stored)
        return stored

    def events(self, number: int) -> Sequence[Event]:
        """The whole timeline in order."""
        return self._events.get(number, [])

    def save(self, incident: Incident, *, next_due_at: datetime | None) -> None:
        """Keep the state. Raises KeyTaken when another open incident holds the key."""
        other = self.open_incident(incident.key) if incident.active and _merges(incident) else None
        if other is not None and other.id != incident.id:
            raise KeyTaken(incident.key)
        self._incidents[incident.id] = incident
        self._newest[incident.key] = max(incident.id, self._newest.get(incident.key, 0))
        if incident.active:
            self._active[incident.id] = None
        else:
            self._active.pop(incident.id, None)
        if next_due_at is None:
            self._due.pop(incident.id, None)
        else:
            self._due[incident.id] = next_due_at

    def due_incidents(self, limit: int) -> Sequence[int]:
        """Numbers whose due time has come, oldest due first."""
        due = sorted((at, number) for number, at in self._due.items() if at <= self.at)
        return [number for _, number in due[:limit]]

    def next_due(self) -> datetime | None:
        """The earliest due time of all."""
        return min(self._due.values(), default=None)

    def alert(self, source: str, key: str) -> StoredAlert | None:
        """The alert of this source's key."""
        return self._alerts.get((source, key))

    def put_alert(self, alert: Alert, *, incident: int | None, announced: bool = False) -> None:
        """Keep an alert in place of what was known of its key."""
        stored = StoredAlert(alert=alert, incident=incident, announced=announced)
        self._alerts[(alert.source, alert.key)] = stored

    def hold_alert(self, hold: str, source: str, key: str) -> None:
        """One more notification of an alert that is held back."""
        kept = self._holds.setdefault(hold, {})
        before = kept.get((source, key))
        count = before.notifications + 1 if before else 1
        alert = self._alerts[(source, key)].alert
        kept[(source, key)] = HeldAlert(alert=alert, incident=None, notifications=count, waits=True)

    def held(self, hold: str) -> Sequence[HeldAlert]:
        """All alerts that a hold kept back, as they are now."""
        return [
            replace(item, alert=self._alerts[name].alert, incident=self._alerts[name].incident)
            for name, item in sorted(self._holds.get(hold, {}).items())
        ]

    def hold_of(self, source: str, key: str) -> tuple[str, bool] | None:
        """The newest hold of an alert, and whether it waits there."""
        found = [
            (kept[(source, key)].waits, name) for name, kept in self._holds.items() if (source, key) in kept
        ]
        return (max(found)[1], max(found)[0]) if found else None

    def waiting_holds(self) -> Sequence[str]:
        """Holds with alerts that wait."""
        return [name for name, kept in self._holds.items() if any(item.waits for item in kept.values())]

    def release(self, hold: str) -> None:
        """Its alerts wait no more."""
        for name, item in self._holds.get(hold, {}).items():
            self._holds[hold][name] = replace(item, waits=False)

    def running_change(self, pipeline: str, besides: str = "") -> Run | None:
        """No operation runs in a rehearsal."""
        return None

    def enqueue(self, rows: Iterable[Outbound]) -> None:
        """Nothing leaves; what would be one line in the announcement channel is kept for the story."""
        self.said += [str(r.data["text"]) for r in rows if r.kind is Kind.ANNOUNCE and "text" in r.data]

    def cancel(self, keys: Sequence[str]) -> int:
        """Rows that must not leave any more."""
        self.gone.update(keys)
        return len(keys)

    def write_down(self, entry: Entry) -> Entry:
        """Nothing is signed for in a rehearsal."""
        return entry

    def overrides(self, since: datetime) -> Sequence[Override]:
        """None: a rehearsal is about the roster as it is written."""
        return ()

    def put_run(self, run: Run) -> None:
        """A rehearsal has no channels, so no runbook runs; and nothing is asked of a cloud."""

    def get_value(self, name: str) -> Any:
        """A small thing that was put."""
        return self._values.get(name)

    def put_value(self, name: str, value: Any) -> None:
        """Put a small thing."""
        self._values[name] = value

    def once(self, scope: str, key: str) -> bool:
        """True the first time only."""
        name = f"once:{scope}:{key}"
        first = name not in self._values
        self._values[name] = True
        return first


def _merges(incident: Incident) -> bool:
    return not incident.private and incident.family != Family.SECURITY
