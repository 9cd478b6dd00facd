"""Health through the official clients: the verdict names what is wrong, and unknown is never fine."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from pipeline.report import Report

from .conftest import Stand


def on(report: Report, fact: str) -> bool | None:
    found = report.fact(fact)
    assert found is not None, fact
    return found.on


def ids(report: Report) -> set[str]:
    return {finding.id for finding in report.findings}


def test_a_healthy_world_is_ok_and_names_no_trouble(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    report = stand.read("pipeline.health")
    assert report.severity == "ok", report.verdict
    assert "is running" in report.verdict
    assert "healthy" in ids(report)
    assert on(report, "down") is False
    assert on(report, "healthy") is True
    assert on(report, "data_loss") is False
    assert not ids(report) & {"stopped", "stuck", "error_rate_high", "backlog", "unknown", "degraded"}


def test_a_failed_job_is_down_with_its_reason_and_what_waits(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=20)
    report = stand.read("pipeline.health")
    assert report.severity == "critical"
    assert "orders is down" in report.verdict
    assert "failed at" in report.verdict
    assert "messages wait" in report.verdict
    assert on(report, "down") is True
    assert on(report, "healthy") is False
    down = report.fact("down")
    assert down is not None
    assert down.since is not None
    assert abs(stand.clock.now() - down.since - timedelta(minutes=20)) < timedelta(minutes=2)
    assert "pipeline.restart" in {step.operation for step in report.next}
    assert ids(report) & {"data_issue", "resource_issue", "infrastructure_issue"}
    assert report.data["deletion_at"] is not None


def test_a_quota_is_told_as_a_resource_issue(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed", "cause": "quota"}, minutes=5)
    report = stand.read("pipeline.health")
    assert "resource_issue" in ids(report), [f.text for f in report.findings]
    assert "resource issue" in report.verdict


def test_a_job_that_stands_still_with_a_backlog_is_down_although_it_says_running(stand: Stand) -> None:
    stand.happen({"scenario": "job_stuck"}, minutes=16)
    report = stand.read("pipeline.health")
    assert on(report, "down") is True
    assert "stuck" in ids(report)
    assert "RUNNING but has moved nothing" in report.verdict


def test_a_starting_job_is_not_down_and_does_not_end_down(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=5)
    stand.happen({"start_seconds": 300})
    plan = stand.plan("pipeline.restart")
    from pipeline.google.dataflow import launch

    launch(stand.ctx.clients, stand.ctx.pipeline, update=False, labels={"streamwatch_plan": plan.id})
    report = stand.read("pipeline.health")
    assert on(report, "down") is None
    assert "starting" in ids(report)
    assert "pipeline.restart" not in {step.operation for step in report.next}


@pytest.mark.parametrize(
    "scenario", ["schema_change", "new_required_field", "invalid_format", "rule_violation"]
)
def test_bad_data_is_a_data_issue_with_an_error_rate(stand: Stand, scenario: str) -> None:
    stand.happen({"scenario": scenario}, minutes=12)
    report = stand.read("pipeline.health")
    assert report.severity in ("warning", "critical")
    assert "error_rate_high" in ids(report) or "error_rate_critical" in ids(report)
    assert "data issue" in report.verdict
    rate = report.fact("error_rate")
    assert rate is not None
    assert rate.value is not None
    assert rate.on == (rate.value > 0.25)
    assert on(report, "down") is False


def test_two_living_jobs_are_noticed(stand: Stand) -> None:
    stand.happen({"scenario": "doubled_job"}, minutes=3)
    assert "doubled_job" in ids(stand.read("pipeline.health"))
    assert stand.read("pipeline.jobs").severity == "warning"
    assert "paid for at once" in stand.read("cost.report").verdict + " ".join(
        finding.text for finding in stand.read("cost.report").findings
    )


def test_no_data_is_unknown_not_healthy(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    denied = {"method": "ListTimeSeries", "code": "PERMISSION_DENIED", "count": 50}
    stand.happen({"errors": [denied]})
    report = stand.read("pipeline.health")
    assert report.severity == "unknown", report.verdict
    assert on(report, "healthy") is None
    assert on(report, "error_rate") is None
    texts = " ".join(finding.text for finding in report.findings)
    assert "denies access" in texts
    # what could be measured is still told
    assert any(step.state == "RUNNING" for step in _jobs(report))


def test_unlistable_jobs_leave_down_unknown(stand: Stand) -> None:
    stand.happen({"errors": [{"method": "ListJobs", "code": "PERMISSION_DENIED", "count": 50}]}, minutes=2)
    report = stand.read("pipeline.health")
    assert on(report, "down") is None
    assert report.severity == "unknown"
    assert "cannot be judged" in report.verdict


def test_one_unavailable_answer_is_retried(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    stand.happen({"errors": [{"method": "ListJobs", "code": "UNAVAILABLE", "count": 1}]})
    assert stand.read("pipeline.health").severity == "ok"


def test_a_probe_is_remembered_and_status_asks_no_cloud(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=5)
    assert stand.read("pipeline.status").severity == "unknown"
    history = stand.ctx.history
    assert history is not None
    history.record_probe(stand.read("pipeline.health"))
    stand.happen({"errors": [{"method": "*", "code": "UNAVAILABLE", "count": 100}]})
    status = stand.read("pipeline.status")
    assert status.severity == "critical"
    assert "orders in trouble" in status.verdict


def test_logs_are_grouped_by_their_shape(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=5)
    report = stand.read("pipeline.logs", limit=100, since="1h", severity="ERROR")
    assert report.data["lines"] > report.data["groups"] > 0
    told = [re.match(r"([\d,]+) times? \(\w+, [\w-]+\): .", finding.text) for finding in report.findings]
    counts = [int(found[1].replace(",", "")) for found in told if found]
    assert len(counts) == min(report.data["groups"], 10), (
        "each kind once, with its count, its type and where from"
    )
    assert counts == sorted(counts, reverse=True)
    assert (report.data["groups"] > 10) == bool(report.tables), "the rarer ones are a table"


class _State:
    def __init__(self, state: str) -> None:
        self.state = state


def _jobs(report: Report) -> list[_State]:
    return [_State(job["state"]) for job in report.data["jobs"]]


def test_health_stands_beside_the_same_hour_of_other_days(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    text = {finding.id: finding.text for finding in stand.read("pipeline.health").findings}
    assert "published in 10 min (usually" in text["compared"]
    assert "waiting (usually" in text["compared"]
    assert "changed" not in text, "the job runs for nine days"
    assert "source_silent" not in text


def test_health_tells_what_changed_within_a_day(stand: Stand) -> None:
    stand.happen({}, minutes=5)
    scale = stand.plan("pipeline.scale", max=9)
    stand.run(scale)
    stand.happen({"scenario": "job_failed"}, minutes=5)
    stand.run(stand.plan("pipeline.restart"))
    stand.happen({}, minutes=5)
    changed = next(f.text for f in stand.read("pipeline.health").findings if f.id == "changed")
    assert "ended as FAILED" in changed
    assert "was launched" in changed


def test_health_without_a_past_is_judged_by_now_alone(stand: Stand) -> None:
    stand.happen(
        {"errors": [{"method": "ListTimeSeries", "code": "PERMISSION_DENIED", "count": 99}]}, minutes=1
    )
    report = stand.read("pipeline.health")
    assert report.severity == "unknown"
    assert not ids(report) & {"compared", "source_silent"}
