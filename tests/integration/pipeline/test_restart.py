"""Restart: the fixed name, never a second living job, no loss; verified by moving data."""

from __future__ import annotations

import pytest

from pipeline.errors import QuotaExceeded, Refused
from pipeline.google import dataflow
from pipeline.operations.base import Plan

from .conftest import Stand


def living(stand: Stand) -> list[str]:
    return [job.id for job in dataflow.active_jobs(stand.ctx.clients, stand.ctx.pipeline, named=True)]


def test_a_dead_job_is_launched_under_its_fixed_name_and_verified(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=10)
    plan = stand.plan("pipeline.restart")
    assert plan.refusal is None
    assert plan.data["mode"] == "launch"
    assert "messages wait" in plan.summary
    assert plan.warnings
    assert "It stopped with" in plan.warnings[0]
    done = stand.run(plan)
    assert done.severity == "ok", done.verdict
    verified = stand.verify(plan)
    assert verified.severity == "ok", verified.verdict
    assert verified.data["backlog"] < plan.data["backlog"]
    (job,) = dataflow.active_jobs(stand.ctx.clients, stand.ctx.pipeline, named=False)
    assert job.name == "ecommerce-streaming"
    down = verified.fact("down")
    assert down is not None
    assert down.on is False


def test_running_the_same_plan_again_launches_no_second_job(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=3)
    plan = stand.plan("pipeline.restart")
    stand.run(plan)
    first = living(stand)
    again = stand.run(Plan.from_json(plan.to_json()))
    assert again.severity == "ok"
    assert "Found job" in again.verdict
    assert living(stand) == first


def test_a_living_job_is_updated_and_keeps_what_is_in_flight(stand: Stand) -> None:
    stand.happen({}, minutes=3)
    (before,) = living(stand)
    plan = stand.plan("pipeline.restart")
    assert plan.data["mode"] == "update"
    assert "kept" in " ".join(plan.effects)
    assert "may not be what it needs" in " ".join(plan.warnings)
    assert stand.run(plan).severity == "ok"
    after = living(stand)
    assert len(after) == 1
    assert after != [before]


def test_drain_waits_for_the_end_and_then_launches(stand: Stand) -> None:
    stand.happen({}, minutes=3)
    (before,) = living(stand)
    plan = stand.plan("pipeline.restart", mode="drain")
    assert "never cancels" in " ".join(plan.effects)
    assert stand.run(plan).severity == "ok"
    old = dataflow.get_job(stand.ctx.clients, stand.ctx.pipeline, before)
    assert old.state == "DRAINED"
    assert len(living(stand)) == 1


def test_two_living_jobs_are_refused_a_third(stand: Stand) -> None:
    stand.happen({"scenario": "doubled_job"}, minutes=3)
    plan = stand.plan("pipeline.restart")
    assert plan.refusal is not None
    assert "split the stream" in plan.refusal
    assert "`drain --job ID`" in plan.refusal
    before = living(stand)
    with pytest.raises(Refused):
        stand.run(plan)
    assert living(stand) == before


def test_a_launch_that_fails_shows_why(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed", "cause": "quota", "restart": "fails"}, minutes=3)
    plan = stand.plan("pipeline.restart")
    assert "quota" in " ".join(plan.warnings).lower()
    done = stand.run(plan)
    assert done.severity == "critical", done.verdict
    assert "does not run" in done.verdict
    assert done.tables or "holds no line" in " ".join(finding.text for finding in done.findings)


def test_a_launch_is_never_repeated_blindly(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=3)
    plan = stand.plan("pipeline.restart")
    stand.happen({"errors": [{"method": "LaunchFlexTemplate", "code": "RESOURCE_EXHAUSTED", "count": 1}]})
    with pytest.raises(QuotaExceeded, match="quota"):
        stand.run(plan)
    assert living(stand) == []
    assert stand.run(plan).severity == "ok"


def test_unreadable_logs_warn_and_do_not_block(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=3)
    stand.happen({"errors": [{"method": "ListLogEntries", "code": "PERMISSION_DENIED", "count": 5}]})
    plan = stand.plan("pipeline.restart")
    assert plan.refusal is None
    assert "unknown" in " ".join(plan.warnings)
