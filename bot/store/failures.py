"""What the drivers raise, put into the bot's own words (``bot.core.errors``)."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, TypeGuard

import sqlalchemy.exc

from bot.core.errors import StorageBusy, StorageError, StorageFull, StorageUnavailable

if TYPE_CHECKING:
    import psycopg

# SQLSTATE: serialisation failure, deadlock, lock not available, statement cancelled for its time.
_RETRY = frozenset({"40001", "40P01", "55P03"})
_BUSY = _RETRY | {"57014", "53300", "53200", "53400"}
_FULL = frozenset({"53100"})
_UNAVAILABLE_CLASSES = ("08", "57", "58", "XX", "28", "3D", "42P01", "25006", "25P03")


_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)


def driver_errors() -> tuple[type[Exception], ...]:
    """What an ``except`` clause must name to catch every failure of a database."""
    known: tuple[type[Exception], ...] = (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error)
    driver = sys.modules.get("psycopg")
    return known if driver is None else (*known, driver.Error)


def _by_psycopg(error: BaseException | None) -> TypeGuard[psycopg.Error]:
    # Loaded only where PostgreSQL is used: it is a tenth of the start, and only then can it have raised.
    driver = sys.modules.get("psycopg")
    return driver is not None and isinstance(error, driver.Error)


def translate(error: BaseException) -> StorageError | None:
    """The storage error that a driver's error means; None when it is a mistake of ours."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return StorageBusy("every connection to the database is in use")
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original)
    if _by_psycopg(original):
        return _of_postgres(original)
    return None


def worth_a_retry(error: BaseException) -> bool:
    """True when PostgreSQL gave up this transaction for another's sake: nothing of it was kept."""
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    return _by_psycopg(original) and original.sqlstate in _RETRY


def _of_sqlite(error: sqlite3.Error) -> StorageError | None:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in _SQLITE_BUSY:
        return StorageBusy("the database is locked")
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("the database's disk is full")
    if code in _SQLITE_UNAVAILABLE:
        return StorageUnavailable(f"the database cannot be used: {error}; see DATABASE_URL")
    return None


def _of_postgres(error: psycopg.Error) -> StorageError | None:
    state = error.sqlstate
    if state in _BUSY:
        return StorageBusy(f"the database is busy ({state})")
    if state in _FULL:
        return StorageFull("the database's disk is full")
    if state is None:
        # No SQLSTATE: the connection itself failed (OperationalError) or psycopg was misused.
        if isinstance(error, sys.modules["psycopg"].OperationalError):
            return StorageUnavailable("the database cannot be reached")
        return None
    if state.startswith(_UNAVAILABLE_CLASSES):
        return StorageUnavailable(f"the database cannot be used ({state})")
    return None
