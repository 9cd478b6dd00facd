"""The part of the history that keeps the columns of a pipeline's tables, a row for each change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, Text, select

from pipeline.history_base import id_column, text
from pipeline.schema_changes import Columns


class SchemaRows:
    """Reads and writes within a transaction that somebody else holds."""

    def __init__(self, metadata: MetaData) -> None:
        self._rows = Table(
            "table_schemas",
            metadata,
            id_column(),
            Column("pipeline", String(200), nullable=False),
            Column("name", String(300), nullable=False),
            Column("at", String(32), nullable=False),
            Column("columns", Text, nullable=False),
            Index("table_schemas_by_pipeline", "pipeline", "name", "at"),
        )

    def note(self, connection: Connection, pipeline: str, at: datetime, seen: Mapping[str, Columns]) -> None:
        """One look at ``at``: kept where a table's columns are others than at the look before."""
        last = self.standing(connection, pipeline, at)
        new = [
            {"pipeline": pipeline, "name": name, "at": text(at), "columns": json.dumps(dict(columns))}
            for name, columns in seen.items()
            if last.get(name) != dict(columns)
        ]
        if new:
            connection.execute(self._rows.insert(), new)

    def standing(self, connection: Connection, pipeline: str, at: datetime) -> dict[str, dict[str, str]]:
        """The columns that each table had at ``at``; of a table first seen later, those it had then."""
        row = self._rows.c
        query = select(self._rows).where(row.pipeline == pipeline).order_by(row.at.desc(), row.id.desc())
        found: dict[str, dict[str, str]] = {}
        known: set[str] = set()
        for one in connection.execute(query).mappings():
            if one["name"] not in known:
                found[one["name"]] = json.loads(one["columns"])
                if one["at"] <= text(at):
                    known.add(one["name"])
        return found
