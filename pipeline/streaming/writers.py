"""Where rows go: BigQuery, Bigtable, or files on this machine.  Each writer is plain data until it is opened."""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.streaming.messages import Row
from pipeline.tables import LONGEST_KEY, TABLES, cells, row_key

if TYPE_CHECKING:
    from pipeline.google.bigquery import Inserter
    from pipeline.google.bigtable import StatsTable


class Opened(ABC):
    """A writer that holds its connection."""

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> list[tuple[Row, str]]:
        """Writes rows of one table; those refused for good, with the reason.

        PipelineError or OSError when nothing can be written now; the same rows may be written again.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Gives back what it holds."""


class Writer(ABC):
    """Says where rows go; ``stage`` begins the stage of its dead letters."""

    stage: str

    @abstractmethod
    def open(self) -> Opened:
        """Connects; called once by each copy of a step."""


@dataclass(frozen=True, slots=True)
class BigQuery(Writer):
    """``dataset`` is PROJECT.DATASET."""

    dataset: str
    patience_s: float
    stage: str = "bigquery"

    def open(self) -> Opened:
        from pipeline.google.bigquery import Inserter

        return _BigQuery(Inserter(self.dataset, self.patience_s))


@dataclass(frozen=True, slots=True)
class Bigtable(Writer):
    """``name`` is PROJECT/INSTANCE/TABLE; takes summary rows."""

    name: str
    patience_s: float
    stage: str = "bigtable"

    def open(self) -> Opened:
        from pipeline.google.bigtable import StatsTable

        return _Bigtable(StatsTable(self.name, self.patience_s))


@dataclass(frozen=True, slots=True)
class Files(Writer):
    """JSON lines or Parquet below a folder, one sub-folder for each table."""

    folder: str
    format: str = "jsonl"
    stage: str = "file"

    def open(self) -> Opened:
        return _JsonLines(Path(self.folder)) if self.format == "jsonl" else _Parquet(Path(self.folder))


class _BigQuery(Opened):
    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter

    def write(self, rows: Sequence[Row]) -> list[tuple[Row, str]]:
        refused = self._inserter.insert(rows[0].table, [(row.id, row.values) for row in rows])
        return [(rows[place], reason) for place, reason in refused.items()]

    def close(self) -> None:
        self._inserter.close()


class _Bigtable(Opened):
    def __init__(self, table: StatsTable) -> None:
        self._table = table

    def write(self, rows: Sequence[Row]) -> list[tuple[Row, str]]:
        refused = [
            (row, f"a row key has at most {LONGEST_KEY} bytes") for row in rows if not _fits(row.values)
        ]
        fitting = [row for row in rows if _fits(row.values)]
        failed = self._table.write([cells(row.table, row.values) for row in fitting]) if fitting else {}
        return refused + [(fitting[place], reason) for place, reason in failed.items()]

    def close(self) -> None:
        self._table.close()


class _JsonLines(Opened):
    """Each copy of the step appends to a file of its own, so that lines never mix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"part-{uuid.uuid4().hex}.jsonl"

    def write(self, rows: Sequence[Row]) -> list[tuple[Row, str]]:
        folder = self._folder / rows[0].table
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / self._name).open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row.values, ensure_ascii=False) + "\n" for row in rows))
        return []


class _Parquet(Opened):
    """A file for each bundle: a Parquet file cannot be appended to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, rows: Sequence[Row]) -> list[tuple[Row, str]]:
        pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

        folder = self._folder / rows[0].table
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist([_typed(row) for row in rows], schema=_arrow(rows[0].table))
        whole = folder / f"part-{uuid.uuid4().hex}.parquet"
        part = whole.with_suffix(".tmp")
        parquet.write_table(table, part)
        part.rename(whole)
        return []


def _fits(values: dict[str, Any]) -> bool:
    return len(row_key(values)) <= LONGEST_KEY


def _typed(row: Row) -> dict[str, Any]:
    from decimal import Decimal

    out = dict(row.values)
    for name, kind, _ in TABLES[row.table].fields:
        value = out.get(name)
        if value is not None and kind == "TIMESTAMP":
            out[name] = datetime.fromisoformat(value)
        elif value is not None and kind == "NUMERIC":
            out[name] = Decimal(value)
    return out


def _arrow(table: str) -> Any:
    pa = import_module("pyarrow")
    kinds = {
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
        "STRING": pa.string(),
        "INT64": pa.int64(),
        "FLOAT64": pa.float64(),
        "BOOL": pa.bool_(),
        "NUMERIC": pa.decimal128(38, 2),
    }
    return pa.schema(
        [pa.field(name, kinds[kind], nullable=not needed) for name, kind, needed in TABLES[table].fields]
    )
