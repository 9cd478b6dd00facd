"""The database: transactions as functions, for threads and for the event loop.

A function given to ``write`` may run more than once (PostgreSQL gives a transaction up for another's
sake), so it must do nothing but use its ``Tx``; what must follow a commit follows the return.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import PoolProxiedConnection

from bot.clock import Clock
from bot.core.errors import StorageUnavailable
from bot.probe import Probe, nowhere
from bot.store.bulk import Row, put_postgres, put_sqlite
from bot.store.engines import BUSY_TIMEOUT_MS, open_engines
from bot.store.failures import driver_errors, translate, worth_a_retry
from bot.store.fairness import FairLock
from bot.store.schema import REVISION, to_micros
from bot.store.tx import StoreTx

T = TypeVar("T")
_TRIES = 6


class Database:
    """Opens at once: raises ConfigError for a bad address, StorageUnavailable for one that cannot be
    reached or is not migrated. ``create`` True migrates it first; a new SQLite file always is."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        create: bool,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        probe: Probe = nowhere,
    ) -> None:
        self.clock = clock
        self._probe = probe
        self._url = url
        self._engines = open_engines(url, busy_timeout_ms=busy_timeout_ms)
        self._turn = FairLock(busy_timeout_ms / 1000)
        self._idle = threading.Event()
        self._intake: PoolProxiedConnection | None = None
        threads = 3 if self._engines.postgres else 1
        self._writers = ThreadPoolExecutor(threads, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-read")
        try:
            self._check_revision(create=create or not self._engines.postgres)
        except BaseException:
            self.close()
            raise

    @property
    def postgres(self) -> bool:
        """True on PostgreSQL, False on SQLite."""
        return self._engines.postgres

    def write(self, do: Callable[[StoreTx], T]) -> T:
        """Run ``do`` in a transaction and commit it. Raises StorageError's kinds; then nothing was kept."""
        if self._engines.postgres:
            return self._retried(do)
        with self._turn:
            return self._once(self._engines.writer, do, writable=True)

    def read(self, do: Callable[[StoreTx], T]) -> T:
        """Run ``do`` on one consistent view, without locks; it cannot write."""
        return self._once(self._engines.reader, do, writable=False)

    async def awrite(self, do: Callable[[StoreTx], T]) -> T:
        """``write`` in the writers' threads. Cancelling the wait does not undo the commit."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, self.write, do)

    async def aread(self, do: Callable[[StoreTx], T]) -> T:
        """``read`` in the readers' threads."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read, do)

    def put_many(self, rows: Sequence[Row]) -> list[bool]:
        """Commit notifications to the inbox, all or none; True for each that is new, in their order.

        A row is (source, delivery key, body, meta as JSON text, reason why it is dead or ""). Copies
        of what is known are counted there. Raises StorageError's kinds; then nothing was kept.
        """
        if self._engines.postgres:
            new = self._retried(lambda tx: self._put_postgres(tx, rows))
            self._probe("intake.committed")
            return new
        at = to_micros(self.clock.now())
        with self._reported(), self._turn:
            driver = self._bulk()
            try:
                driver.execute("BEGIN IMMEDIATE")
                new = put_sqlite(driver, rows, at)
                self._probe("intake.before_commit")
                driver.execute("COMMIT")
            except BaseException:
                driver.rollback()
                raise
        self._probe("intake.committed")
        return new

    def _put_postgres(self, tx: StoreTx, rows: Sequence[Row]) -> list[bool]:
        # The time is asked inside the same transaction: replicas agree on the database's.
        new = put_postgres(tx.driver_connection, rows, to_micros(tx.now()))
        self._probe("intake.before_commit")
        return new

    def close(self) -> None:
        """Let running transactions end, then close every connection."""
        self._idle.set()
        self._writers.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        if self._intake is not None:
            self._intake.close()
        self._engines.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bulk(self) -> Any:
        """The intake's own connection, kept: to fetch one for each batch would cost as much as the batch."""
        if self._intake is None:
            self._intake = self._engines.writer.raw_connection()
        return self._intake.driver_connection

    def _retried(self, do: Callable[[StoreTx], T]) -> T:
        for attempt in range(_TRIES):
            try:
                with self._engines.writer.begin() as connection:
                    return do(StoreTx(connection, self.clock, writable=True))
            except driver_errors() as error:
                if worth_a_retry(error) and attempt + 1 < _TRIES:
                    # Not a poll: the other transaction is given time to end, longer each time.
                    self._idle.wait(0.005 * 2**attempt)
                    continue
                known = translate(error)
                if known is None:
                    raise
                raise known from error
        raise AssertionError("the last try either returns or raises")

    def _once(self, engine: Engine, do: Callable[[StoreTx], T], *, writable: bool) -> T:
        with self._reported(), self._begin(engine, writable=writable) as connection:
            return do(StoreTx(connection, self.clock, writable=writable))

    @contextmanager
    def _begin(self, engine: Engine, *, writable: bool) -> Iterator[Connection]:
        if writable or not self._engines.postgres:
            with engine.begin() as connection:
                yield connection
            return
        with engine.connect() as connection:
            view = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with view.begin():
                yield view

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except driver_errors() as error:
            known = translate(error)
            if known is None:
                raise
            raise known from error

    def _check_revision(self, *, create: bool) -> None:
        found = self.revision()
        if found is not None and found >= REVISION:
            # Newer is fine: revisions only add (``tests/integration/store/test_migrations.py``), so that while
            # replicas are renewed one after the other, those of the release before go on and may be restarted.
            return
        if not create:
            raise StorageUnavailable(
                f"the database is not at revision {REVISION}: run `python -m bot migrate` first"
            )
        # Imported where it is needed: most starts find a migrated database.
        from bot.store.migrate import migrate

        migrate(self._url, self._probe)

    def revision(self) -> str | None:
        """The schema's revision in the database; None when there are no tables yet."""
        with self._reported(), self._engines.reader.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.execute(
                sa.text("SELECT version_num FROM alembic_version")
            ).scalar()
            return found
