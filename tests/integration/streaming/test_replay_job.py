"""The replay as a Beam job: the same code on shards, against the sandbox's Pub/Sub, and the operation around it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest

from pipeline.catalogue import load
from pipeline.errors import ConfigError, Refused
from pipeline.google.clients import GoogleSettings
from pipeline.operations.dlq_job import RECOMMENDED, job_name
from pipeline.streaming.replay import build, main, split
from pipeline.streaming.replay_settings import OPTIONAL, REQUIRED, parameters, read
from sandbox.google import pipelines
from tests.integration.pipeline.conftest import Stand, stand
from tests.integration.pipeline.test_dead_letters import UP, arrived, clicks, envelope, queue, tapped
from tests.integration.sandbox_google.google import PIPELINES
from tests.unit.pipeline.test_events import CLICK, STOCK

__all__ = ["stand"]  # the fixture
ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "pipeline" / "streaming" / "template"
REPLAY = "gs://demo-project-templates/replay.json"


@pytest.fixture
def ready(stand: Stand) -> Stand:
    """A stand whose pipeline, and whose world, have a template for replays."""
    stand.catalogue_file.write_text(PIPELINES + f"    replay_template: {REPLAY}\n", encoding="utf-8")
    stand.world._specs = pipelines.load(stand.catalogue_file)
    stand.world.reset()
    pipeline = load(stand.catalogue_file).find()
    return replace(stand, ctx=replace(stand.ctx, pipeline=pipeline, facts=UP))


def run_locally(stand: Stand, given: Mapping[str, str | None]) -> list[str]:
    """The job on Beam's local runner; what its shards said comes by way of its counters."""
    pipeline = beam.Pipeline("FnApiRunner")
    build(pipeline, given, GoogleSettings(project="demo-project", endpoint=stand.address))
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return sorted(f"{one.key.metric.name}={one.committed}" for one in counters)


def test_shards_send_what_passes_and_leave_the_rest_in_the_queue(ready: Stand) -> None:
    tapped(ready)
    good = clicks(30)
    ready.dead_letters(*good, envelope(CLICK | {"page_type": "checkout"}), envelope(STOCK, replay_count=3))
    letters = queue(ready)
    given = parameters(ready.ctx.pipeline, "plan-job", None, 0, 2)
    counters = run_locally(ready, given)
    assert counters == ["replay_sent=30", "replay_stayed=4"], "both shards met the two that stay"
    sent = arrived(ready)
    assert sorted(m.data for m in sent) == sorted(json.loads(data)["payload"].encode() for data, _ in good)
    assert {m.attributes["replay_id"] for m in sent} == {"plan-job"}
    assert {m.attributes["replay_of"] for m in sent} <= set(letters)
    assert all(m.attributes["replay_count"] == "1" for m in sent)
    assert len(queue(ready)) == 2
    assert run_locally(ready, given) == ["replay_sent=0", "replay_stayed=4"], "again there is nothing to do"


def test_the_job_is_launched_after_its_canary_once_and_watched_to_its_end(ready: Stand) -> None:
    tapped(ready)
    ready.happen({}, minutes=12)
    ready.dead_letters(*clicks(20))
    plan = ready.plan("dlq.replay", as_job=True)
    assert plan.refusal is None, plan.refusal
    assert f"launched under the fixed name {job_name(ready.ctx.pipeline)}" in " ".join(plan.effects)
    assert "At least once" in " ".join(plan.effects)
    report = ready.run(plan)
    assert report.severity == "ok", report.verdict
    assert "RUNNING; it replays until the queue gives nothing more" in report.verdict
    assert len(arrived(ready)) == 5, "the canary"
    assert ready.run(plan).data["job_id"] == report.data["job_id"], (
        "a run that is repeated launches no second"
    )
    second = ready.plan("dlq.replay", as_job=True)
    assert "A replay runs already: job replay-ecommerce-streaming" in (second.refusal or "")
    other = replace(plan, id="plan-other")
    with pytest.raises(Refused, match="Nothing was sent"):
        ready.run(other)
    verified = ready.verify(plan)
    assert "ended as DONE" in verified.verdict
    assert ready.knowing(**UP).read("pipeline.health").severity in ("ok", "info"), (
        "a replay is no second pipeline"
    )


def test_without_a_template_it_is_refused_and_a_large_queue_is_told(stand: Stand) -> None:
    bare = stand.knowing(**UP)
    bare.dead_letters(*clicks(2))
    assert "names no replay_template" in (bare.plan("dlq.replay", as_job=True).refusal or "")
    assert bare.plan("dlq.replay", limit=2).warnings == ()
    bare.happen({"backlog": {"dead-letter-sub": {"count": RECOMMENDED + 1, "oldest_s": 60}}}, minutes=2)
    assert "`--as-job` replays them on Dataflow" in " ".join(bare.plan("dlq.replay", limit=2).warnings)


def test_parameters_template_and_options_are_the_same_names(capsys: pytest.CaptureFixture[str]) -> None:
    declared = json.loads((TEMPLATE / "replay_metadata.json").read_text(encoding="utf-8"))["parameters"]
    assert [one["name"] for one in declared if not one["isOptional"]] == list(REQUIRED)
    assert [one["name"] for one in declared if one["isOptional"]] == list(OPTIONAL)
    started = re.search(
        r"PY_FILE=/template/(\S+)", (TEMPLATE / "replay.Dockerfile").read_text(encoding="utf-8")
    )
    assert started is not None
    assert (ROOT / started.group(1)).is_file()
    given = parameters(load(ROOT / "runbooks" / "pipelines.yaml").find(), "plan-1", "json", 500, 8)
    settings = read(given)
    assert (settings.rule, settings.rate, settings.shards) == ("json", 500, 8)
    assert settings.pipeline.topic_of("transaction") == "transactions"
    assert settings.pipeline.bigtable_table == "product_stats"
    words = [f"--{name}={value}" for name, value in given.items()]
    ours, beams = split([*words, "--runner=DataflowRunner"])
    assert read(ours) == settings
    assert beams == ["--runner=DataflowRunner"]
    with pytest.raises(ConfigError) as wrong:
        read(given | {"shards": "0", "topics": "clicks", "bigtable": "x"})
    assert len(wrong.value.mistakes) == 3
    assert main(["--shards=0"]) == 2
    assert "dead_letter_subscription is needed" in capsys.readouterr().err
