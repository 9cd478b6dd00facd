"""The inbox: raw notifications, committed before they are answered, inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.desk.ports import InboxRow
from bot.store.codec import dumps, loads_map, storable
from bot.store.schema import inbox
from bot.store.session import Session


class Inbox(Session):
    """The inbox's part of a transaction."""

    def inbox_batch(self, limit: int) -> Sequence[InboxRow]:
        """Rows not yet processed, oldest first; those that another process works on are skipped."""
        # Literal, so that the partial index can serve it.
        new = sa.text("state = 'new'")
        query = sa.select(inbox).where(new).order_by(inbox.c.id).limit(limit)
        return [_row(found) for found in self._execute(self._locked(query, skip=True))]

    def inbox_done(self, ids: Sequence[int]) -> None:
        """Processed: they stay, so that a second delivery is known for what it is."""
        if ids:
            self._execute(sa.update(inbox).where(inbox.c.id.in_(ids)).values(state="done"))

    def inbox_dead(self, row_id: int, reason: str) -> None:
        """Cannot be processed: shown to people, and in nobody's way."""
        change = sa.update(inbox).where(inbox.c.id == row_id)
        self._execute(change.values(state="dead", reason=storable(reason)[:1000]))

    def inbox_put(
        self, source: str, delivery_key: str, body: bytes, meta: Mapping[str, Any], *, dead: str = ""
    ) -> bool:
        """Store one notification; False when this delivery is known (its copies are counted).

        ``dead`` is the reason why it can never be processed, if that is known already.
        """
        insert = self._insert(inbox).values(
            source=storable(source),
            delivery_key=storable(delivery_key),
            body=body,
            meta=dumps(meta),
            received_at=self.now(),
            state="dead" if dead else "new",
            reason=storable(dead)[:1000],
        )
        query = insert.on_conflict_do_update(
            index_elements=[inbox.c.source, inbox.c.delivery_key], set_={"copies": inbox.c.copies + 1}
        ).returning(inbox.c.copies)
        return int(self._execute(query).scalar_one()) == 1

    def inbox_dead_rows(self, limit: int) -> Sequence[tuple[InboxRow, str]]:
        """The newest rows that could not be processed, each with its reason."""
        query = sa.select(inbox).where(sa.text("state = 'dead'")).order_by(inbox.c.id.desc()).limit(limit)
        return [(_row(found), found.reason) for found in self._execute(query)]

    def inbox_counts(self) -> Mapping[str, int]:
        """How many rows are waiting and dead; by their indexes, so that it may be asked often."""
        waiting = sa.select(sa.func.count()).select_from(inbox).where(sa.text("state = 'new'"))
        dead = sa.select(sa.func.count()).select_from(inbox).where(sa.text("state = 'dead'"))
        return {
            "waiting": int(self._execute(waiting).scalar_one()),
            "dead": int(self._execute(dead).scalar_one()),
        }

    def inbox_prune(self, before: datetime) -> int:
        """Forget processed rows received before an instant; returns how many."""
        old = sa.delete(inbox).where(inbox.c.state == "done", inbox.c.received_at < before)
        return self._execute(old).rowcount


def _row(found: Any) -> InboxRow:
    return InboxRow(
        id=found.id,
        source=found.source,
        delivery_key=found.delivery_key,
        body=bytes(found.body),
        meta=loads_map(found.meta),
        received_at=found.received_at,
        copies=found.copies,
    )
