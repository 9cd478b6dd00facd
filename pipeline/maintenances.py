"""Maintenances: times in which alerts of a pipeline page nobody, kept with the rest of the history.

The terminal sets them without a bot, and the bot reads them, so they are the pipeline's and not the
bot's.  One table of its own; times are stored as ISO texts in UTC, as everywhere in the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Index, Integer, String, Table, Text, func, select

from pipeline.errors import Refused
from pipeline.history_base import Store, id_column, metadata, text

_SETTING: Final = 727271  # any number of ours, for PostgreSQL's advisory lock

_kept = Table(
    "maintenances",
    metadata,
    id_column(),
    Column("plan", String(64), nullable=False, unique=True),
    Column("pipeline", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("begin", String(32), nullable=False),
    Column("until", String(32), nullable=False),
    Column("told", Integer, nullable=False),
    Index("maintenances_by_pipeline", "pipeline", "id"),
    Index("maintenances_by_told", "told"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A time in which alerts of a pipeline page nobody (RULES "From alert to incident", Maintenance).

    ``until`` is when it ends, or ended if a person ended it early; ``plan`` is the plan that set it.
    """

    id: int
    plan: str
    pipeline: str
    reason: str
    by: str
    begin: datetime
    until: datetime

    def running(self, now: datetime) -> bool:
        return self.begin <= now < self.until


class Maintenances(Store):
    """The history's part that knows of maintenances."""

    def begin_maintenance(
        self, *, plan: str, pipeline: str, reason: str, by: str, begin: datetime, until: datetime
    ) -> Maintenance:
        """Sets a maintenance; the same plan again gives back what it set.  Refused while another one runs."""
        values = {
            "plan": plan,
            "pipeline": pipeline,
            "reason": reason,
            "by": by,
            "begin": text(begin),
            "until": text(until),
            "told": 0,
        }
        mine = select(_kept).where(_kept.c.plan == plan)
        standing = select(_kept).where(_kept.c.pipeline == pipeline, _kept.c.until > text(begin))
        with self._write() as connection:
            if self._engine.dialect.name != "sqlite":
                connection.execute(select(func.pg_advisory_xact_lock(_SETTING)))
            found = connection.execute(mine).mappings().first()
            if found is None:
                other = connection.execute(standing).mappings().first()
                if other is not None:
                    raise Refused(
                        f"{pipeline} is in maintenance until {other['until']} already; end that one first."
                    )
                connection.execute(_kept.insert(), values)
                found = connection.execute(mine).mappings().one()
            return _maintenance(found)

    def end_maintenance(self, id_: int, at: datetime) -> None:
        """Ends a maintenance early; one that is over stays as it is."""
        running = _kept.update().where(_kept.c.id == id_, _kept.c.until > text(at))
        with self._write() as connection:
            connection.execute(running.values(until=text(at)))

    def maintenances(self, pipeline: str | None = None, limit: int = 20) -> list[Maintenance]:
        """The newest maintenances of one pipeline, or of all, newest first."""
        query = select(_kept).order_by(_kept.c.id.desc()).limit(limit)
        if pipeline is not None:
            query = query.where(_kept.c.pipeline == pipeline)
        return self._maintenances(query)

    def open_maintenances(self) -> list[Maintenance]:
        """Those whose end was not told to people yet, running or over, oldest first."""
        return self._maintenances(select(_kept).where(_kept.c.told == 0).order_by(_kept.c.id))

    def maintenance_told(self, id_: int) -> None:
        """People were told of its end."""
        with self._write() as connection:
            connection.execute(_kept.update().where(_kept.c.id == id_).values(told=1))

    def _maintenances(self, query: Any) -> list[Maintenance]:
        with self._read() as connection:
            return [_maintenance(row) for row in connection.execute(query).mappings()]


def _maintenance(row: Mapping[Any, Any]) -> Maintenance:
    return Maintenance(
        id=row["id"],
        plan=row["plan"],
        pipeline=row["pipeline"],
        reason=row["reason"],
        by=row["by"],
        begin=datetime.fromisoformat(row["begin"]),
        until=datetime.fromisoformat(row["until"]),
    )
