"""The outbox: what waits to leave, who holds it, and what became of it, inside one transaction.

States of a row (``bot.core.delivery``): pending -> sending -> sent | dead | pending; pending -> cancelled.
A row in ``sending`` whose lease has ended is claimed again, and is ambiguous from then on: the one
who held it may have sent it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from bot.core.delivery import LEASE, Kind, Leased, Outbound, Priority, Settlement, State
from bot.store.codec import dumps, loads_map, storable
from bot.store.schema import from_micros, incidents, outbox, to_micros
from bot.store.session import Session, insert_into

# States are literal here, so that the partial index serves these queries. A row that waits for its
# incident's channel holds nobody up: those behind it may be what creates the channel. Pages to one
# person do not wait for each other, and are handed out together so that they can be one message.
_HEADS = """
    FROM outbox o
    WHERE o.state IN ('pending', 'sending')
      AND (NOT o.needs_channel
           OR EXISTS (SELECT 1 FROM incidents i WHERE i.id = o.incident AND i.channel_id IS NOT NULL))
      AND (o.kind = 'page_dm' OR NOT EXISTS (
            SELECT 1 FROM outbox e
            WHERE e.lane = o.lane AND e.priority = o.priority AND e.id < o.id
              AND e.state IN ('pending', 'sending')
              AND (NOT e.needs_channel OR EXISTS (
                    SELECT 1 FROM incidents i WHERE i.id = e.incident AND i.channel_id IS NOT NULL))))
"""

_DUE = """((o.state = 'pending' AND o.not_before <= :wall) OR (o.state = 'sending' AND o.lease_until <= :wall))"""

_CLAIM = """
    WITH heads AS (
      SELECT o.id, o.priority, ROW_NUMBER() OVER (
               PARTITION BY CASE WHEN o.kind = 'page_dm' THEN 'page:' || o.id ELSE 'lane:' || o.lane END
               ORDER BY o.priority, o.id) AS place
      {heads} AND {due} {free}
    ), chosen AS (
      SELECT o.id FROM outbox o
      WHERE o.id IN (SELECT id FROM heads WHERE place = 1 ORDER BY priority, id LIMIT :limit) AND {due}
      ORDER BY o.priority, o.id {lock}
    )
    UPDATE outbox SET
      ambiguous = (ambiguous OR state = 'sending'), state = 'sending', token = token + 1,
      attempts = attempts + 1, lease_until = :lease, first_try_at = COALESCE(first_try_at, :wall)
    WHERE id IN (SELECT id FROM chosen)
    RETURNING id, key, kind, lane, priority, incident, needs_channel, replaces, data,
              token, attempts, ambiguous, first_try_at, :wall - first_try_at AS age, version, lookups, result
"""

_BUSY: sa.BindParameter[Any] = sa.bindparam("busy", expanding=True)
_KINDS: sa.BindParameter[Any] = sa.bindparam("kinds", expanding=True)


class Outbox(Session):
    """The outbox's part of a transaction."""

    def enqueue(self, rows: Sequence[Outbound]) -> None:
        """Add rows in order. A key that is known does nothing, except for a ``replaces`` row: see ``_put``."""
        if rows:
            self._execute(_put(self._postgres), [{**_NEW, **_columns(row, self.wall())} for row in rows])

    def cancel(self, keys: Sequence[str]) -> int:
        """Cancel rows that wait; returns how many. One that somebody is sending is marked, so that
        ``still_mine`` says no and it is not tried again."""
        if not keys:
            return 0
        known = outbox.c.key.in_([storable(key) for key in keys])
        sending = sa.update(outbox).where(known, outbox.c.state == State.SENDING.value)
        self._execute(sending.values(unwanted=True))
        waiting = sa.update(outbox).where(known, outbox.c.state == State.PENDING.value)
        return self._execute(waiting.values(state=State.CANCELLED.value, settled_at=self.wall())).rowcount

    def claim(
        self, limit: int, lanes_busy: Sequence[str] = (), kinds: Sequence[Kind] = ()
    ) -> Sequence[Leased]:
        """Lease rows that are due: the first of each (lane, priority), one a lane (pages to a
        person: all), the most urgent and oldest first, none of the lanes that are busy; only these kinds."""
        wall = self.wall()
        forget = sa.update(outbox).where(sa.text("state = 'sending'"), outbox.c.unwanted)
        self._execute(
            forget.where(outbox.c.lease_until <= wall).values(state=State.CANCELLED.value, settled_at=wall)
        )
        values: dict[str, Any] = {
            "wall": to_micros(wall),
            "lease": to_micros(wall + LEASE),
            "limit": limit,
        }
        query = _CLAIM.format(
            heads=_HEADS,
            due=_DUE,
            free=("AND o.lane NOT IN :busy " if lanes_busy else "")
            + ("AND o.kind IN :kinds" if kinds else ""),
            lock="FOR UPDATE SKIP LOCKED" if self._postgres else "",
        )
        statement = sa.text(query)
        if lanes_busy:
            statement = statement.bindparams(_BUSY)
            values["busy"] = list(lanes_busy)
        if kinds:
            statement = statement.bindparams(_KINDS)
            values["kinds"] = [kind.value for kind in kinds]
        found = [_leased(row) for row in self._execute(statement, values)]
        return sorted(found, key=lambda row: (row.outbound.priority, row.id))

    def still_mine(self, row: Leased) -> bool:
        """False when the lease was taken by another, or the row was cancelled meanwhile."""
        query = self._held(sa.select(outbox.c.id), row).where(outbox.c.unwanted.is_(False))
        return self._execute(query).one_or_none() is not None

    def finish(self, row: Leased, settlement: Settlement) -> bool:
        """Fenced by the token; False when the lease was lost. A renewed replacing row waits again."""
        held = self._execute(
            self._locked(self._held(sa.select(outbox.c.version, outbox.c.unwanted, outbox.c.result), row))
        ).one_or_none()
        if held is None:
            return False
        wall, state = self.wall(), settlement.state
        again = wall + settlement.again_in if settlement.again_in else wall
        values: dict[str, Any] = {
            "ambiguous": settlement.ambiguous,
            "reason": storable(settlement.reason)[:1000],
            "result": dumps({**loads_map(held.result), **settlement.result}),
            "lease_until": None,
            "settled_at": None if state is State.PENDING else wall,
        }
        if held.unwanted and state is State.PENDING:
            state = State.CANCELLED
            values["settled_at"] = wall
        elif held.version != row.version and state is not State.PENDING:
            # Said as it was when it was taken; what has changed since is to be said now.
            state, again = State.PENDING, wall
            values.update(attempts=0, lookups=0, first_try_at=None, settled_at=None)
        values.update(state=state.value, not_before=again, unwanted=False)
        self._execute(self._held(sa.update(outbox), row).values(**values))
        return True

    def counted_lookup(self, row: Leased) -> int:
        """Count a look-up that settled nothing; how many there were (0: the lease was lost)."""
        change = self._held(sa.update(outbox), row).values(lookups=outbox.c.lookups + 1)
        return int(self._execute(change.returning(outbox.c.lookups)).scalar_one_or_none() or 0)

    def next_send(self) -> datetime | None:
        """When the next row may be claimed (real time, possibly past); None when none waits."""
        query = f"SELECT MIN(CASE WHEN o.state = 'pending' THEN o.not_before ELSE o.lease_until END) {_HEADS}"
        earliest = self._execute(sa.text(query)).scalar()
        return None if earliest is None else from_micros(int(earliest))

    def outbox_state(self, key: str) -> tuple[State, str] | None:
        """What became of a row, and why; None for an unknown key."""
        query = sa.select(outbox.c.state, outbox.c.reason).where(outbox.c.key == storable(key))
        found = self._execute(query).one_or_none()
        return None if found is None else (State(found.state), found.reason)

    def attempted(self, key: str) -> bool:
        """Whether anybody ever began to send this row; False for an unknown key."""
        query = sa.select(outbox.c.attempts).where(outbox.c.key == storable(key))
        return bool(self._execute(query).scalar_one_or_none())

    def outbox_counts(self) -> dict[str, int]:
        """How many rows are pending, sending and dead; by their indexes, so that it may be asked often."""
        unfinished = sa.text("state IN ('pending', 'sending')")
        query = sa.select(outbox.c.state, sa.func.count().label("number")).where(unfinished)
        counts = {State.PENDING.value: 0, State.SENDING.value: 0}
        counts.update({row.state: row.number for row in self._execute(query.group_by(outbox.c.state))})
        dead = sa.select(sa.func.count()).select_from(outbox).where(sa.text("state = 'dead'"))
        counts[State.DEAD.value] = int(self._execute(dead).scalar_one())
        return counts

    def outbox_dead_rows(self, limit: int) -> Sequence[tuple[str, int | None, datetime, str]]:
        """The newest rows that will never be sent, without those of private incidents: (kind, incident, when, why)."""
        private = sa.select(incidents.c.id).where(incidents.c.private)
        shown = sa.or_(outbox.c.incident.is_(None), outbox.c.incident.not_in(private))
        query = sa.select(outbox.c.kind, outbox.c.incident, outbox.c.settled_at, outbox.c.reason)
        newest = query.where(sa.text("state = 'dead'"), shown).order_by(outbox.c.id.desc()).limit(limit)
        return [(row.kind, row.incident, row.settled_at, row.reason) for row in self._execute(newest)]

    def _held(self, statement: Any, row: Leased) -> Any:
        return statement.where(
            outbox.c.id == row.id, outbox.c.token == row.token, outbox.c.state == State.SENDING.value
        )


_NEW: Mapping[str, Any] = {
    "state": State.PENDING.value,
    "version": 1,
    "token": 0,
    "attempts": 0,
    "lookups": 0,
    "ambiguous": False,
    "unwanted": False,
    "reason": "",
    "result": "{}",
}


def _columns(row: Outbound, wall: datetime) -> dict[str, Any]:
    return {
        "key": storable(row.key),
        "kind": row.kind.value,
        "lane": storable(row.lane),
        "priority": int(row.priority),
        "incident": row.incident,
        "needs_channel": row.needs_channel,
        "replaces": row.replaces,
        "data": dumps(row.data),
        "not_before": wall + row.delay,
    }


@cache
def _put(postgres: bool) -> Any:
    """The statement that adds a row; made once, because making it costs more than carrying it out.

    A ``replaces`` row brings the newer state of the same thing. While somebody sends the older one only
    the version rises, and ``finish`` finds it risen; else the row waits again. One that waited already
    keeps its time, so that a stream of renewals can neither put it off nor jump a rate limit.
    """
    insert = insert_into(outbox, postgres=postgres)
    new, old = insert.excluded, outbox.c
    # Not IN: a list of values cannot be part of a statement that is carried out for many rows.
    waits = sa.or_(old.state == State.PENDING.value, old.state == State.SENDING.value)
    return insert.on_conflict_do_update(
        index_elements=[old.key],
        where=new.replaces,
        set_={
            "data": new.data,
            "version": old.version + 1,
            "unwanted": False,
            "state": sa.case((waits, old.state), else_=State.PENDING.value),
            "not_before": sa.case((waits, old.not_before), else_=new.not_before),
            "attempts": sa.case((waits, old.attempts), else_=0),
            "lookups": sa.case((waits, old.lookups), else_=0),
            "ambiguous": sa.case((waits, old.ambiguous), else_=sa.false()),
            "first_try_at": sa.case((waits, old.first_try_at), else_=sa.null()),
        },
    )


def _leased(row: Any) -> Leased:
    return Leased(
        id=row.id,
        token=row.token,
        attempts=row.attempts,
        ambiguous=bool(row.ambiguous),
        first_try_at=row.first_try_at / 1_000_000,
        age_s=row.age / 1_000_000,
        version=row.version,
        lookups=row.lookups,
        result=loads_map(row.result),
        outbound=Outbound(
            key=row.key,
            kind=Kind(row.kind),
            lane=row.lane,
            priority=Priority(row.priority),
            incident=row.incident,
            needs_channel=bool(row.needs_channel),
            replaces=bool(row.replaces),
            data=loads_map(row.data),
        ),
    )
