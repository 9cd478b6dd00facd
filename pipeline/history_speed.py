"""The part of the history that keeps how far behind a pipeline was, hour by hour: mean and worst of what probes saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, Text, select
from sqlalchemy.exc import IntegrityError

from pipeline.history_base import id_column, text
from pipeline.history_quality import KEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """What some looks saw of one figure."""

    looks: int
    total: float
    most: float

    @property
    def mean(self) -> float:
        return self.total / self.looks


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedHour:
    """What the probes of one hour saw, by the name of the figure (``system_lag_s``, ``backlog``, ...)."""

    begin: datetime
    gauges: Mapping[str, Gauge] = field(default_factory=dict)


class SpeedHours:
    """Reads and writes within a transaction that somebody else holds."""

    def __init__(self, metadata: MetaData) -> None:
        self._rows = Table(
            "speed_hours",
            metadata,
            id_column(),
            Column("pipeline", String(200), nullable=False),
            Column("hour", String(32), nullable=False),
            Column("gauges", Text, nullable=False),
            Index("speed_hours_once", "pipeline", "hour", unique=True),
        )

    def note(
        self, connection: Connection, pipeline: str, at: datetime, seen: Mapping[str, float | None]
    ) -> None:
        """One look at ``at``; what is None could not be measured."""
        known = {name: float(value) for name, value in seen.items() if value is not None}
        if not known:
            return
        begin = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        row = self._rows.c
        where = (row.pipeline == pipeline) & (row.hour == text(begin))
        # An empty row first: so two that look for the first time in an hour at once both find one to lock.
        if connection.execute(select(row.id).where(where)).first() is None:
            values: dict[str, Any] = {"pipeline": pipeline, "hour": text(begin), "gauges": "{}"}
            with suppress(IntegrityError), connection.begin_nested():
                connection.execute(self._rows.insert(), values)
            old = (row.pipeline == pipeline) & (row.hour < text(begin - KEPT))
            connection.execute(self._rows.delete().where(old))
        found = connection.execute(select(row.gauges).where(where).with_for_update()).scalar_one()
        gauges = merged(_gauges(found), {name: Gauge(looks=1, total=v, most=v) for name, v in known.items()})
        kept = json.dumps({name: [g.looks, g.total, g.most] for name, g in gauges.items()})
        connection.execute(self._rows.update().where(where), {"gauges": kept})

    def since(self, connection: Connection, pipeline: str, at: datetime) -> list[SpeedHour]:
        """The kept hours of a pipeline that began at or after ``at``, oldest first."""
        row = self._rows.c
        query = select(self._rows).where(row.pipeline == pipeline, row.hour >= text(at)).order_by(row.hour)
        return [
            SpeedHour(begin=datetime.fromisoformat(one["hour"]), gauges=_gauges(one["gauges"]))
            for one in connection.execute(query).mappings()
        ]


def merged(one: Mapping[str, Gauge], other: Mapping[str, Gauge]) -> dict[str, Gauge]:
    """What both saw together."""
    out = dict(one)
    for name, gauge in other.items():
        known = out.get(name)
        out[name] = (
            gauge
            if known is None
            else Gauge(
                looks=known.looks + gauge.looks,
                total=known.total + gauge.total,
                most=max(known.most, gauge.most),
            )
        )
    return out


def _gauges(kept: str) -> dict[str, Gauge]:
    raw = json.loads(kept)
    return {name: Gauge(looks=looks, total=total, most=most) for name, (looks, total, most) in raw.items()}
