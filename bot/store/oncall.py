"""Overrides of the roster and receipts of test pages, inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from bot.core.overrides import Override
from bot.core.receipts import Receipt
from bot.store.codec import dumps, loads, storable
from bot.store.schema import counters, overrides, receipts
from bot.store.session import Session


class OnCall(Session):
    """On call's part of a transaction."""

    def put_override(self, override: Override) -> Override:
        """Store it: a new one (id 0) under the next id, a known one in place of what was known."""
        if not override.id:
            insert = self._insert(counters).values(name="override", value=1)
            number = self._execute(
                insert.on_conflict_do_update(
                    index_elements=[counters.c.name], set_={"value": counters.c.value + 1}
                ).returning(counters.c.value)
            ).scalar_one()
            override = replace(override, id=int(number))
        row = {"id": override.id, "ends_at": override.end, "data": dumps(override)}
        put = self._insert(overrides).values(**row)
        self._execute(
            put.on_conflict_do_update(
                index_elements=[overrides.c.id],
                set_={"ends_at": put.excluded.ends_at, "data": put.excluded.data},
            )
        )
        return override

    def override(self, number: int) -> Override | None:
        """The override of this id, locked."""
        query = self._locked(sa.select(overrides.c.data).where(overrides.c.id == number))
        text = self._execute(query).scalar_one_or_none()
        return None if text is None else loads(text, Override)

    def overrides(self, since: datetime) -> Sequence[Override]:
        """Those that end after this instant, oldest first; those to come too."""
        query = sa.select(overrides.c.data).where(overrides.c.ends_at > since).order_by(overrides.c.id)
        return [loads(text, Override) for text in self._execute(query).scalars()]

    def put_receipt(self, receipt: Receipt) -> None:
        """Store it, in place of what was known of its id."""
        row = {"id": storable(receipt.id), "made_at": receipt.made_at, "data": dumps(receipt)}
        put = self._insert(receipts).values(**row)
        self._execute(
            put.on_conflict_do_update(index_elements=[receipts.c.id], set_={"data": put.excluded.data})
        )

    def receipt(self, receipt_id: str) -> Receipt | None:
        """The receipt of this id, locked."""
        query = self._locked(sa.select(receipts.c.data).where(receipts.c.id == storable(receipt_id)))
        text = self._execute(query).scalar_one_or_none()
        return None if text is None else loads(text, Receipt)

    def receipts(self, since: datetime) -> Sequence[Receipt]:
        """Those made since this instant, newest first."""
        query = sa.select(receipts.c.data).where(receipts.c.made_at >= since)
        query = query.order_by(receipts.c.made_at.desc(), receipts.c.id)
        return [loads(text, Receipt) for text in self._execute(query).scalars()]
