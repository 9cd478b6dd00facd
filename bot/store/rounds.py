"""Rounds of the operations calendar, inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from bot.core.rounds import MEASURING, OPEN, Round
from bot.store.codec import dumps, loads, storable
from bot.store.schema import rounds
from bot.store.session import Session


class Rounds(Session):
    """The calendar's part of a transaction."""

    def begin_round(self, new: Round) -> bool:
        """Store a round whose period was not begun yet; False, and nothing is changed, when it was."""
        row = {"id": storable(new.id), "kind": new.kind, "due_at": new.due_at, **_columns(new)}
        insert = self._insert(rounds).values(**row)
        insert = insert.on_conflict_do_nothing(index_elements=[rounds.c.id]).returning(rounds.c.id)
        return self._execute(insert).one_or_none() is not None

    def put_round(self, changed: Round) -> None:
        """Store a round that was begun, as it stands now."""
        change = sa.update(rounds).where(rounds.c.id == storable(changed.id))
        self._execute(change.values(**_columns(changed)))

    def round(self, round_id: str) -> Round | None:
        """The round of this id, locked."""
        query = self._locked(sa.select(rounds.c.data).where(rounds.c.id == storable(round_id)))
        text = self._execute(query).scalar_one_or_none()
        return None if text is None else loads(text, Round)

    def open_rounds(self) -> Sequence[Round]:
        """Those that are being measured or wait for people, oldest first."""
        query = sa.select(rounds.c.data).where(rounds.c.state.in_([MEASURING, OPEN]))
        query = query.order_by(rounds.c.due_at, rounds.c.id)
        return [loads(text, Round) for text in self._execute(query).scalars()]

    def rounds(self, kind: str = "", limit: int = 30) -> Sequence[Round]:
        """The newest of a kind, or of all, newest first, in whatever state."""
        query = sa.select(rounds.c.data).order_by(rounds.c.due_at.desc(), rounds.c.id).limit(limit)
        if kind:
            query = query.where(rounds.c.kind == kind)
        return [loads(text, Round) for text in self._execute(query).scalars()]


def _columns(this: Round) -> dict[str, str]:
    return {"state": this.state, "data": dumps(this)}
