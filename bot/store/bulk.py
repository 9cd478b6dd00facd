"""Many notifications in one durable commit: plain statements of each driver, because this is the way in.

One row is ``(source, delivery key, body, meta as JSON text, reason why it is dead or "")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.store.codec import storable

Row = tuple[str, str, bytes, str, str]

_SQLITE_PUT = """
INSERT INTO inbox (source, delivery_key, body, meta, reason, state, received_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source, delivery_key) DO NOTHING
"""
_SQLITE_COPY = "UPDATE inbox SET copies = copies + 1 WHERE source = ? AND delivery_key = ?"

_POSTGRES_PUT = """
INSERT INTO inbox (source, delivery_key, body, meta, reason, state, received_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::bigint[])
ON CONFLICT (source, delivery_key) DO NOTHING RETURNING source, delivery_key
"""
_POSTGRES_COPY = "UPDATE inbox SET copies = copies + 1 WHERE source = %s AND delivery_key = %s"


def put_sqlite(connection: Any, rows: Sequence[Row], at: int) -> list[bool]:
    """Insert into SQLite; True for each row that is new. ``at``: receipt in microseconds since 1970."""
    before = connection.execute("SELECT COALESCE(MAX(id), 0) FROM inbox").fetchone()[0]
    values = _values(rows, at)
    cursor = connection.executemany(_SQLITE_PUT, values)
    if cursor.rowcount == len(rows):
        return [True] * len(rows)
    query = "SELECT source, delivery_key FROM inbox WHERE id > ?"
    new, copies = _tell_apart(values, connection.execute(query, (before,)))
    connection.executemany(_SQLITE_COPY, copies)
    return new


def put_postgres(connection: Any, rows: Sequence[Row], at: int) -> list[bool]:
    """Insert into PostgreSQL, the same way."""
    # One order for all, so that two intakes with the same deliveries cannot lock each other out.
    order = sorted(range(len(rows)), key=lambda n: rows[n][:2])
    values = _values([rows[n] for n in order], at)
    columns = [list(column) for column in zip(*values, strict=True)]
    new, copies = _tell_apart(values, connection.execute(_POSTGRES_PUT, columns).fetchall())
    if copies:
        with connection.cursor() as cursor:
            cursor.executemany(_POSTGRES_COPY, copies)
    given = dict(zip(order, new, strict=True))
    return [given[n] for n in range(len(rows))]


def _values(rows: Sequence[Row], at: int) -> list[tuple[str, str, bytes, str, str, str, int]]:
    return [
        (storable(source), storable(key), body, meta, storable(dead), "dead" if dead else "new", at)
        for source, key, body, meta, dead in rows
    ]


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
