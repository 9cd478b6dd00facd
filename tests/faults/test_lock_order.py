"""One order of locks on PostgreSQL: an incident, then its rows in the outbox, whoever comes first."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import psycopg
import pytest

from bot.clock import Clock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.delivery import Kind as OutboxKind
from bot.core.delivery import Leased, Sent
from bot.desk.change import change, decide
from bot.desk.settling import settled
from bot.store.database import Database
from tests.faults.engine import POLICY, furnished

HOUSE = furnished()
PATIENCE_S = 40.0


def opened(database: Database) -> int:
    """An incident with a channel, whose headline waits to be posted."""

    def make(tx: Any) -> int:
        number: int = tx.next_number()
        first = lifecycle.opened(
            project="p", pipeline="orders", family="stream", title="Orders stopped", kind=Kind.HEALTH,
            severity=Severity.WARNING, policy=POLICY, now=tx.now(), actor="watch", reason="it stopped",
        )  # fmt: skip
        room = lifecycle.event("channel_created", tx.now(), "streamwatch", channel="C1", name="inc")
        change(tx, HOUSE, None, number, [first, room])
        return number

    return database.write(make)


def headline(database: Database) -> Leased:
    """Its row, leased."""
    while rows := database.write(lambda tx: tx.claim(50)):
        found = [row for row in rows if row.outbound.kind is OutboxKind.HEADLINE]
        for row in (row for row in rows if row not in found):
            database.write(partial(settled, house=HOUSE, row=row, outcome=Sent(result={"ts": "1.0"})))
        if found:
            return found[0]
    raise AssertionError("there is no headline to send")


def somebody_waits(url: str) -> bool:
    """Whether a transaction waits for another's lock."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_end_of_a_send_waits_for_a_change_without_either_being_given_up(url: str) -> None:
    with Database(url, Clock(), create=True) as one, Database(url, Clock(), create=False) as two:
        number = opened(one)
        row = headline(one)
        tries = {"change": 0, "settle": 0}
        locked = threading.Event()

        def settle() -> None:
            assert locked.wait(PATIENCE_S)

            def work(tx: Any) -> None:
                tries["settle"] += 1
                settled(tx, HOUSE, row, Sent(result={"ts": "2.0"}))

            two.write(work)

        def work(tx: Any) -> None:
            tries["change"] += 1
            tx.incident(number)
            locked.set()
            end = time.monotonic() + PATIENCE_S
            while not somebody_waits(url):
                assert time.monotonic() < end, "the other transaction does not come so far"
            acked = lifecycle.event("acknowledged", tx.now(), "alice", person="alice")
            decide(tx, HOUSE, number, lambda incident, now: [acked])

        sender = threading.Thread(target=settle, daemon=True)
        sender.start()
        one.write(work)
        sender.join(PATIENCE_S)
        assert not sender.is_alive()
        # PostgreSQL gives one of two up that wait for each other; then its function runs again.
        assert tries == {"change": 1, "settle": 1}
        incident = one.read(lambda tx: tx.incident(number, lock=False))
        assert incident is not None
        assert incident.headline_ts == "2.0"
