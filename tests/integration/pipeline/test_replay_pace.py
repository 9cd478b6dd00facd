"""A replay begins with a few, keeps to its rate, stops by itself, and writes down what it did."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest

from pipeline.errors import Denied, Interrupted, Unreachable
from pipeline.google import pubsub
from pipeline.history import History
from pipeline.operations import ChangeOperation, get
from pipeline.operations.base import Plan, Progress
from pipeline.report import Report
from tests.unit.pipeline.test_events import CLICK

from .conftest import Stand
from .test_dead_letters import UP, arrived, clicks, envelope, queue, tapped


def returned(plan: Plan, count: int) -> list[tuple[bytes, dict[str, str]]]:
    """Dead letters of messages that this replay sent."""
    attributes = {"replay_id": plan.id, "replay_count": "1"}
    letters = (
        envelope(CLICK | {"product_id": f"r-{i}"}, attributes=attributes, replay_count=1)
        for i in range(count)
    )
    return [(data, dict(more)) for data, more in letters]


def run_with(stand: Stand, plan: Plan, when: str, count: int) -> Report:
    """Runs it; as soon as a progress says ``when``, messages of the replay fail again."""
    operation = get("dlq.replay")
    assert isinstance(operation, ChangeOperation)
    told: list[Progress] = []

    def progress(step: Progress) -> None:
        if when in step.text and not told:
            told.append(step)
            stand.dead_letters(*returned(plan, count))

    report = operation.run(stand.ctx, plan, progress)
    assert told, f"no progress said {when!r}"
    return report


def test_the_canary_that_comes_back_stops_the_rest(stand: Stand) -> None:
    tapped(stand)
    stand.dead_letters(*clicks(40))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay")
    assert "The first 5 go alone and are watched" in " ".join(plan.effects)
    report = run_with(ready, plan, "Watching the first 5", 1)
    assert report.data["sent"] == 5
    assert report.severity == "warning"
    assert "stopped by itself, 1 message of 5 came back" in report.verdict
    assert len(arrived(stand)) == 5
    assert len(queue(stand)) == 35 + 1


def test_failures_that_rise_later_stop_it_too(stand: Stand) -> None:
    tapped(stand)
    stand.dead_letters(*clicks(900))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", rate=100)
    report = run_with(ready, plan, "305 of 900 sent back", 60)
    assert report.data["came_back"] > 0
    assert report.data["stopped"], report.verdict
    assert report.severity == "warning"
    sent = report.data["sent"]
    assert 305 < sent < 900
    assert len(arrived(stand)) == sent
    assert len(queue(stand)) == 900 + 60 - sent, "nothing is lost, nothing is twice"


def test_a_replay_that_holds_sends_everything_and_writes_the_ledger(stand: Stand) -> None:
    tapped(stand)
    stand.dead_letters(*clicks(60))
    ready = replace(stand.knowing(**UP), ctx=replace(stand.ctx, facts=UP, requested_by="alice"))
    plan = ready.plan("dlq.replay", rate=20)
    slept: list[float] = []
    patient = replace(ready, ctx=replace(ready.ctx, sleep=slept.append))
    report = patient.run(plan)
    assert report.data["sent"] == 60
    assert len(arrived(stand)) == 60
    pauses = [pause for pause in slept if pause <= 1.0]
    assert len(pauses) >= 2, "twenty a second"
    history = stand.ctx.history
    assert history is not None
    last = history.last_replay("orders")
    assert last is not None
    assert (last.replay, last.messages, last.by) == (plan.id, 60, "alice")
    assert "The last replay sent back 60 messages by alice" in stand.read("dlq.stats").dumps()


def test_a_snapshot_brings_the_queue_back(stand: Stand) -> None:
    stand.dead_letters(*clicks(8))
    before = set(queue(stand))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", canary=0)
    report = ready.run(plan)
    assert f"Snapshot streamwatch-{plan.id} holds the queue" in report.dumps()
    assert not queue(stand)
    stand.ctx.clients.subscriber.seek(
        request={
            "subscription": "projects/demo-project/subscriptions/dead-letter-sub",
            "snapshot": f"projects/demo-project/snapshots/streamwatch-{plan.id}",
        }
    )
    assert set(queue(stand)) == before


def test_without_a_snapshot_the_replay_goes_on_and_says_so(stand: Stand) -> None:
    stand.dead_letters(*clicks(2))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay")
    stand.happen({"errors": [{"method": "CreateSnapshot", "code": "PERMISSION_DENIED", "count": 1}]})
    report = ready.run(plan)
    assert report.data["sent"] == 2
    assert "No snapshot was made" in report.dumps()


def test_what_the_ledger_knows_is_not_published_twice(stand: Stand) -> None:
    """A run that was killed between ledger and acknowledgement, and is run again."""
    tapped(stand)
    stand.dead_letters(*clicks(6))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay")
    done = list(queue(stand))[:4]
    assert stand.ctx.history is not None
    stand.ctx.history.record_replayed(
        replay=plan.id, pipeline="orders", by="", at=stand.clock.now(), sent=[(id_, "clicks") for id_ in done]
    )
    report = ready.run(plan)
    assert report.data["sent"] == 6
    assert report.data["resumed"] == 4
    assert not queue(stand)
    assert len(arrived(stand)) == 2
    # another replay is another intention: what comes back by a snapshot is published
    assert stand.ctx.history.replayed("plan-other", done) == frozenset()


class BrokenLedger(History):
    """A store that went away."""

    def record_replayed(self, **_: object) -> None:
        raise Unreachable("the database does not answer")


def test_a_ledger_that_cannot_be_written_is_told_and_loses_nothing(stand: Stand) -> None:
    tapped(stand)
    stand.dead_letters(*clicks(3))
    assert stand.ctx.history is not None
    broken = BrokenLedger(stand.ctx.history._engine)
    ready = replace(stand, ctx=replace(stand.ctx, facts=UP, history=broken))
    report = ready.run(ready.plan("dlq.replay"))
    assert report.data["sent"] == 3
    assert "ledger of replays is not complete" in report.dumps()
    assert len(arrived(stand)) == 3


@pytest.mark.parametrize("rate", [0, 7])
def test_nothing_is_kept_under_a_lease_afterwards(stand: Stand, rate: int) -> None:
    stand.dead_letters(*clicks(30), envelope(b"{"))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", rate=rate, limit=20)
    report = ready.run(plan)
    left = pubsub.take(stand.ctx.clients, "demo-project", "dead-letter-sub", 100)
    assert len(left) == 31 - report.data["sent"]


@pytest.mark.parametrize(("stopped_at", "watched"), [("5 of 300", True), ("205 of 300", False)])
def test_a_canary_that_held_is_not_watched_again_after_an_interruption(
    stand: Stand, stopped_at: str, watched: bool
) -> None:
    tapped(stand)
    stand.dead_letters(*clicks(300))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", rate=200)
    operation = get("dlq.replay")
    assert isinstance(operation, ChangeOperation)
    told: list[str] = []
    stop = threading.Event()

    def progress(step: Progress) -> None:
        told.append(step.text)
        if step.text.startswith(stopped_at):
            stop.set()

    def sleep(_: float) -> None:
        if stop.is_set():
            raise Interrupted

    with pytest.raises(Interrupted):
        operation.run(replace(ready.ctx, sleep=sleep, stopping=stop.is_set), plan, progress)
    told.clear()
    # One of the first comes back meanwhile, of many: the rest goes on as it would have.
    stand.dead_letters(*returned(plan, 0 if watched else 1))
    report = operation.run(ready.ctx, plan, progress)
    assert any(text.startswith("Watching the first") for text in told) is watched
    assert report.data["stopped"] == ""
    assert len(arrived(stand)) == 300


def test_an_uncapped_replay_pulls_ahead_and_gives_back_what_it_does_not_send(stand: Stand) -> None:
    tapped(stand)
    stand.dead_letters(*clicks(1300))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", limit=1100, canary=0, rate=0)
    operation = get("dlq.replay")
    assert isinstance(operation, ChangeOperation)

    def refuse_the_second(step: Progress) -> None:
        if step.text.startswith("500 of 1,100"):
            stand.happen({"errors": [{"method": "Publish", "code": "PERMISSION_DENIED", "count": 1}]})

    with pytest.raises(Denied):
        operation.run(ready.ctx, plan, refuse_the_second)
    assert len(queue(stand)) == 800, "what was pulled ahead is back at once"
    again = ready.run(plan)
    assert (again.data["sent"], again.data["earlier"]) == (600, 500), "no more than the plan in all"
    assert "Replayed 1,100 dead letters, 500 of them before an interruption" in again.verdict
    assert [(row[0].rpartition("/")[2], row[1]) for row in again.tables[0].rows] == [("clicks", "1,100")]
    assert len(arrived(stand)) == 1100
    assert len(queue(stand)) == 200
    assert len(pubsub.take(stand.ctx.clients, "demo-project", "dead-letter-sub", 300)) == 200


def test_a_replay_that_is_told_to_stop_gives_back_what_it_holds_and_goes_on_as_if_it_had_not_stopped(
    stand: Stand,
) -> None:
    """Between two chunks, as a bot that is stopped does; twice, and in a pause at last."""
    tapped(stand)
    stand.dead_letters(*clicks(700), envelope(b"{"))
    ready = stand.knowing(**UP)
    plan = ready.plan("dlq.replay", canary=0, rate=200)
    operation = get("dlq.replay")
    assert isinstance(operation, ChangeOperation)
    stop = threading.Event()

    def told(step: Progress) -> None:
        if "sent back" in step.text:
            stop.set()

    def paused(_: float) -> None:
        if stop.is_set():
            raise Interrupted

    ctx = replace(ready.ctx, stopping=stop.is_set)
    for left, sleep in ((501, lambda _: None), (301, lambda _: None), (101, paused)):
        stop.clear()
        with pytest.raises(Interrupted):
            operation.run(replace(ctx, sleep=sleep), plan, told)
        assert len(queue(stand)) == left, "whoever looks now finds it, without waiting for the end of a lease"
    assert len(arrived(stand)) == 600
    last = ready.run(plan)
    assert (last.data["sent"], last.data["earlier"], last.severity) == (100, 600, "ok")
    assert "Replayed 700 dead letters, 600 of them before an interruption" in last.verdict
    sent = Counter(message.attributes["replay_of"] for message in arrived(stand))
    assert (len(sent), set(sent.values())) == (700, {1})
    assert len(queue(stand)) == 1
