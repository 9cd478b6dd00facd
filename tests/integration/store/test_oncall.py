"""Overrides and receipts, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from bot.clock import ManualClock
from bot.core.overrides import Override
from bot.core.policy import Level
from bot.core.receipts import Receipt
from bot.store.database import Database

HOUR = timedelta(hours=1)


def override(clock: ManualClock, hours: int) -> Override:
    return Override(
        kind="override", person="bob", other="alice", level=Level.L1, place="primary", begin=clock.now(),
        end=clock.now() + hours * HOUR, reason="dentist\0", made_by="alice", made_at=clock.now(),
    )  # fmt: skip


def test_overrides_get_their_numbers_and_are_found_until_they_end(
    database: Database, another: Callable[[], Database], clock: ManualClock
) -> None:
    """The replica beside sees them at once."""
    first = database.write(lambda tx: tx.put_override(override(clock, 2)))
    second = database.write(lambda tx: tx.put_override(override(clock, 5)))
    assert (first.id, second.id) == (1, 2)
    assert another().read(lambda tx: tx.overrides(tx.now())) == [first, second]
    clock.advance(2 * HOUR)
    assert database.read(lambda tx: tx.overrides(tx.now())) == [second]
    assert database.write(lambda tx: tx.override(1)) == first
    assert database.write(lambda tx: tx.override(3)) is None


def test_a_cancelled_override_keeps_its_number_and_ends_now(database: Database, clock: ManualClock) -> None:
    made = database.write(lambda tx: tx.put_override(override(clock, 5)))
    clock.advance(HOUR)
    ended = replace(made, end=clock.now(), cancelled_by="alice")
    assert database.write(lambda tx: tx.put_override(ended)) == ended
    assert database.read(lambda tx: tx.overrides(tx.now())) == []
    assert database.write(lambda tx: tx.override(made.id)) == ended


def test_receipts_are_kept_by_their_id_and_listed_newest_first(
    database: Database, clock: ManualClock
) -> None:
    start = clock.now()
    for name in ("alice", "bob"):
        receipt = Receipt(
            id=f"2026-11-23:{name}:slack", person=name, level="L1", method="slack", made_at=clock.now()
        )
        database.write(lambda tx, r=receipt: tx.put_receipt(r))
        clock.advance(HOUR)
    seen = database.write(lambda tx: tx.receipt("2026-11-23:alice:slack"))
    assert seen is not None
    done = replace(seen, sent_at=clock.now(), acked_at=clock.now())
    database.write(lambda tx: tx.put_receipt(done))
    found = database.read(lambda tx: tx.receipts(start))
    assert [r.person for r in found] == ["bob", "alice"]
    assert found[1] == done
    assert database.read(lambda tx: tx.receipts(start + HOUR)) == found[:1]
    assert database.write(lambda tx: tx.receipt("2026-11-23:zoe:slack")) is None
