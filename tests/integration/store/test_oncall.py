"""Overrides and receipts, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from bot.clock import ManualClock
from bot.core.delivery import Sent, settle
from bot.core.overrides import Override
from bot.core.policy import Level, Policy
from bot.core.receipts import Receipt
from bot.core.roster import FirstLevel, Person, Roster, Rotation
from bot.desk import oncall
from bot.desk.hand_overs import HOLDERS
from bot.desk.house import House
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


def weekly() -> House:
    """alice, then bob on Mondays."""
    people = {name: Person(name=name, slack=f"U{name.upper()}") for name in ("alice", "bob")}
    turns = Rotation(people=("alice", "bob"), every=7 * 24 * HOUR, start=date(2026, 11, 16))
    roster = Roster(people=people, first=FirstLevel(primary=turns))
    return House(roster=roster, policy=Policy(), runbooks=(), pipelines=(), operations={})


def kinds_sent(database: Database) -> list[str]:
    """Send all that waits."""
    rows = []
    while leased := database.write(lambda tx: tx.claim(20)):
        for row in leased:
            rows.append(row.outbound.key.split(":")[0])
            database.write(lambda tx, r=row: tx.finish(r, settle(r, Sent())))
    return sorted(rows)


TOLD = ["handover", "handover", "handover", "test"]  # announcement, bob, alice; bob's test


def test_replicas_that_look_at_once_tell_a_hand_over_and_a_test_page_once(
    database: Database, another: Callable[[], Database], clock: ManualClock
) -> None:
    house = weekly()
    database.write(lambda tx: oncall.turn(tx, house))
    clock.advance(8 * HOUR)
    replicas = [database, *(another() for _ in range(3))]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda each: each.write(lambda tx: oncall.turn(tx, house)), replicas))
    assert sum(1 for count in told if count) >= 1
    assert kinds_sent(database) == TOLD


class Interrupted:
    """A transaction in which somebody else does something right after it has read who held what."""

    def __init__(self, tx: Any, meanwhile: Callable[[], object]) -> None:
        self._tx, self._meanwhile = tx, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def get_value(self, key: str) -> Any:
        found = self._tx.get_value(key)
        if key == HOLDERS and self._meanwhile:
            self._meanwhile.pop()()
        return found


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # on SQLite one writes at a time
def test_a_replica_that_looks_while_another_tells_a_hand_over_does_not_tell_it_again(
    database: Database, another: Callable[[], Database], clock: ManualClock
) -> None:
    house, other = weekly(), another()
    database.write(lambda tx: oncall.turn(tx, house))
    clock.advance(8 * HOUR)

    def late(tx: Any) -> int:
        return oncall.turn(Interrupted(tx, lambda: other.write(lambda tx: oncall.turn(tx, house))), house)  # type: ignore[arg-type]

    database.write(late)
    assert kinds_sent(database) == TOLD


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
