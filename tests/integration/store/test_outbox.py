"""The outbox, on both databases: order, leases, doubt, renewal, and nobody sending twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.clock import ManualClock
from bot.core.delivery import (
    LEASE,
    POSTED,
    SLACK,
    Ambiguous,
    Kind,
    Leased,
    NotSent,
    Outcome,
    Priority,
    Refused,
    Sent,
    State,
    settle,
)
from bot.store.database import Database
from tests.integration.store.making import SECOND, add, open_incident, row


def claim(database: Database, limit: int = 10, busy: tuple[str, ...] = ()) -> list[Leased]:
    return list(database.write(lambda tx: tx.claim(limit, busy)))


def keys(rows: list[Leased]) -> list[str]:
    return [each.outbound.key for each in rows]


def finish(database: Database, lease: Leased, outcome: Outcome) -> bool:
    return database.write(lambda tx: tx.finish(lease, settle(lease, outcome)))


def state(database: Database, key: str) -> State | None:
    found = database.read(lambda tx: tx.outbox_state(key))
    return found[0] if found else None


def test_row_comes_back_as_it_went_in(database: Database, clock: ManualClock) -> None:
    """Everything the deliverer needs is in the lease."""
    made = row("a", incident=None, data={"text": "wörds", "n": [1, 2]})
    database.write(lambda tx: tx.enqueue([made]))
    (lease,) = claim(database)
    assert lease.outbound == made
    assert (lease.attempts, lease.ambiguous, lease.version, lease.lookups) == (1, False, 1, 0)
    assert lease.first_try_at == clock.wall().timestamp()
    assert database.read(lambda tx: tx.still_mine(lease))
    assert finish(database, lease, Sent(result={"ts": "1.2"}))
    assert state(database, "a") is State.SENT
    assert claim(database) == []
    assert database.read(lambda tx: tx.next_send()) is None


def test_a_lease_tells_how_long_ago_the_first_try_was(database: Database, clock: ManualClock) -> None:
    """By the database's own clock; below zero where that was set back since."""
    database.write(lambda tx: tx.enqueue([row("a")]))
    ages = []
    for step in (0, 30, -3600):
        clock.advance(step)
        database.write(lambda tx: tx.clock_set_back())
        (lease,) = claim(database)
        ages.append(lease.age_s)
        finish(database, lease, NotSent(reason="x", retry_in=timedelta(0)))
    assert ages == [0.0, 30.0, -3570.0]


def test_second_insertion_of_a_key_does_nothing(database: Database) -> None:
    """However often, and even after it was sent."""
    database.write(lambda tx: tx.enqueue([row("a", data={"n": 1}), row("a", data={"n": 2})]))
    (lease,) = claim(database)
    assert lease.outbound.data == {"n": 1}
    finish(database, lease, Sent())
    database.write(lambda tx: tx.enqueue([row("a", data={"n": 3})]))
    assert claim(database) == []


def test_order_is_kept_within_lane_and_priority(database: Database) -> None:
    """The second of a lane waits until the first is finished, also through a failure."""
    database.write(lambda tx: tx.enqueue([row("1"), row("2"), row("3", lane="person:bob")]))
    first, other = claim(database)
    assert keys([first, other]) == ["1", "3"]
    assert claim(database) == []
    finish(database, first, NotSent(reason="429", retry_in=30 * SECOND))
    assert claim(database) == []
    assert keys(claim(database, busy=("announce",))) == []


def test_pages_overtake_chatter(database: Database) -> None:
    """The most urgent first, one of each lane."""
    rows = [
        row("news", lane="incident:1", priority=Priority.NEWS),
        row("page", lane="incident:1", priority=Priority.PAGE, kind=Kind.PAGE_MENTION),
        row("answer", lane="incident:2", priority=Priority.ANSWER),
    ]
    database.write(lambda tx: tx.enqueue(rows))
    assert keys(claim(database)) == ["page", "answer"]
    assert keys(claim(database)) == ["news"]


def test_pages_to_one_person_are_handed_out_together(database: Database) -> None:
    """So that they can be one message; none waits for another."""
    pages = [row(f"p{n}", lane="person:alice", kind=Kind.PAGE_DM, priority=Priority.PAGE) for n in range(3)]
    database.write(lambda tx: tx.enqueue(pages))
    assert keys(claim(database)) == ["p0", "p1", "p2"]


def test_limit_takes_the_most_urgent(database: Database) -> None:
    """Rows beyond the limit stay for the next claim."""
    rows = [row(f"r{n}", lane=f"l{n}", priority=Priority(4 - n)) for n in range(5)]
    database.write(lambda tx: tx.enqueue(rows))
    assert keys(claim(database, 2)) == ["r4", "r3"]
    assert keys(claim(database, 9)) == ["r2", "r1", "r0"]


def test_busy_lanes_are_left_alone(database: Database) -> None:
    """The deliverer says which lanes it paces."""
    database.write(lambda tx: tx.enqueue([row("a", lane="x"), row("b", lane="y")]))
    assert keys(claim(database, busy=("x",))) == ["b"]
    assert keys(claim(database)) == ["a"]


def test_each_deliverer_takes_its_own_kinds(database: Database) -> None:
    """Mails and hooks have a deliverer of their own, so that neither waits for the other."""
    rows = [
        row("say", lane="a"),
        row("mail", lane="b", kind=Kind.PAGE_MAIL),
        row("call", lane="c", kind=Kind.PAGE_HOOK),
    ]
    database.write(lambda tx: tx.enqueue(rows))
    assert keys(database.write(lambda tx: tx.claim(9, (), POSTED))) == ["mail", "call"]
    assert keys(database.write(lambda tx: tx.claim(9, ("x",), SLACK))) == ["say"]


def test_a_row_says_whether_anybody_began_to_send_it(database: Database) -> None:
    """A page that never left need not be taken back."""
    database.write(lambda tx: tx.enqueue([row("begun", lane="a"), row("cancelled", lane="b")]))
    database.write(lambda tx: tx.cancel(["cancelled"]))
    assert keys(claim(database)) == ["begun"]
    begun = {
        key: database.read(lambda tx, key=key: tx.attempted(key)) for key in ("begun", "cancelled", "unknown")
    }
    assert begun == {"begun": True, "cancelled": False, "unknown": False}


def test_rows_wait_for_the_channel_and_hold_nobody_up(database: Database) -> None:
    """What creates the channel may stand behind what needs it."""
    number = open_incident(database).id
    lane = f"incident:{number}"
    rows = [
        row("post", lane=lane, incident=number, needs_channel=True),
        row("create", lane=lane, incident=number, kind=Kind.CREATE_CHANNEL),
    ]
    database.write(lambda tx: tx.enqueue(rows))
    (create,) = claim(database)
    assert create.outbound.key == "create"
    finish(database, create, Sent())
    assert claim(database) == []
    assert database.read(lambda tx: tx.next_send()) is None
    add(database, number, "channel_created", channel="C1", name="inc-0001-x")
    assert keys(claim(database)) == ["post"]


def test_expired_lease_is_claimed_again_in_doubt(database: Database, clock: ManualClock) -> None:
    """The first holder may have sent it; its late word changes nothing."""
    database.write(lambda tx: tx.enqueue([row("a")]))
    (lost,) = claim(database)
    clock.advance(LEASE - SECOND)
    assert claim(database) == []
    clock.advance(SECOND)
    (again,) = claim(database)
    assert (again.ambiguous, again.attempts, again.token) == (True, 2, lost.token + 1)
    assert again.first_try_at == lost.first_try_at
    assert not database.read(lambda tx: tx.still_mine(lost))
    assert not finish(database, lost, Sent())
    assert state(database, "a") is State.SENDING
    assert finish(database, again, Sent())


def test_doubt_is_sticky_until_a_certain_answer(database: Database, clock: ManualClock) -> None:
    """A definite refusal of the resend does not settle the first attempt."""
    database.write(lambda tx: tx.enqueue([row("a")]))
    (lease,) = claim(database)
    finish(database, lease, Ambiguous(reason="timeout"))
    assert claim(database) == []
    clock.advance(2)
    (lease,) = claim(database)
    assert lease.ambiguous
    assert database.write(lambda tx: tx.counted_lookup(lease)) == 1
    finish(database, lease, NotSent(reason="ratelimited", retry_in=5 * SECOND))
    assert database.read(lambda tx: tx.next_send()) == clock.wall() + 5 * SECOND
    clock.advance(5)
    (lease,) = claim(database)
    assert (lease.ambiguous, lease.lookups) == (True, 1)


def test_refused_row_is_dead_and_lets_the_next_go(database: Database) -> None:
    """It keeps its reason."""
    database.write(lambda tx: tx.enqueue([row("a"), row("b")]))
    (lease,) = claim(database)
    finish(database, lease, Refused(reason="channel_not_found"))
    assert database.read(lambda tx: tx.outbox_state("a")) == (State.DEAD, "channel_not_found")
    assert keys(claim(database)) == ["b"]
    database.write(lambda tx: tx.enqueue([row("c")]))
    assert database.read(lambda tx: tx.outbox_counts()) == {"pending": 1, "sending": 1, "dead": 1}


def test_delayed_row_waits(database: Database, clock: ManualClock) -> None:
    """``delay`` counts from the commit on the wall clock."""
    database.write(lambda tx: tx.enqueue([row("a", delay=timedelta(seconds=30))]))
    assert claim(database) == []
    assert database.read(lambda tx: tx.next_send()) == clock.wall() + 30 * SECOND
    clock.advance(30)
    assert keys(claim(database)) == ["a"]


def test_cancelled_row_never_leaves(database: Database, clock: ManualClock) -> None:
    """One that waits is cancelled; one that is being sent is stopped at the last look, if it can be."""
    database.write(lambda tx: tx.enqueue([row("waits"), row("leaves", lane="x"), row("left", lane="y")]))
    leaves, left = claim(database, busy=("announce",))
    assert database.write(lambda tx: tx.cancel(["waits", "leaves", "left", "unknown"])) == 1
    assert not database.read(lambda tx: tx.still_mine(leaves))
    assert finish(database, left, Sent())
    assert state(database, "left") is State.SENT
    clock.advance(LEASE)
    assert claim(database) == []
    assert [state(database, key) for key in ("waits", "leaves")] == [State.CANCELLED, State.CANCELLED]


def test_cancelled_while_sending_is_not_tried_again(database: Database) -> None:
    """A failure settles it as cancelled."""
    database.write(lambda tx: tx.enqueue([row("a")]))
    (lease,) = claim(database)
    database.write(lambda tx: tx.cancel(["a"]))
    assert finish(database, lease, NotSent(reason="429", retry_in=SECOND))
    assert state(database, "a") is State.CANCELLED


def test_newer_state_replaces_the_one_that_waits(database: Database) -> None:
    """One send says the newest."""
    for n in (1, 2, 3):
        database.write(lambda tx, n=n: tx.enqueue([row("headline", replaces=True, data={"n": n})]))
    (lease,) = claim(database)
    assert (lease.outbound.data, lease.version) == ({"n": 3}, 3)
    finish(database, lease, Sent(result={"ts": "1.2"}))
    assert claim(database) == []


def test_sent_row_is_renewed_with_what_was_given_back(database: Database) -> None:
    """The message's ts comes with the next lease, so that it is edited in place."""
    database.write(lambda tx: tx.enqueue([row("headline", replaces=True, data={"n": 1})]))
    (lease,) = claim(database)
    finish(database, lease, Sent(result={"ts": "1.2"}))
    database.write(lambda tx: tx.enqueue([row("headline", replaces=True, data={"n": 2})]))
    (lease,) = claim(database)
    assert (lease.outbound.data, lease.result) == ({"n": 2}, {"ts": "1.2"})
    assert (lease.attempts, lease.ambiguous) == (1, False)


def test_renewed_while_sending_goes_out_again(database: Database) -> None:
    """What was sent was the older state; the newer one follows at once, and once."""
    database.write(lambda tx: tx.enqueue([row("headline", replaces=True, data={"n": 1})]))
    (lease,) = claim(database)
    database.write(lambda tx: tx.enqueue([row("headline", replaces=True, data={"n": 2})]))
    assert claim(database) == []
    assert finish(database, lease, Sent(result={"ts": "1.2"}))
    (lease,) = claim(database)
    assert (lease.outbound.data, lease.result) == ({"n": 2}, {"ts": "1.2"})
    assert finish(database, lease, Sent())
    assert state(database, "headline") is State.SENT


def test_renewal_does_not_jump_a_rate_limit(database: Database, clock: ManualClock) -> None:
    """Retry-After holds for the newer state too."""
    database.write(lambda tx: tx.enqueue([row("headline", replaces=True)]))
    (lease,) = claim(database)
    finish(database, lease, NotSent(reason="429", retry_in=30 * SECOND))
    database.write(lambda tx: tx.enqueue([row("headline", replaces=True, data={"n": 2})]))
    assert claim(database) == []
    clock.advance(30)
    assert keys(claim(database)) == ["headline"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_racing_deliverers_never_hold_one_row_twice(another: Callable[[], Database], replicas: int) -> None:
    """Four threads, one or two replicas, 120 rows on 30 lanes: each row once, each lane in order."""
    databases = [another() for _ in range(replicas)]
    rows = [row(f"{lane}/{n}", lane=f"lane:{lane}") for n in range(4) for lane in range(30)]
    databases[0].write(lambda tx: tx.enqueue(rows))
    seen: list[str] = []

    def deliver(database: Database) -> None:
        while database.read(lambda tx: tx.next_send()) is not None:
            for lease in claim(database, 5):
                seen.append(lease.outbound.key)
                assert finish(database, lease, Sent())

    threads = [threading.Thread(target=deliver, args=(databases[n % replicas],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(seen) == Counter(each.key for each in rows)
    for lane in range(30):
        assert [key for key in seen if key.startswith(f"{lane}/")] == [f"{lane}/{n}" for n in range(4)]
