"""A load test sends marked events at its rate, measures from when each was due, and knows when not to."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from pipeline.errors import Refused
from pipeline.events import Valid, validate
from pipeline.operations.loadtest import MARK, Measured

from .conftest import Stand
from .test_dead_letters import arrived, tapped


def test_marked_events_arrive_at_the_rate_and_pass_validation(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    tapped(stand)
    plan = stand.plan("pipeline.loadtest", duration=20, rate=30)
    assert plan.refusal is None, plan.refusal
    assert "600 marked clicks" in plan.summary
    report = stand.run(plan)
    assert report.data["sent"] == 600, report.verdict
    assert report.data["failed"] == 0
    found = arrived(stand)
    assert len(found) == 600
    assert {message.attributes[MARK] for message in found} == {plan.id}
    assert len({json.loads(message.data)["event_id"] for message in found}) == 600
    for message in found[:20]:
        assert isinstance(validate(message.data, message.attributes), Valid)
    assert stand.verify(plan).severity == "ok"


def test_the_mark_is_the_one_that_the_pipeline_knows() -> None:
    messages = pytest.importorskip("pipeline.streaming.messages")
    assert messages.LOAD_TEST == MARK


def test_production_in_trouble_gets_no_load(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    plan = stand.plan("pipeline.loadtest", duration=5)
    assert "is open" in (stand.knowing(stream_incident=True).plan("pipeline.loadtest").refusal or "")
    stand.happen({"scenario": "job_failed"}, minutes=3)
    assert "is in trouble" in (stand.plan("pipeline.loadtest").refusal or "")
    with pytest.raises(Refused, match="changed since"):
        stand.run(plan)


def test_a_refused_publish_is_counted_and_told(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    plan = stand.plan("pipeline.loadtest", duration=10, rate=10)
    stand.happen({"errors": [{"method": "Publish", "code": "PERMISSION_DENIED", "count": 1}]})
    report = stand.run(plan)
    assert report.severity == "warning"
    assert report.data["failed"] > 0
    assert report.data["sent"] + report.data["failed"] == 100


def test_percentiles() -> None:
    seen = Measured(latencies=[index / 100 for index in range(100, 0, -1)])
    assert seen.percentile(0.5) == pytest.approx(0.51)
    assert seen.percentile(0.99) == pytest.approx(1.0)
    assert Measured().percentile(0.5) == 0.0
    assert timedelta(seconds=seen.percentile(0)) == timedelta(seconds=0.01)
