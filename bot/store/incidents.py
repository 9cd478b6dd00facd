"""Incidents, their events with the hash chain, and their alerts, inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as DatabaseIntegrityError

from bot.core.alert_model import Alert, Family
from bot.core.audit import GENESIS, link_hash
from bot.core.errors import KeyTaken
from bot.core.incident import Event, Incident
from bot.desk.ports import StoredAlert
from bot.store.codec import dumps, loads, loads_any, loads_map, storable
from bot.store.schema import Instant, alerts, counters, events, from_micros, incidents, to_micros
from bot.store.session import Session, insert_into


def open_key(incident: Incident) -> str | None:
    """What makes an open incident the only one of its key (rules: "From alert to incident").

    None for what is over, and for private incidents and security, which never merge.
    """
    if not incident.active or incident.private or incident.family == Family.SECURITY:
        return None
    return incident.key


def record_of(incident: int, event: Event) -> dict[str, Any]:
    """What is hashed of an event: all that it says, in JSON values."""
    return {
        "incident": incident,
        "seq": event.seq,
        "at": event.at,
        "actor": event.actor,
        "type": event.type,
        "data": event.data,
    }


# Made once, because making a statement costs more than carrying it out.
_NUMBER = sa.bindparam("number", type_=sa.Integer)
_READ = sa.select(incidents.c.data).where(incidents.c.id == _NUMBER)
_LOCK_AND_READ = _READ.with_for_update()
_LOCK = sa.select(incidents.c.id).where(incidents.c.id == _NUMBER).with_for_update()
_TIMELINE = sa.select(events).where(events.c.incident == _NUMBER).order_by(events.c.seq)
_HEAD = (
    sa.select(events.c.seq, events.c.hash)
    .where(events.c.incident == _NUMBER)
    .order_by(events.c.seq.desc())
    .limit(1)
)
_last = sa.select(sa.func.max(events.c.seq)).where(events.c.incident == incidents.c.id).correlate(incidents)
_HEADS = (
    sa.select(events.c.incident, events.c.seq, events.c.hash)
    .join_from(
        incidents, events, (events.c.incident == incidents.c.id) & (events.c.seq == _last.scalar_subquery())
    )
    .where(incidents.c.id.in_(sa.bindparam("numbers", expanding=True)))
)
_ADD_EVENTS = sa.insert(events)
_ADD = sa.insert(incidents)
_CHANGE = sa.update(incidents).where(incidents.c.id == _NUMBER)
_NEXT_DUE = sa.select(sa.func.min(incidents.c.next_due_at))
_DUE = (
    sa.select(incidents.c.id, incidents.c.data)
    .where(incidents.c.next_due_at <= sa.bindparam("now", type_=Instant))
    .order_by(incidents.c.next_due_at, incidents.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_LOCK_DUE = _DUE.with_for_update(skip_locked=True)
_LOCK_ALERT = sa.text("SELECT pg_advisory_xact_lock(5742, hashtext(:name))")


class Incidents(Session):
    """The incident's part of a transaction."""

    def incident(self, number: int, *, lock: bool = True) -> Incident | None:
        """The folded state, locked against other writers unless told otherwise."""
        if not lock or not self._writable:
            return self._one(_READ, number=number)
        text = self._read.pop(number, None)
        if text is not None:
            return loads(text, Incident)
        self._mine.add(number)
        return self._one(_LOCK_AND_READ, number=number)

    def open_incident(self, key: str) -> Incident | None:
        """The one that is not resolved with this correlation key, locked."""
        return self._one(self._locked(sa.select(incidents.c.data).where(incidents.c.open_key == key)))

    def last_incident(self, key: str) -> Incident | None:
        """The newest with this key, in whatever status, locked: whoever looks for it may open it again."""
        query = sa.select(incidents.c.data).where(incidents.c.corr_key == key)
        return self._one(self._locked(query.order_by(incidents.c.id.desc()).limit(1)))

    def incident_of_channel(self, channel: str) -> int | None:
        """The number of the incident whose channel this is."""
        query = sa.select(incidents.c.id).where(incidents.c.channel_id == channel)
        number: int | None = self._execute(query).scalar_one_or_none()
        return number

    def incidents(self, *, active: bool | None = None, limit: int = 50) -> Sequence[Incident]:
        """The newest first; ``active`` None means all."""
        query = sa.select(incidents.c.data).order_by(incidents.c.id.desc()).limit(limit)
        if active is not None:
            query = query.where(incidents.c.active.is_(active))
        return [loads(text, Incident) for text in self._execute(query).scalars()]

    def next_number(self) -> int:
        """The next incident's number; without gaps, because it is given back with a rollback."""
        insert = self._insert(counters).values(name="incident", value=1)
        query = insert.on_conflict_do_update(
            index_elements=[counters.c.name], set_={"value": counters.c.value + 1}
        ).returning(counters.c.value)
        return int(self._execute(query).scalar_one())

    def append(self, number: int, new: Sequence[Event]) -> Sequence[Event]:
        """Store events with their sequence numbers and hashes; returns them with ``seq`` set.

        ``data`` comes back as JSON gives it (lists for tuples, texts for enums), which is what a
        later reader sees too.
        """
        if not new:
            return []
        if self._postgres and number not in self._mine:
            self._mine.add(number)
            self._execute(_LOCK, {"number": number})
        seq, head = self._heads.get(number) or self._head(number)
        stored, rows = [], []
        for event in new:
            seq += 1
            text = dumps(event.data)
            # To whole microseconds and back: the hash is over what the database will give back.
            at = from_micros(to_micros(event.at))
            kept = replace(event, seq=seq, at=at, actor=storable(event.actor), data=loads_map(text))
            previous, head = head, link_hash(head, record_of(number, kept))
            rows.append(
                {
                    "incident": number,
                    "seq": seq,
                    "at": kept.at,
                    "actor": kept.actor,
                    "type": kept.type,
                    "data": text,
                    "prev_hash": previous,
                    "hash": head,
                }
            )
            stored.append(replace(kept, hash=head))
        self._execute(_ADD_EVENTS, rows)
        self._heads[number] = (seq, head)
        return stored

    def _head(self, number: int) -> tuple[int, str]:
        found = self._execute(_HEAD, {"number": number}).one_or_none()
        return (found.seq, found.hash) if found else (0, GENESIS)

    def save(self, incident: Incident, *, next_due_at: datetime | None) -> None:
        """Insert or update the row. Raises KeyTaken when another open incident holds the key."""
        row = {
            "corr_key": incident.key,
            "open_key": open_key(incident),
            "status": incident.status.value,
            "active": incident.active,
            "private": incident.private,
            "channel_id": incident.channel_id or None,
            "next_due_at": next_due_at,
            "seq": incident.seq,
            "data": dumps(incident),
        }
        self._read.pop(incident.id, None)
        try:
            if not self._execute(_CHANGE, {"number": incident.id, **row}).rowcount:
                self._execute(_ADD, {"id": incident.id, **row})
        except DatabaseIntegrityError as error:
            if "open_key" in str(error.orig):
                raise KeyTaken(incident.key) from error
            raise

    def events(self, number: int) -> Sequence[Event]:
        """The whole timeline in order."""
        return [
            Event(
                type=row.type,
                at=row.at,
                actor=row.actor,
                data=loads_any(row.data),
                seq=row.seq,
                hash=row.hash,
            )
            for row in self._execute(_TIMELINE, {"number": number})
        ]

    def due_incidents(self, limit: int) -> Sequence[int]:
        """Numbers whose due time has passed, oldest due first, those locked by another skipped.

        A writer has them locked, and read what ``incident`` and ``append`` will ask of each, all at once.
        """
        due = {"now": self.now(), "most": limit}
        if not self._writable:
            return [row.id for row in self._execute(_DUE, due)]
        self._read = {row.id: row.data for row in self._execute(_LOCK_DUE, due)}
        numbers = list(self._read)
        self._mine.update(numbers)
        # Asked when the locks are held: one statement would see the heads as they were before it got them.
        for row in self._execute(_HEADS, {"numbers": numbers}) if numbers else ():
            self._heads[row.incident] = (row.seq, row.hash)
        return numbers

    def put_off(self, number: int, until: datetime) -> None:
        """Let no timer of this incident, which this transaction has locked, come before then."""
        self._execute(_CHANGE, {"number": number, "next_due_at": until})

    def next_due(self) -> datetime | None:
        """The earliest due time of all, in the incident's time."""
        earliest: datetime | None = self._execute(_NEXT_DUE).scalar()
        return earliest

    def alert(self, source: str, key: str) -> StoredAlert | None:
        """The alert of a source's key, with the incident that it belongs to, locked; one that is not there yet too."""
        query = sa.select(alerts).where(alerts.c.source == storable(source), alerts.c.key == storable(key))
        row = self._execute(self._locked(query)).one_or_none()
        if row is None and self._writable and self._postgres:
            # No row to lock: whoever has this alert in hand already is waited for, and has stored it by then.
            self._execute(_LOCK_ALERT, {"name": f"{storable(source)}:{storable(key)}"})
            row = self._execute(self._locked(query)).one_or_none()
        if row is None:
            return None
        return StoredAlert(alert=loads(row.data, Alert), incident=row.incident, announced=bool(row.announced))

    def put_alert(self, alert: Alert, *, incident: int | None, announced: bool = False) -> None:
        """Store an alert in place of what was known of its key."""
        row = {
            "source": storable(alert.source),
            "key": storable(alert.key),
            "incident": incident,
            "announced": announced,
            "updated_at": self.now(),
            "data": dumps(alert),
        }
        self._execute(_put_alert(self._postgres), row)

    def _one(self, query: sa.Select[Any], **values: Any) -> Incident | None:
        text = self._execute(query, values).scalar_one_or_none()
        return None if text is None else loads(text, Incident)


@cache
def _put_alert(postgres: bool) -> Any:
    """The statement that keeps an alert; made once, because making it costs more than carrying it out."""
    insert = insert_into(alerts, postgres=postgres)
    kept = ("incident", "announced", "updated_at", "data")
    return insert.on_conflict_do_update(
        index_elements=[alerts.c.source, alerts.c.key],
        set_={name: insert.excluded[name] for name in kept},
    )
