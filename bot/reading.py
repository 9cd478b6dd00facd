"""What the pages of the web read, each in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bot.clock import Clock
from bot.desk import round_notes
from bot.desk.house import House
from bot.desk.live import on_call
from bot.desk.ports import Tx
from bot.store.database import Database
from bot.web.pages_operations import Aside, Operations

BOOK_SHOWN = 500
ASIDE_SHOWN = 50


class Reading:
    """The reader that ``bot.web.pages`` asks."""

    def __init__(self, database: Database, house: Callable[[], House], clock: Clock) -> None:
        self._database, self._house, self._clock = database, house, clock

    async def incidents(self) -> Any:
        """The newest incidents."""
        return await self._database.aread(lambda tx: tx.incidents(limit=200))

    async def incident(self, number: int) -> Any:
        """An incident and its events; None where there is none of this number."""

        def both(tx: Tx) -> Any:
            found = tx.incident(number, lock=False)
            return None if found is None else (found, tx.events(number))

        return await self._database.aread(both)

    async def oncall(self) -> Any:
        """Who holds which level."""
        return await self._database.aread(lambda tx: on_call(tx, self._house()))

    async def book(self) -> Any:
        """The newest lines of the audit book."""
        return await self._database.aread(lambda tx: tx.book(limit=BOOK_SHOWN))

    async def operations(self) -> Any:
        """The calendar's rounds, a month's statistics, public action items, and what was put aside."""

        def read(tx: Tx) -> Operations:
            house = self._house()
            found = round_notes.patterns(tx, house, 30)
            public = [todo for todo in round_notes.open_actions(tx, house) if not todo.private]
            return Operations(
                found=found,
                rounds=tx.rounds(limit=40),
                todos=public,
                calendar=house.calendar,
                aside=_aside(tx),
            )

        return await self._database.aread(read)

    def now(self) -> datetime:
        """The domain's clock."""
        return self._clock.now()


def _aside(tx: Tx) -> list[Aside]:
    """Notifications that could not be used, then messages that could not be sent; of each the newest first."""
    unusable = [
        Aside(at=row.received_at, what=f"notification {row.id} from {row.source}", reason=reason)
        for row, reason in tx.inbox_dead_rows(ASIDE_SHOWN)
    ]
    unsent = [
        Aside(at=at, what=f"{kind} of INC-{number}" if number else kind, reason=reason)
        for kind, number, at, reason in tx.outbox_dead_rows(ASIDE_SHOWN)
    ]
    return unusable + unsent
