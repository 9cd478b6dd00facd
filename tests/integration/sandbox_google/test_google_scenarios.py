"""Each scenario changes what the official clients see, and the healthy world shows none of it."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from sandbox.google.events import violations_of
from tests.integration.sandbox_google.google import JOB, Google

WORKER_LOG = 'logName="projects/demo-project/logs/dataflow.googleapis.com%2Fworker" AND severity>=ERROR'


def error_rate(google: Google, seconds: float = 300) -> float:
    before = google.counters()
    google.clock.go(seconds)
    after = google.counters()
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    received = sum(value for name, value in grown.items() if name.endswith("_received"))
    return sum(value for name, value in grown.items() if name.endswith("_invalid")) / received


def letters(google: Google) -> list[dict[str, Any]]:
    return [json.loads(one.message.data) for one in google.pull()]


def test_the_healthy_world_shows_nothing_amiss(google: Google) -> None:
    google.clock.go(1800)
    assert [job.current_state.name for job in google.active()] == ["JOB_STATE_RUNNING"]
    assert error_rate(google) == 0
    assert google.newest("job/is_failed") == 0
    assert google.newest("job/system_lag") <= 5
    assert google.backlog("dead-letter-sub") == 0
    assert google.backlog("clicks-sub") < 20
    assert google.logs("severity>=WARNING") == []
    assert google.pull() == []


def test_job_failed_stops_the_stream_and_leaves_its_reason_in_the_logs(google: Google) -> None:
    google.world.apply({"scenario": "job_failed"})
    google.clock.go(600)
    assert google.active() == []
    (job,) = google.list_jobs("TERMINATED")
    assert job.current_state.name == "JOB_STATE_FAILED"
    assert google.newest("job/is_failed") == 1
    assert google.series("job/system_lag", minutes=5) == [], "a job that does not run has no points"
    assert google.backlog("clicks-sub") > 600
    where = 'resource.labels.subscription_id="clicks-sub"'
    assert google.newest("subscription/oldest_unacked_message_age", where) == pytest.approx(600, abs=5)
    text = str(google.logs(WORKER_LOG)[0].json_payload["message"])
    assert "TypeError" in text
    valid = [violations_of(letter["payload"].encode())[1] == [] for letter in letters(google)]
    assert any(valid)
    assert not all(valid)


def test_job_stuck_runs_without_moving(google: Google) -> None:
    google.world.apply({"scenario": "job_stuck"})
    before = google.counters()
    google.clock.go(660)
    assert google.active()[0].current_state.name == "JOB_STATE_RUNNING"
    assert google.counters() == before
    assert google.newest("job/data_watermark_age") > 600
    assert google.backlog("clicks-sub") > 600
    produced = google.series(
        "job/elements_produced_count", 'metric.labels.ptransform="ReadEvents"', minutes=5
    )
    assert sum(point.value.int64_value for point in produced[0].points) == 0
    assert "Operation ongoing" in str(google.logs("severity>=ERROR")[0].json_payload["message"])


@pytest.mark.parametrize(
    ("scenario", "rules"),
    [
        ("schema_change", {"required"}),
        ("new_required_field", {"required"}),
        ("invalid_format", {"format"}),
        ("rule_violation", {"choice", "total", "bulk_reason"}),
    ],
)
def test_bad_data_becomes_dead_letters_of_its_kind(google: Google, scenario: str, rules: set[str]) -> None:
    google.world.apply({"scenario": scenario})
    assert error_rate(google) == pytest.approx(0.3, abs=0.03)
    found = letters(google)
    assert len(found) > 200
    kinds = Counter(letter["event_type"] for letter in found)
    assert set(kinds) == {"click", "transaction", "stock"}
    invalid = [letter for letter in found if violations_of(letter["payload"].encode())[1]]
    assert {v["rule"] for letter in invalid for v in letter["violations"]} == rules
    assert 0.1 < 1 - len(invalid) / len(found) < 0.3, "some of them would pass today"
    keys = {"event_type", "error", "payload", "attributes", "violations", "stage", "code_version"}
    assert keys <= set(found[0])
    renamed = [letter for letter in invalid if "productId" in json.loads(letter["payload"])]
    assert bool(renamed) == (scenario == "schema_change")


def test_received_is_always_valid_and_dead_lettered_and_duplicates(google: Google) -> None:
    google.world.apply({"scenario": "rule_violation"})
    for _ in range(5):
        google.clock.go(77.7)
        counters = google.counters()
        for kind in ("click", "transaction", "stock"):
            parts = (counters[f"{kind}_{part}"] for part in ("valid", "dead_lettered", "duplicates"))
            assert counters[f"{kind}_received"] == sum(parts)
    assert sum(v for k, v in counters.items() if k.endswith("dead_lettered")) == google.backlog(
        "dead-letter-sub"
    )


def test_cost_spike_multiplies_the_spend_and_budget_messages_say_so(google: Google) -> None:
    before = google.world.describe()["spend"]
    google.world.apply({"scenario": "cost_spike"})
    after = google.world.describe()["spend"]
    today = {
        name: sum(day["days"][-1]["services"].values()) for name, day in (("was", before), ("is", after))
    }
    assert today["is"] > 1.5 * today["was"]
    budgets = google.pull("projects/demo-project/subscriptions/streamwatch-budgets")
    costs = [json.loads(one.message.data)["costAmount"] for one in budgets]
    assert costs[-1] > costs[0]
    assert budgets[0].message.attributes["schemaVersion"] == "1.0"


def test_doubled_job_reads_one_subscription_twice(google: Google) -> None:
    google.world.apply({"scenario": "doubled_job"})
    running = google.active()
    assert len(running) == 2
    assert {job.name for job in running} > {JOB}


@pytest.mark.parametrize(
    ("scenario", "stage"), [("slow_sink", "WriteToBigQuery"), ("hot_key", "ViewsByProduct")]
)
def test_a_slow_stage_is_the_one_that_lags(google: Google, scenario: str, stage: str) -> None:
    google.world.apply({"scenario": scenario})
    google.clock.go(900)
    lags = {
        one.metric.labels["stage"]: one.points[0].value.int64_value
        for one in google.series("job/per_stage_system_lag", minutes=2)
    }
    assert max(lags, key=lambda name: lags[name]) == stage
    assert lags[stage] > 200
    assert sorted(lags.values())[-2] < 10


def test_a_scenario_of_the_past_reads_as_if_it_had_happened_then(google: Google) -> None:
    google.clock.go(3600)
    google.world.apply(
        {"scenario": "job_failed", "at": (google.clock.now() - timedelta(minutes=20)).isoformat()}
    )
    assert google.active() == []
    (one,) = google.series("job/system_lag", minutes=60)
    age = google.clock.now() - one.points[0].interval.end_time
    assert timedelta(minutes=19) < age < timedelta(minutes=22)
    assert google.backlog("clicks-sub") > 1800


def test_a_scenario_of_the_future_waits_for_its_time(google: Google) -> None:
    google.world.apply(
        {"scenario": "job_failed", "at": (google.clock.now() + timedelta(minutes=5)).isoformat()}
    )
    google.clock.go(290)
    assert len(google.active()) == 1
    google.clock.go(20)
    assert google.active() == []


def test_what_was_put_into_the_world_is_there_at_once(google: Google) -> None:
    google.world.apply(
        {
            "scenario": "job_stuck",
            "backlog": {"clicks-sub": {"count": 5000, "oldest_s": 3000}},
            "dead_letters": [{"data": "{}", "attributes": {"a": "b"}}],
            "spend": [{"day": "today", "service": "BigQuery", "amount": 99.5}],
        }
    )
    assert google.backlog("clicks-sub") == pytest.approx(5000, abs=20)
    where = 'resource.labels.subscription_id="clicks-sub"'
    assert google.newest("subscription/oldest_unacked_message_age", where) == 3000
    assert dict(google.pull()[0].message.attributes) == {"a": "b"}
    assert google.world.describe()["spend"]["days"][-1]["services"]["BigQuery"] == 99.5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"scenario": "job_faild"}, "did you mean 'job_failed'"),
        ({"scenaro": "healthy"}, "did you mean 'scenario'"),
        ({"scenario": "healthy", "at": "yesterday"}, "RFC 3339"),
        ({"scenario": "job_failed", "backlog": {"nope": {"count": 1}}}, "no subscription 'nope'"),
        ({"scenario": "job_failed", "backlog": {"clicks-sub": {"count": -1}}}, "count must be a number"),
        ({"scenario": "job_failed", "dead_letters": [{"date": 1}]}, "unknown field 'date'"),
        ({"scenario": "job_failed", "dead_letters": "x"}, "list of objects"),
        ({"scenario": "job_failed", "dead_letters": [{}]}, "no data and no attributes"),
        ({"scenario": "job_failed", "at": 1000}, "8 days back"),
        ({"scenario": "job_failed", "jobs": [{"state": "SLEEPING"}]}, "unknown state"),
        ({"scenario": "job_failed", "errors": [{"code": "NOPE"}]}, "unknown code"),
        ({"scenario": "job_failed", "spend": [{"day": "soon", "amount": 1}]}, "YYYY-MM-DD"),
        ({"scenario": "job_failed", "pipeline": "ordrs"}, "did you mean 'orders'"),
        ([], "JSON object"),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(google: Google, body: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        google.world.apply(body)
    assert google.world.describe()["scenario"] == "healthy"
    assert len(google.active()) == 1


def test_a_history_answers_the_same_whenever_it_is_asked(google: Google) -> None:
    google.clock.go(1000)
    google.world.apply({"scenario": "slow_sink"})
    google.clock.go(1000)
    end = google.clock.now()
    where = 'resource.labels.subscription_id="clicks-sub"'

    def points() -> list[tuple[Any, int]]:
        (one,) = google.series("subscription/num_undelivered_messages", where, minutes=30, until=end)
        whole = [point for point in one.points if point.interval.end_time.second == 0]
        return [(point.interval.end_time, point.value.int64_value) for point in whole]

    first = points()
    google.clock.go(86_400)
    assert points() == first
    assert len(first) == 30


def test_healthy_ends_every_fault(google: Google) -> None:
    for scenario in ("slow_sink", "schema_change", "doubled_job", "job_failed"):
        google.world.apply({"scenario": scenario})
    google.clock.go(600)
    google.world.apply({"scenario": "healthy"})
    google.clock.go(300)
    assert [job.name for job in google.active()] == [JOB]
    assert google.newest("job/system_lag") <= 5
    assert error_rate(google) == 0


def test_many_callers_at_once_see_one_world(google: Google) -> None:
    def ask(number: int) -> int:
        if number % 5 == 0:
            google.world.apply({"scenario": "rule_violation" if number % 2 else "healthy"})
        google.publisher.publish("projects/demo-project/topics/monitoring-alerts", b"{}").result(20)
        google.clock.go(1)
        return len(google.series("job/user_counter", minutes=5)) + len(google.active())

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(120)))
    # 18 counters and a job; while rules are broken, their root cause is counted for up to three event types
    assert 19 <= min(answers) <= max(answers) <= 22
    assert google.backlog("streamwatch-alerts") == 120


def test_reset_makes_a_fresh_world_and_tells_who_listens(google: Google) -> None:
    told: list[str] = []
    google.world.on_change(lambda: told.append("changed"))
    google.world.apply({"scenario": "job_failed"})
    google.world.reset()
    assert len(google.active()) == 1
    assert google.backlog("dead-letter-sub") == 0
    assert told == ["changed", "changed"]
