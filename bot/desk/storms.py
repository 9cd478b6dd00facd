"""Counts notifications by the minute, and tells of a storm in one message that is edited in place.

The counters are rows that are added to in the transaction of the notifications themselves, so they add
up to the inbox whatever is killed, and however many replicas count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot.core import storm
from bot.core.delivery import Kind, Outbound, Priority
from bot.core.storm import ASIDE, KINDS, OPENED, RECEIVED, TOUCHED, Tally, minute_of, name_of
from bot.desk.house import House
from bot.desk.ports import InboxRow, Tx

STATE = "storm"


def count(tx: Tx, house: House, rows: Sequence[InboxRow], aside: int, tally: Tally) -> None:
    """Count a batch that was processed, ``aside`` of it unusable; begin or renew the storm's message."""
    if not rows:
        return
    for minute, number in sorted(Counter(minute_of(row.received_at) for row in rows).items()):
        tx.count(name_of(minute, RECEIVED), number)
    # What a batch came to is told of the minute of its last row: the sums over a storm are exact.
    minute = max(minute_of(row.received_at) for row in rows)
    new = [number for number in sorted(tally.touched) if tx.once(f"storm:{minute}", str(number))]
    for kind, number in ((ASIDE, aside), (OPENED, len(tally.opened)), (TOUCHED, len(new))):
        if number:
            tx.count(name_of(minute, kind), number)
    state = tx.get_value(STATE)
    if state is None:
        counts = tx.counts(name_of(minute - 1, KINDS[0]), name_of(minute, KINDS[-1]))
        if not storm.storms(counts, minute, house.policy):
            return
        # It may have begun just before the full minute.
        first = minute - 1 if counts.get(name_of(minute - 1, RECEIVED)) else minute
        state = {"first": first, "last": minute}
        tx.put_value(STATE, state)
    elif minute > state["last"]:
        state = {**state, "last": minute}
        tx.put_value(STATE, state)
    for number in sorted(tally.touched):
        if tx.once(f"storm-of:{state['first']}", str(number)):
            tx.count(_incidents(state["first"]), 1)
    _tell(tx, state["first"], state["last"], over=False)


def turn(tx: Tx, house: House) -> bool:
    """End a storm after a whole minute that was none; True if it was ended."""
    state = tx.get_value(STATE)
    now = minute_of(tx.now())
    if state is None or now <= state["last"] or tx.inbox_batch(1):
        return False
    counts = tx.counts(name_of(now - 1, KINDS[0]), name_of(now, KINDS[-1]))
    if any(counts.get(name_of(m, RECEIVED), 0) > house.policy.storm_alerts for m in (now - 1, now)):
        return False
    last = max(state["last"], now - 1)
    tx.put_value(STATE, None)
    _tell(tx, state["first"], last, over=True)
    return True


def _incidents(first: int) -> str:
    return f"storm:{first:012d}:incidents"


def _tell(tx: Tx, first: int, last: int, *, over: bool) -> None:
    counts = tx.counts(name_of(first, KINDS[0]), name_of(last, KINDS[-1]))
    incidents = tx.counts(_incidents(first), _incidents(first)).get(_incidents(first), 0)
    text = storm.words(storm.total(counts, first, last), incidents, first, last if over else None)
    tx.enqueue(
        [
            Outbound(
                key=f"line:storm:{first}",
                kind=Kind.ANNOUNCE,
                lane="announce:storm",
                priority=Priority.NEWS,
                replaces=True,
                data={"text": text},
            )
        ]
    )
