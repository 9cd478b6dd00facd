"""What was measured before: probes of pipelines and reports of budgets.

With ``pipeline.maintenances`` and ``pipeline.history_*`` the only importer of SQLAlchemy in ``pipeline``.  It may
share its database with the bot, so every write is one short transaction; on SQLite it takes the write lock at once
(BEGIN IMMEDIATE), which waits up to 30 s instead of failing in the middle.  Times are stored as ISO texts in UTC, so
that both databases order them alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import ConfigError, Unreachable
from pipeline.history_quality import Hour, QualityHours
from pipeline.history_schemas import SchemaRows
from pipeline.history_speed import SpeedHour, SpeedHours
from pipeline.maintenances import Maintenances
from pipeline.maintenances import metadata as _maintained
from pipeline.maintenances import text as _text
from pipeline.report import Report

DEFAULT_URL: Final = "sqlite:///var/streamwatch.db"
_BUSY_S: Final = 30
_CREATING: Final = 727270  # any number of ours, for PostgreSQL's advisory lock

_metadata = MetaData()
_id = BigInteger().with_variant(Integer, "sqlite")
_probes = Table(
    "probes",
    _metadata,
    Column("id", _id, primary_key=True),
    Column("pipeline", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("report", Text, nullable=False),
    Index("probes_by_pipeline", "pipeline", "at"),
)
_budgets = Table(
    "budget_reports",
    _metadata,
    Column("id", _id, primary_key=True),
    Column("budget", String(300), nullable=False),
    Column("budget_id", String(200), nullable=False),
    Column("period", String(64), nullable=False),
    Column("cost", Float, nullable=False),
    Column("amount", Float, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("threshold", Float),
    Column("forecast", Float),
    Column("at", String(32), nullable=False),
    Column("raw", Text, nullable=False),
    Index("budget_reports_by_budget", "budget", "period"),
)
_replayed = Table(
    "replayed_messages",
    _metadata,
    Column("id", _id, primary_key=True),
    Column("replay", String(64), nullable=False),
    Column("message", String(64), nullable=False),
    Column("pipeline", String(200), nullable=False),
    Column("topic", String(300), nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Index("replayed_messages_by_replay", "replay", "message"),
    Index("replayed_messages_by_pipeline", "pipeline", "at"),
)
_quality = QualityHours(_metadata)
_schemas = SchemaRows(_metadata)
_speed = SpeedHours(_metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One replay in the ledger: how many messages it sent back, who asked for it, from when to when."""

    replay: str
    messages: int
    by: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReport:
    """One budget notification.

    ``period`` is the begin of the budget's period as Google wrote it; ``threshold`` and
    ``forecast`` are the highest configured ratios crossed by the cost and by its forecast, None
    when none was.
    """

    budget: str
    period: str
    cost: float
    amount: float
    currency: str
    threshold: float | None
    forecast: float | None
    at: datetime
    budget_id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Cost by budget; None for a budget of zero (RULES "Facts": it has no ratio)."""
        return self.cost / self.amount if self.amount > 0 else None


class History(Maintenances):
    """The store; open it with :meth:`open`, close it with :meth:`close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str = DEFAULT_URL) -> History:
        """Opens the database and makes the tables if absent; ConfigError for a wrong address."""
        url = _driver(url)
        try:
            parsed = make_url(url)
        except SQLAlchemyError:
            raise ConfigError(
                "DATABASE_URL is not a database address; e.g. sqlite:///var/streamwatch.db"
            ) from None
        sqlite = parsed.get_backend_name() == "sqlite"
        if sqlite and parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        args: dict[str, Any] = {"timeout": _BUSY_S} if sqlite else {"connect_timeout": 10}
        engine = create_engine(url, connect_args=args, pool_pre_ping=not sqlite)
        if sqlite:
            _prepare_sqlite(engine)
        history = cls(engine)
        with history._write() as connection:
            # The bot and a terminal may open a new database together: one makes the tables, the
            # other waits (SQLite by the write lock, PostgreSQL by this one) and finds them.
            if not sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_CREATING)))
            for tables in (_metadata, _maintained):
                tables.create_all(connection, checkfirst=True)
        return history

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record_probe(self, report: Report) -> None:
        """Stores one report of ``pipeline.health``, and what it saw of events, of speed and of schemas."""
        events, schemas = report.data.get("events"), report.data.get("schemas")
        kept = replace(report, data={name: part for name, part in report.data.items() if name != "schemas"})
        row = {
            "pipeline": report.pipeline,
            "at": _text(report.as_of),
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
            .where(_probes.c.pipeline == pipeline, _probes.c.at >= _text(at))
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
            return int(connection.execute(_probes.delete().where(_probes.c.at < _text(at))).rowcount)

    def record_budget(
        self,
        *,
        budget: str,
        period: str,
        cost: float,
        amount: float,
        currency: str,
        at: datetime,
        threshold: float | None = None,
        forecast: float | None = None,
        budget_id: str = "",
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        """Stores one budget notification; repeats and any order are fine, see :meth:`budgets`."""
        row = {
            "budget": budget,
            "budget_id": budget_id,
            "period": period,
            "cost": cost,
            "amount": amount,
            "currency": currency,
            "threshold": threshold,
            "forecast": forecast,
            "at": _text(at),
            "raw": json.dumps(dict(raw or {}), ensure_ascii=False),
        }
        with self._write() as connection:
            connection.execute(_budgets.insert(), row)

    def budgets(self, names: Sequence[str] | None = None) -> list[BudgetReport]:
        """Of each budget, the highest cost of its newest period; None asks for all budgets.

        Notifications repeat and overtake each other; cost only grows within a period, so its
        highest report is its newest (RULES "Facts": "Highest cost of the period counts").
        """
        query = select(_budgets).order_by(
            _budgets.c.budget, _budgets.c.period, _budgets.c.cost, _budgets.c.at
        )
        if names is not None:
            query = query.where(_budgets.c.budget.in_(list(names)) | _budgets.c.budget_id.in_(list(names)))
        found: dict[tuple[str, str], BudgetReport] = {}
        with self._read() as connection:
            for row in connection.execute(query).mappings():
                report = _budget(row)
                key = (report.budget, report.budget_id)
                before = found.get(key)
                if before is None or _period(report.period) >= _period(before.period):
                    found[key] = report
        return list(found.values())

    def budget_reports(self, names: Sequence[str] | None, since: datetime) -> list[BudgetReport]:
        """Every stored notification of these budgets (None: of all) at or after ``since``, oldest first."""
        query = select(_budgets).where(_budgets.c.at >= _text(since)).order_by(_budgets.c.at, _budgets.c.cost)
        if names is not None:
            query = query.where(_budgets.c.budget.in_(list(names)) | _budgets.c.budget_id.in_(list(names)))
        with self._read() as connection:
            return [_budget(row) for row in connection.execute(query).mappings()]

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
                "at": _text(at),
            }
            for id_, topic in sent
        ]
        if rows:
            with self._write() as connection:
                connection.execute(_replayed.insert(), rows)

    def was_begun(self, replay: str) -> bool:
        """Whether the ledger holds anything of this replay."""
        query = select(_replayed.c.id).where(_replayed.c.replay == replay).limit(1)
        with self._read() as connection:
            return connection.execute(query).first() is not None

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
            return [Report.from_json(json.loads(text)) for text in connection.execute(query).scalars()]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _words(error) from error

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        except SQLAlchemyError as error:
            raise _words(error) from error


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _record: object) -> None:
        # The driver must not begin transactions by itself: it would begin them without the
        # write lock, and two writers would then fail instead of waiting.
        raw.isolation_level = None
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute(f"PRAGMA busy_timeout={_BUSY_S * 1000}")


def _driver(url: str) -> str:
    """Hosting services hand out ``postgres://``; ours is psycopg 3."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _words(error: SQLAlchemyError) -> Unreachable:
    first = str(getattr(error, "orig", None) or error).splitlines()[0]
    return Unreachable(f"The database does not answer ({first}). Look at DATABASE_URL and at the database.")


def _period(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _budget(row: Mapping[Any, Any]) -> BudgetReport:
    return BudgetReport(
        budget=row["budget"],
        budget_id=row["budget_id"],
        period=row["period"],
        cost=row["cost"],
        amount=row["amount"],
        currency=row["currency"],
        threshold=row["threshold"],
        forecast=row["forecast"],
        at=datetime.fromisoformat(row["at"]),
        raw=json.loads(row["raw"]),
    )
