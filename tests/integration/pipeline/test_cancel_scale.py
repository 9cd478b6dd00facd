"""Cancel says what is lost and stops; scale shows, prices and sets the worker range."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import Refused
from pipeline.google import dataflow
from pipeline.operations import get
from pipeline.operations.base import ChangeOperation, Plan, Progress, Risk

from .conftest import Stand
from .stores import standing


def living(stand: Stand) -> list[str]:
    return [job.id for job in dataflow.active_jobs(stand.ctx.clients, stand.ctx.pipeline, named=False)]


def test_cancel_says_what_is_lost_and_is_verified(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    (job,) = living(stand)
    plan = stand.plan("pipeline.cancel")
    assert plan.refusal is None
    assert plan.risk is Risk.DESTRUCTIVE
    said = " ".join(plan.effects)
    assert "Lost: everything that was read and acknowledged" in said
    assert "events came in during the last 5 min" in said
    assert "would lose nothing" in " ".join(plan.warnings)
    assert living(stand) == [job], "a plan changes nothing"

    done = stand.run(plan)
    assert done.severity == "ok", done.verdict
    loss = done.fact("data_loss")
    assert loss is not None
    assert loss.on is True
    verified = stand.verify(plan)
    assert verified.severity == "ok"
    assert "CANCELLED" in verified.verdict
    assert verified.fact("down").on is True  # type: ignore[union-attr]
    assert [step.operation for step in verified.next] == ["pipeline.restart"]
    assert living(stand) == []


def test_a_cancel_that_was_interrupted_may_be_run_again(stand: Stand) -> None:
    plan = stand.plan("pipeline.cancel")
    stand.run(plan)
    assert stand.run(Plan.from_json(plan.to_json())).severity == "ok"


def test_a_drain_that_hangs_can_be_cancelled(stand: Stand) -> None:
    stand.happen({"scenario": "job_stuck"}, minutes=15)
    (job,) = living(stand)
    assert "a drain would probably not finish" in " ".join(stand.plan("pipeline.cancel").warnings)
    dataflow.drain(stand.ctx.clients, stand.ctx.pipeline, job)
    plan = stand.plan("pipeline.cancel")
    assert "DRAINING" in plan.summary
    assert stand.run(plan).severity == "ok"
    assert living(stand) == []


def test_of_two_living_jobs_one_must_be_named(stand: Stand) -> None:
    (old,) = living(stand)
    stand.happen({"scenario": "doubled_job"}, minutes=2)
    plan = stand.plan("pipeline.cancel")
    assert plan.refusal is not None
    assert "--job ID" in plan.refusal
    second = next(id_ for id_ in living(stand) if id_ != old)
    assert "no-such" in (stand.plan("pipeline.cancel", job="no-such").refusal or "")
    named = stand.plan("pipeline.cancel", job=second)
    assert "The other living job goes on reading." in named.effects
    stand.run(named)
    assert living(stand) == [old]
    assert "another job of the pipeline runs" in stand.verify(named).verdict


def test_nothing_living_is_nothing_to_cancel(stand: Stand) -> None:
    stand.happen({"scenario": "job_failed"}, minutes=2)
    plan = stand.plan("pipeline.cancel")
    assert "nothing to cancel" in (plan.refusal or "")
    with pytest.raises(Refused):
        stand.run(plan)


def test_a_job_that_ended_since_the_plan_is_left_alone(stand: Stand) -> None:
    plan = stand.plan("pipeline.cancel")
    stand.happen({"scenario": "job_failed"}, minutes=2)
    with pytest.raises(Refused, match="ended as FAILED since"):
        stand.run(plan)


def test_a_drain_loses_nothing_and_launches_nothing(stand: Stand) -> None:
    stand.happen({}, minutes=12)
    (first,) = living(stand)
    stand.happen({"scenario": "doubled_job"}, minutes=2)
    assert "--job ID" in (stand.plan("pipeline.drain").refusal or "")
    (step,) = [s for s in stand.read("cost.leaks").next if s.operation == "pipeline.drain"]
    plan = stand.plan("pipeline.drain", **step.params)
    assert plan.risk is Risk.CHANGE
    assert "Lost: nothing" in " ".join(plan.effects)
    assert stand.run(plan).severity == "ok"
    verified = stand.verify(plan)
    assert "is DRAINED; job ecommerce-streaming goes on" in verified.verdict
    assert living(stand) == [first]
    assert stand.run(Plan.from_json(plan.to_json())).severity == "ok", "it may be run again after a kill"
    last = stand.plan("pipeline.drain")
    assert "the pipeline's only job" in " ".join(last.warnings)
    stand.run(last)
    assert [step.operation for step in stand.verify(last).next] == ["pipeline.restart"]
    assert "nothing to drain" in (stand.plan("pipeline.drain").refusal or "")


def test_a_drain_that_somebody_turned_into_a_cancel_is_over_and_is_told_so(stand: Stand) -> None:
    drain = get("pipeline.drain")
    assert isinstance(drain, ChangeOperation)
    plan = stand.plan("pipeline.drain")

    def cancelled_meanwhile(step: Progress) -> None:
        if step.text.startswith("Draining"):
            dataflow.cancel(stand.ctx.clients, stand.ctx.pipeline, str(plan.data["job_id"]))

    done = drain.run(stand.ctx, plan, cancelled_meanwhile)
    assert done.severity == "critical"
    assert "was cancelled" in done.verdict
    assert "still" not in done.verdict


def test_scale_prices_the_change_and_sets_the_range(stand: Stand) -> None:
    stand.happen({}, minutes=3)
    plan = stand.plan("pipeline.scale", min=2, max=10)
    assert plan.refusal is None
    assert plan.risk is Risk.CHANGE
    assert "it may have 1 to 6 workers of n1-standard-2, 2 are at work" in plan.summary
    # four more workers of 2 vCPU and 7.5 GB at the sandbox's list price
    hour = 2 * 0.069 + 7.5 * 0.003557
    assert f"at most {4 * hour:.2f} USD an hour" in " ".join(plan.effects)
    assert f"at least {hour:.2f} USD an hour" in " ".join(plan.effects)
    assert plan.warnings == (), "20 of 24 CPUs are free"
    tight = " ".join(stand.plan("pipeline.scale", max=20).warnings)
    assert "no room for them: 28 more are asked for, 20 of 24 are free" in tight
    assert stand.run(plan).severity == "ok"
    verified = stand.verify(plan)
    assert verified.severity == "ok", verified.verdict
    assert "2 to 10 workers" in verified.verdict


def test_scale_without_prices_says_that_they_are_not_known(stand: Stand) -> None:
    stand.happen({"errors": [{"method": "ListSkus", "code": "PERMISSION_DENIED", "count": 9}]})
    plan = stand.plan("pipeline.scale", max=3)
    assert plan.refusal is None
    said = " ".join(plan.effects)
    assert "is not known" in said
    assert "USD" not in said


def test_scale_alone_shows_what_is_and_what_it_costs(stand: Stand) -> None:
    assert get("pipeline.scale").instead({"min": None, "cluster": None}) == "pipeline.workers"
    assert get("pipeline.scale").instead({"max": 3}) == ""
    stand.happen({}, minutes=3)
    shown = stand.read("pipeline.workers")
    assert shown.severity == "ok"
    assert shown.verdict == (
        "Job ecommerce-streaming has 2 workers at work and may have 1 to 6 workers of n1-standard-2."
    )
    hour = 2 * 0.069 + 7.5 * 0.003557
    cost = next(one.text for one in shown.findings if one.id == "worker_cost")
    assert f"now {2 * hour:.2f} USD an hour" in cost
    assert f"at most {6 * hour:.2f} USD an hour" in cost
    stand.happen({"errors": [{"method": "ListSkus", "code": "PERMISSION_DENIED", "count": 9}]})
    assert "What they cost is not known" in stand.read("pipeline.workers").dumps()
    stand.happen({"scenario": "job_failed"}, minutes=1)
    dead = stand.read("pipeline.workers")
    assert (dead.severity, dead.findings[0].id) == ("warning", "not_running")
    assert "is FAILED: no worker is at work" in dead.verdict


def test_scale_refuses_what_makes_no_sense(stand: Stand) -> None:
    assert "is none" in (stand.plan("pipeline.scale", min=9).refusal or "")
    assert "already" in (stand.plan("pipeline.scale", min=1, max=6).refusal or "")
    stand.happen({"scenario": "job_failed"}, minutes=1)
    assert "is FAILED" in (stand.plan("pipeline.scale", max=8).refusal or "")


def test_scale_refused_by_dataflow_says_what_else_can_be_done(stand: Stand) -> None:
    plan = stand.plan("pipeline.scale", max=8)
    stand.happen({"errors": [{"method": "UpdateJob", "code": "FAILED_PRECONDITION", "count": 1}]})
    with pytest.raises(Refused, match="Streaming Engine alone"):
        stand.run(plan)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stand]:
    """A stand whose pipeline has Bigtable."""
    with standing(tmp_path) as (made, _):
        yield made


def test_nodes_of_bigtable_are_shown_priced_set_and_verified(stored: Stand) -> None:
    assert "Bigtable's cluster ecommerce-c1 has 3 nodes: 1.95 USD" in stored.read("pipeline.workers").dumps()
    plan = stored.plan("pipeline.scale", nodes=5)
    assert plan.refusal is None
    said = " ".join(plan.effects)
    assert "From 3 nodes to 5 in cluster ecommerce-c1 (europe-west1-b)" in said
    assert "1.30 USD an hour (949 a month)" in said
    assert stored.run(plan).severity == "ok"
    assert stored.verify(plan).verdict == "Verified: cluster ecommerce-c1 has 5 nodes."
    assert stored.run(plan).verdict == "Cluster ecommerce-c1 has 5 nodes already."
    less = stored.plan("pipeline.scale", nodes=2)
    assert "-1.95 USD an hour" in " ".join(less.effects)
    assert "CPU load" in less.warnings[0]
    stored.run(stored.plan("pipeline.scale", nodes=4))
    with pytest.raises(Refused, match="has 4 nodes, not 5"):
        stored.run(less)


def test_nodes_that_make_no_sense_are_refused(stored: Stand, stand: Stand) -> None:
    assert "already" in (stored.plan("pipeline.scale", nodes=3).refusal or "")
    assert "no cluster x; it has: ecommerce-c1" in (
        stored.plan("pipeline.scale", nodes=4, cluster="x").refusal or ""
    )
    assert "one after the other" in (stored.plan("pipeline.scale", nodes=4, max=4).refusal or "")
    assert "has no Bigtable instance" in (stand.plan("pipeline.scale", nodes=4).refusal or "")
    stored.happen({"errors": [{"method": "ListSkus", "code": "PERMISSION_DENIED", "count": 9}]})
    assert "is not known" in " ".join(stored.plan("pipeline.scale", nodes=4).effects)
