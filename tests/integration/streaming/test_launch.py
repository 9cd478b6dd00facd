"""``run flex`` and ``run direct`` as a user meets them, on the sandbox's cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline.errors import Refused
from pipeline.google import dataflow
from pipeline.operations import Context
from pipeline.streaming.flex import plan_flex, run_flex
from tests.integration.pipeline.conftest import Stand, stand
from tests.integration.sandbox_google.google import PIPELINES

__all__ = ["stand"]
STORES = "    bigquery: {dataset: ecommerce}\n    bigtable: {instance: ecommerce, table: product_stats}\n"


@pytest.fixture
def ctx(stand: Stand) -> Context:
    """The context of a pipeline that names its stores, with no job alive."""
    full = replace(
        stand.ctx.pipeline,
        dataset="ecommerce",
        bigtable_instance="ecommerce",
        bigtable_table="product_stats",
    )
    stand.catalogue_file.write_text(PIPELINES + STORES, encoding="utf-8")
    stand.happen({"scenario": "job_failed"}, minutes=5)
    return replace(stand.ctx, pipeline=full)


def test_a_launch_waits_for_running_and_carries_the_parameters(ctx: Context) -> None:
    plan = plan_flex(ctx)
    assert plan.refusal is None
    told: list[str] = []
    report = run_flex(ctx, plan, lambda progress: told.append(progress.text))
    assert report.severity == "ok"
    assert "RUNNING" in report.verdict
    living = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True)
    assert [job.name for job in living] == ["ecommerce-streaming"]
    assert plan.data["parameters"]["click_subscription"] == "projects/demo-project/subscriptions/clicks-sub"


def test_a_second_live_job_is_refused_in_the_plan_and_at_the_launch(ctx: Context) -> None:
    first, second = plan_flex(ctx), plan_flex(ctx)
    run_flex(ctx, first, lambda progress: None)
    with pytest.raises(Refused, match=r"lives already.*Nothing was launched"):
        run_flex(ctx, second, lambda progress: None)
    refusal = plan_flex(ctx).refusal
    assert refusal is not None
    assert "would split its stream" in refusal
    assert len(dataflow.active_jobs(ctx.clients, ctx.pipeline, named=False)) == 1


def test_missing_options_are_all_told_before_a_launch(ctx: Context) -> None:
    poor = replace(
        ctx, pipeline=replace(ctx.pipeline, dataset="", template="", subscriptions=("clicks-sub",))
    )
    refusal = plan_flex(poor).refusal
    assert refusal is not None
    for part in ("template", "dataset or output_dir", "transaction_subscription", "stock_subscription"):
        assert part in refusal


def test_dataflows_own_refusal_is_in_the_plan(ctx: Context) -> None:
    other = replace(ctx, pipeline=replace(ctx.pipeline, template="gs://demo-project-templates/gone.json"))
    refusal = plan_flex(other).refusal
    assert refusal is not None
    assert "gone.json" in refusal
    assert not dataflow.active_jobs(other.clients, other.pipeline, named=True)


def test_the_terminal_plans_a_launch_and_refuses_a_word_it_does_not_know(ctx: Context, stand: Stand) -> None:
    planned = terminal(stand, "run", "flex", "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["operation"] == "pipeline.run.flex"
    assert not dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True)
    unnamed = terminal(stand, "run", "flex", "--yes")
    assert unnamed.returncode == 2
    assert "--confirm orders" in unnamed.stderr
    wrong = terminal(stand, "run", "flexx")
    assert wrong.returncode == 2
    assert "Did you mean flex?" in wrong.stderr


def test_a_local_run_never_reads_the_real_cloud(ctx: Context, stand: Stand) -> None:
    refused = terminal(stand, "run", "direct", "--duration", "1")
    assert refused.returncode == 2
    assert "PUBSUB_EMULATOR_HOST" in refused.stderr
    told = terminal(stand, "run", "direct", "--dry-run", PUBSUB_EMULATOR_HOST=stand.address)
    assert told.returncode == 0, told.stderr
    assert "Nothing was done" in told.stdout
    tables = terminal(stand, "run", "direct", "--bigtable", PUBSUB_EMULATOR_HOST=stand.address)
    assert tables.returncode == 2
    assert "BIGTABLE_EMULATOR_HOST is not set" in tables.stderr


def terminal(stand: Stand, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    now = stand.clock.now().timestamp()
    settings = {
        "PATH": os.environ["PATH"],
        "GOOGLE_API_ENDPOINT": stand.address,
        "RUNBOOKS_DIR": str(stand.catalogue_file.parent),
        "STREAMWATCH_CLOCK": f"{now},{now},0",
    }
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=settings | env, cwd=os.getcwd(), check=False
    )
