"""The audit book, inside one transaction: it is written at its end only, one transaction at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from bot.core.audit import GENESIS, Broken, Link, link_hash, verify
from bot.core.book import Entry
from bot.store.codec import dumps, loads_any, loads_map, storable
from bot.store.schema import audit_book, counters, from_micros, incidents, to_micros
from bot.store.session import Session

COUNTER = "audit_book"


class Book(Session):
    """The book's part of a transaction."""

    def write_down(self, entry: Entry) -> Entry:
        """Store a line at the end of the book; returns it with its ``seq``."""
        # The row of the counter is the lock: whoever comes next waits for this transaction's line.
        insert = self._insert(counters).values(name=COUNTER, value=1)
        seq = self._execute(
            insert.on_conflict_do_update(
                index_elements=[counters.c.name], set_={"value": counters.c.value + 1}
            ).returning(counters.c.value)
        ).scalar_one()
        last = sa.select(audit_book.c.hash).order_by(audit_book.c.seq.desc()).limit(1)
        head = self._execute(last).scalar_one_or_none() or GENESIS
        text = dumps(entry.data)
        kept = replace(
            entry,
            seq=int(seq),
            # To whole microseconds and back: the hash is over what the database will give back.
            at=from_micros(to_micros(entry.at)),
            actor=storable(entry.actor),
            subject=storable(entry.subject),
            data=loads_map(text),
        )
        row = {
            "seq": kept.seq,
            "at": kept.at,
            "actor": kept.actor,
            "what": kept.what,
            "subject": kept.subject,
            "incident": kept.incident,
            "data": text,
            "prev_hash": head,
            "hash": link_hash(head, kept.record()),
        }
        self._execute(sa.insert(audit_book).values(**row))
        return kept

    def book(self, limit: int = 200) -> Sequence[Entry]:
        """The newest lines first, without those of private incidents."""
        query = (
            sa.select(audit_book)
            .outerjoin(incidents, incidents.c.id == audit_book.c.incident)
            .where(sa.or_(audit_book.c.incident.is_(None), incidents.c.private.is_(False)))
            .order_by(audit_book.c.seq.desc())
            .limit(limit)
        )
        return [_entry(row) for row in self._execute(query)]

    def book_of(self, subject: str) -> Sequence[Entry]:
        """All lines about one run, in order."""
        query = sa.select(audit_book).where(audit_book.c.subject == storable(subject))
        return [_entry(row) for row in self._execute(query.order_by(audit_book.c.seq))]

    def verify_book(self) -> Broken | None:
        """The first line that does not hold, or None when the book is whole and as long as was counted."""
        rows = self._execute(sa.select(audit_book).order_by(audit_book.c.seq)).all()
        links = [
            Link(seq=row.seq, prev_hash=row.prev_hash, hash=row.hash, record=_entry(row).record())
            for row in rows
        ]
        broken = verify(links)
        counted = self._execute(sa.select(counters.c.value).where(counters.c.name == COUNTER)).scalar() or 0
        if broken is None and len(links) != counted:
            place = min(len(links), counted) + 1
            return Broken(place, f"the book has {len(links)} lines where {counted} were counted")
        return broken


def _entry(row: Any) -> Entry:
    return Entry(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        what=row.what,
        subject=row.subject,
        incident=row.incident,
        data=loads_any(row.data),
    )
