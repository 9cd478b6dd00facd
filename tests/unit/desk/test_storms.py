"""A storm is told in one message that is edited in place, and its counts add up to the inbox."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core.policy import Policy
from bot.desk import storms
from bot.desk.processor import Processor
from bot.store.database import Database
from bot.store.tx import StoreTx
from tests.e2e.alerts import alert
from tests.unit.desk.test_holds import HOUSE

NIGHT = datetime(2026, 11, 23, 3, 10, 50, tzinfo=UTC)
SMALL = replace(HOUSE, policy=Policy(storm_alerts=20, storm_incidents=3), claims=())


@dataclass
class Desk:
    clock: ManualClock
    database: Database
    file: Path
    sent: int = 0

    async def comes(self, *bodies: Any) -> None:
        """Notifications arrive and are processed."""

        def put(tx: StoreTx) -> None:
            for body in bodies:
                self.sent += 1
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                tx.inbox_put("cloud-monitoring", f"n{self.sent}", raw, {})

        self.database.write(put)
        processor = Processor(
            store=self.database, house=lambda: SMALL, record_budget=lambda *_: None, wake=lambda: None
        )
        while await processor.turn():
            pass

    def after(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.database.write(lambda tx: storms.turn(tx, SMALL))

    def told(self) -> list[str]:
        with closing(sqlite3.connect(self.file)) as raw:
            rows = raw.execute("SELECT data FROM outbox WHERE key LIKE 'line:storm:%' ORDER BY id").fetchall()
        return [json.loads(data)["text"] for (data,) in rows]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = ManualClock(NIGHT)
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        yield Desk(clock, database, tmp_path / "bot.db")


def figures(text: str) -> list[int]:
    """Received, busiest minute, incidents, opened, folded, aside, dropped."""
    return [int(found.replace(",", "")) for found in re.findall(r"[\d,]*\d", text.partition("UTC:")[2])]


def many(count: int, pipelines: int, name: str = "a") -> list[Any]:
    return [alert(f"0.{name}{n}", pipeline=f"line-{n % pipelines}") for n in range(count)]


async def test_a_storm_is_one_message_whose_counts_add_up_to_the_inbox(desk: Desk) -> None:
    await desk.comes(*many(60, 4))
    await desk.comes(*many(30, 4, "b"), {"version": "1.2", "incident": "nonsense"})
    (text,) = desk.told()
    assert text.startswith("Storm since 2026-11-23 03:10 UTC: received 91,")
    assert figures(text) == [91, 91, 4, 4, 86, 1, 0]
    assert desk.sent == 91


async def test_it_is_over_after_a_minute_that_is_none_and_another_is_another_message(desk: Desk) -> None:
    await desk.comes(*many(40, 4))
    desk.clock.advance(timedelta(seconds=20))
    await desk.comes(*many(25, 4, "b"))
    desk.after(60)
    (text,) = desk.told()
    assert text.startswith("Storm since 2026-11-23 03:10 UTC")
    desk.after(60)
    (text,) = desk.told()
    assert text.startswith("The storm is over, from 2026-11-23 03:10 to 03:1")
    assert figures(text) == [65, 40, 4, 4, 61, 0, 0]
    desk.after(600)
    await desk.comes(*many(40, 4, "c"))
    assert len(desk.told()) == 2


async def test_it_counts_from_the_minute_before_when_it_began_at_the_turn_of_one(desk: Desk) -> None:
    await desk.comes(*many(10, 4))
    assert desk.told() == []
    desk.clock.advance(timedelta(seconds=20))
    await desk.comes(*many(30, 4, "b"))
    (text,) = desk.told()
    assert figures(text) == [40, 30, 4, 4, 36, 0, 0]


async def test_many_alerts_of_few_incidents_are_no_storm(desk: Desk) -> None:
    await desk.comes(*many(60, 2))
    assert desk.told() == []


async def test_poison_is_counted_as_set_aside(desk: Desk) -> None:
    await desk.comes(*many(30, 4), b"no JSON at all")
    (text,) = desk.told()
    assert figures(text)[-2:] == [1, 0]
