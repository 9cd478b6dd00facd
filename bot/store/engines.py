"""Connections: how each database is opened so that its promises hold.

SQLite: WAL with synchronous=FULL; writers begin IMMEDIATE (a deferred transaction that reads and
then writes fails at once, whatever the timeout), on one connection; readers have their own.
PostgreSQL: psycopg 3 with limits on locks, statements and idle transactions.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.pool import QueuePool

from bot.core.errors import ConfigError

BUSY_TIMEOUT_MS = 30_000
_PAUSE_MS = 20
_POSTGRES_LIMITS = (
    "-c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000 -c statement_timeout=15000"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Where writers and readers connect; the same engine on PostgreSQL."""

    writer: Engine
    reader: Engine
    postgres: bool

    def dispose(self) -> None:
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()


def parse_url(text: str) -> URL:
    """The address of a database; raises ConfigError (without its password) for any but the two."""
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise ConfigError(
            "DATABASE_URL is not an address such as sqlite:///streamwatch.db or "
            "postgresql://user:password@host/name"
        ) from error
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if not url.database or url.database == ":memory:" or url.query or url.database.startswith("file:"):
            raise ConfigError("DATABASE_URL: SQLite needs a file, such as sqlite:///streamwatch.db")
        return url.set(drivername="sqlite+pysqlite")
    raise ConfigError(f"DATABASE_URL: {url.drivername} is not supported; use sqlite or postgresql")


def open_engines(text: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engines:
    """Engines for an address; nothing is connected yet. Raises ConfigError for a bad address."""
    url = parse_url(text)
    if url.drivername.startswith("postgresql"):
        engine = sa.create_engine(
            url,
            pool_size=5,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={"options": _POSTGRES_LIMITS, "connect_timeout": 5},
        )
        return Engines(writer=engine, reader=engine, postgres=True)
    _make_folder(url)
    return Engines(
        writer=_sqlite(url, "BEGIN IMMEDIATE", busy_timeout_ms, connections=2, query_only=False),
        reader=_sqlite(url, "BEGIN", busy_timeout_ms, connections=4, query_only=True),
        postgres=False,
    )


def _make_folder(url: URL) -> None:
    """The folder of a SQLite file, which the default one does not have in a fresh checkout."""
    folder = Path(url.database or "").parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"DATABASE_URL: the folder {folder} cannot be made ({error.strerror}); name one that can be written."
        ) from error


def _use_wal(cursor: sqlite3.Cursor, busy_ms: int) -> None:
    """Switch the file to WAL, once for its life. SQLite does not wait for others in this one step."""
    tries = max(1, busy_ms // _PAUSE_MS)
    for left in reversed(range(tries)):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            threading.Event().wait(_PAUSE_MS / 1000)


def _sqlite(url: URL, begin: str, busy_ms: int, *, connections: int, query_only: bool) -> Engine:
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=30,
        # The driver would begin transactions by itself, deferred; it is told not to, and we do.
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": busy_ms / 1000},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_ms}")
        _use_wal(cursor, busy_ms)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA query_only = {'ON' if query_only else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
