"""What every part of a transaction shares: its connection, its dialect and its two clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection

from bot.clock import Clock
from bot.store.failures import translate
from bot.store.schema import from_micros

_DATABASE_TIME = sa.text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")


def insert_into(table: sa.Table, *, postgres: bool) -> Any:
    """INSERT with ON CONFLICT, in a database's dialect."""
    return postgres_insert(table) if postgres else sqlite_insert(table)


class Session:
    """One transaction. ``now()`` and ``wall()`` stand still in it once they were asked."""

    def __init__(self, connection: Connection, clock: Clock, *, writable: bool) -> None:
        self._connection = connection
        self._clock = clock
        self._writable = writable
        self._postgres = connection.dialect.name == "postgresql"
        # Incidents that this transaction has locked, so that nobody else changes them: the rows that it read and
        # has not asked for yet, and the last event of those whose last event it knows.
        self._mine: set[int] = set()
        self._read: dict[int, str] = {}
        self._heads: dict[int, tuple[int, str]] = {}
        self._wall: datetime | None = None
        self._now: datetime | None = None

    def wall(self) -> datetime:
        """Real time: the database's on PostgreSQL, so that replicas agree; else the host's."""
        if self._wall is None:
            if self._postgres and not self._clock.host_only:
                self._wall = from_micros(int(self._connection.execute(_DATABASE_TIME).scalar_one()))
            else:
                self._wall = self._clock.wall()
        return self._wall

    def now(self) -> datetime:
        """The incident's time that belongs to ``wall()``."""
        if self._now is None:
            self._now = self._clock.domain_of(self.wall()) if not self._clock.host_only else self._clock.now()
        return self._now

    def apart(self, do: Callable[[], object]) -> Exception | None:
        """Do this so that it alone is taken back when it fails; why it failed, or None.

        Raises what the database itself refuses for a while: that is nobody's mistake in here.
        """
        mine, heads = set(self._mine), dict(self._heads)
        try:
            with self._connection.begin_nested():
                do()
        except Exception as error:
            if translate(error) is not None:
                raise
            # Going back lets go of what was locked since, and undoes what was written.
            self._mine, self._heads = mine, heads
            return error
        return None

    @property
    def driver_connection(self) -> Any:
        """The driver's own connection inside this transaction, for statements in bulk."""
        return self._connection.connection.driver_connection

    def _execute(
        self, statement: sa.Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> sa.CursorResult[Any]:
        return self._connection.execute(statement, values)

    def _locked(self, statement: sa.Select[Any], *, skip: bool = False) -> sa.Select[Any]:
        """Lock the rows read. SQLite needs none (one writer); a reader may not."""
        if not self._postgres or not self._writable:
            return statement
        return statement.with_for_update(skip_locked=skip)

    def _insert(self, table: sa.Table) -> Any:
        """INSERT with ON CONFLICT, in this database's dialect."""
        return insert_into(table, postgres=self._postgres)

    def _serialise(self, what: int) -> None:
        """Let one transaction at a time past this line (PostgreSQL; SQLite has one writer anyway)."""
        if self._postgres:
            self._execute(
                sa.text("SELECT pg_advisory_xact_lock(:space, :what)"), {"space": 5741, "what": what}
            )
