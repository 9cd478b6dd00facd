"""Is the stored evidence whole? The check of the timelines' hash chains, inside one transaction."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from bot.core.audit import Link, verify
from bot.core.incident import Event
from bot.store.book import Book
from bot.store.codec import loads_any
from bot.store.incidents import record_of
from bot.store.schema import counters, events, incidents


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first place where the evidence does not hold, and why; ``incident`` 0 is the audit book."""

    incident: int
    seq: int
    reason: str


class Evidence(Book):
    """The evidence's part of a transaction."""

    def verify(self, number: int | None = None) -> Break | None:
        """Check one incident's timeline, or all and the audit book; the first break, or None when all holds.

        Beyond the chain itself: the timeline must be as long as the incident's row says, and no
        number that was given out may be missing.
        """
        rows = self._execute(sa.select(incidents.c.id, incidents.c.seq))
        found: dict[int, int] = {row.id: row.seq for row in rows}
        if number is not None:
            wanted = [number]
        else:
            given = self._execute(sa.select(counters.c.value).where(counters.c.name == "incident")).scalar()
            wanted = sorted({*found, *range(1, (given or 0) + 1)})
        for each in wanted:
            if each not in found:
                return Break(incident=each, seq=0, reason="the incident is missing")
            problem = self._verify_one(each, found[each])
            if problem:
                return problem
        broken = self.verify_book() if number is None else None
        return Break(incident=0, seq=broken.seq, reason=f"audit book: {broken.reason}") if broken else None

    def _verify_one(self, number: int, length: int) -> Break | None:
        query = sa.select(events).where(events.c.incident == number).order_by(events.c.seq)
        links = []
        for row in self._execute(query):
            event = Event(type=row.type, at=row.at, actor=row.actor, data=loads_any(row.data), seq=row.seq)
            links.append(
                Link(seq=row.seq, prev_hash=row.prev_hash, hash=row.hash, record=record_of(number, event))
            )
        broken = verify(links)
        if broken:
            return Break(incident=number, seq=broken.seq, reason=broken.reason)
        if len(links) != length:
            return Break(
                incident=number,
                seq=min(len(links), length) + 1,
                reason=f"the timeline has {len(links)} events where the incident counts {length}",
            )
        return None
