"""Takes inbox rows to their decision, many in one transaction; a row that cannot be processed blocks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from bot.core.alert_model import Unusable
from bot.core.budget import BudgetNotification
from bot.core.errors import KeyTaken, StorageError
from bot.core.holding import Hold
from bot.core.storm import Tally
from bot.desk import storms
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import InboxRow, Store, Tx
from bot.desk.receive import budget_of, process
from bot.probe import Probe, nowhere

log = structlog.get_logger()
BATCH = 40


class Processor:
    """One turn is one batch."""

    def __init__(
        self,
        *,
        store: Store,
        house: Callable[[], House],
        record_budget: Callable[[BudgetNotification, InboxRow], Any],
        wake: Callable[[], None],
        probe: Probe = nowhere,
        maintenances: Callable[[], tuple[Hold, ...]] = tuple,
        look: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``look``: this pipeline has an incident that opened as recovering; it is to be probed at once."""
        self._look = look
        self._maintenances = maintenances
        self._store = store
        self._house = house
        self._record_budget = record_budget
        self._wake = wake
        self._probe = probe

    async def turn(self) -> int:
        """Process a batch; returns how many rows were taken."""
        # Looked up before every batch: what a terminal set a moment ago counts already.
        house = replace(self._house(), maintenances=await asyncio.to_thread(self._maintenances))
        try:
            done, tally = await self._store.awrite(lambda tx: self._batch(tx, house))
        except StorageError as error:
            if not isinstance(error, KeyTaken):
                raise
            done, tally = await self._one(house)
        except Exception:  # noqa: BLE001 - which row it was is found by taking them one by one
            done, tally = await self._one(house)
        for row in done:
            self._remember(row)
        for pipeline in sorted(tally.unseen):
            self._look(pipeline)
        if done:
            self._probe("process.committed")
            self._wake()
        return len(done)

    def _batch(self, tx: Tx, house: House) -> tuple[list[InboxRow], Tally]:
        rows, tally = _batch(tx, house, BATCH)
        if rows:
            self._probe("process.before_commit")
        return rows, tally

    async def _one(self, house: House) -> tuple[list[InboxRow], Tally]:
        """The first row alone; when it is poison it goes aside, shown and counted."""
        taken: list[InboxRow] = []
        try:
            return await self._store.awrite(lambda tx: _single(tx, house, taken))
        except StorageError:
            raise
        except Exception as error:
            row = taken[-1]
            log.exception("inbox_poison", action="inbox_poison", row=row.id, source=row.source)
            reason = f"{type(error).__name__}: {error}"[:500]
            await self._store.awrite(lambda tx: _poison(tx, house, row, reason))
            return [row], Tally()

    def _remember(self, row: InboxRow) -> None:
        if row.source != "budget":
            return
        try:
            self._record_budget(budget_of(row), row)
        except Exception:
            log.exception("budget_not_recorded", action="budget_not_recorded", row=row.id)


def _poison(tx: Tx, house: House, row: InboxRow, reason: str) -> None:
    tx.inbox_dead(row.id, reason)
    storms.count(tx, house, [row], 1, Tally())


def _batch(tx: Tx, house: House, limit: int) -> tuple[list[InboxRow], Tally]:
    rows = list(tx.inbox_batch(limit))
    tally = Tally()
    if rows:
        house = replace(live(tx, house), tally=tally)
    done = []
    for row in rows:
        try:
            process(tx, house, row)
        except Unusable as unusable:
            tx.inbox_dead(row.id, unusable.reason)
        else:
            done.append(row.id)
    tx.inbox_done(done)
    storms.count(tx, house, rows, len(rows) - len(done), tally)
    return rows, tally


def _single(tx: Tx, house: House, taken: list[InboxRow]) -> tuple[list[InboxRow], Tally]:
    """Take and process one row in one transaction; ``taken`` tells the caller which it was if that fails."""
    rows = list(tx.inbox_batch(1))
    tally, aside = Tally(), 0
    if not rows:
        return rows, tally
    taken.append(rows[0])
    try:
        process(tx, replace(house, tally=tally), rows[0])
    except Unusable as unusable:
        tx.inbox_dead(rows[0].id, unusable.reason)
        aside = 1
    else:
        tx.inbox_done([rows[0].id])
    storms.count(tx, house, rows, aside, tally)
    return rows, tally
