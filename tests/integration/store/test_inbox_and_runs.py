"""The inbox, the runs of operations and the small things, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from bot.clock import ManualClock
from bot.desk.ports import Run
from bot.store.database import Database
from bot.store.runs import RUN_LEASE
from tests.integration.store.making import SECOND, open_incident, run


def put(database: Database, key: str, body: bytes = b"{}") -> bool:
    return database.write(lambda tx: tx.inbox_put("cloud-monitoring", key, body, {"via": "webhook"}))


def test_notification_is_kept_raw_until_it_is_done(database: Database, clock: ManualClock) -> None:
    """Bytes are bytes; oldest first."""
    body = bytes(range(256))
    assert put(database, "a", body)
    assert put(database, "b\0\ud800")
    first, second = database.write(lambda tx: tx.inbox_batch(10))
    assert (first.body, first.meta, first.received_at) == (body, {"via": "webhook"}, clock.now())
    database.write(lambda tx: tx.inbox_done([first.id]))
    assert [each.id for each in database.write(lambda tx: tx.inbox_batch(10))] == [second.id]


def test_same_delivery_is_one_row_whose_copies_are_counted(database: Database) -> None:
    """Also after it was processed; another source's key is another delivery."""
    assert put(database, "a")
    assert not put(database, "a")
    (found,) = database.write(lambda tx: tx.inbox_batch(10))
    assert found.copies == 2
    database.write(lambda tx: tx.inbox_done([found.id]))
    assert not put(database, "a")
    assert database.write(lambda tx: tx.inbox_batch(10)) == []
    assert database.write(lambda tx: tx.inbox_put("pubsub", "a", b"", {}))


def test_dead_row_is_shown_and_blocks_nobody(database: Database) -> None:
    """It keeps its reason; the next is processed."""
    put(database, "a")
    put(database, "b")
    (first, second) = database.write(lambda tx: tx.inbox_batch(10))
    database.write(lambda tx: tx.inbox_dead(first.id, "no incident in it"))
    assert [each.id for each in database.write(lambda tx: tx.inbox_batch(10))] == [second.id]
    ((shown, reason),) = database.read(lambda tx: tx.inbox_dead_rows(10))
    assert (shown.id, reason) == (first.id, "no incident in it")
    assert database.read(lambda tx: tx.inbox_counts()) == {"waiting": 1, "dead": 1}


def test_processed_rows_are_forgotten_after_their_time(database: Database, clock: ManualClock) -> None:
    """New and dead ones never are."""
    for key in ("done", "new", "dead"):
        put(database, key)
    ids = [each.id for each in database.write(lambda tx: tx.inbox_batch(10))]
    database.write(lambda tx: tx.inbox_done(ids[:1]))
    database.write(lambda tx: tx.inbox_dead(ids[2], "why"))
    assert database.write(lambda tx: tx.inbox_prune(clock.now())) == 0
    assert database.write(lambda tx: tx.inbox_prune(clock.advance(1))) == 1
    assert database.read(lambda tx: tx.inbox_counts()) == {"waiting": 1, "dead": 1}


def test_run_is_stored_once_by_its_id(database: Database, clock: ManualClock) -> None:
    """A plan's id is its idempotency key."""
    made = run("r1", clock.now(), reply={"channel": "C1"}, plan={"steps": ["a"]}, incident=1)
    database.write(lambda tx: tx.put_run(made))
    database.write(lambda tx: tx.put_run(run("r1", clock.now(), requested_by="mallory")))
    assert database.read(lambda tx: tx.run("r1")) == made
    assert database.read(lambda tx: tx.runs_of_incident(1)) == [made]


def test_run_is_claimed_once_oldest_first(another: Callable[[], Database], clock: ManualClock) -> None:
    """Two replicas ask at once; each run goes to one, and each replica gets the oldest that is left."""
    replicas = [another(), another()]
    for n in range(6):
        at = clock.now() - n * SECOND
        replicas[0].write(lambda tx, n=n, at=at: tx.put_run(run(f"r{n}", at)))
    mine: list[list[Run]] = [[], []]

    def work(database: Database, taken: list[Run]) -> None:
        while found := database.write(lambda tx: tx.claim_run("confirmed", "running")):
            taken.append(found)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(replicas, mine, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Which of the two notes its run first is not the order of the claims; the order within one replica is.
    for ids in ([each.id for each in taken] for taken in mine):
        assert ids == sorted(ids, reverse=True)
    taken = mine[0] + mine[1]
    assert sorted(each.id for each in taken) == ["r0", "r1", "r2", "r3", "r4", "r5"]
    assert {(each.state, each.attempts) for each in taken} == {("running", 1)}


def test_run_of_a_dead_process_is_stale_and_a_renewed_one_is_not(
    database: Database, clock: ManualClock
) -> None:
    """The lease tells them apart; progress keeps it, the end frees it."""
    for n in range(3):
        database.write(lambda tx, n=n: tx.put_run(run(f"r{n}", clock.now() + n * SECOND)))
        database.write(lambda tx: tx.claim_run("confirmed", "running"))
    clock.advance(RUN_LEASE - SECOND)
    assert database.write(lambda tx: tx.renew_run("r1"))
    assert database.write(lambda tx: tx.move_run("r0", ["running"], "running", step="half way"))
    assert database.write(lambda tx: tx.move_run("r2", ["running"], "done", report={"verdict": "fine"}))
    assert not database.write(lambda tx: tx.renew_run("r2"))
    clock.advance(2)
    assert [each.id for each in database.read(lambda tx: tx.stale_runs("running"))] == ["r0"]
    database.write(lambda tx: tx.release_run("r1"))
    database.write(lambda tx: tx.release_run("r2"))
    assert {each.id for each in database.read(lambda tx: tx.stale_runs("running"))} == {"r0", "r1"}


def test_state_moves_only_from_where_it_was_expected(database: Database, clock: ManualClock) -> None:
    """Two people confirm: one wins."""
    database.write(lambda tx: tx.put_run(run("r1", clock.now(), state="planned")))
    assert database.write(lambda tx: tx.move_run("r1", ["planned"], "confirmed", confirmed_by="alice"))
    assert not database.write(lambda tx: tx.move_run("r1", ["planned"], "confirmed", confirmed_by="bob"))
    assert not database.write(lambda tx: tx.move_run("r9", ["planned"], "confirmed"))
    assert database.write(lambda tx: tx.claim_run("confirmed", "running")) is not None
    assert not database.write(lambda tx: tx.move_run("r1", ["running"], "confirmed", attempt=0)), (
        "it is the first now"
    )
    assert database.write(lambda tx: tx.move_run("r1", ["running"], "confirmed", attempt=1))
    found = database.read(lambda tx: tx.run("r1"))
    assert found is not None
    assert (found.state, found.confirmed_by, found.updated_at) == ("confirmed", "alice", clock.now())


def test_running_change_is_seen_and_a_read_is_not(database: Database, clock: ManualClock) -> None:
    """Per pipeline."""
    database.write(lambda tx: tx.put_run(run("r1", clock.now(), state="running", risk="read")))
    assert database.read(lambda tx: tx.running_change("orders")) is None
    database.write(lambda tx: tx.put_run(run("r2", clock.now(), state="running")))
    found = database.read(lambda tx: tx.running_change("orders"))
    assert found is not None
    assert found.id == "r2"
    assert database.read(lambda tx: tx.running_change("other")) is None


def test_runs_in_a_state_are_found_oldest_first(database: Database, clock: ManualClock) -> None:
    """Whoever holds them."""
    for n, state in enumerate(("walking", "done", "walking")):
        at = clock.now() - timedelta(minutes=n)
        database.write(lambda tx, n=n, at=at, state=state: tx.put_run(run(f"r{n}", at, state=state)))
    assert [each.id for each in database.read(lambda tx: tx.runs_in("walking"))] == ["r2", "r0"]


def test_recent_runs_are_those_since_an_instant(database: Database, clock: ManualClock) -> None:
    """Newest first."""
    for n, minutes in enumerate((40, 20, 5)):
        at = clock.now() - timedelta(minutes=minutes)
        database.write(lambda tx, n=n, at=at: tx.put_run(run(f"r{n}", at, state="done")))
    since = clock.now() - timedelta(minutes=30)
    found = database.read(lambda tx: tx.recent_runs("orders", "pipeline.restart", since))
    assert [each.id for each in found] == ["r2", "r1"]
    assert database.read(lambda tx: tx.recent_runs("orders", "dlq.replay", since)) == []


def test_once_is_true_the_first_time_only(another: Callable[[], Database]) -> None:
    """Also when many ask at the same moment."""
    replicas = [another(), another()]
    answers: list[bool] = []

    def ask(database: Database) -> None:
        answers.append(database.write(lambda tx: tx.once("slack-event", "Ev1")))

    threads = [threading.Thread(target=ask, args=(replicas[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    assert replicas[0].write(lambda tx: tx.once("slack-trigger", "Ev1"))


def test_value_is_kept_by_name(database: Database) -> None:
    """The newest one; None where there is none."""
    open_incident(database)
    assert database.read(lambda tx: tx.get_value("probe:orders")) is None
    for value in ({"a": [1, None, 2.5]}, "text"):
        database.write(lambda tx, value=value: tx.put_value("probe:orders", value))
        assert database.read(lambda tx: tx.get_value("probe:orders")) == value


def test_counters_add_up_from_many_threads_and_are_forgotten_by_name(
    another: Callable[[], Database], database: Database
) -> None:
    """Two at once add both; old ones go, and no other counter with them."""
    others = [database, another()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: others[n % 2].write(lambda tx: tx.count("minute:1:received", n)), range(20)))
    database.write(lambda tx: tx.count("minute:2:received", 5))
    database.write(lambda tx: tx.next_number())
    assert database.read(lambda tx: tx.counts("minute:1", "minute:3")) == {
        "minute:1:received": 190,
        "minute:2:received": 5,
    }
    assert database.write(lambda tx: tx.forget_counts("minute:", "minute:2")) == 1
    assert database.read(lambda tx: tx.counts("a", "z")) == {"incident": 1, "minute:2:received": 5}
