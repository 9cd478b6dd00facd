"""Runs of operations, and the small things: once-only marks and named values, inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.desk.ports import Run
from bot.store.codec import dumps, loads, loads_any, storable
from bot.store.schema import counters, kv, once, runs
from bot.store.session import Session

RUN_LEASE = timedelta(seconds=60)
_RUNS = 1


class Runs(Session):
    """The operations' part of a transaction."""

    def put_run(self, run: Run) -> None:
        """Store a new run; one whose id is known is left as it is (a plan's id is its idempotency key)."""
        row = {**_columns(run), "id": run.id, "lease_until": None}
        self._execute(self._insert(runs).values(**row).on_conflict_do_nothing(index_elements=[runs.c.id]))

    def run(self, run_id: str) -> Run | None:
        """The run of this id, locked."""
        return self._run_where(self._locked(sa.select(runs.c.data).where(runs.c.id == run_id)))

    def claim_run(self, state: str, to: str) -> Run | None:
        """Take the oldest run in ``state`` whose lease is free, moving it to ``to`` under a lease.

        Claims are made one after the other, so that who then asks ``running_change`` sees the others'.
        """
        self._serialise(_RUNS)
        free = sa.or_(runs.c.lease_until.is_(None), runs.c.lease_until <= self.wall())
        query = sa.select(runs.c.data).where(runs.c.state == state, free)
        query = query.order_by(runs.c.created_at, runs.c.id).limit(1)
        run = self._run_where(self._locked(query, skip=True))
        if run is None:
            return None
        claimed = replace(run, state=to, updated_at=self.now(), attempts=run.attempts + 1)
        change = sa.update(runs).where(runs.c.id == run.id).values(**_columns(claimed))
        self._execute(change.values(lease_until=self.wall() + RUN_LEASE))
        return claimed

    def renew_run(self, run_id: str) -> bool:
        """Lengthen the lease of a run; False when nobody holds it any more."""
        change = sa.update(runs).where(runs.c.id == run_id, runs.c.lease_until.is_not(None))
        return self._execute(change.values(lease_until=self.wall() + RUN_LEASE)).rowcount == 1

    def release_run(self, run_id: str) -> None:
        """Whoever holds it stops: the next process takes it up at once. Nothing is changed when it is over."""
        held = sa.update(runs).where(runs.c.id == run_id, runs.c.lease_until.is_not(None))
        self._execute(held.values(lease_until=self.wall()))

    def move_run(
        self, run_id: str, frm: Sequence[str], to: str, *, attempt: int | None = None, **changes: Any
    ) -> bool:
        """Compare-and-set of the state, with other fields of the run; a change of state frees the lease.

        False, and nothing is changed, when it was in none of ``frm``, in another ``attempt``, or does not exist.
        """
        self._serialise(_RUNS)
        run = self.run(run_id)
        if run is None or run.state not in frm or attempt not in (None, run.attempts):
            return False
        moved = replace(run, **{"updated_at": self.now(), **changes, "state": to})
        change = sa.update(runs).where(runs.c.id == run_id).values(**_columns(moved))
        self._execute(change if to == run.state else change.values(lease_until=None))
        return True

    def stale_runs(self, state: str) -> Sequence[Run]:
        """Runs in ``state`` whose lease ran out: their process died."""
        query = sa.select(runs.c.data).where(runs.c.state == state, runs.c.lease_until <= self.wall())
        return self._runs_where(self._locked(query.order_by(runs.c.created_at, runs.c.id), skip=True))

    def runs_in(self, state: str) -> Sequence[Run]:
        """All runs in a state, oldest first, not locked."""
        query = sa.select(runs.c.data).where(runs.c.state == state)
        return self._runs_where(query.order_by(runs.c.created_at, runs.c.id))

    def running_change(self, pipeline: str, besides: str = "") -> Run | None:
        """The change that runs on a pipeline now, if any (reads do not count), other than the run ``besides``."""
        query = sa.select(runs.c.data).where(
            runs.c.state == "running",
            runs.c.pipeline == pipeline,
            runs.c.risk != "read",
            runs.c.id != besides,
        )
        return self._run_where(query.order_by(runs.c.created_at).limit(1))

    def recent_runs(self, pipeline: str, operation: str, since: datetime) -> Sequence[Run]:
        """Runs of an operation asked for since an instant, newest first, in whatever state."""
        query = sa.select(runs.c.data).where(
            runs.c.pipeline == pipeline, runs.c.operation == operation, runs.c.created_at >= since
        )
        return self._runs_where(query.order_by(runs.c.created_at.desc(), runs.c.id))

    def runs_of_incident(self, number: int) -> Sequence[Run]:
        """All runs of an incident, oldest first."""
        query = sa.select(runs.c.data).where(runs.c.incident == number)
        return self._runs_where(query.order_by(runs.c.created_at, runs.c.id))

    def once(self, scope: str, key: str) -> bool:
        """True the first time only."""
        row = {"scope": storable(scope), "key": storable(key), "at": self.now()}
        insert = self._insert(once).values(**row).on_conflict_do_nothing().returning(once.c.key)
        return self._execute(insert).one_or_none() is not None

    def count(self, name: str, by: int) -> None:
        """Add to a counter; two at once add both."""
        insert = self._insert(counters).values(name=name, value=by)
        added = {"value": counters.c.value + insert.excluded.value}
        self._execute(insert.on_conflict_do_update(index_elements=[counters.c.name], set_=added))

    def counts(self, first: str, last: str) -> Mapping[str, int]:
        """The counters whose names lie between these two, both included."""
        query = sa.select(counters).where(counters.c.name >= first, counters.c.name <= last)
        return {row.name: row.value for row in self._execute(query)}

    def forget_counts(self, first: str, before: str) -> int:
        """Drop the counters from the first name to before the other; returns how many."""
        old = sa.delete(counters).where(counters.c.name >= first, counters.c.name < before)
        return self._execute(old).rowcount

    def get_value(self, name: str) -> Any:
        """The JSON value of a name, or None."""
        text = self._execute(sa.select(kv.c.value).where(kv.c.name == storable(name))).scalar_one_or_none()
        return None if text is None else loads_any(text)

    def put_value(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        insert = self._insert(kv).values(name=storable(name), value=dumps(value))
        self._execute(
            insert.on_conflict_do_update(index_elements=[kv.c.name], set_={"value": insert.excluded.value})
        )

    def _run_where(self, query: sa.Select[Any]) -> Run | None:
        text = self._execute(query).scalar_one_or_none()
        return None if text is None else loads(text, Run)

    def _runs_where(self, query: sa.Select[Any]) -> Sequence[Run]:
        return [loads(text, Run) for text in self._execute(query).scalars()]


def _columns(run: Run) -> dict[str, Any]:
    return {
        "operation": run.operation,
        "pipeline": run.pipeline,
        "state": run.state,
        "risk": run.risk,
        "incident": run.incident,
        "created_at": run.created_at,
        "data": dumps(run),
    }
