"""A backlog that falls is waited for; one that grows, stands still or takes too long is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.bottleneck import Speed, Stage, bottleneck
from pipeline.catching_up import Looks, catching_up

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def looks(values: Sequence[float], late: float = 0.0) -> Looks:
    """One a minute, the last one `late` minutes ago."""
    ends = NOW - timedelta(minutes=late)
    return [(ends - timedelta(minutes=len(values) - 1 - place), value) for place, value in enumerate(values)]


def test_what_waits_is_gone_when_the_slowest_subscription_is() -> None:
    queues = {
        "clicks": looks([0, 9000, 12_000, 9000, 6000]),
        "stock": looks([5000, 4400]),
        "quiet": looks([3, 4]),
    }
    found = catching_up(queues, NOW)
    assert found is not None
    assert found.done_at == NOW + timedelta(seconds=440)
    assert found.text == "10,404 messages wait, 60 fewer each second: done by about 10:07 UTC, in 7 min 20 s"
    assert found.soon


@pytest.mark.parametrize(
    "queues",
    [
        {},
        {"clicks": []},
        {"clicks": looks([0, 0, 0])},
        {"clicks": looks([1000, 2000, 3000])},
        {"clicks": looks([3000, 3000])},
        {"clicks": looks([3000, 2990])},
        {"clicks": looks([3000])},
        {"clicks": looks([9000, 3000], late=6)},
        {"clicks": looks([9000, 3000]), "stock": looks([2000, 2500])},
        {"clicks": looks([9000, 3000]), "stock": []},
    ],
    ids=["none", "unmeasured", "empty", "grows", "stands", "chance", "one look", "old", "one grows", "one unmeasured"],
)  # fmt: skip
def test_nothing_is_said_to_catch_up_that_does_not(queues: dict[str, Looks]) -> None:
    assert catching_up(queues, NOW) is None


BUSY = Speed(
    now=NOW, utilisation=0.95, workers=6, most_workers=6,
    stages=(Stage(name="ReadEvents", lag_s=600), Stage(name="Validate", lag_s=2), Stage(name="WriteRows", lag_s=2)),
)  # fmt: skip


def test_a_busy_pipeline_that_catches_up_needs_no_worker_unless_it_takes_too_long() -> None:
    soon = bottleneck(replace(BUSY, catching_up=catching_up({"clicks": looks([12_000, 9000, 6000])}, NOW)))
    assert soon is not None
    assert (soon.kind, soon.target) == ("catching_up", None)
    assert soon.of_it.startswith(
        "catches up: 6,000 messages wait, 50 fewer each second: done by about 10:02 UTC"
    )
    assert "No worker is needed" in soon.advice
    hours = catching_up({"clicks": looks([500_000, 495_000, 490_000, 485_000, 480_000, 470_000])}, NOW)
    assert hours is not None
    assert not hours.soon
    held = bottleneck(replace(BUSY, catching_up=hours))
    assert held is not None
    assert (held.kind, held.target) == ("workers", 10)
    assert held.advice.startswith("It catches up, but slowly: 470,000 messages wait")
    assert "`scale --max 10`" in held.advice


def test_a_job_that_has_just_begun_is_not_short_of_workers_before_two_looks_at_what_waits() -> None:
    begun = replace(BUSY, backlog=650, began=NOW - timedelta(minutes=1))
    found = bottleneck(begun)
    assert found is not None
    assert found.of_it == (
        "catches up: its job runs since 09:59 UTC, and 650 messages wait; by when it is done shows within minutes"
    )
    older = bottleneck(replace(begun, began=NOW - timedelta(minutes=6)))
    assert older is not None
    assert older.kind == "workers"


def test_a_slow_sink_stays_one_though_what_waits_falls() -> None:
    stages = (
        Stage(name="ReadEvents", lag_s=2),
        Stage(name="Validate", lag_s=2),
        Stage(name="WriteRows", lag_s=600),
    )
    falls = catching_up({"clicks": looks([12_000, 6000])}, NOW)
    found = bottleneck(replace(BUSY, stages=stages, catching_up=falls))
    assert found is not None
    assert found.kind == "slow_sink"
