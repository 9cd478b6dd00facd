"""A database so slow that a lease is too short for all that was taken with it: then less is taken, and it gets out.

What was measured: two replicas on a machine with a tenth of the time they need handed every page back, again and
again, and none left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bot.clock import ManualClock
from bot.core.delivery import Kind, Outbound, Priority
from bot.desk.deliver import BATCH, Deliverer
from bot.desk.ports import Tx
from bot.store.database import Database
from tests.e2e.running import LONG
from tests.faults.engine import furnished
from tests.faults.slack import Workspace, beside

START = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
T = TypeVar("T")


class Slow:
    """A store of which each transaction takes so many seconds."""

    def __init__(self, database: Database, clock: ManualClock, seconds: float) -> None:
        self._database, self._clock, self._seconds = database, clock, seconds

    async def awrite(self, work: Callable[[Tx], T]) -> T:
        """A transaction."""
        self._clock.advance(self._seconds)
        return await self._database.awrite(work)

    async def aread(self, work: Callable[[Tx], T]) -> T:
        """A look."""
        self._clock.advance(self._seconds)
        return await self._database.aread(work)


def pages(count: int, people: int) -> list[Outbound]:
    """Pages that wait."""
    return [
        Outbound(
            key=f"page:P-{n}:dm",
            kind=Kind.PAGE_DM,
            lane=f"person:{n % people}",
            priority=Priority.PAGE,
            data={"page": f"P-{n}", "person": f"{n % people}", "refresh": True},
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("doubt", [False, True], ids=["new", "in doubt"])
@pytest.mark.parametrize("people", [1, BATCH])
@pytest.mark.parametrize("seconds", [1.2, 2.4] if LONG else [1.2])
async def test_pages_get_out_though_each_transaction_takes_long(
    tmp_path: Path, seconds: float, people: int, doubt: bool
) -> None:
    clock = ManualClock(START)
    slack = Workspace(random.Random(0))
    with Database(f"sqlite:///{tmp_path / 'a.db'}", clock, create=True) as database:
        shared: dict[str, Any] = {"house": furnished, "now": clock.now, "monotonic": clock.monotonic}
        deliverer = Deliverer(store=Slow(database, clock, seconds), sender=beside(slack), **shared)
        rows = pages(BATCH, people)
        database.write(lambda tx: tx.enqueue(rows))
        if doubt:  # somebody took them all and died
            assert len(database.write(lambda tx: tx.claim(BATCH))) == BATCH
            clock.advance(60)
        for _ in range(3 * BATCH):
            if slack.pages() == {row.key: 1 for row in rows}:
                break
            await deliverer.turn()
            await deliverer.drain(30)
            clock.advance(21)
        assert slack.pages() == {row.key: 1 for row in rows}
