"""The audit book, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bot.clock import ManualClock
from bot.core.book import Entry
from bot.core.errors import StorageError
from bot.store.database import Database
from bot.store.schema import audit_book
from tests.integration.store.making import open_incident


def line(clock: ManualClock, what: str, **more: object) -> Entry:
    entry = Entry(at=clock.now(), actor="alice\0", what=what, data={"reason": "no\ud800", "n": (1, 2)})
    return replace(entry, **more)  # type: ignore[arg-type]


def test_lines_are_numbered_found_and_hold(database: Database, clock: ManualClock) -> None:
    for what in ("planned", "refused"):
        database.write(lambda tx, w=what: tx.write_down(line(clock, w, subject="run:1")))  # type: ignore[misc]
    database.write(lambda tx: tx.write_down(line(clock, "forged")))
    found = database.read(lambda tx: tx.book())
    assert [(e.seq, e.what) for e in found] == [(3, "forged"), (2, "refused"), (1, "planned")]
    assert [e.what for e in database.read(lambda tx: tx.book_of("run:1"))] == ["planned", "refused"]
    assert [e.what for e in database.read(lambda tx: tx.book(limit=1))] == ["forged"]
    assert found[0].data == {"reason": "no\ufffd", "n": [1, 2]}
    assert database.read(lambda tx: tx.verify()) is None


def test_what_is_private_is_not_in_the_book_that_is_shown(database: Database, clock: ManualClock) -> None:
    private = open_incident(database, private=True)
    public = open_incident(database)
    for number in (private.id, public.id, None):
        database.write(lambda tx, n=number: tx.write_down(line(clock, "refused", incident=n)))  # type: ignore[misc]
    assert [e.incident for e in database.read(lambda tx: tx.book())] == [None, public.id]
    assert database.read(lambda tx: tx.verify()) is None


def test_many_write_at_once_and_the_chain_has_no_gap(
    database: Database, another: Callable[[], Database], clock: ManualClock
) -> None:
    both = (database, another())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: both[n % 2].write(lambda tx: tx.write_down(line(clock, f"w{n}"))), range(24)))
    assert [e.seq for e in database.read(lambda tx: tx.book())] == list(range(24, 0, -1))
    assert database.read(lambda tx: tx.verify()) is None


def test_no_line_can_be_changed_or_taken_away(database: Database, clock: ManualClock) -> None:
    database.write(lambda tx: tx.write_down(line(clock, "refused")))
    for statement in (sa.update(audit_book).values(actor="mallory"), sa.delete(audit_book)):
        with pytest.raises((DBAPIError, StorageError), match="append-only"):
            database.write(lambda tx, s=statement: tx._execute(s))  # type: ignore[misc]
    assert database.read(lambda tx: tx.verify()) is None
