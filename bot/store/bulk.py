"""Many notifications in one durable commit: plain statements of each driver, because this is the way in.

One row is ``(source, delivery key, body, meta as JSON text, reason why it is dead or "")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.store.codec import storable

Row = tuple[str, str, bytes, str, str]

# All rows in one statement: the driver lets go of the interpreter once for each step, and a writer that
# must ask for it back for each row waits for the event loop as often.
_SQLITE_PUT = """
INSERT INTO inbox (received_at, source, delivery_key, body, meta, reason, state) VALUES {rows}
ON CONFLICT (source, delivery_key) DO NOTHING
"""
_SQLITE_ROW = "(?1, ?, ?, ?, ?, ?, ?)"
_SQLITE_COPY = "UPDATE inbox SET copies = copies + 1 WHERE source = ? AND delivery_key = ?"
_SQLITE_ROWS = 1000  # a statement; its variables are limited to 32,766

_POSTGRES_PUT = """
INSERT INTO inbox (source, delivery_key, body, meta, reason, state, received_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::bigint[])
ON CONFLICT (source, delivery_key) DO NOTHING RETURNING source, delivery_key
"""
_POSTGRES_COPY = "UPDATE inbox SET copies = copies + 1 WHERE source = %s AND delivery_key = %s"


def put_sqlite(connection: Any, rows: Sequence[Row], at: int) -> list[bool]:
    """Insert into SQLite; True for each row that is new. ``at``: receipt in microseconds since 1970."""
    inserted = 0
    for start in range(0, len(rows), _SQLITE_ROWS):
        part = rows[start : start + _SQLITE_ROWS]
        values: list[Any] = [at]
        for row in part:
            values += _stored(row)
        statement = _SQLITE_PUT.format(rows=", ".join([_SQLITE_ROW] * len(part)))
        inserted += connection.execute(statement, values).rowcount
    if inserted == len(rows):
        return [True] * inserted
    # There is one writer, so the newest rows are those that were inserted just now.
    query = "SELECT source, delivery_key FROM inbox ORDER BY id DESC LIMIT ?"
    stored = [_stored(row) for row in rows]
    new, copies = _tell_apart(stored, connection.execute(query, (inserted,)))
    connection.executemany(_SQLITE_COPY, copies)
    return new


def put_postgres(connection: Any, rows: Sequence[Row], at: int) -> list[bool]:
    """Insert into PostgreSQL, the same way."""
    # One order for all, so that two intakes with the same deliveries cannot lock each other out.
    order = sorted(range(len(rows)), key=lambda n: rows[n][:2])
    values = [(*_stored(rows[n]), at) for n in order]
    columns = [list(column) for column in zip(*values, strict=True)]
    new, copies = _tell_apart(values, connection.execute(_POSTGRES_PUT, columns).fetchall())
    if copies:
        with connection.cursor() as cursor:
            cursor.executemany(_POSTGRES_COPY, copies)
    given = dict(zip(order, new, strict=True))
    return [given[n] for n in range(len(rows))]


def _stored(row: Row) -> tuple[str, str, bytes, str, str, str]:
    source, key, body, meta, dead = row
    return (source, storable(key), body, storable(meta), storable(dead), "dead" if dead else "new")


def _tell_apart(values: Sequence[Any], inserted: Any) -> tuple[list[bool], list[tuple[str, str]]]:
    """Which rows are new: the first of each pair that was inserted; the others are copies."""
    fresh = {(source, key) for source, key in inserted}
    new, copies = [], []
    for row in values:
        pair = (row[0], row[1])
        new.append(pair in fresh)
        if pair in fresh:
            fresh.discard(pair)
        else:
            copies.append(pair)
    return new, copies
