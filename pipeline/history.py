"""What was measured before: probes of pipelines, the quality of events, the columns of tables, what replays sent.

With ``pipeline.maintenances`` and the other modules named ``history_...`` the only importer of SQLAlchemy in
``pipeline``.  Times are stored as ISO texts in UTC, so that both databases order them alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, String, Table, Text, func, select

from pipeline.history_base import id_column, metadata, text
from pipeline.history_budgets import Budgets
from pipeline.history_quality import Hour, QualityHours
from pipeline.history_schemas import SchemaRows
from pipeline.history_speed import SpeedHour, SpeedHours
from pipeline.maintenances import Maintenances
from pipeline.report import Report

_probes = Table(
    "probes",
    metadata,
    id_column(),
    Column("pipeline", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("report", Text, nullable=False),
    Index("probes_by_pipeline", "pipeline", "at"),
)
_replayed = Table(
    "replayed_messages",
    metadata,
    id_column(),
    Column("replay", String(64), nullable=False),
    Column("message", String(64), nullable=False),
    Column("pipeline", String(200), nullable=False),
    Column("topic", String(300), nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Index("replayed_messages_by_replay", "replay", "message"),
    Index("replayed_messages_by_pipeline", "pipeline", "at"),
)
_quality = QualityHours(metadata)
_schemas = SchemaRows(metadata)
_speed = SpeedHours(metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One replay in the ledger: how many messages it sent back, who asked for it, from when to when."""

    replay: str
    messages: int
    by: str
    first: datetime
    last: datetime


class History(Maintenances, Budgets):
    """The store; open it with ``open``, close it with ``close``."""

    def record_probe(self, report: Report) -> None:
        """Stores one report of ``pipeline.health``, and what it saw of events, of speed and of schemas."""
        events, schemas = report.data.get("events"), report.data.get("schemas")
        kept = replace(report, data={name: part for name, part in report.data.items() if name != "schemas"})
        row = {
            "pipeline": report.pipeline,
            "at": text(report.as_of),
            "severity": report.severity,
            "report": kept.dumps(),
        }
        with self._write() as connection:
            connection.execute(_probes.insert(), row)
            if events:
                _quality.note(connection, report.pipeline, report.as_of, events["jobs"], events["totals"])
            lag = report.data.get("lag") or {}
            seen = {"system_lag_s": lag.get("system_lag_s"), "backlog": report.data.get("backlog")}
            _speed.note(connection, report.pipeline, report.as_of, seen)
            if schemas:
                _schemas.note(connection, report.pipeline, report.as_of, schemas)

    def last_probes(self) -> list[Report]:
        """The newest stored probe of every pipeline, ordered by pipeline."""
        newest = select(func.max(_probes.c.id)).group_by(_probes.c.pipeline)
        query = select(_probes.c.report).where(_probes.c.id.in_(newest)).order_by(_probes.c.pipeline)
        return self._reports(query)

    def probes_since(self, pipeline: str, at: datetime) -> list[Report]:
        """The stored probes of one pipeline at or after ``at``, oldest first."""
        query = (
            select(_probes.c.report)
            .where(_probes.c.pipeline == pipeline, _probes.c.at >= text(at))
            .order_by(_probes.c.at, _probes.c.id)
        )
        return self._reports(query)

    def quality_since(self, pipeline: str, at: datetime) -> list[Hour]:
        """What the hours of a pipeline saw that began at or after ``at``, oldest first."""
        with self._read() as connection:
            return _quality.since(connection, pipeline, at)

    def speed_since(self, pipeline: str, at: datetime) -> list[SpeedHour]:
        """How far behind a pipeline was in the hours that began at or after ``at``, oldest first."""
        with self._read() as connection:
            return _speed.since(connection, pipeline, at)

    def schemas_at(self, pipeline: str, at: datetime) -> dict[str, dict[str, str]]:
        """The columns that each table of a pipeline had at ``at``, as far as anybody had looked by then or since."""
        with self._read() as connection:
            return _schemas.standing(connection, pipeline, at)

    def forget_probes_before(self, at: datetime) -> int:
        """Deletes probes older than ``at``; the number deleted."""
        with self._write() as connection:
            return int(connection.execute(_probes.delete().where(_probes.c.at < text(at))).rowcount)

    def record_replayed(
        self, *, replay: str, pipeline: str, by: str, at: datetime, sent: Sequence[tuple[str, str]]
    ) -> None:
        """The ledger: these (message id, topic) were published by a replay; called before they are acknowledged."""
        rows = [
            {
                "replay": replay,
                "message": id_,
                "pipeline": pipeline,
                "topic": topic,
                "by": by,
                "at": text(at),
            }
            for id_, topic in sent
        ]
        if rows:
            with self._write() as connection:
                connection.execute(_replayed.insert(), rows)

    def sent_by(self, replay: str) -> dict[str, int]:
        """How many messages this replay published to which topic or sink, as far as the ledger knows."""
        count = func.count(_replayed.c.message.distinct())
        query = (
            select(_replayed.c.topic, count).where(_replayed.c.replay == replay).group_by(_replayed.c.topic)
        )
        with self._read() as connection:
            return {str(topic): int(messages) for topic, messages in connection.execute(query)}

    def replayed(self, replay: str, messages: Sequence[str]) -> frozenset[str]:
        """Of these message ids, those that this replay published already."""
        query = select(_replayed.c.message).where(
            _replayed.c.replay == replay, _replayed.c.message.in_(list(messages))
        )
        with self._read() as connection:
            return frozenset(connection.execute(query).scalars())

    def last_replay(self, pipeline: str) -> Replayed | None:
        """The newest replay of a pipeline in the ledger; None when there was none."""
        newest = (
            select(_replayed.c.replay).where(_replayed.c.pipeline == pipeline).order_by(_replayed.c.id.desc())
        )
        query = select(
            func.count(_replayed.c.message.distinct()).label("messages"),
            func.min(_replayed.c.by).label("by"),
            func.min(_replayed.c.at).label("first"),
            func.max(_replayed.c.at).label("last"),
        )
        with self._read() as connection:
            replay = connection.execute(newest.limit(1)).scalar()
            if replay is None:
                return None
            row = connection.execute(query.where(_replayed.c.replay == replay)).mappings().one()
        return Replayed(
            replay=replay,
            messages=row["messages"],
            by=row["by"],
            first=datetime.fromisoformat(row["first"]),
            last=datetime.fromisoformat(row["last"]),
        )

    def _reports(self, query: Any) -> list[Report]:
        with self._read() as connection:
            return [Report.from_json(json.loads(found)) for found in connection.execute(query).scalars()]
