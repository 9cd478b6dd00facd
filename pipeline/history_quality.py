"""The part of the history that keeps the quality of events, hour by hour.

The pipeline's counters only ever grow while a job lives, so what an hour saw is the difference of two
looks; it does not matter how often anybody looks.  A look after a pause is spread over the hours since
the one before, as nobody knows when in them the events came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Connection, Float, Index, MetaData, String, Table, Text, select
from sqlalchemy.exc import IntegrityError

from pipeline.history_base import id_column, text

KEPT: Final = timedelta(days=400)
_LONGEST: Final = timedelta(days=2)  # after a longer pause the difference is no hour's any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What one hour saw, by name of the counters (received, valid, ...); ``measured_s`` of it were looked at."""

    begin: datetime
    counts: Mapping[str, float] = field(default_factory=dict)
    measured_s: float = 0.0


def tables(metadata: MetaData) -> tuple[Table, Table]:
    """The hours, and the newest look at each pipeline."""
    hours = Table(
        "quality_hours",
        metadata,
        id_column(),
        Column("pipeline", String(200), nullable=False),
        Column("hour", String(32), nullable=False),
        Column("counts", Text, nullable=False),
        Column("measured_s", Float, nullable=False),
        Index("quality_hours_once", "pipeline", "hour", unique=True),
    )
    looks = Table(
        "quality_looks",
        metadata,
        Column("pipeline", String(200), primary_key=True),
        Column("at", String(32), nullable=False),
        Column("jobs", Text, nullable=False),
        Column("totals", Text, nullable=False),
    )
    return hours, looks


class QualityHours:
    """Reads and writes within a transaction that somebody else holds."""

    def __init__(self, metadata: MetaData) -> None:
        self._hours, self._looks = tables(metadata)

    def note(
        self,
        connection: Connection,
        pipeline: str,
        at: datetime,
        jobs: list[str],
        totals: Mapping[str, float],
    ) -> None:
        """One look: the totals of the counters of these jobs at ``at``.  An older look than the last is left out."""
        look = self._looks.c
        query = select(self._looks).where(look.pipeline == pipeline).with_for_update()
        last = connection.execute(query).mappings().one_or_none()
        row = {"at": text(at), "jobs": json.dumps(sorted(jobs)), "totals": json.dumps(dict(totals))}
        if last is None:
            # Two that look for the first time at once: one of them begins the history.
            with suppress(IntegrityError), connection.begin_nested():
                connection.execute(self._looks.insert(), {"pipeline": pipeline, **row})
            return
        since = datetime.fromisoformat(last["at"])
        if at <= since:
            return
        connection.execute(self._looks.update().where(look.pipeline == pipeline), row)
        if at - since > _LONGEST:
            return
        grown = _grown(
            json.loads(last["totals"]), totals, same=bool(set(json.loads(last["jobs"])) & set(jobs))
        )
        for begin, seconds in _hours(since, at):
            share = seconds / (at - since).total_seconds()
            self._add(connection, pipeline, begin, {name: n * share for name, n in grown.items()}, seconds)

    def since(self, connection: Connection, pipeline: str, at: datetime) -> list[Hour]:
        """The kept hours of a pipeline that began at or after ``at``, oldest first."""
        hour = self._hours.c
        query = (
            select(self._hours).where(hour.pipeline == pipeline, hour.hour >= text(at)).order_by(hour.hour)
        )
        return [
            Hour(
                begin=datetime.fromisoformat(row["hour"]),
                counts=json.loads(row["counts"]),
                measured_s=row["measured_s"],
            )
            for row in connection.execute(query).mappings()
        ]

    def _add(
        self,
        connection: Connection,
        pipeline: str,
        begin: datetime,
        grown: Mapping[str, float],
        seconds: float,
    ) -> None:
        hour = self._hours.c
        where = (hour.pipeline == pipeline) & (hour.hour == text(begin))
        found = connection.execute(select(self._hours).where(where)).mappings().one_or_none()
        if found is None:
            values: dict[str, Any] = {"pipeline": pipeline, "hour": text(begin), "measured_s": seconds}
            connection.execute(self._hours.insert(), values | {"counts": json.dumps(dict(grown))})
            old = (hour.pipeline == pipeline) & (hour.hour < text(begin - KEPT))
            connection.execute(self._hours.delete().where(old))
            return
        counts: dict[str, float] = json.loads(found["counts"])
        for name, value in grown.items():
            counts[name] = counts.get(name, 0.0) + value
        new = {"counts": json.dumps(counts), "measured_s": found["measured_s"] + seconds}
        connection.execute(self._hours.update().where(where), new)


def _grown(before: Mapping[str, float], now: Mapping[str, float], *, same: bool) -> dict[str, float]:
    """How much each counter grew; those of other jobs began at zero."""
    fell = now.get("received", 0.0) < before.get("received", 0.0)
    if not same or fell:
        return dict(now)
    return {name: max(0.0, value - before.get(name, 0.0)) for name, value in now.items()}


def _hours(since: datetime, until: datetime) -> Iterator[tuple[datetime, float]]:
    """(begin of the hour, seconds of it) from one moment to another."""
    begin = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while begin < until:
        end = begin + timedelta(hours=1)
        yield begin, (min(end, until) - max(begin, since)).total_seconds()
        begin = end
