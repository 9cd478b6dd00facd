"""What the parts of the history stand on: one database, opened once, read and written in short transactions.

It may be the bot's database too, so every write is one short transaction; on SQLite it takes the write lock at
once (BEGIN IMMEDIATE), which waits up to 30 s instead of failing in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import ConfigError, Unreachable

DEFAULT_URL: Final = "sqlite:///var/streamwatch.db"
_BUSY_S: Final = 30
_CREATING: Final = 727270  # any number of ours, for PostgreSQL's advisory lock

metadata = MetaData()


def id_column() -> Column[int]:
    """A row's number, in the order of writing."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def text(at: datetime) -> str:
    """An instant as the history stores it: of fixed length, so that both databases order texts as times are."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Store:
    """An open database; the parts of the history are made of it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str = DEFAULT_URL) -> Self:
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
        store = cls(engine)
        with store._write() as connection:
            # The bot and a terminal may open a new database together: one makes the tables, the
            # other waits (SQLite by the write lock, PostgreSQL by this one) and finds them.
            if not sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_CREATING)))
            metadata.create_all(connection, checkfirst=True)
        return store

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
